import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultApisecPaths } from "../../clients/apisec";
import type { FaultInput } from "../../lab/faults";
import { run, waitFor } from "../../lab/process";
import type { RunResult } from "../../lab/process";
import { followFix } from "../support/followFix";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLive, managedBy, recordOf } from "../support/managed";
import { family } from "../support/processWatch";
import { textOf } from "../support/textOf";

type Data = Record<string, unknown>;

let lab: TestLab;
let stackName = "dev";

const quiet = ["--yes", "--skip-preview", "--color", "never"];
const pulumi = (...args: string[]) => lab.pulumi(args, { PULUMI_STACK: stackName });

/** Runs a command that must succeed, and gives what it printed. */
async function done(result: Promise<RunResult>): Promise<string> {
  const { code, ...output } = await result;
  const text = textOf({ code, ...output });
  if (code !== 0) throw new Error(text);
  return text;
}

const up = () => done(pulumi("up", ...quiet));
const destroy = () => done(pulumi("destroy", ...quiet));

/** The engine's last line: how many resources were created, updated, … */
const summary = (text: string) => text.slice(text.indexOf("Resources:")).replace(/\s+/g, " ");

async function expectNoChanges(): Promise<void> {
  await done(pulumi("preview", "--expect-no-changes", "--color", "never"));
}

/** The stack's config with this second account and a deployer's token that fits it. */
async function configure(second: object | undefined, more: Data = {}): Promise<void> {
  const config = devConfig(lab.world);
  const [admin] = config["accounts"] as object[];
  const accounts = [admin, ...(second === undefined ? [] : [second])];
  await lab.stack(stackName, { ...config, ...more, accounts });
}

const scanner = {
  name: "scanner",
  username: "scanner@acme.example",
  organization: "Acme",
  changedBy: "admin",
};
const scan = { ...scanner, name: "scan", renamedFrom: "scanner" };

/** Each account's stored password logs in, and no change is open. */
async function expectInOrder(names: Record<string, string>): Promise<void> {
  for (const [name, username] of Object.entries(names)) {
    const { data } = await recordOf(lab, name);
    expect(data).toMatchObject({ generation: 1, username: `${username}@acme.example` });
    expect(data).not.toHaveProperty("pending_password");
    expect(await isLive(lab, username, data["password"])).toBe(true);
  }
}

const changes = async (): Promise<number> => {
  const { counts } = (await lab.apisec("GET", "requests")) as { counts: Record<string, number> };
  return counts["changed"] ?? 0;
};

const setFault = (fault: FaultInput) => lab.apisec("POST", "faults", [fault]);

/** `up` until APIsec has made this many changes; then it is ended by `end`. */
async function interruptedUp(changed: number, end: (pid: number) => void): Promise<RunResult> {
  const child = spawn("pulumi", ["up", ...quiet], { cwd: lab.program, env: lab.env });
  const result: RunResult = { code: 0, stdout: "", stderr: "" };
  child.stdout.on("data", (part: Buffer) => (result.stdout += part.toString()));
  child.stderr.on("data", (part: Buffer) => (result.stderr += part.toString()));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await waitFor(
    `change ${changed}`,
    90_000,
    async () => (await changes()) === changed || undefined,
  );
  end(child.pid ?? 0);
  await ended;
  return { ...result, code: child.exitCode ?? 128 };
}

beforeAll(async () => {
  lab = await startTestLab();
  await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
});

afterAll(() => lab?.stop());

test("up killed in the middle of a change: the lock is named, the next up goes on", async () => {
  await setFault({
    match: { kind: "change", username: "admin@acme.example" },
    when: "after",
    action: { delayMs: 600_000 },
  });
  await interruptedUp(1, (pid) => {
    for (const one of family(pid)) process.kill(one, "SIGKILL");
  });
  const { data } = await recordOf(lab, "admin");
  expect(data).toMatchObject({ generation: 0, pending_generation: 1 });
  expect(await isLive(lab, "admin", data["pending_password"])).toBe(true);

  const locked = await pulumi("up", ...quiet);
  expect(locked.code).not.toBe(0);
  expect(textOf(locked)).toMatch(/locked by 1 lock.*pulumi cancel/s);
  await done(pulumi("cancel", "--yes"));
  expect((await recordOf(lab, "admin")).data).toEqual(data);
});

test("up interrupted by Ctrl-C ends what it has begun and leaves no lock", async () => {
  await setFault({
    match: { kind: "change", username: "scanner@acme.example" },
    when: "after",
    action: { delayMs: 3_000 },
  });
  const interrupted = await interruptedUp(2, (pid) => process.kill(pid, "SIGINT"));
  expect(interrupted.code).not.toBe(0);
  await expectInOrder({ admin: "admin", scanner: "scanner" });
  await up();
  await expectInOrder({ admin: "admin", scanner: "scanner" });
  // One change an account, in all three runs.
  expect(await changes()).toBe(2);
});

/** What an account's inputs also held before defaults were left out. */
const olderInputs = {
  acceptAdminToken: false,
  apisecPaths: defaultApisecPaths,
  sharedMount: false,
  tokenSettings: { cas_required: true, delete_version_after: "23h30m0s" },
};

/** Gives the accounts in the state the inputs that an older program gave them. */
async function makeOlder(): Promise<void> {
  const file = join(lab.world.dir, "older.json");
  await done(pulumi("stack", "export", "--file", file));
  const state = JSON.parse(readFileSync(file, "utf8")) as State;
  const accounts = state.deployment.resources.filter(({ type }) => type.endsWith(":Password"));
  expect(accounts).toHaveLength(2);
  for (const { inputs, outputs } of accounts) {
    Object.assign(inputs, olderInputs);
    Object.assign(outputs, olderInputs);
  }
  writeFileSync(file, JSON.stringify(state));
  await done(pulumi("stack", "import", "--file", file));
}

interface State {
  deployment: { resources: { type: string; inputs: Data; outputs: Data }[] };
}

test("an older state, or one of other code: no reason for a change, today's code runs", async () => {
  await makeOlder();
  const shim = join(lab.program, "providers", "apisecPassword.ts");
  const methods = join(lab.program, "providers", "passwordMethods.ts");
  const [oldShim, oldMethods] = [readFileSync(shim, "utf8"), readFileSync(methods, "utf8")];
  writeFileSync(shim, oldShim.replace("stays as it is", "stays where it is"));
  writeFileSync(methods, oldMethods.replace("recordVersion: read.version", "recordVersion: 4711"));
  await lab.apisec("DELETE", "requests");
  await build();
  await expectNoChanges();
  expect(summary(await up())).toMatch(/^Resources: \d+ unchanged/);
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
  await done(pulumi("refresh", ...quiet));
  expect(await done(pulumi("stack", "export"))).toContain('"recordVersion": 4711');
  writeFileSync(shim, oldShim);
  writeFileSync(methods, oldMethods);
  await build();
});

const build = () =>
  done(run(process.execPath, ["build/build.mjs"], { cwd: lab.program, env: lab.env }));

test("a renamed account takes its record along; nothing changes at APIsec", async () => {
  const before = await recordOf(lab, "scanner");
  await configure(scan);
  const said = await up();
  expect(said).toMatch(/Password scanner deleted .*\[retain\]/);
  expect((await recordOf(lab, "scan")).data).toEqual(before.data);
  expect(await recordOf(lab, "scanner")).toEqual(before);
  expect((await lab.asRoot("GET", "apisec/data/scan/token")).status).toBe(200);
});

test("removed from config and added again: the password is kept and used again", async () => {
  const before = await recordOf(lab, "scan");
  await configure(undefined);
  const preview = textOf(await pulumi("preview", "--color", "never"));
  expect(preview).toMatch(/Password scan delete\[retain\]/);
  await up();
  await configure(scan);
  await up();
  expect(await recordOf(lab, "scan")).toEqual(before);
  const { body } = await lab.asRoot("GET", "apisec/metadata/scan/password");
  expect(body).toMatchObject({ data: { cas_required: true, max_versions: 10 } });
});

test("another host for the same accounts: the records follow, the passwords stay", async () => {
  const before = await recordOf(lab, "scan");
  const host = lab.world.apisec.url.replace("127.0.0.1", "localhost");
  expect(host).not.toBe(before.data["host"]);
  await configure(scan, { apisecUrl: host });
  await up();
  const after = await recordOf(lab, "scan");
  expect(after.data).toEqual({ ...before.data, host });
  expect(after.version).toBe(before.version + 1);
  expect(await changes()).toBe(0);
});

test("another user name under the same account name is refused before any login", async () => {
  const before = await recordOf(lab, "scan");
  const apisecUrl = String(before.data["host"]);
  await lab.apisec("DELETE", "requests");
  await configure({ ...scan, username: "other@acme.example" }, { apisecUrl });
  const refused = await pulumi("up", ...quiet);
  expect(refused.code).not.toBe(0);
  expect(textOf(refused)).toContain(
    "Account scan has a record of another account at apisec/scan/password: username is scanner@acme.example, config says other@acme.example. Give the new account a name of its own, or set the config back.",
  );
  expect(await recordOf(lab, "scan")).toEqual(before);
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
  await configure(scan, { apisecUrl });
});

/** The stacks that the marks of these records name. */
async function ownersOf(...names: string[]): Promise<(string | undefined)[]> {
  return Promise.all(
    names.map(async (name) => {
      const { body } = await lab.asRoot("GET", `apisec/metadata/${name}/password`);
      const { owner } = (body as { data: { custom_metadata: { owner: string } } }).data
        .custom_metadata;
      return /^apisec-credentials\/(\S+) for \S+\/\d+$/.exec(owner)?.[1];
    }),
  );
}

async function tokenOf(...policies: string[]): Promise<string> {
  const body = { policies, no_default_policy: true, no_parent: true, ttl: "1h" };
  const answer = await lab.asRoot("POST", "auth/token/create", body);
  return (answer.body as { auth: { client_token: string } }).auth.client_token;
}

test("a renamed stack: its mounts are handed over, policies and role get its name", async () => {
  const before = [await recordOf(lab, "admin"), await recordOf(lab, "scan")];
  const apisecUrl = before[0]?.data["host"];
  await done(pulumi("stack", "rename", "next"));
  stackName = "next";
  await configure(scan, { apisecUrl });
  const refused = textOf(await pulumi("preview", "--color", "never"));
  const commands = [
    ...refused.matchAll(/former name: `vault (\S+) tune -description="(.*)" (\S+)\/`/g),
  ];
  expect(commands.map(([, kind, , path]) => [kind, path])).toEqual([
    ["secrets", "apisec"],
    ["auth", "gitlab"],
  ]);
  for (const [, kind, description, path] of commands) {
    const mount = kind === "auth" ? `auth/${path}` : path;
    await lab.asRoot("POST", `sys/mounts/${mount}/tune`, { description });
  }
  const told = textOf(await pulumi("preview", "--color", "never"));
  expect(told).toMatch(
    /\.gitlab-ci\.yml in project platform\/apisec-rotation does not begin with "# managed by apisec-credentials\/next for (\S+\/\d+)" but with "# managed by apisec-credentials\/dev for \1"/,
  );
  const path = "repository/files/.gitlab-ci.yml";
  const file = await (await lab.gitlab("GET", `${path}/raw?ref=main`)).text();
  const content = file.replace("apisec-credentials/dev", "apisec-credentials/next");
  await lab.gitlab("PUT", path, { branch: "main", content, commit_message: "Handed over" });
  // The old name's policies and role are taken away with the old name's rights.
  lab.env["VAULT_TOKEN"] = await tokenOf("apisec-dev-deployer", "apisec-next-deployer");
  await up();
  expect([await recordOf(lab, "admin"), await recordOf(lab, "scan")]).toEqual(before);
  expect(await ownersOf("admin", "scan")).toEqual(["next", "next"]);
  for (const path of [
    "sys/policies/acl/apisec-NAME-rotator",
    "auth/gitlab/role/apisec-NAME-rotator",
  ]) {
    expect((await lab.asRoot("GET", path.replace("NAME", "dev"))).status).toBe(404);
    expect((await lab.asRoot("GET", path.replace("NAME", "next"))).status).toBe(200);
  }
  await configure(scan, { apisecUrl });
  await expectNoChanges();
});

const everything = async () => ({
  managed: await managedBy(lab, "next", ["admin", "scan"]),
  passwords: [await recordOf(lab, "admin"), await recordOf(lab, "scan")],
});

test("a lost state: adopt lists what is there, and up then changes none of it", async () => {
  const before = await everything();
  await done(pulumi("stack", "rm", "--yes", "--force", "--preserve-config"));
  await done(pulumi("stack", "init", "next"));
  const said = await done(
    run(process.execPath, ["cli/bin.js", "adopt", "--stack", "next"], {
      cwd: lab.program,
      env: lab.env,
    }),
  );
  expect(said.match(/^(Policy|Auth|Project|Pipeline)\w* +\S+$/gm)).toHaveLength(11);
  const command = /^ {2}pulumi (import .*)$/m.exec(said)?.[1] ?? "";
  expect(await everything()).toEqual(before);
  await done(pulumi(...command.split(" "), ...quiet));
  await lab.apisec("DELETE", "requests");
  await up();
  expect(await everything()).toEqual(before);
  expect(await changes()).toBe(0);
  await expectNoChanges();
});

test("a record that another stack has taken is left to it; the printed command hands it over", async () => {
  const before = await everything();
  const path = "apisec/metadata/scan/password";
  const { body } = await lab.asRoot("GET", path);
  const { data } = body as { data: { custom_metadata: Record<string, string> } };
  const mark = data.custom_metadata;
  const owner = mark["owner"]?.replace("/next for", "/former for");
  // A mark that speaks of another version than the newest: there is work, whoever does it.
  const version = `${Number(mark["version"]) + 1}`;
  await lab.asRoot("POST", path, { custom_metadata: { ...mark, owner, version } });
  await lab.apisec("DELETE", "requests");
  const refused = textOf(await pulumi("up", "--refresh", ...quiet));
  expect(refused).toContain(`Account scan has a record that belongs to "${owner}"`);
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
  const command = /`vault (kv metadata patch [^`]*)`/.exec(refused)?.[1] ?? "";
  const { address, rootToken } = lab.world.vault;
  const env = { ...lab.env, VAULT_ADDR: address, VAULT_TOKEN: rootToken };
  await done(run("bash", ["-c", `bao ${command}`], { env }));
  await up();
  expect(await ownersOf("scan")).toEqual(["next"]);
  expect(await everything()).toEqual(before);
  expect(await changes()).toBe(0);

  // Or all of a stack's at once.
  await lab.asRoot("POST", path, { custom_metadata: { ...mark, owner } });
  const args = ["cli/bin.js", "policy", "--stack", "next", "--hand-over", String(owner)];
  const printed = await done(run(process.execPath, args, { cwd: lab.program, env }));
  expect(printed.trim()).toBe(`vault ${command}`);
  await done(run("sh", ["-c", printed.replace(/^vault/, "bao")], { env }));
  expect(await ownersOf("scan")).toEqual(["next"]);
});

test("destroy keeps mount and passwords and says so; up takes them up again", async () => {
  const before = [await recordOf(lab, "admin"), await recordOf(lab, "scan")];
  const said = await destroy();
  for (const name of ["admin", "scan"]) {
    expect(said).toMatch(new RegExp(`Password ${name} deleted .*\\[retain\\]`));
  }
  expect((await lab.asRoot("GET", "sys/auth/gitlab")).status).toBe(400);
  expect([await recordOf(lab, "admin"), await recordOf(lab, "scan")]).toEqual(before);

  // A CI variable that somebody has made by hand since: GitLab would refuse ours in the middle of `up`.
  const byHand = { key: "VAULT_ADDR", value: "x", environment_scope: "apisec/next" };
  await lab.gitlab("POST", "variables", byHand);
  const refused = textOf(await pulumi("up", ...quiet));
  expect(refused).toContain("nothing was touched");
  expect(refused).toContain("CI variable VAULT_ADDR of environment apisec/next");
  expect((await lab.asRoot("GET", "sys/policies/acl/apisec-next-rotator")).status).toBe(404);
  const fix = /`(glab api -X DELETE [^`]*)`/.exec(refused)?.[1] ?? "";
  expect(summary(await followFix(lab, fix))).toContain("1 imported");
  expect([await recordOf(lab, "admin"), await recordOf(lab, "scan")]).toEqual(before);
  await expectNoChanges();
});

test("destroy can be repeated; what it keeps is really removed with the mount", async () => {
  await destroy();
  await destroy();
  expect((await lab.asRoot("GET", "apisec/data/scan/password")).status).toBe(200);
  await lab.asRoot("DELETE", "sys/mounts/apisec");
  expect((await lab.asRoot("GET", "apisec/data/scan/password")).status).toBe(404);
});
