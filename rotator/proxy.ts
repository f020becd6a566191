import { BlockList, isIP, isIPv6 } from "node:net";
import { isLoopback } from "../core/endpoint";

type Environment = Record<string, string | undefined>;

/** A proxy variable that applies to an address: its name and its value (which may hold a password). */
export interface Proxy {
  variable: string;
  url: string;
}

/**
 * The proxy that the environment asks for on the way to `address`; this machine is always direct. Only https
 * leaves it, so HTTP_PROXY counts for nothing.
 */
export function proxyFor(address: string, env: Environment): Proxy | undefined {
  const url = new URL(address);
  if (isLoopback(url.hostname) || isExempt(url, env["no_proxy"] || env["NO_PROXY"] || "")) {
    return undefined;
  }
  const variable = ["https_proxy", "HTTPS_PROXY"].find((name) => env[name]);
  const value = variable === undefined ? undefined : env[variable];
  if (variable === undefined || value === undefined) return undefined;
  return { variable, url: value.includes("://") ? value : `http://${value}` };
}

/** The address of the proxy that this process's environment asks for on the way to `address`. */
export function proxyTo(address: string): string | undefined {
  return proxyFor(address, process.env)?.url;
}

/** What to expect of a proxy variable whose value no way leads through; undefined where it is good. */
export function proxyProblem(proxy: Proxy | undefined): string | undefined {
  if (proxy === undefined) return undefined;
  const expected = "a proxy such as http://proxy.example.com:3128";
  if (!URL.canParse(proxy.url)) return expected;
  const { protocol, username, password } = new URL(proxy.url);
  if (!/^https?:$/.test(protocol)) return expected;
  try {
    decodeURIComponent(username + password);
    return undefined;
  } catch {
    return `${expected}, with each % of its user and password as %25`;
  }
}

/**
 * NO_PROXY as programs written in Go read it, so that plugins go no other way: `*`, names that stand for their
 * subdomains too (`.name` and `*.name` for these alone), addresses, and networks such as `10.0.0.0/8`. No name is
 * looked up: networks and addresses are for a URL that holds an address.
 */
function isExempt(url: URL, noProxy: string): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const host = bare(url.hostname);
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "*") return true;
      const [, below, name, only] = isIPv6(entry)
        ? [entry, undefined, entry]
        : (/^(\*?\.)?(.+?)(?::(\d+))?$/.exec(entry) ?? []);
      if (name === undefined || (only !== undefined && only !== port)) return false;
      if (host.endsWith(`.${name}`)) return true;
      return below === undefined && (host === name || isWithin(host, bare(name)));
    });
}

const bare = (host: string) => host.replace(/^\[(.*)\]$/, "$1");

/** Whether an entry is an address or a network, and `host` an address of it. */
function isWithin(host: string, entry: string): boolean {
  const [, network = "", bits] = /^([^/]+)(?:\/(\d+))?$/.exec(entry) ?? [];
  if (isIP(host) === 0 || isIP(host) !== isIP(network)) return false;
  const [family, most] = isIPv6(host) ? (["ipv6", 128] as const) : (["ipv4", 32] as const);
  const prefix = Number(bits ?? most);
  if (prefix > most) return false;
  const list = new BlockList();
  list.addSubnet(network, prefix, family);
  return list.check(host, family);
}
