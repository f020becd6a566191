/** Whether `hostname` (as in a URL) is this machine: the one place where plain http is accepted. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === "localhost" ||
    hostname === "[::1]" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)
  );
}

export type Endpoint = { address: string } | { problem: string };

/**
 * Reads the address of a server that is given secrets: https, or http on this machine. `address` has
 * no trailing slash. `path`: whether the server may live below a path (`https://host/vault`).
 */
export function readEndpoint(text: string, path: "path" | "origin"): Endpoint {
  if (!URL.canParse(text)) return { problem: "is not a URL" };
  const url = new URL(text);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url.hostname))) {
    return { problem: "is not https (plain http is accepted on this machine only)" };
  }
  if (url.username !== "" || url.password !== "") return { problem: "carries a user name" };
  if (url.search !== "" || url.hash !== "") return { problem: "has a query or a fragment" };
  const below = url.pathname.replace(/\/+$/, "");
  if (path === "origin" && below !== "") return { problem: "has a path" };
  return { address: url.origin + below };
}

/** In the heartbeat's address, for the number of the job among those that share the accounts. */
export const shardPlaceholder = "{shard}";

/** What is secret in a webhook's address: all that follows the server. Of a text that is no address, all. */
export function secretPart(address: string): string {
  return URL.canParse(address) ? address.slice(new URL(address).origin.length) : address;
}

/** Whether a text is the address of a webhook: https, or http on this machine. Its path and query are the secret. */
export function isWebhook(text: string): boolean {
  // GitLab masks a variable only if it has no blank.
  if (!/^[!-~]+$/.test(text) || !URL.canParse(text)) return false;
  const { origin, username, password } = new URL(text);
  return "address" in readEndpoint(origin, "origin") && username + password === "";
}
