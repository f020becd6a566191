import type { RunResult } from "../../lab/process";
import { run } from "../../lab/process";
import { runSchedule } from "../../lab/schedule";
import { rotationProject } from "../../lab/world";
import { idToken, logIn } from "../support/idTokens";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLive, recordOf } from "../support/managed";
import { textOf } from "../support/textOf";

type Json = Record<string, unknown>;

/** A stack of this test: its accounts (the last one's token is published), and where its job lives. */
interface Tenant {
  stack: string;
  accounts: [string, string] | [string];
  project: string;
}

const staging: Tenant = {
  stack: "staging",
  accounts: ["admin", "scanner"],
  project: rotationProject,
};
const prod: Tenant = { stack: "prod", accounts: ["boss", "robot"], project: rotationProject };
const app: Tenant = { stack: "app", accounts: ["worker"], project: "rotation-bot/shop" };

const firstOf = (name: string) => `First-of-${name}`;
const quiet = ["--yes", "--skip-preview", "--color", "never"];

let lab: TestLab;
/** The deployer's token of each stack. */
const deployers: Record<string, string> = {};

function configOf({ stack, accounts, project }: Tenant, more: Json): Json {
  const [first, second] = accounts;
  const username = (name: string) => `${name}@acme.example`;
  return {
    ...devConfig(lab.world),
    gitlabProject: project,
    accounts:
      second === undefined
        ? [{ name: first, username: username(first), acceptAdminToken: true }]
        : [
            { name: first, username: username(first), publishToken: false },
            { name: second, username: username(second), changedBy: first },
          ],
    ...(stack === "staging"
      ? { pipelineFile: "shared", shareMount: true }
      : { pipelineFile: "included", createMount: false, createAuth: false }),
    ...more,
  };
}

/** Writes the stack's config and its deployer's policy. */
async function configure(tenant: Tenant, more: Json = {}, first: Record<string, string> = {}) {
  await lab.stack(tenant.stack, configOf(tenant, more), first);
  deployers[tenant.stack] = lab.env["VAULT_TOKEN"] ?? "";
}

function pulumi({ stack }: Tenant, ...args: string[]): Promise<RunResult> {
  return lab.pulumi(args, { PULUMI_STACK: stack, VAULT_TOKEN: deployers[stack] ?? "" });
}

/** Runs `pulumi` where it must succeed; gives what it printed. */
async function done(tenant: Tenant, ...args: string[]): Promise<string> {
  const result = await pulumi(tenant, ...args);
  if (result.code !== 0) throw new Error(textOf(result));
  return textOf(result);
}

async function gitlab(project: string, method: string, path: string, body?: Json) {
  const { url } = lab.world.gitlab;
  const id = encodeURIComponent(project);
  const answer = await fetch(`${url}/api/v4/projects${id === "" ? "" : `/${id}/${path}`}`, {
    method,
    headers: {
      authorization: `Bearer ${lab.world.secrets.gitlabToken}`,
      ...(body && { "content-type": "application/json" }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, text: await answer.text() };
}

async function listed(project: string, path: string): Promise<Json[]> {
  return JSON.parse((await gitlab(project, "GET", `${path}?per_page=100`)).text) as Json[];
}

const fileOf = async (project: string, path: string) => {
  const file = encodeURIComponent(path);
  const { status, text } = await gitlab(project, "GET", `repository/files/${file}/raw?ref=main`);
  return status === 200 ? text : status;
};

async function put(project: string, path: string, content: string, message = "By hand") {
  const body = { branch: "main", content, commit_message: message };
  const exists = (await fileOf(project, path)) !== 404;
  const file = `repository/files/${encodeURIComponent(path)}`;
  const { status, text } = await gitlab(project, exists ? "PUT" : "POST", file, body);
  if (status > 201) throw new Error(text);
}

async function scheduleOf({ project, stack }: Tenant): Promise<Json> {
  const all = await listed(project, "pipeline_schedules");
  const [schedule] = all.filter(({ description }) => String(description).includes(`/${stack} `));
  return schedule ?? {};
}

async function rotate(tenant: Tenant) {
  // A token of the same second would not expire later than the stored one.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const { id } = await scheduleOf(tenant);
  return runSchedule(lab.world, Number(id), tenant.project);
}

const pathsOf = ({ stack, accounts }: Tenant) => [
  ...["admin", "developer", "rotator"].map((name) => `sys/policies/acl/apisec-${stack}-${name}`),
  `auth/gitlab/role/apisec-${stack}-rotator`,
  ...accounts.flatMap((name) =>
    ["data", "metadata"].flatMap((kind) =>
      ["password", "token"].map((key) => `apisec/${kind}/${name}/${key}`),
    ),
  ),
];

/** All that is a stack's in Vault and GitLab, versions and dates too. */
async function picture(tenant: Tenant) {
  const { stack, project } = tenant;
  const inVault = pathsOf(tenant).map(async (path) => {
    const { status, body } = await lab.asRoot("GET", path);
    return [path, status, (body as { data?: unknown }).data] as const;
  });
  const variables = await listed(project, "variables");
  const files = ["yml", "mjs"].map((ending) => fileOf(project, `apisec/${stack}.${ending}`));
  return {
    vault: await Promise.all(inVault),
    variables: variables.filter((one) => one["environment_scope"] === `apisec/${stack}`),
    schedule: await scheduleOf(tenant),
    files: await Promise.all(files),
    root: await fileOf(project, ".gitlab-ci.yml"),
  };
}

const tokenVersion = async ({ accounts }: Tenant) => {
  const { body } = await lab.asRoot("GET", `apisec/metadata/${accounts.at(-1)}/token`);
  return (body as { data: { current_version: number } }).data.current_version;
};

let stagingAlone: unknown;
/** What prod's `up` said before staging's mount was shared. */
let notShared: RunResult;

beforeAll(async () => {
  lab = await startTestLab();
  const { world } = lab;
  const names = [...prod.accounts, ...app.accounts];
  await lab.apisec(
    "POST",
    "accounts",
    names.map((name, index) => ({
      name,
      ...{ username: `${name}@acme.example`, password: firstOf(name), userId: `u-1${index}` },
      ...{ org: { id: "org-1", name: "Acme" } },
      roles: name === "robot" ? ["ROLE_USER"] : ["ROLE_USER", "ROLE_ADMIN"],
    })),
  );
  await configure(staging, { shareMount: false }, world.secrets.firstPasswords);
  await done(staging, "up", ...quiet);
  await configure(prod, {}, { boss: firstOf("boss"), robot: firstOf("robot") });
  notShared = await pulumi(prod, "up", ...quiet);
  await configure(staging, { shareMount: true });
  await done(staging, "up", ...quiet);
  stagingAlone = await picture(staging);
  const said = await done(prod, "up", ...quiet);
  expect(said).not.toContain("does not include");
}, 240_000);

afterAll(() => lab?.stop());

describe("two stacks, one project, one Vault", () => {
  test("a mount is used by another stack only once its owner shares it", () => {
    expect(notShared.code).not.toBe(0);
    expect(textOf(notShared)).toMatch(
      /mount apisec\/ belongs to (apisec-credentials\/staging for \S+\/\d+), which does not say that other stacks use it: its admins and deployers reach every account: in the program of \1: `pulumi config set shareMount true --stack staging && pulumi up --stack staging`; or choose another `mount`/,
    );
    expect(textOf(notShared)).toMatch(/\+ 1 created\s+1 errored/);
  });

  test("neither `up` changes anything of the other", async () => {
    expect(await picture(staging)).toEqual(stagingAlone);
    const both = [await picture(staging), await picture(prod)];
    await done(staging, "up", "--expect-no-changes", ...quiet);
    await done(prod, "up", "--expect-no-changes", "--refresh", ...quiet);
    expect([await picture(staging), await picture(prod)]).toEqual(both);
    expect(await fileOf(rotationProject, "rotate.mjs")).toBe(404);
  });

  test("each schedule runs its stack's job and rotates its accounts", async () => {
    for (const [own, other] of [
      [staging, prod],
      [prod, staging],
    ] as const) {
      const before = [await tokenVersion(own), await tokenVersion(other)];
      const { status, jobs } = await rotate(own);
      expect(jobs.map(({ name }) => name)).toEqual([`apisec-${own.stack}`]);
      expect([status, jobs[0]?.trace]).toEqual(["success", expect.stringContaining(" rotated ")]);
      const after = [await tokenVersion(own), await tokenVersion(other)];
      expect(after).toEqual([Number(before[0]) + 1, before[1]]);
    }
  });

  test("neither's job, nor its deployer, reaches what is the other's", async () => {
    for (const [own, other] of [
      [staging, prod],
      [prod, staging],
    ] as const) {
      const refusals = [
        await logIn(lab, other.stack, await idToken(lab, own.stack)),
        await logIn(
          lab,
          other.stack,
          await idToken(lab, own.stack, { aud: `${lab.env["VAULT_ADDR"]}/apisec/${other.stack}` }),
        ),
      ];
      expect(refusals.map(({ status, auth, problem }) => [status, auth, problem])).toEqual([
        [400, undefined, expect.stringContaining("audience")],
        [400, undefined, expect.stringContaining("environment")],
      ]);
      const { auth } = await logIn(lab, own.stack, await idToken(lab, own.stack));
      const rotator = auth?.client_token ?? "";
      const paths = pathsOf(other);
      for (const token of [rotator, deployers[own.stack] ?? ""]) {
        const { body } = await lab.asRoot("POST", "sys/capabilities", { token, paths });
        const { data } = body as { data: Record<string, string[]> };
        for (const path of paths) expect([path, data[path]]).toEqual([path, ["deny"]]);
        for (const path of paths) {
          const url = `${lab.world.vault.address}/v1/${path}`;
          const headers = { "X-Vault-Token": token, "content-type": "application/json" };
          for (const request of [{ headers }, { headers, method: "POST", body: "{}" }]) {
            expect([path, (await fetch(url, request)).status]).toEqual([path, 403]);
          }
        }
      }
    }
  });

  test("mode own is refused there before the first resource", async () => {
    const qa: Tenant = { ...prod, stack: "qa" };
    await configure(qa, { pipelineFile: "own" });
    const before = await fileOf(rotationProject, ".gitlab-ci.yml");
    const { code, ...output } = await pulumi(qa, "up", ...quiet);
    expect(code).not.toBe(0);
    expect(textOf({ code, ...output })).toMatch(
      /\.gitlab-ci\.yml in project platform\/apisec-rotation does not begin with "# managed by apisec-credentials\/qa for \S+\/\d+" but with "# managed by apisec-credentials for every stack of this project"/,
    );
    expect(await fileOf(rotationProject, ".gitlab-ci.yml")).toBe(before);
    expect(await scheduleOf(qa)).toEqual({});
  });
});

describe("a project with a pipeline of its own", () => {
  const build = [
    "stages: [build, nightly]",
    "before_script: ['echo SETUP; mkdir -p apisec; touch apisec/set-up']",
    "default: {after_script: ['echo TIDY']}",
    'variables: {CI_DEBUG_TRACE: "true", NODE_OPTIONS: "--require ./apisec/evil.js", TIER: gold}',
    "build:",
    "  stage: build",
    "  script:",
    "    - echo 'console.log(`POISONED`)' | tee apisec/app.mjs apisec/evil.js",
    '    - test "$CI_PIPELINE_SOURCE" = push',
    "  artifacts: {when: always, paths: [apisec]}",
    "",
  ].join("\n");
  const including = `include:\n  - local: /apisec/app.yml\n    inputs: {stage: nightly}\n${build}`;

  let seen = 0;

  /** The jobs of the next pipeline that a push has started. */
  async function pushed() {
    for (let tries = 0; tries < 400; tries += 1) {
      const all = await listed(app.project, "pipelines");
      const ended = all.find(
        ({ id, source, status }) =>
          Number(id) > seen && source === "push" && /success|failed/.test(String(status)),
      );
      if (ended !== undefined) {
        seen = Number(ended["id"]);
        const jobs = await listed(app.project, `pipelines/${seen}/jobs`);
        return jobs.map(({ name, status }) => `${String(name)} ${String(status)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error("no pipeline of a push has ended");
  }

  beforeAll(async () => {
    const { url } = lab.world.gitlab;
    const authorization = `Bearer ${lab.world.secrets.gitlabToken}`;
    const headers = { authorization, "content-type": "application/json" };
    const body = JSON.stringify({ name: "shop", path: "shop" });
    await fetch(`${url}/api/v4/projects`, { method: "POST", headers, body });
    await put(app.project, ".gitlab-ci.yml", build);
    await lab.asRoot("POST", "sys/mounts/legacy", { type: "kv", options: { version: "2" } });
    await lab.asRoot("POST", "legacy/data/worker", { data: { password: firstOf("worker") } });
  });

  test("is not overwritten: mode own says so, mode included that nobody calls the job yet", async () => {
    await configure(app, { pipelineFile: "own" });
    const refused = await pulumi(app, "preview", "--color", "never");
    expect(textOf(refused)).toMatch(
      /\.gitlab-ci\.yml in project rotation-bot\/shop does not begin with "# managed by apisec-credentials\/app for \S+\/\d+": it is not stack app's to write: keep it and include this stack's job in it \(`pulumi config set pipelineFile included --stack app`\)/,
    );
    await configure(app);
    // Its password is somewhere else in Vault: it is given as the first one.
    const given = await run(
      "bash",
      [
        ...["-o", "pipefail", "-c"],
        'VAULT_TOKEN=$ROOT bao kv get -mount=legacy -field=password worker | pulumi config set --secret --path "firstPasswords.worker"',
      ],
      {
        cwd: lab.program,
        env: { ...lab.env, PULUMI_STACK: app.stack, ROOT: lab.world.vault.rootToken },
      },
    );
    expect(textOf(given)).toBe("\n");
    const said = await done(app, "up", ...quiet);
    expect(said).toContain(".gitlab-ci.yml in project rotation-bot/shop does not include");
    expect(await fileOf(app.project, ".gitlab-ci.yml")).toBe(build);
  });

  test("a password from elsewhere in Vault is changed: what is kept there opens nothing any more", async () => {
    const { data } = await recordOf(lab, "worker");
    expect(await isLive(lab, "worker", data["password"])).toBe(true);
    expect(await isLive(lab, "worker", firstOf("worker"))).toBe(false);
  });

  test("rotates by an include, with a stage of its own and nothing of the including file", async () => {
    expect(await pushed()).toEqual(["build success"]);
    await put(app.project, ".gitlab-ci.yml", including);
    expect(await pushed()).toEqual(["build success"]);
    expect(await done(app, "preview", "--color", "never")).not.toContain("does not include");
    const before = await tokenVersion(app);
    const { jobs } = await rotate(app);
    const job = jobs.find(({ name }) => name === "apisec-app");
    expect(jobs.map(({ name, status }) => `${name} ${status}`).sort()).toEqual([
      "apisec-app success",
      "build failed",
    ]);
    expect(jobs.find(({ name }) => name === "build")?.trace).toMatch(/SETUP[^]*TIDY/);
    expect(job?.trace).toContain("worker  rotated");
    expect(job?.trace).not.toMatch(/SETUP|TIDY|POISONED/);
    expect(await tokenVersion(app)).toBe(before + 1);
  });

  test("its own pipeline on a push is what it was", async () => {
    await put(app.project, "README.md", "hello\n");
    expect(await pushed()).toEqual(["build success"]);
  });

  test("a pipeline file elsewhere in the project is followed; one of another project is refused", async () => {
    const move = (path: string) => gitlab(app.project, "PUT", "", { ci_config_path: path });
    await move("ci.yml@platform/apisec-rotation");
    const refused = textOf(await pulumi(app, "preview", "--color", "never"));
    expect(refused).toContain('has its pipeline file at "ci.yml@platform/apisec-rotation"');
    await put(app.project, "ci/all.yml", including, "Moved [skip ci]");
    await move("ci/all.yml");
    expect((await rotate(app)).jobs.map(({ status }) => status)).toEqual(["failed", "failed"]);
    await done(app, "up", ...quiet);
    const { jobs } = await rotate(app);
    expect(jobs.find(({ name }) => name === "apisec-app")?.status).toBe("success");
  });
});

describe("leaving", () => {
  test("destroy of a stack that owns no mount leaves the other working", async () => {
    const before = await picture(staging);
    await done(prod, "destroy", ...quiet);
    expect(await picture(staging)).toEqual(before);
    expect((await rotate(staging)).status).toBe("success");
    expect(await fileOf(rotationProject, "apisec/prod.yml")).toBe(404);
    await done(prod, "up", ...quiet);
    expect((await rotate(prod)).status).toBe("success");
  });

  test("destroy of the owner leaves the pipeline file; with the auth mount taken over, the other works", async () => {
    await done(staging, "destroy", ...quiet);
    expect(await fileOf(rotationProject, ".gitlab-ci.yml")).toContain("local: /apisec/*.yml");
    const { status, jobs } = await rotate(prod);
    expect([status, jobs[0]?.trace]).toEqual(["failed", expect.stringContaining("Vault")]);
    const root = await fileOf(rotationProject, ".gitlab-ci.yml");
    await configure(prod, { createAuth: true, pipelineFile: "shared" });
    await done(prod, "up", "--refresh", ...quiet);
    expect(await fileOf(rotationProject, ".gitlab-ci.yml")).toBe(root);
    expect((await rotate(prod)).status).toBe("success");
  });

  test("back to mode own: refused while the file is every stack's, then it is this stack's alone", async () => {
    await configure(prod, { createAuth: true, pipelineFile: "own" });
    const refused = textOf(await pulumi(prod, "up", ...quiet));
    const marker = /does not begin with "(# managed by [^"]*)" but with "# managed by/.exec(
      refused,
    )?.[1];
    expect(refused).toContain("nothing was touched");
    const root = await fileOf(rotationProject, ".gitlab-ci.yml");
    await put(rotationProject, ".gitlab-ci.yml", `${marker}\n${root}`);
    await done(prod, "up", "--refresh", ...quiet);
    expect(await fileOf(rotationProject, ".gitlab-ci.yml")).not.toContain("local: /apisec/");
    expect(await fileOf(rotationProject, "apisec/prod.yml")).toBe(404);
    expect((await rotate(prod)).status).toBe("success");
    await done(prod, "preview", "--refresh", "--expect-no-changes");
  });
});
