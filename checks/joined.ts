import { z } from "zod";
import { coded } from "../core/messageCode";
import { about } from "./finding";
import type { Finding } from "./finding";
import type { JsonReport } from "./report";
import { span } from "./time";

/** A report that is older says little of its stack: the check that should have followed did not run. */
const oldMs = 24 * 3_600_000;

const findingShape = z.object({
  id: z.string(),
  subject: z.string(),
  account: z.string().optional(),
  state: z.enum(["ok", "warning", "problem", "skipped"]),
  found: z.string(),
  fix: z.string().optional(),
  values: z.record(z.string(), z.union([z.number(), z.string()])),
});
const reportShape = z.object({
  schema: z.literal(1),
  project: z.string(),
  stack: z.string(),
  version: z.string(),
  checkedAt: z.iso.datetime(),
  findings: z.array(findingShape).min(1),
});
const fileShape = z.union([reportShape.transform((one) => [one]), z.array(reportShape)]);

interface NamedText {
  name: string;
  text: string;
}

/** The reports of files that `check --json` wrote, with what their age says. Throws where a file is none. */
export function joined(files: readonly NamedText[], now: number): JsonReport[] {
  return readReports(files).map((report) => withAge(report, now));
}

/** The reports of files as `check --json` wrote them, one or several in each. Throws where a file is none. */
export function readReports(files: readonly NamedText[]): JsonReport[] {
  return files.flatMap(({ name, text }) => {
    const read = fileShape.safeParse(parsedJson(text));
    if (!read.success) {
      throw coded(
        `${name}: found something else, expected what \`check --json\` prints`,
        "wrong-file",
      );
    }
    return read.data;
  });
}

/** A report that is old has one finding more, which says so. */
function withAge(report: JsonReport, now: number): JsonReport {
  const age = now - Date.parse(report.checkedAt);
  if (age <= oldMs) return report;
  const old: Finding = about("report", `report of stack ${report.stack}`).problem(
    `is ${span(age)} old: the check that should have followed it has not run`,
    "see the schedule of the job that writes it",
  );
  return { ...report, findings: [old, ...report.findings] };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
