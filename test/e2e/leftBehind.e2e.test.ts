import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { commandLine, isAlive, waitFor } from "../../lab/process";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { family } from "../support/processWatch";
import { sampled } from "../support/sampled";

let lab: TestLab;

beforeAll(async () => {
  lab = await startTestLab();
  await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
  await completeUp();
});

/** Of a stack that is complete: what is killed later leaves nothing in GitLab that the state does not know. */
async function completeUp(): Promise<void> {
  const { code, stdout, stderr } = await lab.pulumi(["up", "--yes", "--skip-preview"]);
  expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
}

afterAll(() => lab?.stop());

const program = /cmd\/run\/index/;
const provider = /cmd\/dynamic-provider|-e .*dynamic-provider/;

/** `pulumi` in a process group of its own; `script` is for a shell. */
function start(script: string) {
  const child = spawn("sh", ["-c", script], {
    cwd: lab.program,
    env: lab.env,
    detached: true,
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return { pid: child.pid ?? 0, ended };
}

interface Seen {
  pid: number;
  line: string;
}

async function familyOf(pid: number): Promise<Seen[]> {
  const lines = await Promise.all(
    family(pid).map(async (one) => ({ pid: one, line: (await commandLine(one)) ?? "" })),
  );
  return lines.filter(({ line }) => line !== "");
}

/** Waits until a process of this kind has been started, and for `laterMs` more; gives all there are then. */
async function until(pid: number, kind: RegExp, laterMs: number): Promise<Seen[]> {
  await waitFor(`a process like ${kind.source}`, 60_000, async () =>
    (await familyOf(pid)).some(({ line }) => kind.test(line)) ? true : undefined,
  );
  await new Promise((resolve) => setTimeout(resolve, laterMs));
  return familyOf(pid);
}

const sizeKb = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);

/**
 * None of them is left; one that loops and grows does not end. The language host is Pulumi's own: it ends within
 * five minutes, or with the program, where that had been started.
 */
async function expectGone(all: Seen[]): Promise<void> {
  const seen = all.filter(({ line }) => !line.includes("pulumi-language-nodejs"));
  let left = seen;
  await waitFor("the end of every process", 60_000, () => {
    left = seen.filter(({ pid }) => isAlive(pid));
    return left.length === 0 ? true : undefined;
  }).catch(() => undefined);
  const said = left.map(({ pid, line }) => `${line} (${sizeKb(pid)} KB)`);
  for (const { pid } of left) process.kill(pid, "SIGKILL");
  expect(said).toEqual([]);
  expect(seen.length).toBeGreaterThan(0);
}

const up = "exec pulumi up --yes --skip-preview --color never";
const unlock = () => lab.pulumi(["cancel", "--yes"]);
afterEach(unlock);

const moments: [string, typeof program, number][] = [
  ["as soon as the program's process is there", program, 0],
  ["while the program loads", program, 700],
  ["when the dynamic provider has just been started", provider, 0],
  ["when the dynamic provider has been asked", provider, 1_500],
];

test.each(sampled(moments))(
  "pulumi killed %s: program and providers end",
  async (_, kind, laterMs) => {
    const { pid, ended } = start(up);
    const seen = await until(pid, kind, laterMs);
    process.kill(pid, "SIGKILL");
    await ended;
    await expectGone(seen);
  },
);

const withHost: [string, typeof program, number][] = [
  ["before the program is loaded", program, 100],
  ["while the program loads", program, 700],
  ["while resources are looked at", provider, 500],
];

test.each(sampled(withHost))(
  "pulumi and its language host killed %s: nothing spins",
  async (_, kind, laterMs) => {
    const { pid, ended } = start(up);
    const seen = await until(pid, kind, laterMs);
    process.kill(pid, "SIGKILL");
    // With it goes the other end of the program's output: whatever it says from now on is an error.
    for (const { pid: host, line } of seen) {
      if (line.includes("pulumi-language-nodejs")) process.kill(host, "SIGKILL");
    }
    await ended;
    await expectGone(seen);
  },
);

test.each(sampled([8, 1, 4]))("pulumi piped into head -%d: nothing is left", async (lines) => {
  const { pid, ended } = start(`pulumi preview --diff --color never 2>&1 | head -n ${lines}`);
  const seen = new Map<number, Seen>();
  let over = false;
  void ended.then(() => (over = true));
  while (!over) {
    for (const one of await familyOf(pid)) seen.set(one.pid, one);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await expectGone([...seen.values()]);
});

test("Ctrl-C in a terminal: the whole group is interrupted, and ends", async () => {
  const { pid, ended } = start(up);
  const seen = await until(pid, provider, 500);
  process.kill(-pid, "SIGINT");
  await ended;
  await expectGone(seen);
});

test("after all of these, up goes on to its end", completeUp);
