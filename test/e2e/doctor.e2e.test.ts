import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonReport } from "../../checks/report";
import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";

let lab: TestLab;
let config: Record<string, unknown>;
let secrets: string[];

beforeAll(async () => {
  lab = await startTestLab();
  config = devConfig(lab.world);
  await lab.stack("dev", config, lab.world.secrets.firstPasswords);
  // The default policy lets a token ask what it may.
  const policies = ["apisec-dev-deployer", "default"];
  const made = await lab.asRoot("POST", "auth/token/create", { policies, ttl: "1h" });
  const { auth } = made.body as { auth: { client_token: string } };
  lab.env["VAULT_TOKEN"] = auth.client_token;
  const { firstPasswords, gitlabToken } = lab.world.secrets;
  secrets = [...Object.values(firstPasswords), gitlabToken, auth.client_token];
  // Its copies are as old as their folder's turn.
  await run("touch", ["dist/rotate.mjs", "dist/passwordProvider.cjs"], { cwd: lab.program });
});
afterAll(() => lab.stop());

async function doctor(env: Record<string, string | undefined> = {}, ...args: string[]) {
  const command = ["cli/bin.js", "doctor", ...args];
  const result = await run(process.execPath, command, {
    cwd: lab.program,
    env: { ...lab.env, ...env },
    timeoutMs: 60_000,
  });
  for (const secret of [...secrets, env["VAULT_TOKEN"], env["GITLAB_TOKEN"]]) {
    if (secret) expect(result.stdout + result.stderr).not.toContain(secret);
  }
  return result;
}

/** The findings of stack `dev` that are not ok, by what was looked at. */
async function complaints(env: Record<string, string | undefined> = {}) {
  const { stdout, stderr, code } = await doctor(env, "--stack", "dev", "--json");
  if (stdout === "") throw new Error(stderr);
  const { findings, ...head } = JSON.parse(stdout) as JsonReport;
  expect(head).toMatchObject({ schema: 1, project: "apisec-credentials", stack: "dev" });
  const bad = findings.filter(({ state }) => state !== "ok");
  const worst = bad.some(({ state }) => state === "problem") ? 2 : 1;
  expect(code).toBe(bad.length === 0 ? 0 : worst);
  return Object.fromEntries(
    bad.map(({ subject, state, found, fix }) => [subject, { state, found, fix }]),
  );
}

test("all is well before the first `up`: a table, and exit code 0", async () => {
  const { code, stdout } = await doctor({}, "--stack", "dev");
  expect(stdout).toMatch(/0 problems, 0 warnings\n$/);
  expect(code).toBe(0);
  expect(stdout).toContain("set: admin, scanner");
  expect(stdout).toContain("all that `up` needs, on ");
  expect(stdout).toContain("Maintainer");
});

test("it logs in nowhere and changes nothing", async () => {
  await lab.apisec("DELETE", "requests");
  const before = await lab.asRoot("GET", "sys/mounts");
  await complaints();
  const { requests } = (await lab.apisec("GET", "requests")) as { requests: { method: string }[] };
  expect(requests.map(({ method }) => method)).toEqual(["GET"]);
  expect((await lab.asRoot("GET", "sys/mounts")).body).toMatchObject({
    data: (before.body as { data: object }).data,
  });
});

test("a stack that nobody has set up, and no stack at all", async () => {
  const none = await doctor({ PULUMI_STACK: undefined });
  expect(none).toMatchObject({ code: 2, stdout: "" });
  expect(none.stderr).toBe(
    "Which stack? Name it with `-- --stack <name>`: npm keeps to itself what has no `--` before it. [APC-USAGE]\n",
  );
  const { code, stdout } = await doctor({}, "--stack", "elsewhere");
  expect(code).toBe(2);
  expect(stdout).toContain("Pulumi.elsewhere.yaml is not there: run `pulumi stack init elsewhere`");
  expect(stdout).toContain("-> pulumi stack init elsewhere");
});

test("problems of the configuration are those that `up` would list", async () => {
  const file = join(lab.program, "Pulumi.dev.yaml");
  const good = readFileSync(file, "utf8");
  lab.writeConfig("dev", { ...config, cron: "0 0 * * *", mount: "No Mount" });
  const { code, stdout } = await doctor({}, "--stack", "dev");
  writeFileSync(file, good);
  expect(code).toBe(2);
  expect(stdout).toContain('apisec-credentials:cron: is "0 0 * * *", which leaves 24 h');
  expect(stdout).toContain('apisec-credentials:mount: is "No Mount"; expected the path');
  expect(stdout).toContain("2 problems");
});

test("rights that the token lacks are named, path by path", async () => {
  const token = await tokenWith(
    lab.world.vault,
    "little",
    `path "sys/mounts/apisec" { capabilities = ["read"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "sys/capabilities-self" { capabilities = ["update"] }`,
    "10m",
  );
  const found = await complaints({ VAULT_TOKEN: token });
  expect(found["Vault token"]).toMatchObject({
    state: "warning",
    fix: "vault token renew -increment=2h",
  });
  expect(found["mount apisec/"]).toBeUndefined();
  expect(found["Vault rights"]?.state).toBe("problem");
  expect(found["Vault rights"]?.found).toContain("sys/mounts/apisec: update\n");
  expect(found["Vault rights"]?.found).toContain(
    "apisec/data/scanner/password: create, read, update",
  );
  expect(found["Vault rights"]?.fix).toContain("policy -- deployer --stack dev | vault");
});

test("tokens that are not taken; rights that cannot be asked", async () => {
  const wrong = await complaints({ VAULT_TOKEN: "s.wrongwrong", GITLAB_TOKEN: "glpat-wrong" });
  expect(wrong).toMatchObject({
    "Vault token": { state: "problem", fix: "vault login" },
    "GitLab token": { state: "problem", found: expect.stringContaining("401") as string },
  });
  const skipped = Object.entries(wrong).filter(([, { state }]) => state === "skipped");
  expect(Object.keys(wrong)).toHaveLength(2 + skipped.length);
  expect(new Set(skipped.map(([, { found }]) => found))).toEqual(
    new Set(
      ["Vault", "GitLab", "rotation project"].map(
        (one) => `not checked: see the line about ${one}`,
      ),
    ),
  );
  const plain = await tokenWith(lab.world.vault, "apisec-dev-deployer");
  const unasked = await complaints({ VAULT_TOKEN: plain, GITLAB_TOKEN: "" });
  expect(unasked).toMatchObject({
    GitLab: { state: "problem", found: "was not asked: GITLAB_TOKEN is not set" },
  });
});

test("a pipeline file that is somebody else's, and one that does not include the job", async () => {
  const file = { branch: "main", commit_message: "Ours", content: "build: { script: make }\n" };
  await lab.gitlab("POST", "repository/files/.gitlab-ci.yml", file);
  expect((await complaints())["file .gitlab-ci.yml"]).toMatchObject({
    state: "problem",
    found: expect.stringContaining(
      "in project platform/apisec-rotation does not begin with",
    ) as string,
    fix: expect.stringContaining("`pulumi config set pipelineFile included --stack dev`") as string,
  });
  lab.writeConfig("dev", { ...config, pipelineFile: "included" });
  expect((await complaints())["project files"]).toMatchObject({
    state: "warning",
    found: expect.stringContaining("does not include apisec/dev.yml") as string,
  });
});

test("a passphrase that is another stack's, though no secret stands in the stack's file", async () => {
  const env = { PULUMI_CONFIG_PASSPHRASE: "of-this-stack" };
  const command = (args: string[]) =>
    run("pulumi", [...args, "--non-interactive"], {
      cwd: lab.program,
      env: { ...lab.env, ...env },
    });
  expect(
    (await command(["stack", "init", "phrase", "--secrets-provider", "passphrase"])).code,
  ).toBe(0);
  const file = join(lab.program, "Pulumi.phrase.yaml");
  const salt = readFileSync(file, "utf8");
  expect(salt).toMatch(/^encryptionsalt: v1:/m);
  lab.writeConfig("phrase", config);
  writeFileSync(file, `${readFileSync(file, "utf8")}\n${salt}`);
  const finding = async (phrase: string) => {
    const said = await doctor(
      { PULUMI_CONFIG_PASSPHRASE: phrase, PULUMI_CONFIG_PASSPHRASE_FILE: undefined },
      "--stack",
      "phrase",
      "--json",
    );
    const { findings } = JSON.parse(said.stdout) as JsonReport;
    return findings.find(({ id }) => id === "passphrase");
  };
  expect(await finding("of-this-stack")).toMatchObject({ state: "ok" });
  expect(await finding("of-another")).toMatchObject({
    state: "problem",
    found: "PULUMI_CONFIG_PASSPHRASE is set, and is not this stack's",
  });
});

test("what is in the way in Vault and GitLab, hosts that do not answer", async () => {
  await lab.asRoot("PUT", "sys/policies/acl/apisec-dev-admin", { policy: "# somebody's" });
  await lab.gitlab("DELETE", "protected_branches/main");
  const nowhere = { ...config, apisecUrl: "http://127.0.0.1:9" };
  lab.writeConfig("dev", nowhere);
  const found = await complaints({ VAULT_ADDR: lab.world.vault.address, PATH: "/usr/bin:/bin" });
  expect(found).toMatchObject({
    pulumi: { state: "problem", found: "is not on PATH" },
    "policy apisec-dev-admin": {
      state: "problem",
      found: expect.stringContaining('exists and does not begin with "# managed by') as string,
    },
    "branch main": { state: "problem", found: "is not protected: Vault refuses the job's login" },
    APIsec: { state: "problem", found: "http://127.0.0.1:9 refused the connection" },
  });
  const down = await complaints({
    VAULT_ADDR: "http://127.0.0.1:9",
    PULUMI_BACKEND_URL: "file:///not/there",
  });
  expect(down).toMatchObject({
    Vault: { state: "problem", found: "http://127.0.0.1:9 refused the connection" },
    backend: { state: "problem" },
  });
});
