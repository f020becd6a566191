import { coded } from "../core/messageCode";
import { foreignText } from "../core/redact";
import { isObject } from "../net/http";
import type { Clock, HttpResponse, Send } from "../net/http";
import { isAnswer, isBusy, retry, wasNotSent } from "../net/retry";
import type { RetryRules } from "../net/retry";

/**
 * GET of GitLab's REST API, `path` below `/api/v4/`: the parsed answer, of a list all its pages, undefined for
 * 404. Throws an error that says what GitLab answered, with its `status`.
 */
export type GitlabReader = (path: string) => Promise<unknown>;

/** POST or PUT of GitLab's REST API: the parsed answer. Throws as the reader, also for 404. */
export type GitlabWriter = (method: "POST" | "PUT", path: string, body: object) => Promise<unknown>;

/** GitLab counts requests by the minute. */
const rules: RetryRules = {
  again: (outcome, tries) => tries < 5 && (!isAnswer(outcome) || isBusy(outcome)),
  withinMs: 60_000,
};
/** What may have been done is not asked for again. */
const writeRules: RetryRules = {
  again: (outcome, tries) =>
    tries < 5 && (isAnswer(outcome) ? outcome.status === 429 : wasNotSent(outcome)),
  withinMs: 60_000,
};
const limits = { timeoutMs: 20_000, maxBytes: 10_000_000 };
const maxPages = 100;

/** GitLab at `base`, read with `token`: up to 5 times within a minute where it is busy or gives no answer. */
export function gitlabReader(send: Send, clock: Clock, base: string, token: string): GitlabReader {
  const answerTo = (path: string) => {
    const url = `${base}/api/v4/${path}`;
    const headers = { authorization: `Bearer ${token}` };
    return retry(send, { method: "GET", url, headers, ...limits }, clock, rules);
  };
  return async (path) => {
    const items: unknown[] = [];
    let next: string | undefined = path;
    for (let page = 1; page <= maxPages; page += 1) {
      const answer = await answerTo(next);
      const found = answer.status === 404 ? undefined : read(answer, `GET ${path}`, token);
      if (!Array.isArray(found)) {
        if (page === 1) return found;
        throw coded(`GitLab answers GET ${path} with no list on page ${page}`, "gitlab-answer");
      }
      items.push(...(found as unknown[]));
      next = nextPage(path, answer.headers["link"]);
      if (next === undefined) return items;
    }
    throw coded(`GitLab answers GET ${path} with more than ${maxPages} pages`, "gitlab-answer");
  };
}

/** The same GitLab, written to. */
export function gitlabWriter(send: Send, clock: Clock, base: string, token: string): GitlabWriter {
  return async (method, path, body) => {
    const url = `${base}/api/v4/${path}`;
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const request = { method, url, headers, body: JSON.stringify(body), ...limits };
    return read(await retry(send, request, clock, writeRules), `${method} ${path}`, token);
  };
}

/** Where a list goes on. Of the address in `Link` only the query counts: no token goes to a host that it names. */
function nextPage(path: string, link = ""): string | undefined {
  const address = /<([^<>]*)>; *rel="next"/.exec(link)?.[1];
  if (address === undefined || !URL.canParse(address)) return undefined;
  return (path.split("?")[0] ?? "") + new URL(address).search;
}

function read({ status, body }: HttpResponse, asked: string, token: string): unknown {
  const [parsed] = parse(body);
  if ((status === 200 || status === 201) && parsed !== undefined) return parsed;
  const said = isObject(parsed) ? (parsed["message"] ?? parsed["error"]) : body;
  const text = foreignText(typeof said === "string" ? said : JSON.stringify(said), [token]);
  throw Object.assign(coded(`GitLab answers ${asked} with ${status}: ${text}`, "gitlab-answer"), {
    status,
  });
}

function parse(body: string): [unknown] | [] {
  try {
    return [JSON.parse(body) as unknown];
  } catch {
    return [];
  }
}
