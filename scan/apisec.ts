import { isRefusal, readEnvelope, unknown } from "../clients/apisec";
import type { Unknown } from "../clients/apisec";
import { isObject } from "../net/http";
import type { HttpRequest, HttpResponse, Send } from "../net/http";
import { severities } from "./settings";
import type { Severity, Specification } from "./settings";

/**
 * An answer of APIsec: *no* is APIsec's own refusal, *unknown* everything that is neither (5xx, HTML, a cut-off
 * body, no answer). Texts are foreign: pass them through `foreignText`.
 */
export type Answer<T> = { kind: "yes"; value: T } | { kind: "no"; text: string } | Unknown;

/** An API that APIsec knows. */
export interface ApiProject {
  id: string;
  orgId: string | undefined;
  name: string;
}

export interface Run {
  id: string;
  projectId: string | undefined;
}

/** What APIsec says of a run: `ciCdStatus`, its parts parted by colons. */
export interface RunStatus {
  status: string;
  passedPercent: string;
  tests: string;
  failed: string;
  number: string;
  /** Path of the run's page below the host. */
  page: string;
}

export interface Vulnerability {
  id: string;
  severity: Severity | undefined;
  /** What is known of it, such as `BOLA (GET /accounts/{id})`. */
  title: string;
}

export interface Page {
  items: Vulnerability[];
  totalPages: number;
}

/** APIsec's calls for scanning (APIsec's published scripts, read 2026-11-28). None of them throws. */
export interface ScanApi {
  findProject(name: string): Promise<Answer<ApiProject | undefined>>;
  register(name: string, specification: Specification): Promise<Answer<ApiProject>>;
  reload(project: ApiProject, specification: Specification): Promise<Answer<undefined>>;
  /** `Done` once a reloaded specification is in use. */
  reloadStatus(projectId: string): Promise<Answer<string>>;
  /** Undefined: APIsec started none (an `id` that is null). */
  start(name: string, profile: string, scanner?: string): Promise<Answer<Run | undefined>>;
  status(runId: string): Promise<Answer<RunStatus>>;
  vulnerabilities(projectId: string, page: number): Promise<Answer<Page>>;
  sarif(projectId: string): Promise<Answer<object>>;
}

const timeoutMs = 60_000;
const maxBytes = 64 * 1024 * 1024;
const pageSize = 100;

/** The calls at `host`, with this token. `send` decides what is repeated. */
export function scanApiAt(send: Send, host: string, token: string): ScanApi {
  async function call<T>(
    method: HttpRequest["method"],
    path: string,
    read: (data: unknown, envelope: Record<string, unknown>) => T | undefined,
    body?: object,
  ): Promise<Answer<T>> {
    const request: HttpRequest = {
      method,
      url: `${host}/api/v1/${path}`,
      headers: {
        accept: "application/json",
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs,
      maxBytes,
    };
    let answer: HttpResponse;
    try {
      answer = await send(request);
    } catch (error) {
      return { kind: "unknown", why: (error as Error).message };
    }
    return readAnswer(answer, read);
  }
  const id = encodeURIComponent;

  return {
    findProject: (name) =>
      call("GET", `projects/find-by-name/${id(name)}`, (data) =>
        data === null ? { found: undefined } : wrap(projectOf(data)),
      ).then(unwrap),
    register: (name, specification) =>
      call("POST", "projects", projectOf, {
        name,
        ...sourceOf(specification),
        planType: "ENTERPRISE",
        isFileLoad: specification.kind === "text" ? "true" : false,
        source: specification.kind === "text" ? "FILE" : "API",
        personalizedCoverage: { auths: [] },
      }),
    reload: (project, specification) =>
      call("PUT", `projects/${id(project.id)}/refresh-specs`, () => ({ found: undefined }), {
        id: project.id,
        ...(project.orgId === undefined ? {} : { org: { id: project.orgId } }),
        name: project.name,
        ...sourceOf(specification),
        isFileLoad: specification.kind === "text",
      }).then(unwrap),
    reloadStatus: (projectId) =>
      call("GET", `events/project/${id(projectId)}/Sync`, (data) =>
        isObject(data) && typeof data["status"] === "string" ? data["status"] : undefined,
      ),
    start(name, profile, scanner) {
      const query = new URLSearchParams({ jobName: profile });
      if (scanner !== undefined) query.set("region", scanner);
      return call("POST", `runs/project/${id(name)}?${query.toString()}`, runOf).then(unwrap);
    },
    status: (runId) => call("GET", `runs/${id(runId)}`, statusOf),
    vulnerabilities: (projectId, page) =>
      call(
        "GET",
        `projects/${id(projectId)}/vulnerabilities?severity=All&page=${page}&pageSize=${pageSize}`,
        pageOf,
      ),
    sarif: (projectId) =>
      call("GET", `projects/${id(projectId)}/sarif`, (data) => (isObject(data) ? data : undefined)),
  };
}

function readAnswer<T>(
  answer: HttpResponse,
  read: (data: unknown, envelope: Record<string, unknown>) => T | undefined,
): Answer<T> {
  const envelope = readEnvelope(answer);
  if (isRefusal(answer.status) && envelope !== undefined) {
    return { kind: "no", text: envelope.text || `HTTP ${answer.status}` };
  }
  if ([401, 403].includes(answer.status)) return { kind: "no", text: `HTTP ${answer.status}` };
  if (answer.status !== 200 || envelope === undefined) return unknown(answer);
  if (envelope.errors) return { kind: "no", text: envelope.text || "errors without a text" };
  const value = read(envelope.data, JSON.parse(answer.body) as Record<string, unknown>);
  if (value !== undefined) return { kind: "yes", value };
  return envelope.text === "" ? unknown(answer) : { kind: "no", text: envelope.text };
}

type Wrapped<T> = { found: T };
const wrap = <T>(value: T | undefined): Wrapped<T> | undefined =>
  value === undefined ? undefined : { found: value };
const unwrap = <T>(answer: Answer<Wrapped<T>>): Answer<T> =>
  answer.kind === "yes" ? { kind: "yes", value: answer.value.found } : answer;

function sourceOf(specification: Specification) {
  return specification.kind === "url"
    ? { openAPISpec: specification.url, openText: "" }
    : { openAPISpec: "none", openText: specification.text };
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

function projectOf(data: unknown): ApiProject | undefined {
  if (!isObject(data)) return undefined;
  const id = textOf(data["id"]);
  const org = isObject(data["org"]) ? textOf(data["org"]["id"]) : undefined;
  return id === undefined ? undefined : { id, orgId: org, name: textOf(data["name"]) ?? "" };
}

function runOf(data: unknown): Wrapped<Run | undefined> | undefined {
  if (!isObject(data) || !("id" in data)) return undefined;
  const id = textOf(data["id"]);
  if (id === undefined) return { found: undefined };
  const project = isObject(data["job"]) ? data["job"]["project"] : undefined;
  return { found: { id, projectId: isObject(project) ? textOf(project["id"]) : undefined } };
}

function statusOf(data: unknown): RunStatus | undefined {
  const text = isObject(data) ? data["ciCdStatus"] : undefined;
  if (typeof text !== "string") return undefined;
  const [status = "", passedPercent = "", tests = "", failed = "", , , number = "", ...page] =
    text.split(":");
  return { status, passedPercent, tests, failed, number, page: page.join(":") };
}

function pageOf(data: unknown, envelope: Record<string, unknown>): Page | undefined {
  if (!Array.isArray(data)) return undefined;
  const total = envelope["totalPages"];
  return {
    items: data.filter(isObject).map(vulnerabilityOf),
    totalPages: typeof total === "number" ? total : 0,
  };
}

function vulnerabilityOf(data: Record<string, unknown>): Vulnerability {
  const said = textOf(data["severity"])?.toLowerCase();
  const first = (...keys: string[]) => keys.map((key) => textOf(data[key])).find(Boolean);
  const where = [first("method"), first("endpoint", "path", "url")].filter(Boolean).join(" ");
  const name = first("name", "title", "category") ?? "vulnerability";
  return {
    id: first("id") ?? "",
    severity: severities.find((one) => one.toLowerCase() === said),
    title: where === "" ? name : `${name} (${where})`,
  };
}
