import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { median } from "./measure";
import type { Sample } from "./measure";

export const parts = ["rotate", "growth", "pulumi"] as const;
export type Part = (typeof parts)[number];

/** One line of the table. */
export interface Row {
  part: Part;
  work: string;
  /** What it is compared with. */
  beside: string;
  ours: string;
  theirs: string;
  /** What is held against the target: a ratio where there is something beside it. */
  value: number;
  /** The target: at most this much; none where the row is only for information. */
  atMost?: number;
  unit: string;
  /** Median ratio of processor times, where there is one. */
  cpuRatio?: number;
  runs?: number;
}

interface Results {
  parts: Record<string, { measuredAt: string; machine: string; load: number; rows: Row[] }>;
}

const root = join(__dirname, "..");
const resultsFile = join(__dirname, "results.json");
const docFile = join(root, "docs", "performance.md");

/** A row that compares wall clocks, by the median of the ratios round by round. */
export function compared(
  part: Part,
  work: string,
  beside: string,
  samples: { ours: readonly Pick<Sample, "wall" | "cpu">[]; theirs: typeof samples.ours },
  atMost?: number,
): Row {
  const { ours, theirs } = samples;
  const ratio = (of: "wall" | "cpu") =>
    median(ours.map((sample, round) => sample[of] / (theirs[round]?.[of] ?? NaN)));
  return {
    part,
    work,
    beside,
    ours: seconds(median(ours.map(({ wall }) => wall))),
    theirs: seconds(median(theirs.map(({ wall }) => wall))),
    value: ratio("wall"),
    unit: "x",
    ...(atMost === undefined ? {} : { atMost }),
    cpuRatio: ratio("cpu"),
    runs: ours.length,
  };
}

/** A row with one number of ours. */
export function counted(
  part: Part,
  work: string,
  value: number,
  unit: string,
  atMost?: number,
  ours = `${round(value)} ${unit}`,
): Row {
  const target = atMost === undefined ? {} : { atMost };
  return { part, work, beside: "–", ours, theirs: "–", value, unit, ...target };
}

/** A row that says why it could not be measured. */
export function notMeasured(part: Part, work: string, beside: string, why: string): Row {
  return { part, work, beside, ours: "–", theirs: why, value: NaN, unit: "" };
}

export function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(2)} s`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

export function verdict({ value, atMost }: Row): string {
  if (Number.isNaN(value)) return "not measured";
  if (atMost === undefined) return "–";
  return value <= atMost ? "met" : "missed";
}

const heads = ["work", "beside it", "ours", "theirs", "result", "target", "cpu", ""];

function cells(row: Row): string[] {
  const unit = row.unit === "x" ? "x" : row.unit === "" ? "" : ` ${row.unit}`;
  return [
    row.work,
    row.beside,
    row.ours,
    row.theirs,
    Number.isNaN(row.value) ? "–" : `${round(row.value)}${unit}`,
    row.atMost === undefined ? "–" : `<= ${row.atMost}${unit}`,
    row.cpuRatio === undefined ? "–" : `${round(row.cpuRatio)}x`,
    verdict(row),
  ];
}

/** The table as it is shown on a screen. */
export function screenTable(rows: readonly Row[]): string {
  const lines = [heads, ...rows.map(cells)];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function markdownTable(rows: readonly Row[]): string {
  const lines = [heads, heads.map(() => "---"), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

/** Writes the rows of a part into `results.json` and the document; the other parts stay as they are. */
export function save(part: Part, rows: Row[], load: number): void {
  const results = readResults();
  const [cpu] = cpus();
  results.parts[part] = {
    measuredAt: new Date().toISOString(),
    machine: `${cpus().length} x ${cpu?.model ?? "?"}, node ${process.versions.node}`,
    load,
    rows,
  };
  writeFileSync(resultsFile, `${JSON.stringify(results, undefined, 2)}\n`);
  const text = parts
    .flatMap((name) => {
      const found = results.parts[name];
      if (found === undefined) return [];
      const { measuredAt, machine, load: busy } = found;
      const when = `Measured ${measuredAt.slice(0, 10)} on ${machine}; load before it ${busy.toFixed(1)}.`;
      return [`### ${name}`, when, markdownTable(found.rows)];
    })
    .join("\n\n");
  const [begin, end] = ["<!-- results: written by `make bench` -->", "<!-- end of results -->"];
  const doc = readFileSync(docFile, "utf8");
  const [before = "", rest = ""] = doc.split(begin);
  const after = rest.split(end)[1];
  if (after === undefined) throw new Error(`docs/performance.md lacks the line ${begin} or ${end}`);
  writeFileSync(docFile, `${before}${begin}\n\n${text}\n\n${end}${after}`);
}

function readResults(): Results {
  try {
    return JSON.parse(readFileSync(resultsFile, "utf8")) as Results;
  } catch {
    return { parts: {} };
  }
}

/** What else the machine does: the load of the last minute, in processors. */
export const load = () => loadavg()[0] ?? 0;
