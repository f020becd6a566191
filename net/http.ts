/** One HTTP request. Bodies are text; `timeoutMs` bounds the whole exchange, `maxBytes` the answer. */
export interface HttpRequest {
  method: "GET" | "POST" | "PUT" | "LIST";
  url: string;
  headers: Record<string, string>;
  body?: string;
  timeoutMs: number;
  maxBytes: number;
}

/** Header names are lower case. A redirect is an answer like any other: it is never followed. */
export interface HttpResponse {
  status: number;
  headers: Record<string, string | undefined>;
  body: string;
}

/**
 * Why no answer came. Only `refused`, `dns`, `tls`, `client-certificate` and `proxy` mean that the request
 * took no effect.
 */
export type TransportCode =
  | "timeout"
  | "refused"
  | "reset"
  | "dns"
  | "tls"
  | "client-certificate"
  | "proxy"
  | "too-large"
  | "other";

/**
 * Sends one request, once. Rejects with an error made by `transportError`, and with nothing else.
 * `axiosSend` for APIsec in `up`, `nodeSend` for everything else; both keep connections alive.
 */
export type Send = (request: HttpRequest) => Promise<HttpResponse>;

/** Time as a parameter: `now` in milliseconds since 1970, `sleep` in milliseconds. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

const transportTexts: Record<TransportCode, string> = {
  timeout: "did not answer in time",
  refused: "refused the connection",
  reset: "closed the connection before the answer was complete",
  dns: "has a host name that cannot be resolved",
  tls: "has a certificate that is not trusted here",
  "client-certificate": "asks for a client certificate, or refuses the one that it was shown",
  proxy: "cannot be reached through the proxy",
  "too-large": "sent more than the accepted number of bytes",
  other: "could not be reached",
};

/** An error that says who did not answer and why: origin and code, never a header, query or body. */
export function transportError(
  code: TransportCode,
  url: string,
  detail?: string,
): Error & { code: TransportCode } {
  const origin = new URL(url).origin;
  const reason = detail === undefined ? "" : ` (${detail})`;
  // A factory and no subclass: a subclass loses its message on the way out of a dynamic provider.
  return Object.assign(new Error(`${origin} ${transportTexts[code]}${reason}`), {
    name: "TransportError",
    code,
  });
}

/** An alert is what a server says that wants to know who is calling. */
const nodeCodes: [RegExp, TransportCode][] = [
  [/^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH)$/, "refused"],
  [/^(ENOTFOUND|EAI_AGAIN)$/, "dns"],
  [/^(ETIMEDOUT|ECONNABORTED|ERR_CANCELED|ABORT_ERR)$/, "timeout"],
  [/^(ECONNRESET|EPIPE|ERR_STREAM_PREMATURE_CLOSE|ERR_BAD_RESPONSE)$/, "reset"],
  [/ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/, "client-certificate"],
  [/CERT|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|ERR_TLS|ERR_SSL|EPROTO|DEPTH_ZERO/, "tls"],
];

/** Sorts a code of node's network stack (`ECONNREFUSED`, `ENOTFOUND`, …) into ours. */
export function transportCode(nodeCode = ""): TransportCode {
  return nodeCodes.find(([pattern]) => pattern.test(nodeCode))?.[1] ?? "other";
}

/** Parses a JSON object; anything else (an array, HTML, a cut-off text) is undefined. */
export function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Milliseconds that a `Retry-After` header asks for (seconds or a date), at most `limitMs`. */
export function retryAfterMs(header: string | undefined, nowMs: number, limitMs: number): number {
  if (header === undefined) return 0;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), limitMs) : 0;
}
