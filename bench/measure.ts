import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../lab/process";

/** One program to be measured. */
export interface Job {
  name: string;
  argv: readonly string[];
  env: Record<string, string>;
  cwd?: string;
  /** Looks at what a run has printed; not measured. Throws where it did not do its work. */
  check?: (output: string) => void;
}

/** What one run took: the whole process, and what it started and waited for. */
export interface Sample {
  /** Seconds of wall clock. */
  wall: number;
  /** Seconds of processor, user and system. */
  cpu: number;
  /** Peak of the resident memory of its largest process, MB. */
  memory: number;
}

/** Runs the job once. Throws where it cannot be started or does not end with exit code 0. */
export async function measure(job: Job): Promise<Sample> {
  const dir = mkdtempSync(join(tmpdir(), "apisec-bench-"));
  const output = join(dir, "output");
  const { stdout, stderr } = await run(
    "python3",
    [join(__dirname, "measure.py"), output, ...job.argv],
    { env: job.env, ...(job.cwd === undefined ? {} : { cwd: job.cwd }) },
  );
  const text = existsSync(output) ? readFileSync(output, "utf8") : "";
  rmSync(dir, { recursive: true });
  if (stdout === "") throw new Error(`${job.name} cannot be started: ${lastLines(stderr)}`);
  const { wall, user, sys, memory, code } = JSON.parse(stdout) as Record<Measured, number>;
  if (code !== 0) throw new Error(`${job.name} ended with code ${code}: ${lastLines(text)}`);
  job.check?.(text);
  return { wall, cpu: user + sys, memory: (memory * 1024) / 1e6 };
}

type Measured = "wall" | "user" | "sys" | "memory" | "code";

/** On one line. */
export function lastLines(text: string): string {
  return text.trim().split("\n").slice(-8).join(" | ").slice(-800);
}

/**
 * Measures all of `jobs` in turn, `rounds` times over after one round that does not count, so that
 * whatever else the machine does meanwhile meets all of them alike. A function makes a job anew for each
 * round. One list of samples a job, in the order of the rounds.
 */
export async function inTurn(
  jobs: readonly (Job | ((round: number) => Promise<Job>))[],
  rounds: number,
): Promise<Sample[][]> {
  const samples: Sample[][] = jobs.map(() => []);
  for (let round = 0; round <= rounds; round += 1) {
    process.stderr.write(".");
    for (const [index, job] of jobs.entries()) {
      const sample = await measure(typeof job === "function" ? await job(round) : job);
      if (round > 0) samples[index]?.push(sample);
    }
  }
  return samples;
}

/** NaN where there are no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}
