import type { HttpRequest, HttpResponse } from "../../../net/http";
import { proxyTo } from "../../../net/proxy";
import { nodeSend } from "../../../net/transport";
import { text, unknown, type Props } from "../resource";
import { pause } from "../waits";

let base = "";
let token = "";

const transport = nodeSend({ proxyFor: proxyTo });
const mostTries = 6;

/** A refusal by GitLab, or the lack of any answer. */
export type GitlabError = Error & { status?: number };

/** Where and as whom to call, from the provider's configuration or the environment. */
export async function configure(config: Record<string, string>): Promise<void> {
  token = config.token ?? process.env.GITLAB_TOKEN ?? "";
  const address = config.baseUrl ?? process.env.GITLAB_BASE_URL ?? "https://gitlab.com/api/v4/";
  if (token === "") {
    throw new Error("No GitLab token configured: set gitlab:token or GITLAB_TOKEN");
  }
  if (token === unknown || address === unknown) {
    throw new Error("Unknown GitLab Token: set gitlab:token or GITLAB_TOKEN to a known value");
  }
  base = `${address.replace(/\/*$/, "")}/`.replace(/(\/api\/v4)?\/$/, "/api/v4/");
  const check = config.earlyAuthCheck ?? process.env.GITLAB_EARLY_AUTH_CHECK ?? "true";
  if (check !== "false") {
    await call("GET", "user");
  }
}

/** One GitLab call. @returns the answer's JSON. @throws a GitlabError in the words of the official client. */
export async function call(
  method: string,
  path: string,
  body?: Props,
  tries = mostTries,
): Promise<Props> {
  const url = `${base}${path}`;
  const { status, body: answer } = await insist(method, url, body, tries);
  const json = parsed(answer);
  if ([200, 201, 202, 204, 304].includes(status)) {
    return json;
  }
  const said = `{message: ${flat(json.message ?? json.error ?? "")}}`.slice(0, 500);
  throw Object.assign(new Error(`${method} ${url}: ${status} ${said}`), { status });
}

/** The same; undefined for 404. */
export const find = (method: string, path: string, body?: Props): Promise<Props | undefined> =>
  call(method, path, body).catch((error: GitlabError) => {
    if (error.status === 404) return undefined;
    throw error;
  });

/** For resources of the newer framework: what could not be done, and of a 404 neither path nor reason. */
export const unable =
  (what: string) =>
  (error: GitlabError): never => {
    const reason = error.status === 404 ? "404 Not Found" : error.message;
    throw new Error(`GitLab API error occurred: Unable to ${what}: ${reason}`);
  };

/** Server errors and refused connections are tried again; 429 without a time is waited for, for minutes. */
async function insist(
  method: string,
  url: string,
  body: Props | undefined,
  tries: number,
): Promise<HttpResponse> {
  for (let attempt = 1; ; attempt++) {
    let wait = attempt * 800;
    try {
      const answer = await transport({
        method: method as HttpRequest["method"],
        url,
        headers: {
          Authorization: `Bearer ${token}`,
          Accept: "application/json",
          "Content-Type": "application/json",
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        timeoutMs: 20_000,
        maxBytes: 16 * 1024 * 1024,
      });
      const { status } = answer;
      const passing = status === 429 || (status >= 500 && status !== 501);
      if (!passing || attempt === tries) {
        return answer;
      }
      if (status === 429) wait = Number(answer.headers["retry-after"] ?? 600) * 1_000;
    } catch (error) {
      // What was written on a connection that was then lost may have taken effect.
      const again = method === "GET" || String(error).includes("ECONNREFUSED");
      if (attempt === tries || !again) {
        throw new Error(`${method} ${url}: ${(error as Error).message}`, { cause: error });
      }
    }
    await pause(wait);
  }
}

function parsed(body: string): Props {
  try {
    return (JSON.parse(body) ?? {}) as Props;
  } catch {
    return {};
  }
}

/** GitLab's reasons as the official client writes them. */
function flat(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flat).join(", ")}]`;
  if (typeof value !== "object" || value === null) return text(value);
  const parts = Object.entries(value).map(([key, inner]) => `${key}: ${flat(inner)}`);
  return `{${parts.join(", ")}}`;
}

/** A path segment as the official client writes it: dots too. */
export const segment = (value: unknown): string =>
  encodeURIComponent(text(value)).replace(/\./g, "%2E");

export const projectPath = (properties: Props): string => `projects/${segment(properties.project)}`;

/** The parts of an id; the last takes the colons that are left. */
export function idParts(id: string, form: string): string[] {
  const count = form.split(":").length;
  const parts = id.split(":");
  if (parts.length < count) {
    throw new Error(`unexpected ID format ("${id}"). Expected ${form}`);
  }
  return [...parts.slice(0, count - 1), parts.slice(count - 1).join(":")];
}
