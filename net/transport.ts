import { transportCode, transportError } from "./http";
import type http from "node:http";
import type { Duplex } from "node:stream";
import type { HttpRequest, HttpResponse, Send } from "./http";
import type { VaultTls } from "./vaultTls";

export interface TransportOptions extends VaultTls {
  /** The proxy on the way to an origin. */
  proxyFor?: (origin: string) => string | undefined;
}

/** A proxy has this long to open a tunnel. */
const tunnelTimeoutMs = 10_000;

/**
 * Node's client for a URL. Not by `import`: node would read every export of the module, and one of
 * http's is a getter that loads a second http client, which doubles the time of a start.
 */
function clientFor(url: URL): Pick<typeof http, "request" | "Agent"> {
  return process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http");
}

/** One agent an origin, its connections kept alive. */
export function agentsFor({ ca, cert, key, proxyFor }: TransportOptions) {
  const agents = new Map<string, http.Agent>();
  return (url: URL): http.Agent => {
    const known = agents.get(url.origin);
    if (known !== undefined) return known;
    const { Agent } = clientFor(url);
    const agent = new Agent({
      keepAlive: true,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      // Said here, because NODE_TLS_REJECT_UNAUTHORIZED would turn it off otherwise.
      rejectUnauthorized: true,
    } as http.AgentOptions);
    const proxy = proxyFor?.(url.origin);
    if (proxy !== undefined) throughTunnel(agent, proxy, url);
    agents.set(url.origin, agent);
    return agent;
  };
}

/** Lets an agent open its connections through the proxy; TLS is spoken with the server behind it. */
function throughTunnel(agent: http.Agent, proxy: string, url: URL): void {
  const { connect } = process.getBuiltinModule("node:tls");
  Object.assign(agent, {
    createConnection(options: object, done: (error: Error | null, socket?: Duplex) => void) {
      openTunnel(proxy, url).then((socket) => done(null, connect({ ...options, socket })), done);
    },
  });
}

function openTunnel(proxy: string, url: URL): Promise<Duplex> {
  const { protocol, hostname, port, username, password } = new URL(proxy);
  const target = `${url.hostname}:${url.port || "443"}`;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers = {
    host: target,
    ...(credentials === ":"
      ? {}
      : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` }),
  };
  return new Promise((resolve, reject) => {
    const fail = (detail: string) => reject(transportError("proxy", url.origin, detail));
    const request = clientFor(new URL(proxy)).request({
      protocol,
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port,
      method: "CONNECT",
      path: target,
      headers,
      agent: false,
      timeout: tunnelTimeoutMs,
    });
    request.on("connect", ({ statusCode }, socket) => {
      socket.setTimeout(0);
      if (statusCode === 200) return resolve(socket);
      socket.destroy();
      fail(`it answers ${statusCode}`);
    });
    request.on("response", ({ statusCode }) => fail(`it answers ${statusCode}`));
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", ({ code }: NodeJS.ErrnoException) => fail(code ?? "no answer in time"));
    request.end();
  });
}

/** `Send` on node's own http client. */
export function nodeSend(options: TransportOptions = {}): Send {
  const agentFor = agentsFor(options);
  return async (request) => {
    try {
      const url = new URL(request.url);
      return await exchange(clientFor(url).request, agentFor(url), url, request);
    } catch (error) {
      const { name, code } = error as NodeJS.ErrnoException;
      throw name === "TransportError" ? error : transportError(transportCode(code), request.url);
    }
  };
}

function exchange(
  open: typeof http.request,
  agent: http.Agent,
  url: URL,
  request: HttpRequest,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const { method, headers, body } = request;
    const outgoing = open(url, { method, headers, agent }, (incoming) => {
      const chunks: Buffer[] = [];
      let size = 0;
      incoming.on("error", stop);
      incoming.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > request.maxBytes) stop(transportError("too-large", request.url));
        else chunks.push(chunk);
      });
      incoming.on("end", () => {
        clearTimeout(timer);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: {
            ...incoming.headers,
            "set-cookie": incoming.headers["set-cookie"]?.join(", "),
          },
          body: Buffer.concat(chunks).toString("utf8"),
        });
      });
    });
    const timer = setTimeout(() => stop(transportError("timeout", request.url)), request.timeoutMs);
    function stop(error: Error): void {
      clearTimeout(timer);
      reject(error);
      outgoing.destroy();
    }
    outgoing.on("error", stop);
    outgoing.end(body);
  });
}
