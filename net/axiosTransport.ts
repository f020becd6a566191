import type axios from "axios";
import { transportCode, transportError } from "./http";
import type { HttpResponse, Send } from "./http";
import { agentsFor } from "./transport";
import type { TransportOptions } from "./transport";

/** `Send` on axios, over the same connections as the job's: one reading of TLS and proxies. */
export function axiosSend(options: TransportOptions = {}): Send {
  const agentFor = agentsFor(options);
  let client: ReturnType<typeof newClient> | undefined;
  return async (request) => {
    client ??= newClient();
    const deadline = AbortSignal.timeout(request.timeoutMs);
    try {
      const agent = agentFor(new URL(request.url));
      const answer = await client.request<unknown>({
        method: request.method,
        url: request.url,
        headers: { "accept-encoding": "identity", ...request.headers },
        data: request.body,
        maxContentLength: request.maxBytes,
        signal: deadline,
        httpAgent: agent,
        httpsAgent: agent,
      });
      const headers: HttpResponse["headers"] = {};
      for (const [name, value] of Object.entries(answer.headers)) {
        headers[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : String(value);
      }
      const body = typeof answer.data === "string" ? answer.data : "";
      return { status: answer.status, headers, body };
    } catch (error) {
      // The error of axios holds the whole request, password and token: nothing of it leaves here.
      const { code, message, cause } = error as { code?: string; message?: string; cause?: Error };
      if (cause?.name === "TransportError") throw cause;
      if (deadline.aborted) throw transportError("timeout", request.url);
      if (message?.startsWith("maxContentLength")) throw transportError("too-large", request.url);
      throw transportError(transportCode(code), request.url);
    }
  };
}

/** axios is loaded by the first request: a preview of an account makes none. */
function newClient() {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- `import()` would load its ES modules, one by one
  const client = require("axios") as typeof axios;
  return client.create({
    adapter: "http",
    maxRedirects: 0,
    validateStatus: () => true,
    responseType: "text",
    transformRequest: [(data: unknown) => data],
    transformResponse: [(data: unknown) => data],
    // A compressed answer could be small on the wire and huge here.
    decompress: false,
    // Its own reading of proxy variables is another one.
    proxy: false,
  });
}
