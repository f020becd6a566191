import http, { type IncomingHttpHeaders } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Answer,
  Fault,
  type FaultInput,
  faultPlan,
  play,
  resetConnection,
  send,
} from "./faults";
import { freePort } from "./process";

export interface Incoming {
  /** Number of the request since the start or the last `clear`, 1-based. */
  n: number;
  method: string;
  /** With query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  kind?: string;
  username?: string;
  /** The account that a change is about. */
  target?: string;
}

/** What is kept of a request: no header, no body. */
export interface Logged {
  n: number;
  time: string;
  method: string;
  path: string;
  kind?: string;
  username?: string;
  target?: string;
  /** What really happened, "none" as long as nothing did; `fault` is what the client saw instead. */
  outcome: string;
  fault?: string;
}

export interface FaultyServerOptions {
  /** Gives the request its effect; `outcome` goes into the log. */
  handle: (request: Incoming) => Promise<Answer & { outcome: string }>;
  /** What the log and a fault's `match` need to know of a request. */
  describe?: (request: Incoming) => Pick<Incoming, "kind" | "username" | "target">;
  /** Takes requests that are neither logged nor counted nor disturbed; true = taken. */
  aside?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
  /** Called before the effect: "pass", or a fault (which beats the planned ones). */
  onRequest?: (request: Incoming) => Promise<"pass" | FaultInput>;
  /** Called after the effect, before anything is answered. */
  onResponse?: (request: Incoming, answer: Answer) => Promise<void>;
  host?: string;
  port?: number;
  tls?: { key: string; cert: string };
}

export interface FaultyServer {
  url: string;
  port: number;
  faults: ReturnType<typeof faultPlan>;
  requests(): Logged[];
  /** Empties the log; numbering starts again at 1. */
  clear(): void;
  /** Refuses connections for `ms`; requests that are being served still get their answer. */
  down(ms: number): void;
  close(): Promise<void>;
}

/** An HTTP server whose requests are logged and can be made to go wrong. */
export async function startFaultyServer(options: FaultyServerOptions): Promise<FaultyServer> {
  const { handle, describe, aside, onRequest, onResponse, host = "127.0.0.1", tls } = options;
  const faults = faultPlan();
  let log: Logged[] = [];
  let closed = false;

  async function serve(message: http.IncomingMessage, response: http.ServerResponse) {
    if (aside?.(message, response)) return;
    const { method = "GET", url: path = "/", headers } = message;
    const body = Buffer.concat(await message.toArray());
    const request: Incoming = { n: log.length + 1, method, path, headers, body };
    Object.assign(request, describe?.(request));
    const { n, kind, username, target } = request;
    const time = new Date().toISOString();
    const entry: Logged = { n, time, method, path, kind, username, target, outcome: "none" };
    log.push(entry);

    async function effect(): Promise<Answer> {
      const { outcome, ...answer } = await handle(request);
      entry.outcome = outcome;
      await onResponse?.(request, answer);
      if (!server.listening) response.setHeader("connection", "close");
      return answer;
    }

    const planned = faults.next(request);
    const verdict = (await onRequest?.(request)) ?? "pass";
    const fault = verdict === "pass" ? planned : Fault.parse(verdict);
    if (!fault) return send(response, await effect());
    entry.fault = `${fault.when} ${nameOf(fault)}`;
    await play(fault, path, effect, response);
  }

  const listener = (message: http.IncomingMessage, response: http.ServerResponse) =>
    void serve(message, response).catch(() => resetConnection(response.socket));
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener);
  server.keepAliveTimeout = 65_000;
  await listenAt(server, options.port ?? 0, host);
  const { port } = server.address() as AddressInfo;

  return {
    url: `${tls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    faults,
    requests: () => log.map((entry) => ({ ...entry })),
    clear() {
      log = [];
    },
    down(ms) {
      server.close();
      void sleep(ms).then(() => (closed ? undefined : listen(server, port, host)));
    },
    close() {
      closed = true;
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** Port 0: one that stays free while the server is down. */
async function listenAt(server: http.Server | https.Server, port: number, host: string) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listen(server, port === 0 ? await freePort(host) : port, host);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!isTaken || port !== 0 || attempt === 3) throw error;
    }
  }
}

function listen(server: http.Server | https.Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function nameOf({ action }: Fault): string {
  if (typeof action === "string") return action;
  return "status" in action ? String(action.status) : Object.keys(action).join();
}
