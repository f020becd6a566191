import { isLoopback } from "../core/endpoint";

type Environment = Record<string, string | undefined>;

/** A proxy variable that applies to an address: its name and its value (which may hold a password). */
export interface Proxy {
  variable: string;
  url: string;
}

/** The proxy that the environment asks for on the way to `address`; this machine is always direct. */
export function proxyFor(address: string, env: Environment): Proxy | undefined {
  const url = new URL(address);
  if (isLoopback(url.hostname) || isExempt(url, env["no_proxy"] || env["NO_PROXY"] || "")) {
    return undefined;
  }
  const names =
    url.protocol === "https:" ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy", "HTTP_PROXY"];
  const variable = names.find((name) => env[name]);
  return variable === undefined ? undefined : { variable, url: env[variable] ?? "" };
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

/** Whether this node's own http client can use a proxy (22.21, 24.5 and newer). */
export function nodeKnowsProxies(): boolean {
  return process.allowedNodeEnvironmentFlags.has("--use-env-proxy");
}
