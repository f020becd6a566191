import { isLoopback } from "./endpoint";

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
  const value = env[variable ?? ""];
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
 * NO_PROXY as programs written in Go read it, so that plugins go no other way: between commas `*`, names that stand
 * for their subdomains too (`.name` and `*.name` for these alone), addresses, each of these with a port or without, and
 * networks such as `10.0.0.0/8`. No name is looked up: networks and addresses are for a URL that holds an address.
 */
function isExempt(url: URL, noProxy: string): boolean {
  const { isIP } = process.getBuiltinModule("node:net");
  const { domainToASCII } = process.getBuiltinModule("node:url");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const matches = (entry: string) => {
    if (entry === "*") return true;
    const [, network, bits] = /^([^/]+)\/(\d+)$/.exec(entry) ?? [];
    if (network !== undefined) return isWithin(host, network, Number(bits));
    const [, six, name = six ?? entry, only = port] =
      /^(?:\[(.+)\]|([^:]*)):(\d+)$/.exec(entry) ?? [];
    if (only !== port) return false;
    if (isIP(name) !== 0) return isWithin(host, name);
    const below = name.replace(/^\*?\./, "");
    // Not of "2.3", which it takes for an address.
    const domain = /[^\0-\x7f]/.test(below) ? domainToASCII(below) : below;
    if (domain === "") return false;
    return host.endsWith(`.${domain}`) || (host === domain && name === below);
  };
  return noProxy
    .toLowerCase()
    .split(",")
    .some((entry) => matches(entry.trim()));
}

/** Whether `host` is an address whose first `bits` (default: all) are the network's. */
function isWithin(host: string, network: string, bits?: number): boolean {
  const { BlockList, isIP } = process.getBuiltinModule("node:net");
  const version = isIP(network);
  if (version === 0 || isIP(host) !== version) return false;
  const [family, most] = version === 6 ? (["ipv6", 128] as const) : (["ipv4", 32] as const);
  if (bits !== undefined && bits > most) return false;
  const list = new BlockList();
  list.addSubnet(network, bits ?? most, family);
  return list.check(host, family);
}
