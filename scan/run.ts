import { junit } from "../job/report";
import type { Case } from "../job/report";
import { foreignText } from "../core/redact";
import type { Clock } from "../net/http";
import type { Answer, ApiProject, RunStatus, ScanApi, Vulnerability } from "./apisec";
import { severities } from "./settings";
import type { ScanSettings, Severity } from "./settings";
import { coded } from "../core/messageCode";

/** The world as a scan sees it. */
export interface ScanWorld {
  api: ScanApi;
  /** APIsec's address, before the path of a run's page. */
  host: string;
  clock: Clock;
  /** Cut out of every text of APIsec. */
  secrets: readonly string[];
  out: (line: string) => void;
  write: (path: string, text: string) => void;
}

export const exitCodes = { passed: 0, found: 1, settings: 2, failed: 3 } as const;

/** APIsec's scripts ask a reload every 2 s for 2 minutes, and a run every 5 s. */
const reloadEveryMs = 2_000;
const reloadForMs = 120_000;
const runEveryMs = 5_000;
/** A line of progress at least this often. */
const progressEveryMs = 30_000;
/** A run is asked again after answers that prove nothing, so often in a row. */
const mostUnknown = 12;
const mostPages = 1_000;
const running = ["WAITING", "PROCESSING"];

/** Registers or reloads, scans, writes the reports. Gives the exit code; throws an Error with APIsec's reason. */
export async function scan(settings: ScanSettings, world: ScanWorld): Promise<number> {
  const { api, out } = world;
  const known = must(await api.findProject(settings.project), "looking for the API", world);
  const project = await withSpecification(settings, known, world);
  if (!settings.scan) return exitCodes.passed;

  const started = await api.start(settings.project, settings.profile, settings.scanner);
  if (started.kind === "unknown") {
    throw coded(
      `starting the scan: ${told(started, world)}. It may have been started: see APIsec's page of the API before you start another`,
      "scan-start-unknown",
    );
  }
  const run = must(started, "starting the scan", world);
  if (run === undefined) {
    const at = settings.scanner === undefined ? "" : `, or no scanner "${settings.scanner}"`;
    throw coded(
      `starting the scan: APIsec started none. The API has no profile "${settings.profile}"${at}, or a scan of it is running`,
      "scan-not-started",
    );
  }
  const scanner = settings.scanner === undefined ? "" : `, scanner ${settings.scanner}`;
  out(`scan started: run ${clean(run.id, world)}, profile ${settings.profile}${scanner}`);
  const status = await runEnd(run.id, settings, world);
  out(
    `scan ${status.status.toLowerCase()}: ${number(status.tests)} tests, ${number(status.failed)} failed, ${number(status.passedPercent)} % passed`,
  );
  const page = clean(status.page, world);
  out(`page: ${world.host}${page.startsWith("/") ? "" : "/"}${page}`);

  const projectId = run.projectId ?? project.id;
  const vulnerabilities = await allVulnerabilities(projectId, world);
  const failing = failingOf(vulnerabilities, settings.failOn);
  world.write(settings.junitFile, junit(casesOf(vulnerabilities, failing, world), "apisec"));
  for (const line of tableOf(vulnerabilities)) out(line);
  const sarif = must(await api.sarif(projectId), "reading the SARIF report", world);
  world.write(settings.sarifFile, `${JSON.stringify(sarif)}\n`);
  out(`reports: ${settings.sarifFile}, ${settings.junitFile}`);
  if (failing.size === 0) return exitCodes.passed;
  out(`failed: ${failing.size} of ${vulnerabilities.length} are ${settings.failOn} or worse`);
  return exitCodes.found;
}

async function withSpecification(
  { project: name, specification }: ScanSettings,
  known: ApiProject | undefined,
  world: ScanWorld,
): Promise<ApiProject> {
  if (specification === undefined) {
    if (known !== undefined) return known;
    throw coded(
      `APIsec knows no API "${name}" that this account sees: correct --project, or register it with --spec`,
      "scan-no-api",
    );
  }
  if (known === undefined) return register(name, specification, world);
  must(await world.api.reload(known, specification), "reloading the specification", world);
  await reloaded(known, world);
  world.out(`specification reloaded: ${name}`);
  return known;
}

/** A registration whose answer was lost may have taken effect: then the API is there. */
async function register(
  name: string,
  specification: NonNullable<ScanSettings["specification"]>,
  world: ScanWorld,
): Promise<ApiProject> {
  const answer = await world.api.register(name, specification);
  const found =
    answer.kind === "unknown"
      ? must(await world.api.findProject(name), "looking for the API", world)
      : undefined;
  const project = found ?? must(answer, "registering the API", world);
  world.out(`API registered: ${name}`);
  return project;
}

async function reloaded(project: ApiProject, world: ScanWorld): Promise<void> {
  const { api, clock } = world;
  const until = clock.now() + reloadForMs;
  let last: string;
  do {
    const answer = await api.reloadStatus(project.id);
    if (answer.kind === "unknown") last = told(answer, world);
    else {
      const status = must(answer, "reloading the specification", world);
      if (status === "Done") return;
      last = clean(status, world);
      if (status !== "In_progress") {
        throw coded(`reloading the specification: ${last}`, "scan-reload");
      }
    }
    await clock.sleep(reloadEveryMs);
  } while (clock.now() < until);
  throw coded(`reloading the specification: ${last}, still after 2 minutes`, "scan-reload");
}

async function runEnd(
  runId: string,
  { timeoutMs }: ScanSettings,
  world: ScanWorld,
): Promise<RunStatus> {
  const { api, clock, out } = world;
  const began = clock.now();
  let unknowns = 0;
  let toldAt = -Infinity;
  let toldStatus = "";
  for (;;) {
    const answer = await api.status(runId);
    unknowns = answer.kind === "unknown" ? unknowns + 1 : 0;
    if (answer.kind === "no" || unknowns === mostUnknown)
      must(answer, "asking for the scan", world);
    if (answer.kind === "yes") {
      const { status, passedPercent, tests } = answer.value;
      if (status === "COMPLETED") return answer.value;
      if (!running.includes(status)) {
        throw coded(`the scan ended with ${clean(status, world) || "no status"}`, "scan-ended");
      }
      if (status !== toldStatus || clock.now() - toldAt >= progressEveryMs) {
        const minutes = Math.floor((clock.now() - began) / 60_000);
        const seconds = String(Math.floor((clock.now() - began) / 1000) % 60).padStart(2, "0");
        out(
          `${minutes}:${seconds}  ${status.toLowerCase()}  ${number(tests)} tests, ${number(passedPercent)} % passed`,
        );
        [toldAt, toldStatus] = [clock.now(), status];
      }
    }
    if (clock.now() - began >= timeoutMs) {
      throw coded("the scan has not ended within --timeout; it goes on at APIsec", "scan-timeout");
    }
    await clock.sleep(runEveryMs);
  }
}

async function allVulnerabilities(projectId: string, world: ScanWorld): Promise<Vulnerability[]> {
  const all = new Map<string, Vulnerability>();
  for (let page = 0; page < mostPages; page += 1) {
    const answer = await world.api.vulnerabilities(projectId, page);
    const { items, totalPages } = must(answer, "reading the vulnerabilities", world);
    // A page may shift while it is read: one with an id counts once.
    for (const item of items) all.set(item.id || `${page}/${all.size}`, item);
    if (items.length === 0 || page + 1 >= totalPages) return [...all.values()];
  }
  throw coded(`reading the vulnerabilities: more than ${mostPages} pages`, "scan-answer");
}

/** A severity that APIsec has not published counts as the worst: nothing passes unseen. */
function failingOf(
  all: readonly Vulnerability[],
  failOn: Severity | undefined,
): Set<Vulnerability> {
  if (failOn === undefined) return new Set();
  const limit = severities.indexOf(failOn);
  return new Set(
    all.filter(({ severity }) => severity === undefined || severities.indexOf(severity) <= limit),
  );
}

function casesOf(
  all: readonly Vulnerability[],
  failing: ReadonlySet<Vulnerability>,
  world: ScanWorld,
): Case[] {
  if (all.length === 0) {
    return [{ name: "no open vulnerabilities", seconds: 0, failure: undefined, warnings: [] }];
  }
  return all.map((one) => {
    const title = `${one.severity ?? "Unknown severity"}: ${clean(one.title, world)}`;
    return {
      name: one.id === "" ? title : `${title} [${clean(one.id, world)}]`,
      seconds: 0,
      failure: failing.has(one) ? title : undefined,
      warnings: failing.has(one) ? [] : [title],
    };
  });
}

function tableOf(all: readonly Vulnerability[]): string[] {
  const count = (severity: Severity | undefined) =>
    all.filter((one) => one.severity === severity).length;
  const rows = [...severities, undefined].map((severity) => [severity, count(severity)] as const);
  const some = rows.filter(([, found]) => found > 0);
  if (some.length === 0) return ["no open vulnerabilities"];
  const lines = some.map(([severity, found]) => `${(severity ?? "Unknown").padEnd(10)}${found}`);
  return [`${"severity".padEnd(10)}open`, ...lines];
}

function must<T>(answer: Answer<T>, what: string, world: ScanWorld): T {
  if (answer.kind === "yes") return answer.value;
  throw coded(`${what} failed: ${told(answer, world)}`, "scan-answer");
}

function told(
  answer: Exclude<Answer<unknown>, { kind: "yes" }>,
  world: Pick<ScanWorld, "secrets">,
): string {
  return answer.kind === "no"
    ? `APIsec refuses: ${clean(answer.text, world)}`
    : `no usable answer: ${clean(answer.why, world)}`;
}

function clean(text: string, { secrets }: Pick<ScanWorld, "secrets">): string {
  return foreignText(text, secrets);
}

function number(text: string): string {
  return /^\d{1,9}(\.\d{1,4})?$/.test(text) ? text : "?";
}
