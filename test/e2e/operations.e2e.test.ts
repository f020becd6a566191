import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "../../lab/process";
import type { RunResult } from "../../lab/process";
import { rotationProject, tokenWith } from "../../lab/world";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLive } from "../support/managed";
import { stepsOf } from "../support/runbook";
import type { Step } from "../support/runbook";

const steps = stepsOf(join(__dirname, "..", "..", "docs", "operations.md"));
const [byOther, bySupport] = ["Set-by-somebody-1", "Set-by-support-1"];
const newProject = `${rotationProject}-eu`;

let lab: TestLab;
/** What a block's `asks for` is answered with. */
let answers: Record<string, string>;
let mount = "apisec";
/** What the last command that may fail has said. */
let said = "";

/** The commands of a step as its reader would run them. */
function follow({ who, commands }: Step): Promise<RunResult> {
  const asked = /asks for (\S+)/.exec(who)?.[1];
  return bash(commands, who, asked === undefined ? undefined : answers[asked]);
}

async function bash(commands: string, who: string, input?: string): Promise<RunResult> {
  const token = await tokenOf(who);
  return run("bash", ["--norc", "-euo", "pipefail", "-c", commands], {
    cwd: lab.program,
    env: { ...lab.env, VAULT_TOKEN: token, PULUMI_STACK: "prod" },
    timeoutMs: 240_000,
    ...(input === undefined ? {} : { input }),
  });
}

function tokenOf(who: string): Promise<string> | string {
  if (who.startsWith("Vault's admin")) return lab.world.vault.rootToken;
  if (who.startsWith("the organisation's admin")) {
    return tokenWith(lab.world.vault, "apisec-prod-admin", undefined, "5m");
  }
  for (const machine of ["deployer", "monitor"]) {
    if (new RegExp(`^(the|a) ${machine}\\b`).test(who)) return handedOver(machine);
  }
  throw new Error(`Nobody is called ${who}`);
}

/** Read before the file is removed, as its holder would. */
const handed = new Map<string, string>();
function handedOver(machine: string): string {
  for (const one of handed.size > 0 ? [] : ["deployer", "monitor"]) {
    const file = join(lab.env["HOME"] ?? "", `apisec-prod-${one}`);
    handed.set(one, readFileSync(file, "utf8").trim());
  }
  return handed.get(machine) ?? "";
}

async function passwordOf(name: string): Promise<Record<string, unknown>> {
  const { body } = await lab.asRoot("GET", `${mount}/data/${name}/password`);
  return (body as { data: { data: Record<string, unknown> } }).data.data;
}

async function expectInOrder(generation: number): Promise<void> {
  const record = await passwordOf("scanner");
  expect(record).toMatchObject({ generation });
  expect(record).not.toHaveProperty("pending_password");
  expect(await isLive(lab, "scanner", record["password"])).toBe(true);
}

const tokenStatus = async () => (await lab.asRoot("GET", `${mount}/data/scanner/token`)).status;
const setPassword = (password: string) =>
  lab.apisec("POST", "accounts/scanner@acme.example/password", { password });
const deleteToken = () => lab.asRoot("DELETE", `${mount}/data/scanner/token`);

/** As if a quarter of an hour had passed since APIsec refused the last login: `up` sends none until then. */
async function letTheHoldPass(): Promise<void> {
  const path = `${mount}/metadata/scanner/password`;
  const { body } = await lab.asRoot("GET", path);
  const mark = (body as { data: { custom_metadata: Record<string, string> } }).data.custom_metadata;
  const before = Date.parse(mark["refused_at"] ?? "") - 15 * 60_000;
  const refused_at = new Date(before).toISOString();
  await lab.asRoot("POST", path, { custom_metadata: { ...mark, refused_at } });
}

/** GitLab's REST API, as the owner of the rotation project's token or of another. */
async function gitlabApi(
  method: string,
  path: string,
  body?: object,
  token = lab.world.secrets.gitlabToken,
): Promise<Record<string, unknown>> {
  const answer = await fetch(`${lab.world.gitlab.url}/api/v4/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  return (await answer.json()) as Record<string, unknown>;
}

/** Makes the new owner a Maintainer of a project. */
async function addMaintainer(project: string): Promise<void> {
  const { id } = await gitlabApi("GET", "user", undefined, newOwner.token);
  const path = `projects/${encodeURIComponent(project)}/members`;
  await gitlabApi("POST", path, { user_id: id, access_level: 40 });
}

async function createProject(path: string): Promise<void> {
  const known = await gitlabApi("GET", `projects/${encodeURIComponent(rotationProject)}`);
  await gitlabApi("POST", "projects", {
    path: path.split("/").at(-1),
    namespace_id: (known["namespace"] as { id: number }).id,
    visibility: "private",
  });
  await gitlabApi("PUT", `projects/${encodeURIComponent(path)}`, {
    ci_pipeline_variables_minimum_override_role: "no_one_allowed",
  });
  await gitlabApi("POST", `projects/${encodeURIComponent(path)}/repository/files/README.md`, {
    branch: "main",
    content: "",
    commit_message: "Begin",
  });
}

/** `up` that has to stop, as the text before a step says. */
async function stoppedUp(): Promise<void> {
  const { code, stdout, stderr } = await bash("pulumi up", "the deployer");
  expect(code).not.toBe(0);
  said = stdout + stderr;
}

interface Hooks {
  /** What has happened, by the number of the section's step. */
  before?: Record<number, () => Promise<unknown>>;
  /** What the reader has then, after the section's last step. */
  after: (printed: string[]) => Promise<unknown>;
}

const sections: Record<string, Hooks> = {
  "Tokens for the deployer and the monitor": {
    before: {
      1: async () => {
        for (const [account, password] of Object.entries(lab.world.secrets.firstPasswords)) {
          const set = `pulumi config set --secret --path firstPasswords.${account}`;
          await done(bash(set, "the deployer", password));
        }
        await done(bash("pulumi up && pulumi config rm firstPasswords", "the deployer"));
        handedOver("monitor");
      },
    },
    after: async () => {
      await expectInOrder(1);
      expect(await tokenStatus()).toBe(200);
    },
  },
  "Daily checks": {
    before: { 0: async () => lab.runSchedule(await scheduleId()) },
    after: async () => expectInOrder(1),
  },
  "Break-glass: reading a password": {
    after: async ([printed = ""]) => {
      expect(printed).toContain(String((await passwordOf("scanner"))["password"]));
    },
  },
  "Rotate a password": { after: async () => expectInOrder(2) },
  "Rotate a token now": {
    before: { 0: deleteToken },
    after: async () => expect(await tokenStatus()).toBe(200),
  },
  "Account locked": {
    before: {
      0: async () => {
        const action = { status: 423, body: { message: "User account is locked" } };
        await lab.apisec("POST", "faults", [{ match: { kind: "login" }, times: 100, action }]);
        const { status, trace } = await lab.runSchedule(await scheduleId());
        expect([status, trace]).toEqual(["failed", expect.stringContaining("423")]);
        await lab.apisec("DELETE", "faults");
      },
    },
    after: async () => {
      await expectInOrder(2);
      expect(await tokenStatus()).toBe(200);
    },
  },
  "A password was changed outside": {
    before: {
      0: async () => {
        await setPassword(byOther);
        const { status, trace } = await lab.runSchedule(await scheduleId());
        expect([status, trace]).toEqual(["failed", expect.stringContaining("refuse")]);
      },
      1: async () => {
        await expectInOrder(3);
        await setPassword(bySupport);
        await deleteToken();
        await bash("pulumi config set --path 'accounts[1].passwordGeneration' 4", "the deployer");
        await stoppedUp();
        expect(said).toMatch(
          /Account scanner .*set the password they give you with `pulumi config set --secret --path 'firstPasswords\.scanner' --stack prod`/,
        );
        answers = { scanner: bySupport };
      },
      2: async () => {
        await stoppedUp();
        expect(said).toMatch(/no login is sent before \d{4}-.*Z/);
        await letTheHoldPass();
      },
    },
    after: async () => {
      await expectInOrder(4);
      expect(await tokenStatus()).toBe(200);
    },
  },
  "The schedule's owner has left": {
    before: {
      0: async () => {
        await gitlabLab("users", { username: "new-owner", tokens: [{ token: newOwner.token }] });
        await addMaintainer(rotationProject);
        await gitlabLab(`users/rotation-bot/block`);
        lab.env["GITLAB_TOKEN"] = newOwner.token;
      },
      1: async () => {
        await gitlabLab(`users/rotation-bot/unblock`);
        const { status } = await lab.runSchedule(await scheduleId());
        expect(status).toBe("success");
      },
    },
    after: async () => {
      const [schedule] = (await (await lab.gitlab("GET", "pipeline_schedules")).json()) as object[];
      expect(schedule).toMatchObject({ active: true, owner: { username: "new-owner" } });
    },
  },
  "Vault restored from a backup": {
    before: {
      0: async () => {
        const backup = join(lab.program, "..", "vault.snap");
        await done(bash(`bao operator raft snapshot save ${backup}`, "Vault's admin"));
        await done(
          bash(
            "pulumi config set --path 'accounts[1].passwordGeneration' 5; pulumi up",
            "the deployer",
          ),
        );
        await done(bash(`bao operator raft snapshot restore -force ${backup}`, "Vault's admin"));
      },
    },
    after: async () => {
      await expectInOrder(5);
      expect(await tokenStatus()).toBe(200);
    },
  },
  "Moving to another mount": {
    after: async () => {
      mount = "apisec-eu";
      await expectInOrder(5);
      const { status } = await lab.runSchedule(await scheduleId());
      expect(status).toBe("success");
    },
  },
  "Moving to another GitLab project": {
    before: {
      0: async () => {
        await createProject(newProject);
        await addMaintainer(newProject);
      },
    },
    after: async () => {
      const { stdout } = await done(bash("pulumi stack output scheduleId", "the deployer"));
      const path = `projects/${encodeURIComponent(newProject)}/schedules/${stdout.trim()}/run`;
      const ran = await gitlabLab(`${path}?wait=true`);
      expect(ran).toMatchObject({ status: "success" });
    },
  },
  Upgrade: {
    after: async ([, applied = ""]) => {
      expect(applied).toMatch(/Resources:\n +\d+ unchanged/);
      await expectInOrder(5);
    },
  },
  Leaving: {
    after: async () => {
      expect((await lab.asRoot("GET", `sys/mounts/${mount}`)).status).toBe(400);
    },
  },
};

const newOwner = { token: "glpat-new-owner-0001" };

async function gitlabLab(path: string, body: object = {}): Promise<unknown> {
  const answer = await fetch(`${lab.world.gitlab.url}/-/lab/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function scheduleId(): Promise<number> {
  const { stdout } = await done(bash("pulumi stack output scheduleId", "the deployer"));
  return Number(stdout);
}

async function done(result: Promise<RunResult>): Promise<RunResult> {
  const { code, stdout, stderr } = await result;
  const noise = /^.*(using pulumi-\S+ from \$PATH|^@ ).*$\n/gm;
  if (code !== 0) throw new Error((stdout + stderr).replaceAll(noise, ""));
  return { code, stdout, stderr };
}

beforeAll(async () => {
  lab = await startTestLab();
  const bin = join(lab.program, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "vault"), '#!/bin/sh\nexec bao "$@"\n');
  chmodSync(join(bin, "vault"), 0o755);
  lab.env["PATH"] = [bin, lab.env["PATH"]].join(delimiter);
  lab.env["PULUMI_SKIP_CONFIRMATIONS"] = "true";
  lab.writeConfig("prod", devConfig(lab.world));
  const made = await lab.pulumi(["stack", "init", "prod"]);
  if (made.code !== 0) throw new Error(made.stderr);
});

afterAll(() => lab.stop());

test("every section with commands is followed", () => {
  expect(Object.keys(sections)).toEqual([...new Set(steps.map(({ section }) => section))]);
});

test.each(Object.entries(sections))("%s", async (section, { before = {}, after }) => {
  const printed: string[] = [];
  const own = steps.filter((step) => step.section === section);
  for (const [number, step] of own.entries()) {
    await before[number]?.();
    printed.push((await done(follow(step))).stdout);
  }
  await after(printed);
});
