import { transportCode, transportError } from "../core/http";
import type http from "node:http";
import type { HttpRequest, HttpResponse, Send } from "../core/http";

export interface TransportOptions {
  /** PEM text; replaces the system's certificate authorities. */
  ca?: string | undefined;
  /** The proxy on the way to an origin; needs a node that knows proxies. */
  proxyFor?: (origin: string) => string | undefined;
}

/**
 * Node's client for a URL. Not by `import`: node would read every export of the module, and one of
 * http's is a getter that loads a second http client, which doubles the time of a start.
 */
function clientFor(url: URL): Pick<typeof http, "request" | "Agent"> {
  return process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http");
}

/** `Send` on node's own http client, with connections kept alive. */
export function nodeSend(options: TransportOptions = {}): Send {
  const agents = new Map<string, http.Agent>();

  function agentFor(url: URL): http.Agent {
    const known = agents.get(url.origin);
    if (known !== undefined) return known;
    const proxy = options.proxyFor?.(url.origin);
    const { Agent } = clientFor(url);
    const agent = new Agent({
      keepAlive: true,
      ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      // Said here, because NODE_TLS_REJECT_UNAUTHORIZED would turn it off otherwise.
      rejectUnauthorized: true,
    } as http.AgentOptions);
    agents.set(url.origin, agent);
    return agent;
  }

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
