import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apisecAt, defaultApisecPaths } from "../../clients/apisec";
import { kvStore } from "../../clients/vault";
import type { KvStore } from "../../clients/vault";
import type { JsonReport } from "../../checks/report";
import { newPassword } from "../../core/newPassword";
import { mountReady, passwordKeys } from "../../clients/keySettings";
import type { PasswordKeys } from "../../core/passwordRun";
import { passwordKeySettings } from "../../desired/keySettings";
import { changePassword } from "../../core/passwordChange";
import { startApisec } from "../../lab/apisec/server";
import type { OpenBao } from "../../lab/openbao";
import { run, waitFor } from "../../lab/process";
import type { RunResult } from "../../lab/process";
import { systemClock as clock } from "../../net/http";
import { nodeSend } from "../../net/transport";
import { startCluster } from "../support/cluster";
import type { Cluster } from "../support/cluster";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLong } from "../support/sampled";
import { startStandbyFront } from "../support/standbyFront";
import type { StandbyFront } from "../support/standbyFront";

/*
 * Three OpenBao nodes with raft; the client knows one of them, a standby. The leader is killed or steps down at
 * each of Vault's calls of a password change, while the job rotates 50 accounts, and in the middle of `pulumi up`
 * and of `check`; for 10 s nobody leads. Nothing may be lost, and what was begun ends by itself. A sample here, all
 * of it in `make test-long`.
 */

const root = join(__dirname, "..", "..");
const send = nodeSend();
const username = (name: string) => `${name}@acme.example`;
const rows: string[] = [];

let cluster: Cluster;
let apisec: Awaited<ReturnType<typeof startApisec>>;
let dir: string;
let accounts = 0;
/** How long nobody led, of the last time without a quorum. */
let outageMs = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "apisec-cluster-test-"));
  [cluster, apisec] = await Promise.all([startCluster(), startApisec({ accounts: [] })]);
  await cluster.asRoot("POST", "sys/mounts/apisec", { type: "kv", options: { version: "2" } });
  // As the program does before the first key: a standby knows a new mount a little later.
  await Promise.all(cluster.nodes.map((node) => mountReady(connectionTo(node), "apisec")));
}, 600_000);

afterAll(async () => {
  process.stdout.write(`fault | moment | outcome | seconds\n${rows.join("\n")}\n`);
  await Promise.all([cluster?.stop(), apisec?.close()]);
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

async function control(path: string, body: unknown): Promise<unknown> {
  const answer = await fetch(`${apisec.controlUrl}/-/lab/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** A fresh account at APIsec, with this password; one with ROLE_ADMIN changes it itself. */
async function account(password: string, roles = ["ROLE_USER"]): Promise<string> {
  const name = `a${(accounts += 1)}`;
  const org = { id: "org-1", name: "Acme" };
  const one = { username: username(name), userId: name, name, org, password, roles };
  await control("accounts", [one]);
  return name;
}

async function isLive(name: string, password: unknown): Promise<boolean> {
  const answer = await control(`accounts/${username(name)}/check`, { password });
  return (answer as { live: boolean }).live;
}

async function recordOf(key: string): Promise<Record<string, unknown>> {
  const { body } = await cluster.asRoot("GET", `apisec/data/${key}`);
  return (body as { data: { data: Record<string, unknown> } }).data.data;
}

/** What a password change has of Vault. */
interface Outside {
  store: KvStore;
  keys: PasswordKeys;
}

function connectionTo({ address }: OpenBao) {
  return { send, clock, address, token: cluster.rootToken, met: {} };
}

function outsideAt(node: OpenBao): Outside {
  const vault = connectionTo(node);
  return {
    store: kvStore(vault, "apisec"),
    keys: passwordKeys(vault, "apisec", passwordKeySettings),
  };
}

/** The same, with something done to the cluster directly before its n-th call. */
function disturbed({ store, keys }: Outside, nth: number, fault: () => Promise<unknown>) {
  let calls = 0;
  const before = async () => {
    if ((calls += 1) === nth) await fault();
  };
  const wrapped: Outside = {
    store: {
      read: async (...args) => (await before(), store.read(...args)),
      write: async (...args) => (await before(), store.write(...args)),
    },
    keys: {
      mark: async (...args) => (await before(), keys.mark(...args)),
      note: async (...args) => (await before(), keys.note(...args)),
      prepare: async (...args) => (await before(), keys.prepare(...args)),
    },
  };
  return { outside: wrapped, calls: () => calls };
}

function change(name: string, outside: Outside, firstPassword: string) {
  return changePassword(
    {
      name,
      username: username(name),
      host: apisec.url,
      organization: "Acme",
      generation: 1,
      firstPassword,
      published: false,
      acceptAdminToken: false,
    },
    {
      ...outside,
      mount: "apisec",
      apisec: (host) => apisecAt(send, host, defaultApisecPaths, clock, 3),
      book: new Map(),
      newPassword,
      clock,
    },
  );
}

/** A node that has just been started again does not know at once what was written meanwhile. */
async function caughtUp(node: OpenBao, names: readonly string[]): Promise<void> {
  const { store } = outsideAt(node);
  for (const name of names) {
    await waitFor(`${name} on the standby`, 60_000, async () => {
      const { state } = await store.read(`${name}/password`);
      return state === "found" ? true : undefined;
    });
  }
}

/** All nodes are up again, and one leads. */
async function heal(killed?: OpenBao): Promise<void> {
  await killed?.restart();
  await cluster.leader();
}

type Fault = "leader killed" | "leader steps down" | "no quorum for 10 s";

/** Does it, and returns what makes it good again. */
async function strike(fault: Fault): Promise<() => Promise<void>> {
  if (fault === "leader steps down") {
    await cluster.stepDown();
    return () => heal();
  }
  if (fault === "leader killed") {
    const killed = await cluster.killLeader();
    return () => heal(killed);
  }
  const { back } = await cluster.withoutQuorum(10_000);
  const begun = Date.now();
  const over = back.then(async () => {
    await cluster.leader();
    outageMs = Date.now() - begun;
  });
  return async () => {
    await over;
    await heal();
  };
}

async function timed<T>(fault: Fault, moment: string, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  const row = (outcome: string) =>
    rows.push(`${fault} | ${moment} | ${outcome} | ${((Date.now() - started) / 1000).toFixed(1)}`);
  try {
    const result = await work();
    row("done");
    return result;
  } catch (error) {
    row((error as Error).message.slice(0, 100));
    throw error;
  }
}

test("without a fault, a client that knows a standby only changes a password", async () => {
  const first = newPassword();
  const name = await account(first, ["ROLE_USER", "ROLE_ADMIN"]);
  const standby = outsideAt(await cluster.standby());
  const { outside, calls } = disturbed(standby, 0, async () => undefined);
  await change(name, outside, first);
  const { password, generation } = await recordOf(`${name}/password`);
  expect([generation, await isLive(name, password)]).toEqual([1, true]);
  expect(calls()).toBeGreaterThanOrEqual(3);
});

const moments: [Fault, number][] = isLong
  ? (["leader killed", "leader steps down", "no quorum for 10 s"] as const).flatMap((fault) =>
      [1, 2, 3].map((nth): [Fault, number] => [fault, nth]),
    )
  : [
      ["leader killed", 3],
      ["leader steps down", 2],
    ];

test.each(moments)(
  "%s before Vault's call %d of a password change: nothing is lost",
  async (fault, nth) => {
    const first = newPassword();
    const name = await account(first, ["ROLE_USER", "ROLE_ADMIN"]);
    let repair: (() => Promise<void>) | undefined;
    const { outside } = disturbed(outsideAt(await cluster.standby()), nth, async () => {
      repair = await strike(fault);
    });
    await timed(fault, `call ${nth} of a password change`, () => change(name, outside, first));
    await repair?.();
    const { password, generation } = await recordOf(`${name}/password`);
    expect([generation, await isLive(name, password)]).toEqual([1, true]);
  },
  300_000,
);

const concurrency = 4;
const rotations: Fault[] = isLong
  ? ["leader killed", "leader steps down", "no quorum for 10 s"]
  : ["leader killed", "no quorum for 10 s"];

test.each(rotations)(
  "%s while the job rotates 50 accounts: all of them are rotated",
  async (fault) => {
    const names = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const password = newPassword();
        const name = await account(password);
        const record = { username: username(name), password, host: apisec.url, generation: 1 };
        const data = { ...record, organization: "Acme", changed_at: "2026-11-01T00:00:00Z" };
        await cluster.asRoot("POST", `apisec/data/${name}/password`, { data });
        return name;
      }),
    );
    writeFileSync(join(dir, "accounts"), `${names.join("\n")}\n`);
    const standby = await cluster.standby();
    await caughtUp(standby, names);
    const { address } = standby;
    const env = {
      PATH: process.env["PATH"],
      VAULT_ADDR: address,
      VAULT_TOKEN: cluster.rootToken,
      APISEC_MOUNT: "apisec",
      APISEC_ACCOUNTS_FILE: join(dir, "accounts"),
      APISEC_CONCURRENCY: `${concurrency}`,
    };
    const child = spawn(process.execPath, [join(root, "dist/rotate.mjs")], { cwd: dir, env });
    let printed = "";
    let struck: Promise<() => Promise<void>> | undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (part: Buffer) => {
        printed += part.toString();
        if (printed.includes("rotated")) struck ??= strike(fault);
      });
    }
    const code = await timed(
      fault,
      "rotation of 50 accounts",
      () => new Promise<number | null>((resolve) => child.once("close", resolve)),
    );
    await (
      await struck
    )?.();
    const rotated = printed.match(/^a\d+ +rotated/gm)?.length ?? 0;
    const failed = printed.match(/^a\d+ +failed .*/gm) ?? [];
    // A busy machine may take longer to elect a leader than the job waits: then those in flight fail, and say so.
    const mayFail = fault === "no quorum for 10 s" && outageMs > 15_000 ? concurrency : 0;
    expect(failed.slice(mayFail)).toEqual([]);
    expect([code, rotated]).toEqual([failed.length === 0 ? 0 : 1, 50 - failed.length]);
    rows.push(`  rotated ${rotated}, failed ${failed.length}`);
    const again = await run(process.execPath, [join(root, "dist/rotate.mjs")], { cwd: dir, env });
    expect([again.code, again.code === 0 ? "" : again.stdout]).toEqual([0, ""]);
    expect(struck).toBeDefined();
    for (const name of names) {
      expect((await recordOf(`${name}/token`))["username"]).toBe(username(name));
    }
  },
  300_000,
);

/** A stack of its own: mount, auth mount, project and two accounts, of which one changes the other. */
interface Tenant {
  stack: string;
  accounts: [string, string];
  token: string;
}

let lab: TestLab | undefined;
let front: StandbyFront;
let tenants = 0;

afterAll(() => lab?.stop());

async function theLab(): Promise<TestLab> {
  if (lab !== undefined) return lab;
  front = await startStandbyFront(cluster);
  lab = await startTestLab({ runningVault: front.vault });
  // A standby needs 0.1 s to know what was written.
  lab.env["LAB_PLUGIN_WAITS"] = "0.2";
  return lab;
}

function configOf({ world }: TestLab, { stack, accounts }: Tenant, generation: number) {
  const [admin, user] = accounts;
  const shared = { organization: "Acme", passwordGeneration: generation };
  return {
    ...devConfig(world),
    mount: `kv-${stack}`,
    authPath: `jwt-${stack}`,
    gitlabProject: `rotation-bot/${stack}`,
    accounts: [
      { ...shared, name: admin, username: username(admin), publishToken: false },
      { ...shared, name: user, username: username(user), changedBy: admin },
    ],
  };
}

async function newTenant(): Promise<Tenant> {
  const at = await theLab();
  const stack = `c${(tenants += 1)}`;
  const tenant: Tenant = { stack, accounts: [`admin-${stack}`, `user-${stack}`], token: "" };
  const made = await fetch(`${at.world.gitlab.url}/api/v4/projects`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${at.world.secrets.gitlabToken}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ name: stack, path: stack }),
  });
  if (!made.ok) throw new Error(await made.text());
  const org = { id: "org-1", name: "Acme" };
  const first = Object.fromEntries(tenant.accounts.map((name) => [name, newPassword()]));
  const known = tenant.accounts.map((name, index) => ({
    ...{ username: username(name), userId: name, name, org, password: first[name] },
    roles: index === 0 ? ["ROLE_USER", "ROLE_ADMIN"] : ["ROLE_USER"],
  }));
  await at.apisec("POST", "accounts", known);
  await at.stack(stack, configOf(at, tenant, 1), first);
  return { ...tenant, token: at.env["VAULT_TOKEN"] ?? "" };
}

async function pulumiUp({ stack, token }: Tenant): Promise<RunResult> {
  const args = ["up", "--yes", "--skip-preview", "--color", "never"];
  return (await theLab()).pulumi(args, { PULUMI_STACK: stack, VAULT_TOKEN: token });
}

/** Whether each account's record has a password that logs in, and its generation. */
async function standing({ stack, accounts }: Tenant): Promise<unknown[]> {
  const at = await theLab();
  return Promise.all(
    accounts.map(async (name) => {
      const { body } = await cluster.asRoot("GET", `kv-${stack}/data/${name}/password`);
      const { data } = (body as { data: { data: Record<string, unknown> } }).data;
      const live = async (password: unknown) => {
        const answer = await at.apisec("POST", `accounts/${username(name)}/check`, { password });
        return (answer as { live: boolean }).live;
      };
      return { generation: data["generation"], live: await live(data["password"]) };
    }),
  );
}

const well = (generation: number) => [
  { generation, live: true },
  { generation, live: true },
];

/** The resources, the engine's own aside, that an `up` says it failed at. */
function failedResources({ stdout }: RunResult): string[] {
  const [, diagnostics = ""] = stdout.split("Diagnostics:");
  let resource = "";
  const failed = new Set<string>();
  for (const line of diagnostics.split("\n")) {
    resource = /^ {2}(\S+ \(\S+\)):$/.exec(line)?.[1] ?? resource;
    if (/^ {4}error:/.test(line)) failed.add(resource);
  }
  return [...failed].filter((one) => !one.startsWith("pulumi:pulumi:Stack"));
}

/** Strikes at a moment of `work`; gives what came of it, and how long after the cluster was back, in seconds. */
async function struckAt<T>(fault: Fault, moment: RegExp, work: () => Promise<T>) {
  front.aim(await cluster.standby());
  let repair: (() => Promise<void>) | undefined;
  let back: Promise<number> | undefined;
  const { hasStruck } = front.strikeAt(moment, async () => {
    repair = await strike(fault);
    back = cluster.leader().then(() => Date.now());
  });
  const result = await work();
  const ended = Date.now();
  expect(hasStruck()).toBe(true);
  await repair?.();
  return { result, after: Math.max(0, ended - ((await back) ?? 0)) / 1000 };
}

const note = (fault: Fault, moment: string, outcome: string, after: number) =>
  rows.push(`${fault} | ${moment} | ${outcome} | ${after.toFixed(1)} after a leader was there`);

const staging = /^POST \S+\/data\/\S+\/password/;

/** The first up of a new stack, or one that changes its passwords, and whose call it is. */
const ups: [string, RegExp, number, "ours" | "the plugin's"][] = [
  ["the preflight of a first up", /^POST \S+sys\/capabilities-self/, 1, "the plugin's"],
  ["the plugin's calls of a first up", /^(PUT|POST) \S+sys\/polic/, 1, "the plugin's"],
  // The plugin writes its role beside them.
  ["the key settings of a first up", /^POST \S+\/metadata\//, 1, "the plugin's"],
  ["the first password of a first up", staging, 1, "ours"],
  ["an up that changes passwords", staging, 2, "ours"],
];

const faults: Fault[] = ["leader killed", "leader steps down", "no quorum for 10 s"];
const everyUp = faults.flatMap((fault) =>
  ups.map((one): [Fault, ...(typeof ups)[number]] => [fault, ...one]),
);
/** One of them in `make test`; its stack is there for the checks. */
const someUps = isLong ? everyUp : everyUp.slice(3, 4);
let provisioned: Tenant;

test.each(someUps)(
  "%s at %s through a standby's address: nothing is lost, and it or the next up ends well",
  async (fault, moment, pattern, generation, whose) => {
    const at = await theLab();
    const tenant = (provisioned = await newTenant());
    if (generation > 1) {
      expect(textUnlessDone(await pulumiUp(tenant))).toBe("");
      at.writeConfig(tenant.stack, configOf(at, tenant, generation));
    }
    const { result, after } = await struckAt(fault, pattern, () => pulumiUp(tenant));
    const failed = failedResources(result);
    const outcome = result.code === 0 ? "done" : `failed at ${failed.join(", ")}`;
    note(fault, moment, outcome, after);
    // What the plugin asks may fail in its own words; what this program asks waits for the new leader.
    expect(failed.filter((one) => !one.startsWith("vault:"))).toEqual([]);
    if (whose === "ours") {
      expect(textUnlessDone(result)).toBe("");
      expect(after).toBeLessThan(20);
    }
    if (result.code !== 0) {
      expect(failed).not.toEqual([]);
      expect(textUnlessDone(await pulumiUp(tenant))).toBe("");
    }
    expect(await standing(tenant)).toEqual(well(generation));
  },
  300_000,
);

const textUnlessDone = ({ code, stdout, stderr }: RunResult) => (code === 0 ? "" : stdout + stderr);

test.each(isLong ? faults : faults.slice(1, 2))(
  "%s while a check runs: it says what it says without",
  async (fault) => {
    const at = await theLab();
    const { stack, token } = provisioned;
    const check = async () => {
      const args = ["cli/bin.js", "check", "--stack", stack, "--json"];
      const env = { ...at.env, VAULT_TOKEN: token };
      const { stdout, stderr } = await run(process.execPath, args, { cwd: at.program, env });
      expect(stderr).toBe("");
      const { findings } = JSON.parse(stdout) as JsonReport;
      return findings.map(({ id, subject, state }) => `${id} ${subject}: ${state}`);
    };
    const before = await check();
    expect(before.filter((line) => line.endsWith(": problem"))).toEqual([]);
    const { result, after } = await struckAt(fault, /^GET \S+\/metadata\//, check);
    note(fault, "a check", "done", after);
    expect(result).toEqual(before);
    expect(after).toBeLessThan(20);
  },
  300_000,
);
