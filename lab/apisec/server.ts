import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { startFaultyServer } from "../faultyServer";
import { apisecApi, DEFAULT_PATHS, type Paths } from "./api";
import { controlApp } from "./control";
import { openScans } from "./scans";
import { type NewAccount, openStore } from "./state";

export interface ApisecOptions {
  accounts: NewAccount[];
  /** Folder that keeps the state; none = memory only. */
  dir?: string;
  host?: string;
  port?: number;
  controlPort?: number;
  paths?: Partial<Paths>;
  /** Milliseconds since 1970. */
  now?: () => number;
  tls?: { key: string; cert: string };
}

export interface Apisec {
  url: string;
  port: number;
  /** Plain HTTP on loopback; there while the API is down. */
  controlUrl: string;
  close(): Promise<void>;
}

/**
 * An APIsec on this machine. Control under `/-/lab/`: at `controlUrl`, and for loopback callers at
 * `url` as well.
 */
export async function startApisec(options: ApisecOptions): Promise<Apisec> {
  const store = openStore(options.dir, options.accounts);
  const now = () => (options.now ?? Date.now)() + store.settings.clockOffsetMs;
  const scans = openScans();
  const control = controlApp(store, scans, () => server);
  await control.ready();
  const server = await startFaultyServer({
    ...apisecApi(store, scans, { ...DEFAULT_PATHS, ...options.paths }, now),
    aside(message, response) {
      if (!message.url?.startsWith("/-/lab/") || !isFromLoopback(message)) return false;
      control.routing(message, response);
      return true;
    },
    ...{ host: options.host, port: options.port, tls: options.tls },
  });
  await control.listen({ host: "127.0.0.1", port: options.controlPort ?? 0 });
  const { port: controlPort } = control.server.address() as AddressInfo;
  return {
    url: server.url,
    port: server.port,
    controlUrl: `http://127.0.0.1:${controlPort}`,
    async close() {
      control.server.closeAllConnections();
      await Promise.all([server.close(), control.close()]);
    },
  };
}

function isFromLoopback({ socket }: IncomingMessage): boolean {
  return /^(::ffff:)?127\.|^::1$/.test(socket.remoteAddress ?? "");
}
