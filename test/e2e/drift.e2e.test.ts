import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLive, managedBy, recordOf } from "../support/managed";
import { textOf } from "../support/textOf";

let lab: TestLab;

const quiet = ["--yes", "--skip-preview", "--color", "never"];

/** Runs `pulumi` with a command that must succeed, and gives what it printed. */
async function pulumi(...args: string[]): Promise<string> {
  const result = await lab.pulumi(args);
  if (result.code !== 0) throw new Error(textOf(result));
  return result.stdout;
}

const up = (...options: string[]) => pulumi("up", ...options, ...quiet);

/** `up` that must stop: what it says. */
async function refusedUp(...options: string[]): Promise<string> {
  const result = await lab.pulumi(["up", ...options, ...quiet]);
  expect(result.code).not.toBe(0);
  return textOf(result);
}

/** What a preview after a refresh would restore: `update rotation-vault-addr: value`, … */
async function drift(): Promise<string[]> {
  const { steps } = JSON.parse(await pulumi("preview", "--refresh", "--json")) as {
    steps: { op: string; urn: string; diffReasons?: string[] }[];
  };
  return steps
    .filter(({ op }) => !["same", "refresh", "read"].includes(op))
    .map(({ op, urn, diffReasons }) => {
      const reasons = (diffReasons ?? []).sort().join(" ");
      const [type, name] = [
        /(\w+)::/.exec(urn.split("::").slice(2).join("::"))?.[1],
        /[^:]+$/.exec(urn)?.[0],
      ];
      return `${op} ${type} ${name}${reasons === "" ? "" : `: ${reasons}`}`;
    })
    .sort();
}

const scope = "?filter%5Benvironment_scope%5D=apisec%2Fdev";
const files = ["rotate.mjs", ".gitlab-ci.yml"];

const everything = () => managedBy(lab, "dev", ["admin", "scanner"]);

async function gitlab(method: string, path: string, body?: object): Promise<void> {
  const answer = await lab.gitlab(method, path, body);
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

async function root(method: string, path: string, body?: object): Promise<void> {
  const answer = await lab.asRoot(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status}`);
}

/** What a developer gets. */
async function readToken(): Promise<number> {
  const developer = await tokenWith(lab.world.vault, "apisec-dev-developer", undefined, "5m");
  const answer = await fetch(`${lab.world.vault.address}/v1/apisec/data/scanner/token`, {
    headers: { "X-Vault-Token": developer },
  });
  return answer.status;
}

async function scheduleId(): Promise<number> {
  const all = (await (await lab.gitlab("GET", "pipeline_schedules")).json()) as { id: number }[];
  expect(all).toHaveLength(1);
  return all[0]?.id ?? 0;
}

const runJob = async () => lab.runSchedule(await scheduleId());

/** Nobody has talked to APIsec since `body` began. */
async function withoutApisec<T>(body: () => Promise<T>): Promise<T> {
  await lab.apisec("DELETE", "requests");
  const result = await body();
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
  return result;
}

beforeAll(async () => {
  lab = await startTestLab();
  await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
  await up();
  // Without first passwords: what is lost now has no way back through them.
  await lab.stack("dev", devConfig(lab.world));
  await up();
});

afterAll(() => lab?.stop());

test("edited by hand: preview --refresh names each thing, up restores it and nothing else", async () => {
  const before = await everything();
  await gitlab("PUT", `variables/VAULT_ADDR${scope}`, { value: "https://vault.evil.example" });
  await gitlab("PUT", `pipeline_schedules/${await scheduleId()}`, {
    active: false,
    cron: "0 0 1 * *",
  });
  for (const file of files) {
    const content = "# managed by apisec-credentials/dev\nrotate: {script: [env]}\n";
    const body = { branch: "main", content, commit_message: "edit" };
    await gitlab("PUT", `repository/files/${file}`, body);
  }
  const policy = '# managed by apisec-credentials/dev\npath "apisec/*" { capabilities = ["read"] }';
  await root("PUT", "sys/policies/acl/apisec-dev-developer", { policy });
  await root("POST", "auth/gitlab/role/apisec-dev-rotator", {
    ...{ role_type: "jwt", user_claim: "project_id", token_ttl: 86_400, token_max_ttl: 86_400 },
    bound_audiences: ["any"],
    bound_claims: { project_id: "1" },
    token_explicit_max_ttl: 0,
    token_policies: ["apisec-dev-rotator", "apisec-dev-admin"],
  });
  await root("POST", "auth/gitlab/config", {
    oidc_discovery_url: lab.world.gitlab.url,
    bound_issuer: "",
  });
  await root("POST", "apisec/metadata/scanner/password", { cas_required: false, max_versions: 2 });
  await root("POST", "apisec/metadata/scanner/token", { delete_version_after: "0s" });

  expect(await withoutApisec(drift)).toEqual([
    "update AuthBackend rotation: boundIssuer",
    "update AuthBackendRole rotation: boundAudiences boundClaims tokenExplicitMaxTtl tokenMaxTtl tokenPolicies tokenTtl",
    "update KeySettings store",
    "update PipelineSchedule rotation: active cron",
    "update Policy store-developer: policy",
    "update ProjectVariable rotation-vault-addr: hidden value",
    "update RepositoryFile rotation-pipeline: content",
    "update RepositoryFile rotation-script: content",
  ]);
  await withoutApisec(() => up("--refresh"));
  expect(await everything()).toEqual(before);
});

test("a pipeline file that somebody has made his own is left to him, and so once the stack gives it up", async () => {
  const file = "repository/files/.gitlab-ci.yml";
  const write = (content: string) =>
    gitlab("PUT", file, { branch: "main", content, commit_message: "edit [skip ci]" });
  const content = "include:\n  - local: /apisec/dev.yml\n";
  await write(content);
  expect(await refusedUp()).toContain("`pulumi config set pipelineFile included --stack dev`");
  lab.writeConfig("dev", { ...devConfig(lab.world), pipelineFile: "included" });
  await up();
  expect(await (await lab.gitlab("GET", `${file}/raw?ref=main`)).text()).toBe(content);

  await write("# managed by apisec-credentials/dev\n");
  lab.writeConfig("dev", devConfig(lab.world));
  await up();
});

test("a policy that no longer begins with our mark is refused, not overwritten", async () => {
  const policy = 'path "theirs/*" { capabilities = ["read"] }';
  await root("PUT", "sys/policies/acl/apisec-dev-admin", { policy });
  const said = await refusedUp("--refresh");
  // The mark is the whole one: with the names alone, a stack of the same names would pass for ours.
  expect(said).toMatch(
    /policy apisec-dev-admin exists and does not begin with "# managed by apisec-credentials\/dev for \S+\/\d+": delete it if nobody needs it, or set another policyPrefix/,
  );
  const kept = await lab.asRoot("GET", "sys/policies/acl/apisec-dev-admin");
  expect(kept.body).toMatchObject({ data: { policy } });
});

test("deleted by hand: preview --refresh names each thing, up makes it again", async () => {
  await gitlab("DELETE", `variables/APISEC_MOUNT${scope}`);
  await gitlab("DELETE", `pipeline_schedules/${await scheduleId()}`);
  for (const file of files) {
    await gitlab("DELETE", `repository/files/${file}`, { branch: "main", commit_message: "rm" });
  }
  await root("DELETE", "sys/policies/acl/apisec-dev-admin");
  await root("DELETE", "sys/auth/gitlab");
  await root("DELETE", "apisec/metadata/scanner/token");
  const passwords = [await recordOf(lab, "admin"), await recordOf(lab, "scanner")];

  expect(await withoutApisec(drift)).toEqual([
    "create AuthBackend rotation",
    "create AuthBackendRole rotation",
    "create PipelineSchedule rotation",
    "create ProjectVariable rotation-apisec-mount",
    "create RepositoryFile rotation-pipeline",
    "create RepositoryFile rotation-script",
    "update KeySettings store",
    // To the official plugin, a policy that is not there is an empty one.
    "update Policy store-admin: policy",
  ]);
  await withoutApisec(() => up("--refresh"));
  expect(await drift()).toEqual([]);
  expect([await recordOf(lab, "admin"), await recordOf(lab, "scanner")]).toEqual(passwords);

  expect(await readToken()).toBe(404);
  expect((await runJob()).status).toBe("success");
  expect(await readToken()).toBe(200);
  const { body } = await lab.asRoot("GET", "apisec/metadata/scanner/token");
  expect(body).toMatchObject({ data: { cas_required: true, delete_version_after: "23h30m0s" } });
});

test("a destroyed token is replaced by the next job", async () => {
  const { body } = await lab.asRoot("GET", "apisec/metadata/scanner/token");
  const { current_version } = (body as { data: { current_version: number } }).data;
  await root("PUT", "apisec/destroy/scanner/token", { versions: [current_version] });
  expect(await readToken()).toBe(404);
  expect((await runJob()).status).toBe("success");
  expect(await readToken()).toBe(200);
});

test("a deleted password: shown, the job fails, up says how to bring it back and logs in nowhere", async () => {
  const before = await recordOf(lab, "scanner");
  await root("DELETE", "apisec/data/scanner/password");
  expect(await withoutApisec(drift)).toContain("update Password scanner");
  const { status, trace } = await withoutApisec(runJob);
  expect(status).toBe("failed");
  expect(trace).toMatch(/^scanner {2}failed .*deleted/m);

  const said = await withoutApisec(() => refusedUp("--refresh"));
  expect(said).toContain(
    `Account scanner has a deleted password record: apisec/scanner/password, version ${before.version}.`,
  );
  const command = /`vault (kv undelete [^`]*)`/.exec(said)?.[1] ?? "";
  const { address, rootToken } = lab.world.vault;
  const env = { ...lab.env, VAULT_ADDR: address, VAULT_TOKEN: rootToken };
  expect(await run("bao", command.split(" "), { env })).toMatchObject({ code: 0 });
  await withoutApisec(() => up("--refresh"));
  expect(await recordOf(lab, "scanner")).toEqual(before);
  expect((await runJob()).status).toBe("success");
});

test("a password changed outside: the job fails, up leaves it alone until it is asked", async () => {
  const before = await recordOf(lab, "scanner");
  const outside = "Changed-0utside";
  await lab.apisec("POST", "accounts/scanner@acme.example/password", { password: outside });
  // Nothing that a preview may look at shows it.
  expect(await withoutApisec(drift)).toEqual([]);
  const { status, trace } = await runJob();
  expect(status).toBe("failed");
  expect(trace).toMatch(/^scanner {2}failed /m);
  expect(await readToken()).toBe(200);

  const config = devConfig(lab.world);
  const [admin, scanner] = config["accounts"] as object[];
  const configure = (changed: object) =>
    lab.stack("dev", { ...config, accounts: [admin, { ...scanner, ...changed }] });
  await configure({ acceptAdminToken: true });
  expect(await refusedUp()).toContain(
    `Account scanner was changed outside: the password in apisec/scanner/password, version ${before.version}, no longer logs in. No password was written, and APIsec was not asked for a change. It may be incident response. To take the account back, raise its passwordGeneration to 2 and run \`pulumi up\`.`,
  );
  expect(await recordOf(lab, "scanner")).toEqual(before);
  expect(await isLive(lab, "scanner", outside)).toBe(true);

  await configure({ passwordGeneration: 2 });
  await up();
  const after = await recordOf(lab, "scanner");
  expect(after.data).toMatchObject({ generation: 2 });
  expect(after.data).not.toHaveProperty("pending_password");
  expect(await isLive(lab, "scanner", after.data["password"])).toBe(true);
  expect(await isLive(lab, "scanner", outside)).toBe(false);
  expect((await runJob()).status).toBe("success");
});

test("a mount replaced by a KV version 1: shown by refresh, refused by up", async () => {
  const roles = ["ROLE_USER", "ROLE_ADMIN"];
  const org = { id: "org-1", name: "Acme" };
  const account = { name: "side", username: "side@acme.example" };
  await lab.apisec("POST", "accounts", [
    { ...account, userId: "u-3", roles, org, password: "First-of-side" },
  ]);
  await lab.stack(
    "side",
    {
      ...{ apisecUrl: lab.world.apisec.url, gitlabProject: devConfig(lab.world)["gitlabProject"] },
      ...{ mount: "side", createAuth: false, manageProjectFiles: false },
      accounts: [{ ...account, publishToken: false }],
    },
    { side: "First-of-side" },
  );
  const env = { PULUMI_STACK: "side" };
  expect(await lab.pulumi(["up", ...quiet], env)).toMatchObject({ code: 0 });
  const { body } = await lab.asRoot("GET", "sys/mounts/side");
  const { description } = (body as { data: { description: string } }).data;
  await root("DELETE", "sys/mounts/side");
  await root("POST", "sys/mounts/side", { type: "kv", options: { version: "1" }, description });
  await root("POST", "side/theirs", { value: "kept" });

  await withoutApisec(async () => {
    const refreshed = await lab.pulumi(["refresh", ...quiet], env);
    expect(refreshed.code).toBe(0);
    expect(refreshed.stdout).toMatch(/Mount store updated .*\[diff: ~options\]/);
    const stopped = await lab.pulumi(["up", ...quiet], env);
    expect(stopped.code).not.toBe(0);
    expect(textOf(stopped)).toContain(
      'mount side/ is not KV version 2 (it is {"type":"kv","options":{"version":"1"}}): choose another `mount`, or upgrade it with `vault kv enable-versioning side/`',
    );
  });
  const kept = await lab.asRoot("GET", "side/theirs");
  expect(kept.body).toMatchObject({ data: { value: "kept" } });
});
