import type { Settings } from "../config/settings";
import type { AccessRow } from "./accessTable";
import type { AuditLog } from "./auditLog";
import { controls } from "./controls";
import type { Control } from "./controls";
import { about } from "./finding";
import type { Finding } from "./finding";
import { keyOf, newsOf } from "./news";
import type { Told } from "./news";
import { machineOf, readsOf } from "./passwordReads";
import type { Update } from "./pulumiHistory";
import type { JsonReport } from "./report";
import { span, timeOf, timeText } from "./time";

export type EventKind =
  | "password changed"
  | "password verified"
  | "password refused"
  | "password read"
  | "token issued"
  | "run missed"
  | "pulumi"
  | "finding";

/** Something that happened. Times are RFC 3339. */
export interface EvidenceEvent {
  time: string;
  /** When it was over; of a finding without it, it is not. */
  until?: string;
  kind: EventKind;
  account?: string;
  what: string;
  by?: string;
}

/** What is known of a stack in a period, without a secret. */
export interface Evidence {
  schema: 1;
  project: string;
  stack: string;
  /** Of the program that made it. */
  version: string;
  madeAt: string;
  from: string;
  to: string;
  /** What it was made of, and what is missing. */
  sources: readonly Finding[];
  events: readonly EvidenceEvent[];
  access: readonly AccessRow[];
  controls: readonly Control[];
}

/** Milliseconds since 1970; `to` is not in it. */
export interface Period {
  from: number;
  to: number;
}

/** Who wrote the mark of a password's last change. */
export type Writers = ReadonlyMap<string, { changedAt: number; by: string }>;

/** `reports`: of one stack, by time, each once. */
export interface Material {
  settings: Pick<Settings, "mount" | "vaultNamespace" | "policyPrefix" | "stack" | "accounts">;
  reports: readonly JsonReport[];
  updates: readonly Update[];
  writers: Writers;
  audit: AuditLog | undefined;
}

/** Between Vault's clock and that of who runs Pulumi. */
const slackMs = 60_000;
const dayMs = 24 * 3_600_000;

/** Reports of one stack by time, each once. */
export function inOrderOfTime(reports: readonly JsonReport[]): JsonReport[] {
  const byTime = new Map(reports.map((report) => [Date.parse(report.checkedAt), report]));
  return [...byTime].sort(([one], [other]) => one - other).map(([, report]) => report);
}

/** What happened in a period, by time. A finding is in it from its begin on, or where it was not over by then. */
export function eventsOf(material: Material, { from, to }: Period): EvidenceEvent[] {
  const all = [
    ...fromValues(material),
    ...findingsOverTime(material.reports),
    ...fromUpdates(material.updates),
    ...fromAudit(material, { from, to }),
  ];
  return all
    .filter(({ kind, time, until }) => {
      const [begin, end] = [Date.parse(time), until === undefined ? to : Date.parse(until)];
      return begin < to && (begin >= from || (kind === "finding" && end >= from));
    })
    .sort((one, other) => Date.parse(one.time) - Date.parse(other.time) || compare(one, other));
}

function compare(one: EvidenceEvent, other: EvidenceEvent): number {
  const [a, b] = [one, other].map(({ kind, account, what }) => `${kind} ${account} ${what}`);
  return String(a) < String(b) ? -1 : 1;
}

/** What the findings' values say of times, each once, however many reports say it. */
function fromValues({ reports, updates, writers }: Material): EvidenceEvent[] {
  const events = new Map<string, EvidenceEvent>();
  for (const { id, account, values } of reports.flatMap(({ findings }) => findings)) {
    if (account === undefined) continue;
    const note = (kind: EventKind, time: unknown, what: string, by?: string) => {
      if (timeOf(time) === undefined) return;
      const event = { time: String(time), kind, account, what };
      events.set(`${kind} ${account} ${String(time)}`, by === undefined ? event : { ...event, by });
    };
    if (id === "password") {
      const { changed, generation } = values;
      const by = writerOf(account, timeOf(changed), updates, writers);
      note("password changed", changed, `generation ${generation ?? "not known"}`, by);
    }
    if (id === "verification") {
      note("password verified", values["verified"], "APIsec took it");
      note("password refused", values["refused_at"], "APIsec refused a login");
    }
    for (const [key, time] of Object.entries(values)) {
      const version = id === "token" ? /^version_(\d+)_issued$/.exec(key)?.[1] : undefined;
      if (version !== undefined) {
        const end = values[`version_${version}_ended`];
        note(
          "token issued",
          time,
          `version ${version}, ${end ? `until ${end}` : "without an end"}`,
        );
      }
      if (id === "token-runs" && /^missed_\d+$/.test(key))
        note("run missed", time, "the run wrote no token");
    }
  }
  return [...events.values()];
}

/** From the update that was under way then, and from the mark beside the password, where it is of this change. */
function writerOf(
  account: string,
  changed: number | undefined,
  updates: readonly Update[],
  writers: Writers,
): string {
  if (changed === undefined) return "not known";
  const within = (slack: number) =>
    updates.find(
      ({ kind, from, to }) => kind === "update" && changed >= from - slack && changed <= to + slack,
    );
  const update = within(0) ?? within(slackMs);
  const mark = writers.get(account);
  const isOfMark = mark !== undefined && Math.abs(mark.changedAt - changed) < 1000;
  const known = [update?.by, isOfMark ? `${mark.by} (as noted in Vault)` : undefined];
  return known.filter((one) => one !== undefined).join(", ") || "not known";
}

/**
 * Each finding that was not well, from the first report that has it to the first that has it no more, as `--notify` would
 * tell it. A warning that becomes a problem is two.
 */
function findingsOverTime(reports: readonly JsonReport[]): EvidenceEvent[] {
  const open = new Map<string, { state: Finding["state"]; event: EvidenceEvent }>();
  const over: EvidenceEvent[] = [];
  let told: Told = {};
  for (const report of reports) {
    const time = report.checkedAt;
    told = newsOf(told, [report]).told;
    const close = (key: string, event: EvidenceEvent) => {
      open.delete(key);
      over.push({ ...event, until: time });
    };
    for (const [key, { event }] of open) if (!(key in told)) close(key, event);
    for (const [key, { id, subject, account, state, found }] of wrongIn(report)) {
      const before = open.get(key);
      if (before?.state === state) continue;
      if (before !== undefined) close(key, before.event);
      const of = account === undefined ? {} : { account };
      const what = `${state} ${id}: ${subject} ${found}`;
      open.set(key, { state, event: { time, kind: "finding", ...of, what } });
    }
  }
  return [...over, ...[...open.values()].map(({ event }) => event)];
}

/** What was not well, by what it is of; of two findings of one thing, such as a group that is named twice, the worse. */
function wrongIn(report: JsonReport): Map<string, Finding> {
  const wrong = new Map<string, Finding>();
  for (const finding of report.findings) {
    const key = keyOf(report, finding);
    const { state } = finding;
    if (state === "problem" || (state === "warning" && !wrong.has(key))) wrong.set(key, finding);
  }
  return wrong;
}

function fromUpdates(updates: readonly Update[]): EvidenceEvent[] {
  return updates.map(({ kind, result, from, to, by = "not known" }) => ({
    ...{ time: timeText(from), until: timeText(to), kind: "pulumi", by },
    what: `${kind} ${result}`,
  }));
}

/**
 * A line for each read by a person; the program's own, of which there are many, are counted. Also of accounts that the
 * reports name and config no longer has: their passwords may still be read.
 */
function fromAudit({ audit, settings, reports }: Material, { from, to }: Period): EvidenceEvent[] {
  if (audit === undefined) return [];
  const known = settings.accounts.flatMap(({ name, renamedFrom }) => [name, renamedFrom]);
  const named = reports.flatMap(({ findings }) => findings.map(({ account }) => account));
  const gone = [...new Set(named)].flatMap((name) =>
    name === undefined || known.includes(name) ? [] : [{ name }],
  );
  return [...settings.accounts, ...gone].flatMap((account) => {
    const reads = readsOf(settings, account, audit.reads).filter(({ at }) => at >= from && at < to);
    const of = { kind: "password read", account: account.name } as const;
    const machines = new Map<string, number[]>();
    for (const read of reads) {
      const machine = machineOf(settings, read);
      if (machine !== undefined) machines.set(machine, [...(machines.get(machine) ?? []), read.at]);
    }
    return [
      ...reads
        .filter((read) => machineOf(settings, read) === undefined)
        .map(({ at, path, who }) => ({
          ...of,
          time: timeText(at),
          what: `read of ${path}`,
          by: who,
        })),
      ...[...machines].map(([machine, times]) => ({
        ...of,
        ...{ time: timeText(times[0] ?? 0), until: timeText(times.at(-1) ?? 0) },
        ...{ what: `${times.length} reads by the program`, by: `policy -${machine}` },
      })),
    ];
  });
}

/** What the reports cover: Vault itself remembers ten versions of a token and one change of a password. */
export function reportsFinding(
  reports: readonly JsonReport[],
  { from, to }: Period,
  now: number,
): Finding {
  const it = about("evidence", "reports of `check`");
  const times = reports.map(({ checkedAt }) => Date.parse(checkedAt));
  const inside = times.filter((time) => time >= from && time < to);
  const edges = [from, ...inside, Math.min(to, now)];
  const gaps = edges.slice(1).map((time, index) => time - (edges[index] ?? 0));
  const largest = Math.max(0, ...gaps);
  const values = { reports: inside.length, largest_gap_seconds: Math.round(largest / 1000) };
  const found = `${inside.length} in this time, the longest time without one ${span(largest)}`;
  return largest <= 2 * dayMs
    ? it.ok(found, values)
    : it.warning(
        `${found}: of it only what Vault still remembers is here`,
        "give the files that the jobs `check …` keep",
        values,
      );
}

/** The whole document. */
export function evidenceOf(
  about: Pick<Evidence, "project" | "stack" | "version">,
  { from, to }: Period,
  now: number,
  found: Pick<Evidence, "sources" | "events" | "access">,
): Evidence {
  const times = { madeAt: timeText(now), from: timeText(from), to: timeText(to) };
  return { schema: 1, ...about, ...times, ...found, controls };
}
