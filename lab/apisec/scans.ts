import { randomUUID } from "node:crypto";
import { z } from "zod";

/** What APIsec's scan of an API will find, and how its runs go. */
export const ApiSettings = z.strictObject({
  vulnerabilities: z.array(
    z.looseObject({ id: z.string().optional(), severity: z.string().optional() }),
  ),
  /** The statuses that a run goes through, one each time it is asked; it stays at the last. */
  runStatuses: z.array(z.string()).min(1),
  /** Likewise of a reload. */
  reloadStatuses: z.array(z.string()).min(1),
});
export type ApiSettings = z.infer<typeof ApiSettings>;

export interface Api extends ApiSettings {
  id: string;
  name: string;
  org: { id: string; name: string };
  openAPISpec: string;
  openText: string;
  reloadsAsked: number;
}

interface Run {
  id: string;
  api: Api;
  number: number;
  asked: number;
  query: Record<string, string>;
}

/** `data` of an answer, or APIsec's refusal in words. */
type Said = { data: unknown; totalPages?: number; totalElements?: number } | { refusal: string };

/** The APIs and scans of one server, in memory. */
export function openScans() {
  const apis: Api[] = [];
  const runs: Run[] = [];

  const usual: ApiSettings = {
    vulnerabilities: [],
    runStatuses: ["WAITING", "PROCESSING", "COMPLETED"],
    reloadStatuses: ["In_progress", "Done"],
  };

  function find(org: Api["org"], name: string): Api | undefined {
    return apis.find((api) => api.org.id === org.id && api.name === name);
  }

  /** A call below `/api/v1/`; undefined where it is none of these. */
  function handle(
    method: string,
    url: URL,
    body: Record<string, unknown>,
    org: Api["org"],
  ): Said | undefined {
    const path = url.pathname.replace(/^\/api\/v1\//, "");
    const match = (verb: string, pattern: RegExp) =>
      method === verb ? pattern.exec(path)?.slice(1).map(decodeURIComponent) : undefined;
    const own = (id: string) => apis.find((api) => api.id === id && api.org.id === org.id);

    const byName = match("GET", /^projects\/find-by-name\/([^/]+)$/);
    if (byName !== undefined) return { data: find(org, byName[0] ?? "") ?? null };

    if (method === "POST" && path === "projects") return register(body, org);

    const reload = match("PUT", /^projects\/([^/]+)\/refresh-specs$/);
    if (reload !== undefined) {
      const api = own(reload[0] ?? "");
      if (api === undefined) return { refusal: "Project not found" };
      Object.assign(api, specificationOf(body), { reloadsAsked: 0 });
      return { data: api };
    }
    const sync = match("GET", /^events\/project\/([^/]+)\/Sync$/);
    if (sync !== undefined) {
      const api = own(sync[0] ?? "");
      if (api === undefined) return { refusal: "Project not found" };
      const status = api.reloadStatuses.at(api.reloadsAsked) ?? api.reloadStatuses.at(-1);
      api.reloadsAsked += 1;
      return { data: { status } };
    }
    const started = match("POST", /^runs\/project\/([^/]+)$/);
    if (started !== undefined) {
      return start(find(org, started[0] ?? ""), Object.fromEntries(url.searchParams));
    }
    const asked = match("GET", /^runs\/([^/]+)$/);
    if (asked !== undefined) return statusOf(asked[0] ?? "", org);

    const found = match("GET", /^projects\/([^/]+)\/vulnerabilities$/);
    if (found !== undefined) return page(own(found[0] ?? ""), url.searchParams);

    const sarif = match("GET", /^projects\/([^/]+)\/sarif$/);
    if (sarif !== undefined) {
      const api = own(sarif[0] ?? "");
      return api === undefined ? { refusal: "Project not found" } : { data: sarifOf(api) };
    }
    return undefined;
  }

  function register(body: Record<string, unknown>, org: Api["org"]): Said {
    const { name, openText, openAPISpec } = body;
    if (typeof name !== "string" || name === "") return { refusal: "Name is required" };
    if (find(org, name) !== undefined) return { refusal: "Project name already exists" };
    if (body["source"] === "FILE" && openText === "") return { refusal: "Invalid specification" };
    if (body["source"] === "API" && !/^https?:/.test(String(openAPISpec))) {
      return { refusal: "Invalid specification" };
    }
    const id = randomUUID();
    const api: Api = { id, name, org, ...specificationOf(body), ...usual, reloadsAsked: 0 };
    apis.push(api);
    return { data: api };
  }

  /** `data.id` is null where a run was not started. */
  function start(api: Api | undefined, query: Record<string, string>): Said {
    if (api === undefined || query["jobName"] === "none") return { data: { id: null } };
    const run = { id: randomUUID(), api, number: runs.length + 1, asked: 0, query };
    runs.push(run);
    return { data: { id: run.id, job: { project: { id: api.id } } } };
  }

  function statusOf(id: string, org: Api["org"]): Said {
    const run = runs.find((one) => one.id === id && one.api.org.id === org.id);
    if (run === undefined) return { refusal: "Run not found" };
    const { runStatuses, vulnerabilities } = run.api;
    const status = runStatuses.at(run.asked) ?? runStatuses.at(-1) ?? "";
    run.asked += 1;
    const failed = vulnerabilities.length;
    const passed = status === "COMPLETED" ? 100 - failed : 10;
    const parts = [status, passed, 100, failed, 0, 0, run.number, `/#/app/projects/${run.api.id}`];
    return { data: { id, ciCdStatus: parts.join(":") } };
  }

  function page(api: Api | undefined, query: URLSearchParams): Said {
    if (api === undefined) return { refusal: "Project not found" };
    const size = Math.min(Number(query.get("pageSize") ?? 20), 20);
    const at = Number(query.get("page") ?? 0) * size;
    const all = api.vulnerabilities;
    return {
      data: all.slice(at, at + size),
      totalPages: Math.ceil(all.length / size),
      totalElements: all.length,
    };
  }

  return {
    handle,
    apis: () => apis,
    runs: () => runs.map(({ id, api, query }) => ({ id, name: api.name, query })),
    /** What control changes of an API by its name, in every organisation. */
    change(name: string, settings: Partial<ApiSettings>): Api[] {
      const named = apis.filter((api) => api.name === name);
      for (const api of named) Object.assign(api, settings);
      return named;
    },
  };
}

function specificationOf(body: Record<string, unknown>) {
  const text = (value: unknown, other: string) => (typeof value === "string" ? value : other);
  return {
    openAPISpec: text(body["openAPISpec"], "none"),
    openText: text(body["openText"], ""),
  };
}

function sarifOf(api: Api) {
  const results = api.vulnerabilities.map(({ severity }, index) => ({
    ruleId: `apisec-${index}`,
    message: { text: String(severity) },
  }));
  return {
    version: "2.1.0",
    runs: [{ tool: { driver: { name: "APIsec", rules: [] } }, results }],
  };
}
