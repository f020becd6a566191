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

/** NO_PROXY as curl reads it: `*`, or names (with or without a port) that stand for their subdomains too. */
function isExempt(url: URL, noProxy: string): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "*") return true;
      const [, name, only] = /^\*?\.?(.+?)(?::(\d+))?$/.exec(entry) ?? [];
      if (name === undefined || (only !== undefined && only !== port)) return false;
      return url.hostname === name || url.hostname.endsWith(`.${name}`);
    });
}
