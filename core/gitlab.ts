import { foreignText } from "./redact";
import { isObject } from "./http";
import type { Clock, HttpResponse, Send } from "./http";

/**
 * GET of GitLab's REST API, `path` below `/api/v4/`: the parsed answer, undefined for 404. Throws an error that
 * says what GitLab answered, with its `status`.
 */
export type GitlabReader = (path: string) => Promise<unknown>;

const tries = 3;

/** GitLab at `base`, read with `token`; a server that is passing busy is asked up to 3 times. */
export function gitlabReader(send: Send, clock: Clock, base: string, token: string): GitlabReader {
  return async (path) => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await send({
        method: "GET",
        url: `${base}/api/v4/${path}`,
        headers: { authorization: `Bearer ${token}` },
        timeoutMs: 20_000,
        maxBytes: 10_000_000,
      });
      const passing = answer.status === 429 || answer.status >= 500;
      if (!passing || attempt === tries) return read(answer, path, token);
      await clock.sleep(500 * 2 ** attempt);
    }
  };
}

function read(answer: HttpResponse, path: string, token: string): unknown {
  const { status, body } = answer;
  if (status === 404) return undefined;
  const [parsed] = parse(body);
  if (status === 200 && parsed !== undefined) return parsed;
  const said = isObject(parsed) ? (parsed["message"] ?? parsed["error"]) : body;
  const text = foreignText(typeof said === "string" ? said : JSON.stringify(said), [token]);
  throw Object.assign(new Error(`GitLab answers GET ${path} with ${status}: ${text}`), { status });
}

function parse(body: string): [unknown] | [] {
  try {
    return [JSON.parse(body) as unknown];
  } catch {
    return [];
  }
}
