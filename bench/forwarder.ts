import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export interface Forwarder {
  url: string;
  /** Connections taken so far. */
  connections(): number;
  close(): void;
}

/** A way to the server at `target` on which all that a client sends takes `delayMs` longer. */
export async function startForwarder(target: string, delayMs: number): Promise<Forwarder> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  let taken = 0;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    taken += 1;
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
    const later = (what: () => void) => (delayMs === 0 ? what() : setTimeout(what, delayMs));
    client.setNoDelay();
    client.on("data", (chunk) => later(() => upstream.write(chunk)));
    client.on("end", () => later(() => upstream.end()));
    upstream.pipe(client);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        open.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => taken,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
