import axios from "axios";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { transportCode, transportError } from "../core/http";
import type { HttpResponse, Send } from "../core/http";

/**
 * `Send` on axios, with connections kept alive. `ca`: PEM text that replaces the system's certificate
 * authorities.
 */
export function axiosSend(options: { ca?: string | undefined } = {}): Send {
  const client = axios.create({
    adapter: "http",
    maxRedirects: 0,
    validateStatus: () => true,
    responseType: "text",
    transformRequest: [(data: unknown) => data],
    transformResponse: [(data: unknown) => data],
    // A compressed answer could be small on the wire and huge here.
    decompress: false,
    httpAgent: new HttpAgent({ keepAlive: true }),
    httpsAgent: new HttpsAgent({
      keepAlive: true,
      rejectUnauthorized: true,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    }),
  });
  return async (request) => {
    const deadline = AbortSignal.timeout(request.timeoutMs);
    try {
      const answer = await client.request<unknown>({
        method: request.method,
        url: request.url,
        headers: { "accept-encoding": "identity", ...request.headers },
        data: request.body,
        maxContentLength: request.maxBytes,
        signal: deadline,
      });
      const headers: HttpResponse["headers"] = {};
      for (const [name, value] of Object.entries(answer.headers)) {
        headers[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : String(value);
      }
      const body = typeof answer.data === "string" ? answer.data : "";
      return { status: answer.status, headers, body };
    } catch (error) {
      // The error of axios holds the whole request, password and token: nothing of it leaves here.
      const { code, message } = error as { code?: string; message?: string };
      if (deadline.aborted) throw transportError("timeout", request.url);
      if (message?.startsWith("maxContentLength")) throw transportError("too-large", request.url);
      throw transportError(transportCode(code), request.url);
    }
  };
}
