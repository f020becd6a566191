/** The wire: parameters as Rack and Grape read them, replies, errors and pagination as GitLab sends them. */
import type { App } from "./app";
import type { Token, User } from "./store";

export type Params = Record<string, unknown>;

export interface Request {
  app: App;
  method: string;
  /** The raw path below the relative URL root, without the query. */
  path: string;
  /** Named segments of the route, decoded. */
  params: Record<string, string>;
  query: Params;
  /** Query and body together; the body wins. */
  input: Params;
  headers: Record<string, string>;
  /** Scheme, host and relative root as the client wrote them. */
  base: string;
  user?: User;
  token?: Token;
  /** Set when the caller is a running job. */
  jobProjectId?: number;
}

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export type Handler = (request: Request) => Reply | Promise<Reply>;

export interface Route {
  method: string;
  segments: string[];
  handler: Handler;
  /** Answers without a token too, as far as the project is public. */
  anonymous: boolean;
  /** May be called with a running job's CI_JOB_TOKEN. */
  jobToken: boolean;
  /** Scopes that open it beside `api` and, for reading, `read_api`. */
  scopes: string[];
}

/** Thrown by handlers; becomes the answer. */
export interface ApiError extends Error {
  reply: Reply;
}

export function fail(status: number, message: unknown, key = "message"): ApiError {
  const text = typeof message === "string" ? message : JSON.stringify(message);
  return Object.assign(new Error(text), { reply: { status, body: { [key]: message } } });
}

export const notFound = (what: string) => fail(404, `404 ${what} Not Found`);
export const forbidden = (why?: string) =>
  fail(403, why ? `403 Forbidden - ${why}` : "403 Forbidden");
export const invalid = (errors: Record<string, string[]>) => fail(400, errors);

export const ok = (body: unknown): Reply => ({ status: 200, body });
export const created = (body: unknown): Reply => ({ status: 201, body });
export const noContent: Reply = { status: 204 };

export function route(
  spec: string,
  handler: Handler,
  options: { anonymous?: boolean; jobToken?: boolean; scopes?: string[] } = {},
): Route {
  const [method = "", path = ""] = spec.split(" ");
  const { anonymous = false, jobToken = false, scopes = [] } = options;
  return { method, segments: path.split("/"), handler, anonymous, jobToken, scopes };
}

/** Finds the route of raw, still encoded segments, and decodes its named ones (`:name`, or `*name` for the rest). */
export function match(
  routes: Route[],
  method: string,
  raw: string[],
): { route: Route; params: Record<string, string> } | undefined {
  const wanted = method === "HEAD" ? ["HEAD", "GET"] : [method];
  for (const verb of wanted) {
    for (const candidate of routes) {
      if (candidate.method !== verb) continue;
      const params = bind(candidate.segments, raw);
      if (params) return { route: candidate, params };
    }
  }
  return undefined;
}

function bind(pattern: string[], raw: string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [at, part] of pattern.entries()) {
    const segment = raw[at];
    if (segment === undefined) return undefined;
    if (part.startsWith("*")) {
      params[part.slice(1)] = raw.slice(at).map(decodeURIComponent).join("/");
      return params;
    }
    if (part.startsWith(":")) params[part.slice(1)] = decodeURIComponent(segment);
    else if (part !== segment) return undefined;
  }
  return raw.length === pattern.length ? params : undefined;
}

/** Turns `a[b]=1`, `list[]=x` and `list[][k]=v` into objects and arrays, as Rack does. */
export function nest(pairs: Iterable<[string, unknown]>): Params {
  const root: Params = {};
  for (const [key, value] of pairs) {
    const [head = "", ...rest] = key.split("[").map((part) => part.replace(/\]$/, ""));
    put(root, [head, ...rest], value);
  }
  return root;
}

function put(target: Params, [head = "", next, ...rest]: string[], value: unknown): void {
  if (next === undefined) {
    target[head] = value;
  } else if (next === "") {
    const list = (Array.isArray(target[head]) ? target[head] : (target[head] = [])) as unknown[];
    if (rest[0] === undefined) {
      list.push(value);
      return;
    }
    const last = list.at(-1) as Params | undefined;
    const item = last && !(rest[0] in last) ? last : {};
    if (item !== last) list.push(item);
    put(item, rest, value);
  } else {
    const inner = target[head];
    const child = isObject(inner) ? inner : {};
    target[head] = child;
    put(child, [next, ...rest], value);
  }
}

export const isObject = (value: unknown): value is Params =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads a body: JSON, URL-encoded or multipart. An empty one is an empty object whatever its type says. */
export async function readBody(body: Buffer, type: string): Promise<Params> {
  if (body.length === 0) return {};
  if (/^(application\/x-www-form-urlencoded|multipart\/form-data)/.test(type)) {
    const form = await new Response(new Uint8Array(body), {
      headers: { "content-type": type },
    }).formData();
    const pairs: [string, unknown][] = [];
    for (const [key, value] of form.entries()) {
      pairs.push([key, typeof value === "string" ? value : await value.text()]);
    }
    return nest(pairs);
  }
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    return isObject(parsed) ? parsed : {};
  } catch {
    throw fail(400, "The provided content-type 'application/json' has an invalid body", "error");
  }
}

interface Kinds {
  string: string;
  boolean: boolean;
  integer: number;
  array: unknown[];
  hash: Params;
}

interface Field {
  type: keyof Kinds;
  required?: true;
  /** A blank value is refused. */
  filled?: true;
  values?: readonly string[];
}

type Required<S> = { [K in keyof S]: S[K] extends { required: true } ? K : never }[keyof S];

type Checked<S extends Record<string, Field>> = {
  [K in Required<S>]: Kinds[S[K]["type"]];
} & { [K in Exclude<keyof S, Required<S>>]?: Kinds[S[K]["type"]] };

/** Grape's parameter check: the declared parameters, coerced, or one 400 that lists every problem. Null counts as absent. */
export function check<const S extends Record<string, Field>>(input: Params, spec: S): Checked<S> {
  const problems: string[] = [];
  const result: Params = {};
  for (const [name, field] of Object.entries(spec)) {
    const given = input[name];
    if (given === undefined || given === null) {
      if (field.required) problems.push(`${name} is missing`);
      continue;
    }
    const value = coerce(given, field.type);
    if (value === undefined) problems.push(`${name} is invalid`);
    else if (field.filled && text(value)?.trim() === "") problems.push(`${name} is empty`);
    else if (field.values && !field.values.includes(text(value) ?? ""))
      problems.push(`${name} does not have a valid value`);
    else result[name] = value;
  }
  if (problems.length > 0) throw fail(400, problems.join(", "), "error");
  return result as Checked<S>;
}

/** A parameter or YAML scalar as text; undefined for anything else. */
export function text(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function coerce(value: unknown, type: keyof Kinds): unknown {
  switch (type) {
    case "string":
      return text(value);
    case "boolean":
      if ([true, "true", "1", 1, "t", "on"].includes(value as string)) return true;
      return [false, "false", "0", 0, "f", "off"].includes(value as string) ? false : undefined;
    case "integer":
      return /^-?\d+$/.test(text(value) ?? "") ? Number(value) : undefined;
    case "array":
      return Array.isArray(value) ? value : undefined;
    case "hash":
      return isObject(value) ? value : undefined;
  }
}

/** A deletion with `If-Unmodified-Since` spares what was changed since. */
export function checkUnmodified({ headers }: Request, updatedAt: string | undefined): void {
  const since = Date.parse(headers["if-unmodified-since"] ?? "");
  if (Number.isNaN(since) || updatedAt === undefined) return;
  if (Date.parse(updatedAt) > since) throw fail(412, "412 Precondition Failed");
}

/** One page of a list, with Link and X- headers. */
export function list<T>(request: Request, items: T[], render: (item: T) => unknown): Reply {
  const { page: asked, per_page: size } = pageOf(request);
  const page = Math.max(1, asked ?? 1);
  const perPage = Math.min(100, Math.max(1, size ?? 20));
  const pages = Math.max(1, Math.ceil(items.length / perPage));
  const link = (number: number, rel: string) =>
    linkTo(request, { page: String(number), per_page: String(perPage) }, rel);
  const links = [
    ...(page > 1 ? [link(page - 1, "prev")] : []),
    ...(page < pages ? [link(page + 1, "next")] : []),
    link(1, "first"),
    link(pages, "last"),
  ];
  return {
    status: 200,
    body: items.slice((page - 1) * perPage, page * perPage).map(render),
    headers: {
      Link: links.join(", "),
      "X-Next-Page": page < pages ? String(page + 1) : "",
      "X-Page": String(page),
      "X-Per-Page": String(perPage),
      "X-Prev-Page": page > 1 ? String(page - 1) : "",
      "X-Total": String(items.length),
      "X-Total-Pages": String(pages),
    },
  };
}

/**
 * A page by keys: of the items in order, the first ones, with a link to those after the last of them and no totals.
 * The items before the given key have been left out already.
 */
export function keyset<T extends { id: number }>(
  request: Request,
  items: T[],
  parameter: "id_after" | "id_before",
): Reply {
  const perPage = Math.min(100, Math.max(1, pageOf(request).per_page ?? 20));
  const body = items.slice(0, perPage);
  const last = body.at(-1);
  const more = last !== undefined && items.length > perPage;
  const query = { per_page: String(perPage), [parameter]: String(last?.id) };
  return { status: 200, body, headers: more ? { Link: linkTo(request, query, "next") } : {} };
}

const pageOf = ({ query }: Request) =>
  check(query, { page: { type: "integer" }, per_page: { type: "integer" } });

/** The request's own address with some parameters changed, as a part of a Link header. */
function linkTo(request: Request, changes: Record<string, string>, rel: string): string {
  const query = new URLSearchParams();
  for (const [key, value] of flatten(request.query)) {
    if (key !== "private_token") query.append(key, value);
  }
  for (const [key, value] of Object.entries(changes)) query.set(key, value);
  return `<${request.base}${request.path}?${query}>; rel="${rel}"`;
}

function flatten(value: unknown, prefix = ""): [string, string][] {
  if (Array.isArray(value)) return value.flatMap((item) => flatten(item, `${prefix}[]`));
  if (isObject(value)) {
    return Object.entries(value).flatMap(([key, item]) =>
      flatten(item, prefix ? `${prefix}[${key}]` : key),
    );
  }
  return [[prefix, text(value) ?? ""]];
}
