import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../lab/process";
import { startTestLab } from "../test/support/lab";
import { openStack } from "../test/support/stack";
import { inTurn, lastLines, measure } from "./measure";
import { programStart } from "./programStart";
import { compared, counted } from "./report";
import { auditEnd, vaultCalls } from "./world";
import type { TestLab } from "../test/support/lab";
import type { Job } from "./measure";
import type { Start } from "./programStart";
import type { Row } from "./report";

const root = join(__dirname, "..");
/** The SDKs as they are published: ours leaves out a part (sdks/arborist), which is one of the differences measured. */
const peerSdk = join(__dirname, "peers", "sdk");
const up = ["up", "--yes", "--skip-preview"];

const sizes = [
  { count: 1, ups: 3, upAtMost: 1.5, previews: 5, previewAtMost: 1.5 },
  { count: 10, ups: 2, upAtMost: 1.4, previews: 5, previewAtMost: 2 },
  { count: 100, ups: 2, upAtMost: 2.2, previews: 3, previewAtMost: 3 },
];

/** A stack of a program, and what `pulumi` needs to run on it. */
interface Target {
  dir: string;
  stack: string;
  env: Record<string, string>;
}

/** The program under the real engine, beside programs that do nothing. `save` gets the rows so far. */
export async function benchPulumi(save: (rows: Row[]) => void): Promise<Row[]> {
  const installed = await run("npm", ["ci", "--ignore-scripts"], { cwd: peerSdk });
  if (installed.code !== 0) throw new Error(lastLines(installed.stderr));
  const lab = await startTestLab();
  try {
    const empty = await peerStack(lab, "empty", "", "empty");
    await measure(pulumi(empty, up));
    const rows = {
      starts: await starts(lab),
      previews: [] as Row[],
      ups: [] as Row[],
      states: [] as Row[],
      writes: [] as Row[],
    };
    for (const size of sizes) {
      const from = auditEnd(lab.world.vault);
      const { row, stack } = await upFromNothing(lab, size);
      const calls = vaultCalls(lab.world.vault, from);
      if (size.count === 10) rows.writes = writes(calls, size.count * (size.ups + 1));
      rows.ups.push(row);
      rows.states.push(await codeInState(lab, stack, size.count));
      rows.previews.push(...(await previews(lab, stack, empty, size)));
      save(Object.values(rows).flat());
    }
    return Object.values(rows).flat();
  } finally {
    await lab.stop();
  }
}

const accounts = (count: number) => (count === 1 ? "1 account" : `${count} accounts`);

function pulumi({ dir, stack, env }: Target, command: readonly string[]): Job {
  const argv = ["pulumi", ...command, "--stack", stack, "--non-interactive", "--suppress-progress"];
  return { name: `pulumi ${command[0]} of ${stack}`, argv, env, cwd: dir };
}

async function upFromNothing(
  lab: TestLab,
  { count, ups, upAtMost }: (typeof sizes)[number],
): Promise<{ row: Row; stack: Target }> {
  let stack: Target | undefined;
  const ourUp = async (round: number) => {
    stack = await newStack(lab, `s${count}-${round}`, count);
    return pulumi(stack, up);
  };
  const idleUp = async (round: number) => {
    const idle = await peerStack(lab, "nothing", "nothing.js", `n${count}-${round}`);
    return pulumi({ ...idle, env: { ...idle.env, COUNT: `${count}` } }, up);
  };
  const [ours = [], theirs = []] = await inTurn([ourUp, idleUp], ups);
  const work = `pulumi up from nothing, ${accounts(count)}`;
  const beside = `${count} dynamic resources that do nothing`;
  const row = compared("pulumi", work, beside, { ours, theirs }, upAtMost);
  return { row, stack: stack! };
}

async function previews(
  lab: TestLab,
  stack: Target,
  empty: Target,
  { count, previews: rounds, previewAtMost }: (typeof sizes)[number],
): Promise<Row[]> {
  // As it is once the first passwords have been taken out of config.
  const config = ["config", "rm", "firstPasswords", "--stack", stack.stack];
  const { code, stderr } = await lab.pulumi(config, stack.env);
  if (code !== 0) throw new Error(stderr);
  await measure(pulumi(stack, up));
  const plugins = await pluginsStack(lab, stack, count);
  await measure(pulumi(plugins, up));
  const unchanged: Job = {
    ...pulumi(stack, ["preview"]),
    check(output) {
      if (!/^ +\d+ unchanged\n+$/m.test(output)) throw new Error(`not unchanged: ${output}`);
    },
  };
  const jobs = [unchanged, pulumi(empty, ["preview"]), pulumi(plugins, ["preview"])];
  const [ours = [], theirs = [], floor = []] = await inTurn(jobs, rounds);
  const work = `pulumi preview, nothing changed, ${accounts(count)}`;
  const beside = "as many idle resources, and one of each plugin";
  return [
    compared("pulumi", work, "an empty JavaScript program", { ours, theirs }, previewAtMost),
    compared("pulumi", work, beside, { ours, theirs: floor }),
  ];
}

/** The least program that starts the plugins and the dynamic provider, for as many resources: the floor of ours. */
async function pluginsStack(lab: TestLab, { stack, env }: Target, count: number): Promise<Target> {
  const plugins = await peerStack(lab, "plugins", "plugins.js", `p${count}`);
  cpSync(join(__dirname, "peers", "nothing.js"), join(plugins.dir, "nothing.js"));
  const names = {
    COUNT: `${count}`,
    POLICY: `apisec-${stack}-consumer.none`,
    GITLAB_PROJECT: `rotation-bot/${stack}`,
  };
  return { ...plugins, env: { ...env, ...names } };
}

/** A stack of our program whose accounts still have their first passwords. */
async function newStack(lab: TestLab, stack: string, count: number): Promise<Target> {
  const list = accountsOf(stack, count);
  await lab.apisec(
    "POST",
    "accounts",
    list.map(({ name, username }, index) => ({
      ...{ name, username, userId: `u-${name}`, password: `First-of-${name}` },
      org: { id: "org-1", name: "Acme" },
      roles: index === 0 ? ["ROLE_USER", "ROLE_ADMIN"] : ["ROLE_USER"],
    })),
  );
  await newProject(lab, stack);
  const firstPasswords = list.map(({ name }) => [name, `First-of-${name}`]);
  await lab.stack(
    stack,
    configOf(lab, stack, count),
    Object.fromEntries(firstPasswords) as Record<string, string>,
  );
  return { dir: lab.program, stack, env: { ...lab.env } };
}

/** A rotation project for the stack: its pipeline file is no other stack's to write. */
async function newProject(lab: TestLab, stack: string): Promise<void> {
  const { url } = lab.world.gitlab;
  const { status } = await fetch(`${url}/api/v4/projects`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${lab.env["GITLAB_TOKEN"]}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ name: stack }),
  });
  if (status !== 201) throw new Error(`project ${stack}: ${status}`);
}

function configOf(lab: TestLab, stack: string, count: number): Record<string, unknown> {
  return {
    apisecUrl: lab.world.apisec.url,
    gitlabProject: `rotation-bot/${stack}`,
    mount: `kv-${stack}`,
    authPath: `jwt-${stack}`,
    accounts: accountsOf(stack, count),
  };
}

/** The first account changes the passwords of the others. */
function accountsOf(stack: string, count: number): { name: string; username: string }[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `${stack}-${index + 1}`;
    const first = count === 1 ? { acceptAdminToken: true } : { publishToken: false };
    return {
      ...{ name, username: `${name}@acme.example`, organization: "Acme" },
      ...(index === 0 ? first : { changedBy: `${stack}-1` }),
    };
  });
}

/** A new stack of a JavaScript program of bench/peers; "" is a program with nothing in it. */
async function peerStack(
  lab: TestLab,
  project: string,
  source: string,
  stack: string,
): Promise<Target> {
  const dir = join(lab.world.dir, project);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "Pulumi.yaml"), `name: ${project}\nruntime: nodejs\n`);
  writeFileSync(join(dir, "package.json"), JSON.stringify({ name: project, main: "index.js" }));
  if (source === "") writeFileSync(join(dir, "index.js"), "");
  else cpSync(join(__dirname, "peers", source), join(dir, "index.js"));
  const modules = join(dir, "node_modules");
  rmSync(modules, { force: true });
  // The CLI scans node_modules, so the empty program gets ours; it never loads npm's library.
  symlinkSync(join(source === "" ? root : peerSdk, "node_modules"), modules);
  await openStack((args) => run("pulumi", args, { cwd: dir, env: lab.env }), stack);
  return { dir, stack, env: { ...lab.env } };
}

/** From the start of the program's process to the first resource that it registers. */
async function starts(lab: TestLab): Promise<Row[]> {
  const stack = await newStack(lab, "start", 1);
  const least = await peerStack(lab, "least", "least.js", "least");
  const config = Object.entries(configOf(lab, "start", 1)).map(([key, value]) => [
    `apisec-credentials:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const ours: Start[] = [];
  const floor: Start[] = [];
  const theirs: Start[] = [];
  const required: Job = {
    name: "node",
    argv: [process.execPath, "-e", 'require("@pulumi/pulumi")'],
    env: lab.env,
    cwd: peerSdk,
  };
  for (let round = 0; round <= 7; round += 1) {
    ours.push(await programStart(stack, Object.fromEntries(config) as Record<string, string>));
    floor.push(await programStart(least, { "least:key": "" }));
    theirs.push(await measure(required));
  }
  for (const samples of [ours, floor, theirs]) samples.shift();
  const beside = "node -e 'require(\"@pulumi/pulumi\")'";
  const work = "program start, until its first resource";
  return [
    compared("pulumi", work, beside, { ours, theirs }, 1.6),
    compared("pulumi", "… of a JavaScript program with one resource", beside, {
      ours: floor,
      theirs,
    }),
    compared("pulumi", "… ours", "that program's", { ours, theirs: floor }),
  ];
}

/** The provider's code that the state holds of each account. */
async function codeInState(lab: TestLab, stack: Target, count: number): Promise<Row> {
  const { stdout } = await lab.pulumi(["stack", "export", "--stack", stack.stack], stack.env);
  const { deployment } = JSON.parse(stdout) as {
    deployment: { resources: { inputs?: { __provider?: string } }[] };
  };
  const sizesOfCode = deployment.resources.map(({ inputs }) => inputs?.__provider?.length ?? 0);
  const work = `provider's code in the state, each of ${accounts(count)}`;
  return counted("pulumi", work, Math.max(...sizesOfCode) / 1024, "KiB", 24);
}

function writes(calls: Record<string, number>, passwords: number): Row[] {
  const each = (call: string) => (calls[call] ?? 0) / passwords;
  return [
    counted("pulumi", "Vault writes a password change", each("update password"), "", 2),
    counted("pulumi", "… and for the key's settings", each("update metadata password"), "", 1),
  ];
}
