import http from "node:http";
import net from "node:net";
import type { AddressInfo } from "node:net";

export interface ForwardProxyOptions {
  /** Where a tunnel to `host:port` really ends; undefined = refused. Default: where it says. */
  route?: (target: string) => { host: string; port: number } | undefined;
  /** `user:password`, asked of every client. */
  credentials?: string;
}

export interface ForwardProxy {
  url: string;
  /** The `host:port` of each tunnel that was asked for. */
  targets(): string[];
  close(): Promise<void>;
}

/** A proxy that opens tunnels (CONNECT) and does nothing else, as those on the way out of a company. */
export async function startForwardProxy(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const { route = straight, credentials } = options;
  const expected =
    credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
  const targets: string[] = [];
  const open = new Set<net.Socket>();
  const server = http.createServer((_, response) => response.writeHead(405).end());
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  server.on("connect", ({ url = "", headers }, client, head) => {
    client.on("error", () => client.destroy());
    const refuse = (status: string) => void client.end(`HTTP/1.1 ${status}\r\n\r\n`);
    if (expected !== undefined && headers["proxy-authorization"] !== expected) {
      return refuse("407 Proxy Authentication Required");
    }
    targets.push(url);
    const end = route(url);
    if (end === undefined) return refuse("403 Forbidden");
    const server = net.connect(end.port, end.host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      server.write(head);
      server.pipe(client).pipe(server);
    });
    server.on("error", () => client.destroy());
    client.on("close", () => server.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    targets: () => [...targets],
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function straight(target: string): { host: string; port: number } {
  const { hostname, port } = new URL(`https://${target}`);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 443) };
}
