import { readFileSync } from "node:fs";
import { accessTable } from "../checks/accessTable";
import type { AccessRow } from "../checks/accessTable";
import { readAuditLogs } from "../checks/auditLog";
import type { AuditLog } from "../checks/auditLog";
import { eventsOf, evidenceOf, inOrderOfTime, reportsFinding } from "../checks/evidence";
import type { Evidence, Period, Writers } from "../checks/evidence";
import { evidenceFiles, evidenceProblems } from "../checks/evidenceFiles";
import { about } from "../checks/finding";
import type { Finding } from "../checks/finding";
import { inOrder } from "../checks/inOrder";
import { coverage } from "../checks/passwordReads";
import { readReports } from "../checks/joined";
import { keyState } from "../checks/keys";
import { pulumiHistory } from "../checks/pulumiHistory";
import type { Update } from "../checks/pulumiHistory";
import { exitCodeOf, table } from "../checks/report";
import type { JsonReport } from "../checks/report";
import { timeOf, timeText } from "../checks/time";
import type { World } from "../checks/world";
import { passwordKey } from "../core/passwordRecord";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { programVersion, reportIn, vaultProblem, worldFor } from "./reports";
import { chosenStack } from "./stackSettings";
import { writeWhole } from "./wholeFile";
import { coded, withCode } from "../core/messageCode";

const usage = `${calledFor.own("evidence", { options: "--from 2026-01-01 --to 2026-03-31 [FILE …]", isPiped: true })}
  --from DAY, --to DAY  from the beginning of one day to the end of the other, UTC
  FILE …                what \`check --json\` has written in that time: Vault itself forgets
  --audit FILE          Vault's audit log: who has read a password. Once a file
  --output NAME         writes NAME.json, NAME.csv and NAME.html (apisec-evidence-<stack>-<from>-<to>)
  --verify FILE …       makes none: are these files as they were made? The JSON first, then CSV and HTML
What happened to a stack's passwords and tokens, and who may do what, for an auditor: reads only, and holds no secret. With
the token of Vault's admin the access table is tried, by tokens that live a minute; a monitor's is enough for all else.
Exit code: 0 made of all sources, or verified; 1 made, and a source is missing; 2 not made, or changed since.`;

const options = {
  stack: { type: "string" },
  from: { type: "string" },
  to: { type: "string" },
  audit: { type: "string", multiple: true },
  output: { type: "string" },
  verify: { type: "boolean", default: false },
} as const;

const timeoutMs = 300_000;
const dayMs = 24 * 3_600_000;

export const evidence: Command = {
  summary: "for an auditor: what happened in a period, and who may do what",
  usage,
  async run(args) {
    const { values, positionals } = parsed(usage, args, { options, allowPositionals: true });
    const files = positionals.map((name) => ({ name, text: readFileSync(name, "utf8") }));
    if (values.verify) {
      const { sha256, problems } = evidenceProblems(files, programVersion());
      for (const problem of problems) console.error(problem);
      if (problems.length === 0) console.log(`as it was made: SHA-256 ${sha256}`);
      return problems.length === 0 ? 0 : 2;
    }
    const period = { from: dayOf("--from", values.from), to: dayOf("--to", values.to) + dayMs };
    if (period.to <= period.from) throw coded(`--to is before --from\nUsage: ${usage}`, "usage");
    const audit = values.audit && (await readAuditLogs(values.audit));
    const stack = chosenStack(values.stack);
    const world = worldFor(stack, {
      passwordAgeDays: undefined,
      readTokens: false,
      timeoutMs,
      audit,
    });
    const made = await gather(world, stack, period, readReports(files));
    const { sha256, ...texts } = evidenceFiles(made);
    const name =
      values.output ?? `apisec-evidence-${made.stack}-${String(values.from)}-${String(values.to)}`;
    for (const form of ["json", "csv", "html"] as const) {
      writeWhole(`${name}.${form}`, texts[form]);
      console.log(`${name}.${form}`);
    }
    console.log(`SHA-256 ${sha256}\n\n${table(made.sources)}`);
    return exitCodeOf(made.sources) === 0 ? 0 : 1;
  },
};

/** Milliseconds since 1970 at the beginning of a day. */
function dayOf(option: string, text: string | undefined): number {
  const time = /^\d{4}-\d\d-\d\d$/.test(text ?? "") ? timeOf(text) : undefined;
  // JavaScript takes 2026-02-31 for a day of March.
  if (time !== undefined && timeText(time).startsWith(text ?? "")) return time;
  throw coded(
    `${option}: found ${JSON.stringify(text)}, expected a day such as 2026-03-31`,
    "usage",
  );
}

async function gather(
  world: World,
  stack: string,
  period: Period,
  given: readonly JsonReport[],
): Promise<Evidence> {
  const { settings, now } = world;
  const place = { project: settings.project, stack: settings.stack };
  const ours = given.filter((one) => one.project === place.project && one.stack === place.stack);
  if (ours.length < given.length) {
    const others = given.length - ours.length;
    console.error(
      withCode(`warning  ${others} reports are of other stacks: they are left out`, "other-stacks"),
    );
  }
  const current = await reportIn(world, timeoutMs);
  const away = vaultProblem(current);
  // A Vault that who makes this does not reach is no finding about the stack.
  const reports = inOrderOfTime(away === undefined ? [...ours, current] : ours);
  const seen = away === undefined ? await vaultNow(world) : unseen;
  const history = await pulumiHistory(stack);
  const updates = "problem" in history ? [] : history;
  return evidenceOf({ ...place, version: current.version }, period, now, {
    sources: [
      nowFinding(current, away),
      reportsFinding(reports, period, now),
      historyFinding(history),
      auditFinding(world.audit, period),
      ...seen.findings,
    ],
    events: eventsOf(
      { settings, reports, updates, writers: seen.writers, audit: world.audit },
      period,
    ),
    access: seen.rows,
  });
}

interface Seen {
  rows: readonly AccessRow[];
  findings: readonly Finding[];
  writers: Writers;
}

const unseen: Seen = {
  rows: [],
  findings: [about("evidence", "access table").skipped("Vault is not reached")],
  writers: new Map(),
};

async function vaultNow(world: World): Promise<Seen> {
  const writers = await inOrder(world.settings.accounts, async ({ name }) => {
    const mark = await keyState(world, passwordKey(name)).then(
      (state) => state.mark,
      () => undefined,
    );
    const changedAt = timeOf(mark?.changedAt);
    if (mark?.by === undefined || changedAt === undefined) return [];
    return [[name, { changedAt, by: mark.by }] as const];
  });
  try {
    return { ...(await accessTable(world)), writers: new Map(writers.flat()) };
  } catch (error) {
    const failed = about("evidence", "access table").problem((error as Error).message);
    return { rows: [], findings: [failed], writers: new Map(writers.flat()) };
  }
}

function nowFinding({ findings, checkedAt }: JsonReport, away: string | undefined): Finding {
  const it = about("evidence", "the stack now");
  if (away !== undefined) return it.skipped(away);
  const wrong = findings.filter(({ state }) => state !== "ok");
  return it.ok(
    `checked at ${checkedAt}: ${wrong.length} of ${findings.length} findings are not ok`,
  );
}

function historyFinding(history: readonly Update[] | { problem: string }): Finding {
  const it = about("evidence", "Pulumi's history");
  return "problem" in history
    ? it.skipped(`who has made changes is not known: ${history.problem}`)
    : it.ok(`${history.length} updates`);
}

function auditFinding(audit: AuditLog | undefined, { from, to }: Period): Finding {
  const it = about("evidence", "Vault's audit log");
  if (audit === undefined) return it.skipped("who has read a password is not known: no --audit");
  return coverage(it, audit, { from, to: Math.min(to, Date.now()) });
}
