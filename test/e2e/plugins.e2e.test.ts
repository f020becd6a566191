import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import * as command from "@pulumi/command";
import * as gitlab from "@pulumi/gitlab";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, type Stack } from "@pulumi/pulumi/automation";
import * as vault from "@pulumi/vault";
import { baoRequest, startOpenBao, type OpenBao } from "../../lab/openbao";
import { buildStandIns } from "../../lab/plugins/build";
import { findExecutable } from "../../lab/process";
import { ensureTools } from "../../lab/tools";

const folder = mkdtempSync(join(tmpdir(), "plugins-e2e-"));
const processes: ChildProcess[] = [];
const gitlabToken = "glpat-e2e-token";
const canary = "canary-3f9c1d";

const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = publicKey.export({ type: "spki", format: "pem" }).toString().trim();

let bao: OpenBao;
let gitlabUrl: string;
let stack: Stack;

/** What the program below leaves open. */
const settings = { keys: { jwtValidationPubkeys: [pem] } as vault.jwt.AuthBackendArgs, run: 1 };

async function program() {
  const mount = new vault.Mount("mount", { path: "apisec", type: "kv", options: { version: "2" } });
  const policy = new vault.Policy("policy", {
    name: "developer",
    policy: pulumi.interpolate`path "${mount.path}/data/*" { capabilities = ["read"] }`,
  });
  const auth = new vault.jwt.AuthBackend("auth", {
    path: "gitlab",
    boundIssuer: gitlabUrl,
    ...settings.keys,
  });
  const role = new vault.jwt.AuthBackendRole("role", {
    backend: pulumi.interpolate`${auth.path}`,
    roleName: "rotator",
    roleType: "jwt",
    userClaim: "project_id",
    boundAudiences: ["http://vault"],
    boundClaims: { project_id: "1", ref: "main" },
    tokenPolicies: [policy.name],
    tokenTtl: 600,
    tokenNoDefaultPolicy: true,
  });
  new vault.generic.Endpoint("limits", {
    path: pulumi.interpolate`${mount.path}/metadata/scanner/token`,
    dataJson: JSON.stringify({ cas_required: true, delete_version_after: "23h30m0s" }),
    ignoreAbsentFields: true,
  });

  const project = await gitlab.getProject({ pathWithNamespace: "sec/rotator.x" });
  new gitlab.ProjectVariable("variable", {
    project: project.id,
    key: "SECRET",
    value: pulumi.secret(canary),
    protected: true,
  });
  new gitlab.RepositoryFile("file", {
    project: project.id,
    branch: project.defaultBranch,
    filePath: ".gitlab-ci.yml",
    content: "rotate: {script: [node rotate.mjs]}\n",
    encoding: "text",
    commitMessage: "Deliver the pipeline [skip ci]",
  });
  const schedule = new gitlab.PipelineSchedule("schedule", {
    project: project.id,
    description: "rotate",
    ref: "refs/heads/main",
    cron: "17 */6 * * *",
    takeOwnership: true,
  });

  const greeting = new command.local.Command(
    "greeting",
    {
      create: 'echo "hello $NAME"',
      environment: { NAME: pulumi.secret(canary) },
      logging: "none",
      triggers: [settings.run],
    },
    { dependsOn: role, additionalSecretOutputs: ["stdout"] },
  );
  return {
    accessor: auth.accessor,
    scheduleId: schedule.pipelineScheduleId,
    owner: schedule.owner,
    greeting: greeting.stdout,
  };
}

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
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    VAULT_ADDR: bao.address,
    VAULT_CACERT: bao.caFile ?? "",
    VAULT_TOKEN: bao.rootToken,
    GITLAB_BASE_URL: gitlabUrl,
    GITLAB_TOKEN: gitlabToken,
  };
  stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "e2e", projectName: "plugins", program },
    {
      envVars,
      pulumiHome: folder,
      projectSettings: {
        name: "plugins",
        runtime: "nodejs",
        backend: { url: `file://${folder}` },
      },
    },
  );
});

afterAll(async () => {
  await Promise.all([bao.stop(), ...processes.map(stop)]);
  rmSync(folder, { recursive: true, force: true });
});

test("up makes everything, and a second look finds nothing to do", async () => {
  const { summary, outputs } = await stack.up();
  expect(summary.resourceChanges).toEqual({ create: 10 });
  expect(outputs).toMatchObject({
    owner: { value: 1 },
    greeting: { value: `hello ${canary}`, secret: true },
  });

  expect(await fromVault("auth/gitlab/role/rotator")).toMatchObject({
    role_type: "jwt",
    bound_claims: { project_id: "1", ref: "main" },
    token_policies: ["developer"],
    token_ttl: 600,
  });
  expect(await fromVault("apisec/metadata/scanner/token")).toMatchObject({ cas_required: true });
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

  expect((await stack.preview({ expectNoChanges: true })).changeSummary).toEqual({ same: 10 });
  expect((await stack.refresh({ expectNoChanges: true })).summary.resourceChanges).toEqual({
    same: 10,
  });
});

test("secrets are nowhere in the state", () => {
  const state = readFileSync(join(folder, ".pulumi/stacks/plugins/e2e.json"), "utf8");
  expect(state).toContain("gitlab:index/projectVariable:ProjectVariable");
  expect(state).not.toContain(canary);
  expect(state).not.toContain(gitlabToken);
  expect(state).not.toContain(bao.rootToken);
});

test("drift made by hand shows, and the next up mends it", async () => {
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
  await askVault("PUT", "apisec/metadata/scanner/token", { cas_required: false });
  await fromGitlab("PUT", "variables/SECRET", { value: "theirs", protected: false });
  const [schedule] = (await fromGitlab("GET", "pipeline_schedules")) as { id: number }[];
  await fromGitlab("PUT", `pipeline_schedules/${schedule?.id}`, { cron: "0 0 1 1 *" });

  const seen = await stack.preview({ refresh: true, diff: true });
  expect(seen.changeSummary).toEqual({ update: 5, same: 5 });
  expect(seen.stdout).toContain('cron: "0 0 1 1 *" => "17 */6 * * *"');
  expect(seen.stdout).toContain('project_id: "666" => "1"');
  expect(seen.stdout).not.toContain("theirs");

  const { summary } = await stack.up({ refresh: true });
  expect(summary.resourceChanges).toEqual({ update: 5, same: 5 });
  expect(await fromVault("auth/gitlab/role/rotator")).toMatchObject({
    bound_claims: { project_id: "1", ref: "main" },
    bound_subject: "",
    token_policies: ["developer"],
  });
  expect(await fromVault("apisec/metadata/scanner/token")).toMatchObject({ cas_required: true });
  expect(await fromGitlab("GET", "variables/SECRET")).toMatchObject({
    value: canary,
    protected: true,
  });
  await stack.preview({ refresh: true, expectNoChanges: true });
});

test("what was deleted by hand comes back", async () => {
  await askVault("DELETE", "auth/gitlab/role/rotator");
  await fromGitlab("DELETE", "variables/SECRET");
  const { summary } = await stack.up({ refresh: true });
  expect(summary.resourceChanges).toEqual({ create: 2, same: 8 });
  expect(await fromVault("auth/gitlab/role/rotator")).toMatchObject({ token_ttl: 600 });
});

test("a changed trigger runs the command anew", async () => {
  settings.run = 2;
  const { summary } = await stack.up();
  expect(summary.resourceChanges).toEqual({ replace: 1, same: 9 });
});

test("a change that failed half-way is finished by the next up", async () => {
  settings.keys = { oidcDiscoveryUrl: "http://127.0.0.1:1" };
  await expect(stack.up()).rejects.toThrow("error checking oidc discovery URL");
  settings.keys = { jwtValidationPubkeys: [pem], description: "mended" };
  const { summary } = await stack.up();
  expect(summary.resourceChanges).toEqual({ update: 1, same: 9 });
  expect(await fromVault("sys/auth/gitlab")).toMatchObject({ description: "mended" });
});

test("destroy leaves nothing behind", async () => {
  const { summary } = await stack.destroy();
  expect(summary.resourceChanges).toEqual({ delete: 10 });
  expect(await fromVault("sys/mounts/apisec")).toBeUndefined();
  expect(await fromVault("sys/policies/acl/developer")).toBeUndefined();
  expect(await fromGitlab("GET", "pipeline_schedules")).toEqual([]);
  expect(await fromGitlab("GET", "variables")).toEqual([]);
});

async function askVault(method: string, path: string, body?: object): Promise<unknown> {
  const ca = bao.caFile === undefined ? undefined : readFileSync(bao.caFile);
  return (await baoRequest(bao.address, bao.rootToken, method, path, body, ca)).body;
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
      ...["-r", "ts-node/register", "-e"],
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
