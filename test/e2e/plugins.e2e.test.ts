import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { LocalWorkspace, type Stack, type UpOptions } from "@pulumi/pulumi/automation";
import { startOpenBao, type OpenBao } from "../../lab/openbao";
import { buildStandIns } from "../../lab/plugins/build";
import { findExecutable } from "../../lab/process";
import { ensureTools } from "../../lab/tools";
import type { ProgramSettings } from "../support/pluginsProgram";

const folder = mkdtempSync(join(tmpdir(), "plugins-e2e-"));
const processes: ChildProcess[] = [];
const gitlabToken = "glpat-e2e-token";
const canary = "canary-3f9c1d";

const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = publicKey.export({ type: "spki", format: "pem" }).toString().trim();

const unreachable = { oidcDiscoveryUrl: "http://127.0.0.1:1" };

let bao: OpenBao;
let gitlabUrl: string;
let stack: Stack;

/** What the program leaves open. */
const settings: ProgramSettings = {
  issuer: "https://gitlab.example.com",
  secret: canary,
  keys: { jwtValidationPubkeys: [pem] },
  run: 1,
};

beforeAll(async () => {
  const tools = await ensureTools();
  await buildStandIns(["vault", "gitlab", "command"], folder);
  const path = [folder, ...tools.path, process.env.PATH].join(delimiter);
  process.env.PATH = path;
  await Promise.all([startVault(path), startLabGitlab()]);
  const envVars = {
    PATH: path,
    HOME: folder,
    PULUMI_CONFIG_PASSPHRASE: "e2e",
    LAB_PLUGIN_WAITS: "0.02",
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    PULUMI_NODEJS_TRANSPILE_ONLY: "true",
    VAULT_ADDR: bao.address,
    VAULT_CACERT: bao.caFile ?? "",
    VAULT_TOKEN: bao.rootToken,
    GITLAB_BASE_URL: gitlabUrl,
    GITLAB_TOKEN: gitlabToken,
  };
  stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "e2e", workDir: folder },
    {
      envVars,
      pulumiHome: folder,
      projectSettings: {
        name: "plugins",
        runtime: "nodejs",
        main: relative(folder, join(__dirname, "../support/pluginsProgram.ts")),
        backend: { url: `file://${folder}` },
      },
    },
  );
});

afterAll(async () => {
  await Promise.all([bao.stop(), ...processes.map(stop)]);
  rmSync(folder, { recursive: true, force: true });
});

/** Runs `up` of the program with changed settings. */
function up(changed: Partial<ProgramSettings> = {}, options: UpOptions = {}) {
  Object.assign(settings, changed);
  stack.workspace.envVars.PROGRAM_SETTINGS = JSON.stringify(settings);
  return stack.up(options);
}

test("up makes everything, and a second look finds nothing to do", async () => {
  const { summary, outputs } = await up();
  expect(summary.resourceChanges).toEqual({ create: 9 });
  expect(outputs).toMatchObject({
    owner: { value: 1 },
    groupId: { value: 2 },
    greeting: { value: `hello ${canary}`, secret: true },
  });

  expect(await fromVault("auth/gitlab/role/rotator")).toMatchObject({
    role_type: "jwt",
    bound_claims: { project_id: ["1"], ref: ["main"] },
    token_policies: ["developer"],
    token_ttl: 600,
  });
  expect(await fromGitlab("GET", "variables/SECRET")).toMatchObject({
    value: canary,
    protected: true,
    environment_scope: "*",
  });
  expect(await fromGitlab("GET", `pipeline_schedules/${outputs.scheduleId?.value}`)).toMatchObject({
    ref: "refs/heads/main",
    cron: "17 */6 * * *",
  });
  expect(await fromGitlab("GET", "repository/files/.gitlab-ci.yml?ref=main")).toMatchObject({
    content: Buffer.from("rotate: {script: [node rotate.mjs]}\n").toString("base64"),
  });

  expect((await stack.preview({ expectNoChanges: true })).changeSummary).toEqual({ same: 9 });
  expect((await stack.refresh({ expectNoChanges: true })).summary.resourceChanges).toEqual({
    same: 9,
  });
});

test("secrets are nowhere in the state", () => {
  const state = readFileSync(join(folder, ".pulumi/stacks/plugins/e2e.json"), "utf8");
  expect(state).toContain("gitlab:index/projectVariable:ProjectVariable");
  expect(state).not.toContain(canary);
  expect(state).not.toContain(gitlabToken);
  expect(state).not.toContain(bao.rootToken);
});

test("drift made by hand shows, and the next up restores it", async () => {
  await askVault("PUT", "auth/gitlab/role/rotator", {
    user_claim: "project_id",
    role_type: "jwt",
    bound_audiences: ["http://vault"],
    bound_claims: { project_id: "666" },
    token_policies: ["root"],
    bound_subject: "added",
  });
  await askVault("PUT", "sys/policies/acl/developer", {
    policy: 'path "*" { capabilities = ["sudo"] }',
  });
  await fromGitlab("PUT", "variables/SECRET", { value: "theirs", protected: false });
  const [schedule] = (await fromGitlab("GET", "pipeline_schedules")) as { id: number }[];
  await fromGitlab("PUT", `pipeline_schedules/${schedule?.id}`, { cron: "0 0 1 1 *" });

  const seen = await stack.preview({ refresh: true, diff: true });
  expect(seen.changeSummary).toEqual({ update: 4, same: 5 });
  expect(seen.stdout).toContain('cron: "0 0 1 1 *" => "17 */6 * * *"');
  expect(seen.stdout).toContain('project_id: "666" => "1"');
  expect(seen.stdout).not.toContain("theirs");

  const { summary } = await up({}, { refresh: true });
  expect(summary.resourceChanges).toEqual({ update: 4, same: 5 });
  expect(await fromVault("auth/gitlab/role/rotator")).toMatchObject({
    bound_claims: { project_id: ["1"], ref: ["main"] },
    bound_subject: "",
    token_policies: ["developer"],
  });
  expect(await fromGitlab("GET", "variables/SECRET")).toMatchObject({
    value: canary,
    protected: true,
  });
  await stack.preview({ refresh: true, expectNoChanges: true });
});

test("what was deleted by hand comes back", async () => {
  await askVault("DELETE", "auth/gitlab/role/rotator");
  await fromGitlab("DELETE", "variables/SECRET");
  const { summary } = await up({}, { refresh: true });
  expect(summary.resourceChanges).toEqual({ create: 2, same: 7 });
  expect(await fromVault("auth/gitlab/role/rotator")).toMatchObject({ token_ttl: 600 });
});

test("a changed trigger runs the command anew", async () => {
  const { summary } = await up({ run: 2 });
  expect(summary.resourceChanges).toEqual({ replace: 1, same: 8 });
});

test("an update that failed is made good by the next up", async () => {
  await expect(up({ keys: unreachable })).rejects.toThrow("error checking oidc discovery URL");
  const keys = { jwtValidationPubkeys: [pem], boundIssuer: "https://other.example" };
  expect((await up({ keys })).summary.resourceChanges).toEqual({ update: 1, same: 8 });
  expect(await fromVault("auth/gitlab/config")).toMatchObject({
    bound_issuer: "https://other.example",
  });
});

test("what was made by half is finished by the next up, not made twice", async () => {
  await expect(up({ otherKeys: unreachable })).rejects.toThrow("error checking oidc discovery");
  const finished = await up({ otherKeys: { jwtValidationPubkeys: [pem] } });
  expect(finished.summary.resourceChanges).toEqual({ update: 1, same: 9 });
  const removed = await up({ otherKeys: undefined });
  expect(removed.summary.resourceChanges).toEqual({ delete: 1, same: 9 });
});

test("a group has our policy beside its own, whatever is done to it by hand", async () => {
  const made = (await askVault("POST", "identity/group", {
    name: "people",
    policies: ["own"],
  })) as {
    data: { id: string };
  };
  const path = `identity/group/id/${made.data.id}`;
  const policies = async () => ((await fromVault(path)) as { policies: string[] }).policies;
  const added = await up({ groupId: made.data.id });
  expect(added.summary.resourceChanges).toEqual({ create: 1, same: 9 });
  expect(await policies()).toEqual(["developer", "own"]);
  await stack.preview({ refresh: true, expectNoChanges: true });
  await askVault("POST", path, { policies: ["theirs"] });
  const restored = await up({}, { refresh: true });
  expect(restored.summary.resourceChanges).toEqual({ update: 1, same: 9 });
  expect(await policies()).toEqual(["developer", "theirs"]);
  const removed = await up({ groupId: undefined });
  expect(removed.summary.resourceChanges).toEqual({ delete: 1, same: 9 });
  expect(await policies()).toEqual(["theirs"]);
});

test("what exists is imported under its official id", async () => {
  await askVault("PUT", "sys/policies/acl/old", { policy: 'path "x" {}' });
  await askVault("PUT", "auth/gitlab/role/old", {
    user_claim: "sub",
    role_type: "jwt",
    bound_audiences: ["a"],
  });
  await fromGitlab("POST", "variables", { key: "OLD", value: "v", environment_scope: "prod" });
  const { id } = (await fromGitlab("POST", "pipeline_schedules", {
    description: "old",
    ref: "refs/heads/main",
    cron: "0 3 * * *",
  })) as { id: number };
  const { summary } = await up({ scheduleToImport: id });
  expect(summary.resourceChanges).toEqual({ import: 4, same: 9 });
  await stack.preview({ refresh: true, expectNoChanges: true });
});

test("destroy leaves nothing behind", async () => {
  const { summary } = await stack.destroy();
  expect(summary.resourceChanges).toEqual({ delete: 13 });
  expect(await fromVault("sys/mounts/apisec")).toBeUndefined();
  expect(await fromVault("sys/policies/acl/developer")).toBeUndefined();
  expect(await fromGitlab("GET", "pipeline_schedules")).toEqual([]);
  expect(await fromGitlab("GET", "variables")).toEqual([]);
});

async function askVault(method: string, path: string, body?: object): Promise<unknown> {
  return (await bao.request(bao.rootToken, method, path, body)).body;
}

/** The `data` of a read; undefined where there is nothing. */
const fromVault = async (path: string): Promise<unknown> =>
  ((await askVault("GET", path)) as { data?: unknown }).data;

async function fromGitlab(method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${gitlabUrl}/api/v4/projects/sec%2Frotator.x/${path}`, {
    method,
    headers: { "PRIVATE-TOKEN": gitlabToken, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  return text === "" ? {} : JSON.parse(text);
}

async function startVault(path: string): Promise<void> {
  const executable = findExecutable("bao", path);
  if (executable === undefined) {
    throw new Error("bao is not on PATH");
  }
  bao = await startOpenBao({ dir: join(folder, "bao"), bao: executable, tls: true });
}

/** In a process of its own: it is written for Node's loader, not for jest's. */
async function startLabGitlab(): Promise<void> {
  const options = {
    dir: join(folder, "gitlab"),
    toolPath: [],
    users: [{ username: "deployer", tokens: [{ token: gitlabToken }] }],
    projects: [{ path: "sec/rotator.x", members: { deployer: "maintainer" } }],
  };
  const child = spawn(
    process.execPath,
    [
      ...["-r", "./build/typescript.js", "-e"],
      `require("./lab/gitlab/server").startGitlab(${JSON.stringify(options)})
        .then(({ url }) => console.log(url))`,
    ],
    { cwd: join(__dirname, "../.."), stdio: ["ignore", "pipe", "inherit"] },
  );
  processes.push(child);
  const [url] = (await once(child.stdout, "data")) as [Buffer];
  gitlabUrl = url.toString().trim();
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.kill()) {
    await once(child, "exit");
  }
}
