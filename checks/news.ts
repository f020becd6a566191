import { z } from "zod";
import { foundWithCode } from "./finding";
import type { Finding } from "./finding";
import type { JsonReport } from "./report";

/** What was told, so that it is told once: each finding that is not over, by what it is of. */
export type Told = Readonly<Record<string, { state: "warning" | "problem" }>>;

const toldShape = z.record(z.string(), z.object({ state: z.enum(["warning", "problem"]) }));

/** Reads a state file; undefined where it is none. */
export function readTold(text: string): Told | undefined {
  try {
    return toldShape.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** What is looked at only where an option asks for it, such as `--audit`. */
const whereAsked = ["audit-log", "password-read", "token-at-apisec"];

/** What to tell: a line each, and what will have been told then. */
export interface News {
  begun: string[];
  over: string[];
  told: Told;
}

/**
 * What is new since `told`, and what is over. Over is only what was looked at again: where a part of a stack was
 * not, or not in time, nothing that is missing now counts as over.
 */
export function newsOf(told: Told, reports: readonly JsonReport[]): News {
  const news: News = { begun: [], over: [], told: {} };
  const now: Record<string, { state: "warning" | "problem" }> = {};
  const seen = new Set<string>();
  const hasMany = reports.length > 1;
  for (const report of reports) {
    const where = hasMany ? `${report.stack}: ` : "";
    for (const finding of report.findings) {
      const { state, subject, fix } = finding;
      const found = foundWithCode(finding);
      const key = keyOf(report, finding);
      seen.add(key);
      const before = told[key];
      if (state === "skipped") {
        if (before !== undefined) now[key] ??= before;
        continue;
      }
      if (state === "ok") {
        if (before !== undefined && now[key] === undefined)
          news.over.push(`${where}${subject}: ${found}`);
        continue;
      }
      now[key] = { state };
      const isNew = before === undefined || (before.state === "warning" && state === "problem");
      const end = fix === undefined ? "" : ` -> ${fix}`;
      if (isNew) news.begun.push(`${state} ${where}${subject}: ${found}${end}`);
    }
  }
  for (const [key, before] of Object.entries(told)) {
    if (seen.has(key)) continue;
    const report = reports.find((one) => key.startsWith(placeOf(one)));
    if (report !== undefined && isWhole(report) && hasAsked(report, key)) {
      news.over.push(`${hasMany ? `${report.stack}: ` : ""}${key.split("\n").at(-1)}`);
    } else {
      now[key] = before;
    }
  }
  return { ...news, told: now };
}

function placeOf({ project, stack }: JsonReport): string {
  return `${project}/${stack}\n`;
}

/** What a finding is of, in `Told`. */
export function keyOf(report: JsonReport, { id, subject }: Finding): string {
  return `${placeOf(report)}${id}\n${subject}`;
}

function hasAsked({ findings }: JsonReport, key: string): boolean {
  const of = key.split("\n")[1] ?? "";
  return !whereAsked.includes(of) || findings.some(({ id }) => id === of);
}

/** Whether all was looked at. */
function isWhole({ findings }: JsonReport): boolean {
  return findings.every(
    ({ state, found }) => state !== "skipped" && !found.startsWith("did not end within "),
  );
}
