import http, { type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import { buffer } from "node:stream/consumers";
import type { Answer } from "../../lab/faults";
import {
  type FaultyServer,
  type FaultyServerOptions,
  type Incoming,
  startFaultyServer,
} from "../../lab/faultyServer";

export interface ProxyOptions extends Pick<
  FaultyServerOptions,
  "onRequest" | "onResponse" | "host" | "port" | "tls"
> {
  /** Base URL of the server behind. */
  target: string;
  /** PEM of the authority that signed the target's certificate. */
  ca?: string;
}

const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"];

/**
 * A reverse proxy that counts requests and makes them go wrong: by `faults.add`, or by the gates
 * `onRequest` and `onResponse`, which hold a request while they are pending. A client that the gate
 * kills before its call is answered with `{ when: "before", action: "reset" }`: the call never was.
 */
export function startProxy({ target, ca, ...options }: ProxyOptions): Promise<FaultyServer> {
  return startFaultyServer({ ...options, handle: (request) => forward(target, ca, request) });
}

/** Sends a request on, by a connection of its own. */
export function forward(
  target: string,
  ca: string | undefined,
  { method, path, headers, body }: Incoming,
): Promise<Answer & { outcome: string }> {
  const { origin, protocol } = new URL(target);
  // A new connection each time: a kept one may be found dead after the target was restarted.
  const client = protocol === "https:" ? https : http;
  const agent = new client.Agent({ keepAlive: false });
  const sent = { ...withoutHopByHop(headers), "content-length": body.length };
  return new Promise((resolve, reject) => {
    const request = client.request(`${origin}${path}`, { method, headers: sent, agent, ca });
    request.on("error", reject);
    request.on("response", (response) => {
      const status = response.statusCode ?? 502;
      const headers = withoutHopByHop(response.headers);
      buffer(response).then(
        (body) => resolve({ status, headers, body, outcome: String(status) }),
        reject,
      );
    });
    request.end(body);
  });
}

function withoutHopByHop(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}
