import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findExecutable } from "../lab/process";
import { inTurn, measure, median } from "./measure";
import { compared, counted, notMeasured, seconds } from "./report";
import { auditEnd, vaultCalls } from "./world";
import type { Job, Sample } from "./measure";
import type { Row } from "./report";
import type { BenchWorld } from "./world";

const script = join(__dirname, "..", "dist", "rotate.mjs");
const peers = join(__dirname, "peers");
const concurrency = 16;
const delayMs = 50;

/** The rotation job; it has to say that it rotated `count` accounts. */
export function rotation(env: Record<string, string>, count: number): Job {
  return {
    name: "rotate.mjs",
    argv: [process.execPath, script],
    env,
    check(output) {
      if (!output.includes(`: ${count} rotated,`)) {
        throw new Error(`rotate.mjs did not rotate ${count} accounts: ${output.slice(-500)}`);
      }
    },
  };
}

function peer(name: string, argv: string[], env: Record<string, string>, count: number): Job {
  const check = (output: string) => {
    const rotated = output.split("\n").filter((line) => line.includes("  rotated")).length;
    if (rotated !== count) throw new Error(`${name} rotated ${rotated} of ${count} accounts`);
  };
  return { name, argv, env, check };
}

/** `python`: the interpreter of the peers' environment, or why there is none. */
export async function benchRotation(world: BenchWorld, python: string | Error): Promise<Row[]> {
  return [
    ...(await coldStart(world, python)),
    ...(await thousand(world, python)),
    ...(await requests(world)),
    ...fileSize(),
    ...(await shards(world)),
    ...(await withLatency(world)),
  ];
}

async function coldStart(world: BenchWorld, python: string | Error): Promise<Row[]> {
  const work = "rotate 1 account, cold start";
  const env = await world.environment(1);
  const shell = (file: string) => ["sh", join(peers, file)];
  const lacking = (...names: string[]) => {
    const missing = names.filter((name) => findExecutable(name, env["PATH"] ?? "") === undefined);
    return missing.length === 0 ? undefined : new Error(`no ${missing.join(", no ")}`);
  };
  const candidates: { beside: string; argv: string[] | Error; atMost?: number }[] = [
    {
      beside: "Python, hvac and requests",
      argv: python instanceof Error ? python : [python, join(peers, "rotate.py")],
      atMost: 0.75,
    },
    {
      beside: "bao, curl and jq",
      argv: lacking("bao", "curl", "jq") ?? shell("rotate-bao.sh"),
      atMost: 0.35,
    },
    { beside: "curl and jq", argv: lacking("curl", "jq") ?? shell("rotate-curl.sh") },
    { beside: "bare node:http, no checks", argv: [process.execPath, join(peers, "bare.mjs")] },
    { beside: "node -e 0", argv: [process.execPath, "-e", "0"], atMost: 1.6 },
  ];
  const usable = candidates.filter(
    (one): one is typeof one & { argv: string[] } => !(one.argv instanceof Error),
  );
  const jobs = usable.map(({ beside, argv }) =>
    beside === "node -e 0" ? { name: beside, argv, env } : peer(beside, argv, env, 1),
  );
  const [ours = [], ...theirs] = await inTurn([rotation(env, 1), ...jobs], 11);
  return candidates.map(({ beside, argv, atMost }) => {
    if (argv instanceof Error) return notMeasured("rotate", work, beside, argv.message);
    const index = usable.findIndex((one) => one.beside === beside);
    return compared("rotate", work, beside, { ours, theirs: theirs[index] ?? [] }, atMost);
  });
}

async function thousand(world: BenchWorld, python: string | Error): Promise<Row[]> {
  const count = 1_000;
  const work = "rotate 1,000 accounts";
  const env = await world.environment(count);
  const bare = peer("bare", [process.execPath, join(peers, "bare.mjs")], env, count);
  const [ours = [], theirs = []] = await inTurn([rotation(env, count), bare], 5);
  const memory = median(ours.map((sample) => sample.memory));
  const rows = [
    compared("rotate", work, "bare node:http, 16 in flight", { ours, theirs }, 1.25),
    counted("rotate", "peak memory for 1,000 accounts", memory, "MB", 80),
  ];
  const beside = "Python, one after the other";
  if (python instanceof Error) {
    return [...rows, notMeasured("rotate", work, beside, python.message)];
  }
  const sequential = peer("Python", [python, join(peers, "rotate.py")], env, count);
  const [again = [], slow = []] = await inTurn([rotation(env, count), sequential], 2);
  return [compared("rotate", work, beside, { ours: again, theirs: slow }, 0.3), ...rows];
}

/** Counted on the servers, with a login by ID token as in a pipeline; connections on the way to them. */
async function requests(world: BenchWorld): Promise<Row[]> {
  const count = 100;
  const counting = await world.distantEnvironment(count, 0);
  const login = {
    ...{ VAULT_TOKEN: "", VAULT_ID_TOKEN: world.idToken },
    ...{ VAULT_AUTH_PATH: "gitlab", VAULT_AUTH_ROLE: "rotator" },
  };
  await world.requests();
  const from = auditEnd(world.vault);
  await measure(rotation({ ...counting.env, ...login }, count));
  const calls = vaultCalls(world.vault, from);
  const apisec = (await world.requests()).length;
  const { vault: toVault, apisec: toApisec } = counting.connections();
  counting.close();
  const session =
    (calls["update auth/gitlab/login"] ?? 0) + (calls["update auth/token/revoke-self"] ?? 0);
  const vault = Object.values(calls).reduce((sum, one) => sum + one, 0) - session;
  const row = (work: string, value: number, unit: string, atMost?: number) =>
    counted("rotate", work, value, unit, atMost);
  return [
    row("requests an account, counted on the servers", (vault + apisec) / count, "", 5),
    row("requests a run besides (login, revoke)", session, "", 2),
    row("Vault writes an account and rotation", (calls["update token"] ?? 0) / count, "", 1),
    // Two reads at once for each account in flight.
    row(`connections to Vault, ${count} accounts`, toVault, "", 2 * concurrency),
    row(`connections to APIsec, ${count} accounts`, toApisec, "", concurrency),
  ];
}

function fileSize(): Row[] {
  const text = readFileSync(script, "utf8");
  const foreign = (text.match(/^\/\/ .*node_modules\/.*$/gm) ?? []).length;
  return [
    counted("rotate", "dist/rotate.mjs, not minified", Buffer.byteLength(text) / 1024, "KiB", 64),
    counted("rotate", "third-party files in it", foreign, "", 0),
  ];
}

/** The shards of one job, at once; every account has to be rotated exactly once. Gives the slowest. */
async function inShards(
  world: BenchWorld,
  env: Record<string, string>,
  count: number,
  total: number,
): Promise<Sample> {
  await world.requests();
  const jobs = Array.from({ length: total }, (_, index) =>
    rotation(
      { ...env, CI_NODE_INDEX: `${index + 1}`, CI_NODE_TOTAL: `${total}` },
      Math.floor((count - index - 1) / total) + 1,
    ),
  );
  const samples = await Promise.all(jobs.map(measure));
  const logins = (await world.requests()).filter(({ kind }) => kind === "login");
  const accounts = new Set(logins.map(({ username }) => username)).size;
  if (logins.length !== count || accounts !== count) {
    throw new Error(`${total} shards: ${logins.length} logins of ${accounts} accounts`);
  }
  const cpu = samples.reduce((sum, sample) => sum + sample.cpu, 0);
  return {
    wall: Math.max(...samples.map(({ wall }) => wall)),
    cpu,
    memory: Math.max(...samples.map(({ memory }) => memory)),
  };
}

async function shards(world: BenchWorld): Promise<Row[]> {
  const count = 1_000;
  const env = await world.environment(count);
  const [ours, theirs]: [Sample[], Sample[]] = [[], []];
  const apart: Sample[] = [];
  for (let round = 0; round < 3; round += 1) {
    ours.push(await inShards(world, env, count, 4));
    theirs.push(await measure(rotation(env, count)));
    const quarter = { ...env, CI_NODE_INDEX: "1", CI_NODE_TOTAL: "4" };
    apart.push(await measure(rotation(quarter, count / 4)));
  }
  const beside = "one job";
  const one = { ours: apart, theirs };
  return [
    compared("rotate", "1,000 accounts, one of 4 shards by itself", beside, one, 0.35),
    compared("rotate", "… 4 shards at once, on the servers' machine", beside, { ours, theirs }),
  ];
}

/** Every call 50 ms away: what is left is the number of round trips. */
async function withLatency(world: BenchWorld): Promise<Row[]> {
  const count = 1_000;
  const distant = await world.distantEnvironment(count, delayMs);
  const { env } = distant;
  const least = ((count / concurrency) * 4 * delayMs) / 1000;
  const single = { ...env, CI_NODE_INDEX: "1", CI_NODE_TOTAL: `${count}` };
  const near = await world.environment(count);
  const singleNear = { ...near, CI_NODE_INDEX: "1", CI_NODE_TOTAL: `${count}` };
  const [far = [], close = []] = await inTurn([rotation(single, 1), rotation(singleNear, 1)], 5);
  const trips =
    median(far.map(({ wall }, round) => (wall - (close[round]?.wall ?? NaN)) * 1000)) / delayMs;
  const job = await measure(rotation(env, count));
  const slowest = await inShards(world, env, count, 4);
  distant.close();
  const work = `1,000 accounts, ${delayMs} ms on every call`;
  return [
    counted("rotate", "round trips an account, by the time they take", trips, "", 4.5),
    {
      ...counted("rotate", work, job.wall / least, "x", 1.25, seconds(job.wall)),
      ...{ beside: `${count}/${concurrency} x 4 x ${delayMs} ms`, theirs: seconds(least) },
    },
    compared("rotate", "… 4 shards at once", "one job", { ours: [slowest], theirs: [job] }, 0.35),
  ];
}
