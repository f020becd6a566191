import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Finding } from "../../checks/finding";
import type { JsonReport } from "../../checks/report";
import { run } from "../../lab/process";
import { rotationProject } from "../../lab/world";
import { commandsIn, followFix } from "../support/followFix";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";

/**
 * Every fault here is made, found, fixed as the finding says, and gone. Faults that do not hide one another are made
 * together: each report takes seconds. `test/unit/fixes.test.ts` names the row that fixes each finding.
 */
interface Fault {
  subject: string;
  found: string | RegExp;
  make?: () => Promise<unknown>;
  /** Which of the printed commands is run, as it is printed; or what a person does who follows the text. */
  remedy: number | ((fix: string) => Promise<unknown>);
  /** What a command reads from standard input, such as a secret. */
  input?: string;
}
type Faults = Record<string, Fault>;

let lab: TestLab;
/** What the commands run with, beside the lab's environment: a fix may change it. */
let env: Record<string, string | undefined> = {};

async function findings(command: "doctor" | "check"): Promise<readonly Finding[]> {
  const args = ["cli/bin.js", command, "--stack", "dev", "--json"];
  const { stdout, stderr } = await run(process.execPath, args, {
    cwd: lab.program,
    env: { ...lab.env, ...env },
    timeoutMs: 60_000,
  });
  if (stdout === "") throw new Error(stderr);
  return (JSON.parse(stdout) as JsonReport).findings;
}

async function play(command: "doctor" | "check", faults: Faults): Promise<void> {
  const rows = Object.entries(faults);
  for (const [, { make }] of rows) await make?.();
  const before = await findings(command);
  const isOf = ({ subject, found }: Fault, finding: Finding) =>
    finding.subject === subject &&
    /^(problem|warning)$/.test(finding.state) &&
    (typeof found === "string" ? finding.found.includes(found) : found.test(finding.found));
  const seen = rows.map(([name, fault]) => {
    const finding = before.find((one) => isOf(fault, one));
    const instead = before.filter(({ subject }) => subject === fault.subject);
    return { name, fault, finding: finding ?? instead, fix: finding?.fix };
  });
  const unseen = seen.filter(({ fix }) => fix === undefined);
  expect(unseen.map(({ name, finding }) => ({ name, finding }))).toEqual([]);
  for (const { fault, fix = "" } of seen) {
    if (typeof fault.remedy !== "number") {
      await fault.remedy(fix);
      continue;
    }
    await follow(commandsIn(fix)[fault.remedy] ?? "", fault.input);
  }
  const after = await findings(command);
  const left = seen.flatMap(({ name, fault }) =>
    after.some((one) => isOf(fault, one)) ? [name] : [],
  );
  expect(left).toEqual([]);
}

/** `token`: of Vault, where the command needs another than the report's. */
const follow = (fix: string, input?: string, token?: string) =>
  followFix(lab, fix, {
    env: { ...env, ...(token === undefined ? {} : { VAULT_TOKEN: token }) },
    input,
  });

async function asRoot(method: string, path: string, body?: object): Promise<unknown> {
  const answer = await lab.asRoot(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status}`);
  return (answer.body as { data?: unknown } | undefined)?.data;
}

async function gitlab(method: string, path: string, body?: object): Promise<unknown> {
  const answer = await lab.gitlab(method, path, body);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}

/** A token of GitLab of a user of its own; gives the user's id. */
async function gitlabUser(
  username: string,
  token: string,
  scopes: string[],
  ends?: string,
): Promise<number> {
  await fetch(`${lab.world.gitlab.url}/-/lab/users`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username, tokens: [{ token, scopes, expires_at: ends }] }),
  });
  const self = await fetch(`${lab.world.gitlab.url}/api/v4/user`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return ((await self.json()) as { id: number }).id;
}

async function vaultToken(body: object): Promise<string> {
  const made = await lab.asRoot("POST", "auth/token/create", body);
  return (made.body as { auth: { client_token: string } }).auth.client_token;
}

async function pulumi(...args: string[]): Promise<string> {
  const result = await lab.pulumi([...args, "--stack", "dev", "--color", "never"]);
  if (result.code !== 0) throw new Error(result.stdout + result.stderr);
  return result.stdout;
}

/** `export NAME=…`, by who has the value. */
const exported = (value: string) => async (fix: string) => {
  const [, name = ""] = /export (\w+)=/.exec(fix) ?? [];
  expect(name).not.toBe("");
  env[name] = value;
};

const config = (key: string, value: string) => pulumi("config", "set", "--path", key, value);
const deployer = "apisec-dev-deployer";
const protection = { name: "main", push_access_level: 40, merge_access_level: 40 };

beforeAll(async () => {
  lab = await startTestLab();
});
beforeEach(() => {
  env = {};
});
afterAll(() => lab?.stop());

/** A token of the deployer, of another kind than usual. */
const deployersToken = (more: object) => async () => {
  env["VAULT_TOKEN"] = await vaultToken({
    policies: [deployer],
    no_parent: true,
    no_default_policy: true,
    ...more,
  });
};
/** Who follows the text has a token as it asks for one. */
const withToken = async () => deployersToken({ ttl: "2h" })();

const foreignPolicy = "sys/policies/acl/apisec-dev-admin";
let bystander = 0;

const faults: [string, Faults][] = [
  [
    "before anything is set up",
    {
      "the stack is not in the backend": {
        subject: "stack dev",
        found: "is not in this backend",
        remedy: 0,
      },
      "dist/ is old": {
        subject: "build",
        found: /^dist\/ is older than job\/run\.ts/,
        make: async () => utimesSync(join(lab.program, "job", "run.ts"), new Date(), new Date()),
        remedy: 0,
      },
      "the deployer's policy lacks rights": {
        subject: "Vault rights",
        found: "of what `up` needs are missing:",
        remedy: 0,
      },
      "the token ends soon": {
        subject: "Vault token",
        found: /ends in [\d]+m/,
        make: () =>
          lab.world.vault.request(own(), "POST", "auth/token/renew-self", { increment: 600 }),
        remedy: 0,
      },
      "GITLAB_TOKEN is not set": {
        subject: "GitLab",
        found: "was not asked: GITLAB_TOKEN is not set",
        make: async () => (env["GITLAB_TOKEN"] = ""),
        remedy: (fix) => exported(lab.world.secrets.gitlabToken)(fix),
      },
    },
  ],
  [
    "what others have left in Vault and GitLab",
    {
      "a mount of KV version 1": {
        subject: "mount apisec/",
        found: "is not KV version 2",
        make: () => asRoot("POST", "sys/mounts/apisec", { type: "kv", options: { version: "1" } }),
        remedy: 0,
      },
      "no auth mount, and none is made": {
        subject: "auth mount gitlab/",
        found: "does not exist and createAuth is false",
        remedy: 0,
      },
      "no group of that name": {
        subject: "group people",
        found: "Vault denies GET identity/group/name/people",
        make: () => config("adminGroups[0]", "people"),
        // The policy names the group by its id: what prints it says how the group is made.
        remedy: async (fix) => {
          const error = await follow(fix).then(
            () => undefined,
            ({ message }: Error) => message,
          );
          expect(error).toContain("group people is not there: Vault knows no identity group");
          await follow(commandsIn(error ?? "")[0] ?? "");
          await follow(fix);
        },
      },
      "somebody's policy": {
        subject: "policy apisec-dev-admin",
        found: "exists and does not begin with",
        make: () => asRoot("PUT", foreignPolicy, { policy: "# somebody's" }),
        remedy: () => asRoot("DELETE", foreignPolicy),
      },
      "no first password": {
        subject: "account scanner",
        found: "has no password in Vault and no first password in config",
        remedy: 1,
        input: "of-scanner",
      },
      "the branch is not protected": {
        subject: "branch main",
        found: "is not protected: Vault refuses the job's login",
        make: () => gitlab("DELETE", "protected_branches/main"),
        remedy: () => gitlab("POST", "protected_branches", protection),
      },
      "the token's user is no Maintainer": {
        subject: "GitLab role",
        found: "`up` needs 40 (Maintainer)",
        make: async () => {
          env["GITLAB_TOKEN"] = "glpat-of-a-bystander";
          bystander = await gitlabUser("bystander", "glpat-of-a-bystander", ["api"]);
          await gitlab("POST", "members", { user_id: bystander, access_level: 30 });
        },
        remedy: (fix) => {
          expect(fix).toMatch(/\/-\/project_members: make it a Maintainer$/);
          return gitlab("PUT", `members/${bystander}`, { access_level: 40 });
        },
      },
      "a consumer's project is not there": {
        subject: "consumer scan",
        found: "project platform/none is not there",
        remedy: () => config("consumers[0].project", rotationProject),
      },
      "APIsec is not at its address": {
        subject: "APIsec",
        found: "http://127.0.0.1:9 refused the connection",
        remedy: () => config("apisecUrl", lab.world.apisec.url),
      },
      "a batch token": {
        subject: "Vault token",
        found: "a batch token, which the Vault plugin cannot use",
        make: deployersToken({ type: "batch", ttl: "2h" }),
        remedy: withToken,
      },
      "anyone may give pipelines variables": {
        subject: "pipeline variables",
        found: "may be set by developer",
        make: () => gitlab("PUT", "", { ci_pipeline_variables_minimum_override_role: "developer" }),
        remedy: 0,
      },
    },
  ],
  [
    "what shows once that is in order",
    {
      "the mount ends its versions": {
        subject: "mount apisec/",
        found: 'deletes every version after "1h0m0s", passwords too',
        make: () => asRoot("POST", "apisec/config", { delete_version_after: "1h" }),
        remedy: 0,
      },
      "somebody's pipeline file": {
        subject: "file .gitlab-ci.yml",
        found: "does not begin with",
        make: () =>
          gitlab("POST", "repository/files/.gitlab-ci.yml", {
            ...{ branch: "main", commit_message: "Ours" },
            content: "build: { script: make }\n",
          }),
        remedy: 0,
      },
      "two names of one group": {
        subject: "group People",
        found: "Vault denies GET identity/group/name/People",
        make: () => config("developerGroups[0]", "People"),
        remedy: async (fix) => {
          await expect(follow(fix)).rejects.toThrow(
            /is the same identity group as "people".*: write its name the same way/,
          );
          await config("developerGroups[0]", "people");
        },
      },
      "the policy does not let its token ask what it may do": {
        subject: "Vault rights",
        found: "unknown: the token may not ask what it may do",
        make: async () => {
          const path = `sys/policies/acl/${deployer}`;
          const { policy } = (await asRoot("GET", path)) as { policy: string };
          await asRoot("PUT", path, { policy: policy.replace("sys/capabilities-self", "x") });
        },
        remedy: 0,
      },
      "Developers may push": {
        subject: "branch main",
        found: "Developers may push or merge: they can get at the passwords",
        make: async () => {
          await gitlab("DELETE", "protected_branches/main");
          await gitlab("POST", "protected_branches", { ...protection, push_access_level: 30 });
        },
        remedy: async () => {
          await gitlab("DELETE", "protected_branches/main");
          await gitlab("POST", "protected_branches", protection);
        },
      },
      "a token of another scope": {
        subject: "GitLab token",
        found: "`up` needs scope api",
        make: async () => {
          env["GITLAB_TOKEN"] = "glpat-that-reads";
          const id = await gitlabUser("reader", "glpat-that-reads", ["read_api"]);
          await gitlab("POST", "members", { user_id: id, access_level: 40 });
        },
        remedy: (fix) => exported(lab.world.secrets.gitlabToken)(fix),
      },
      "a token of few uses": {
        subject: "Vault token",
        found: "may be used 999 times only",
        make: deployersToken({ num_uses: 1000, ttl: "2h" }),
        remedy: withToken,
      },
      "no passphrase": {
        subject: "passphrase",
        found: "is not set: Pulumi asks for it",
        make: async () => (env["PULUMI_CONFIG_PASSPHRASE"] = undefined),
        remedy: (fix) => exported(passphraseFile())(fix),
      },
    },
  ],
  [
    "what is left",
    {
      "the pipeline file includes no job": {
        subject: "project files",
        found: "does not include apisec/dev.yml: the schedule rotates nothing until it does",
        remedy: () =>
          gitlab("PUT", "repository/files/.gitlab-ci.yml", {
            ...{ branch: "main", commit_message: "Include it" },
            content: "include: [{ local: apisec/dev.yml }]\n",
          }),
      },
      "root's token": {
        subject: "Vault token",
        found: "more than `up` needs",
        make: async () => (env["VAULT_TOKEN"] = lab.world.vault.rootToken),
        remedy: async (fix) => {
          const printed = await follow(fix);
          env["VAULT_TOKEN"] = /^token +(\S+)$/m.exec(printed)?.[1];
        },
      },
      "a passphrase file that is not there": {
        subject: "passphrase",
        found: "which is not there",
        make: async () => {
          env["PULUMI_CONFIG_PASSPHRASE"] = undefined;
          env["PULUMI_CONFIG_PASSPHRASE_FILE"] = "/none";
        },
        remedy: (fix) => exported(passphraseFile())(fix),
      },
      "a token of GitLab that ends soon": {
        subject: "GitLab token",
        found: /ends on \d{4}-\d\d-\d\d, in \d days/,
        make: async () => {
          env["GITLAB_TOKEN"] = "glpat-that-ends";
          const day = new Date(Date.now() + 5 * 86_400_000).toISOString().slice(0, 10);
          const id = await gitlabUser("ending", "glpat-that-ends", ["api"], day);
          await gitlab("POST", "members", { user_id: id, access_level: 40 });
        },
        remedy: (fix) => exported(lab.world.secrets.gitlabToken)(fix),
      },
    },
  ],
  [
    "hosts that are not what config says",
    {
      "Vault's address is another server's": {
        subject: "Vault",
        found: "and not as a Vault does",
        make: async () => {
          env["VAULT_ADDR"] = undefined;
          await config("vault:address", lab.world.apisec.url);
        },
        remedy: (fix) => follow(fix.replace("https://…", lab.world.vault.address)),
      },
      "GitLab's address is another server's": {
        subject: "GitLab",
        found: "answers GET /api/v4/user as no GitLab does",
        make: async () => {
          env["GITLAB_BASE_URL"] = undefined;
          await config("gitlab:baseUrl", lab.world.apisec.url);
        },
        remedy: (fix) => follow(fix.replace("https://…", lab.world.gitlab.url)),
      },
    },
  ],
];

const own = () => lab.env["VAULT_TOKEN"] ?? "";

function passphraseFile(): string {
  const file = join(lab.program, "..", "passphrase");
  writeFileSync(file, lab.env["PULUMI_CONFIG_PASSPHRASE"] ?? "");
  return file;
}

beforeAll(async () => {
  const little = ["lookup-self", "renew-self"].map((path) => `auth/token/${path}`);
  const text = [...little, "sys/capabilities-self"]
    .map((path) => `path "${path}" { capabilities = ["read", "update"] }`)
    .join("\n");
  await asRoot("PUT", `sys/policies/acl/${deployer}`, { policy: text });
  lab.env["VAULT_TOKEN"] = await vaultToken({ policies: [deployer], ttl: "2h" });
  lab.writeConfig("dev", {
    ...devConfig(lab.world),
    ...{ createMount: false, createAuth: false },
    ...{ consumers: [{ name: "scan", project: "platform/none" }] },
    apisecUrl: "http://127.0.0.1:9",
  });
});

test.each(faults)("%s: what doctor prints fixes it", (_title, rows) => play("doctor", rows));

describe("after an up", () => {
  beforeAll(async () => {
    env = {};
    lab.writeConfig("dev", { ...devConfig(lab.world), developerGroups: ["people"] });
    await asRoot("POST", "identity/group/name/people", { policies: [] });
    lab.env["VAULT_TOKEN"] = lab.world.vault.rootToken;
    await asRoot("DELETE", "sys/mounts/apisec");
    await asRoot("DELETE", "sys/auth/gitlab");
    await lab.gitlab("DELETE", "repository/files/.gitlab-ci.yml", {
      ...{ branch: "main", commit_message: "Away" },
    });
    await lab.stack("dev", undefined, lab.world.secrets.firstPasswords);
    await pulumi("up", "--yes");
    const policy =
      "npm run --silent policy -- monitor --stack dev | vault policy write apisec-dev-monitor -";
    await follow(policy);
  }, 240_000);

  test("what check prints fixes it", async () => {
    env["VAULT_TOKEN"] = await vaultToken({
      policies: ["apisec-dev-monitor"],
      no_default_policy: true,
    });
    const consumer = "apisec-dev-consumer.gone";
    const role = `auth/gitlab/role/${consumer}`;
    const keys = "apisec/metadata/scanner/password";
    await play("check", {
      "the project is public": {
        subject: "rotation project",
        found: "is public: it holds what gets at passwords",
        make: () => gitlab("PUT", "", { visibility: "public" }),
        remedy: 0,
      },
      "a consumer's policy that config does not know": {
        subject: `policy ${consumer}`,
        found: "is of no consumer in config",
        make: () => asRoot("PUT", `sys/policies/acl/${consumer}`, { policy: "# left" }),
        remedy: 0,
      },
      "a consumer's role that config does not know": {
        subject: `role ${consumer}`,
        found: "is of no consumer in config",
        make: async () => {
          const ours = (await asRoot("GET", "auth/gitlab/role/apisec-dev-rotator")) as object;
          await asRoot("POST", role, { ...ours, token_policies: [consumer] });
        },
        remedy: 0,
      },
      "an account that config does not know": {
        subject: "account left",
        found: "is in mount apisec/ and not in config",
        make: () => asRoot("POST", "apisec/data/left/password", { data: { password: "x" } }),
        remedy: 0,
      },
      "a password that was not verified for long": {
        subject: "verification scanner",
        found: /^taken by APIsec last: \d+ days ago/,
        make: async () => {
          const { custom_metadata: mark } = (await asRoot("GET", keys)) as {
            custom_metadata: object;
          };
          const verified_at = new Date(Date.now() - 5 * 86_400_000).toISOString();
          await asRoot("POST", keys, { custom_metadata: { ...mark, verified_at } });
        },
        remedy: (fix) => follow(fix, undefined, own()),
      },
      "a mount that is described as nobody's": {
        subject: "mount apisec/",
        found: "is not described as this stack's",
        make: () => asRoot("POST", "sys/mounts/apisec/tune", { description: "by hand" }),
        remedy: 0,
      },
      "an auth mount that is described as nobody's": {
        subject: "auth mount gitlab/",
        found: "is not described as this stack's",
        make: () => asRoot("POST", "sys/mounts/auth/gitlab/tune", { description: "by hand" }),
        remedy: 0,
      },
      "a group that has the admin's policy, too": {
        subject: "group people",
        found: "which config does not give it: its members read passwords",
        make: () =>
          asRoot("POST", "identity/group/name/people", {
            policies: ["apisec-dev-developer", "apisec-dev-admin"],
          }),
        remedy: () =>
          asRoot("POST", "identity/group/name/people", { policies: ["apisec-dev-developer"] }),
      },
      "a token that was destroyed": {
        subject: "token scanner",
        found: /^version \d+ was destroyed$/,
        make: () => asRoot("POST", "apisec/destroy/scanner/token", { versions: [1, 2] }),
        remedy: (fix) => follow(fix, undefined, own()),
      },
    });
  }, 240_000);

  test("what a password change prints fixes it; what APIsec refuses is shown as open, and no younger", async () => {
    const org = { id: "org-1", name: "Acme" };
    const roles = ["ROLE_USER", "ROLE_ADMIN"];
    const extra = ["mistyped", "unknown", "deleted"].map((name) => ({
      ...{ name, username: `${name}@acme.example` },
    }));
    await lab.apisec(
      "POST",
      "accounts",
      extra.map((one) => ({
        ...one,
        userId: one.name,
        org,
        roles,
        password: `First-of-${one.name}`,
      })),
    );
    const record = (name: string, more: object) =>
      asRoot("POST", `apisec/data/${name}/password`, {
        data: {
          ...{ username: `${name}@acme.example`, host: lab.world.apisec.url, organization: "Acme" },
          ...{ changed_at: "2026-11-01T00:00:00Z", ...more },
        },
      });
    // Nobody knows what logs in; the other is well, and deleted.
    await record("unknown", {
      ...{ password: "Nobody-took-1", generation: 1 },
      ...{ pending_password: "Nobody-took-2", pending_generation: 2 },
    });
    await record("deleted", { password: "First-of-deleted", generation: 0 });
    await asRoot("DELETE", "apisec/data/deleted/password");

    const [admin, scanner] = devConfig(lab.world)["accounts"] as Record<string, unknown>[];
    const accounts = [
      admin,
      { ...scanner, passwordGeneration: 2, changedBy: undefined },
      ...extra.map((one) => ({ ...one, publishToken: false, passwordGeneration: 1 })),
    ];
    lab.writeConfig("dev", { ...devConfig(lab.world), developerGroups: ["people"], accounts });
    await lab.stack("dev", undefined, { mistyped: "Mistyped" });
    env["VAULT_TOKEN"] = own();
    const passwordOf = async (name: string) =>
      (await findings("check")).find(({ subject }) => subject === `password ${name}`);
    const before = await passwordOf("scanner");
    expect(before).toMatchObject({ state: "ok", values: { change_open: 0 } });

    const refused = await lab.pulumi([
      ...["up", "--yes", "--stack", "dev", "--color", "never"],
      // Each account says why, and not the first alone.
      "--continue-on-error",
    ]);
    const said = refused.stdout + refused.stderr;
    const messageOf = (name: string) => new RegExp(`Account ${name} [^\\n]*`).exec(said)?.[0] ?? "";
    expect(messageOf("scanner")).toContain("was refused its new password: ");
    expect(messageOf("scanner")).toContain("name an account that has one in `changedBy`");
    const open = await passwordOf("scanner");
    expect(open?.found).toMatch(/; a change is open since /);
    expect(open).toMatchObject({
      values: { change_open: 1, changed: before?.values["changed"], generation: 1 },
    });

    expect(messageOf("mistyped")).toContain("was refused with its first password at ");
    expect(messageOf("unknown")).toContain("cannot log in with the password nor its pending one");
    expect(messageOf("deleted")).toContain("has a deleted password record: ");
    const run = (name: string, input?: string) =>
      follow(commandsIn(messageOf(name)).find((text) => text !== "pulumi up") ?? "", input);
    await run("mistyped", "First-of-mistyped");
    await run("deleted");
    // What APIsec's support gives.
    await run("unknown", "First-of-unknown");
    expect(messageOf("unknown")).toContain("`pulumi up` again 15 minutes after this one");
    const key = "apisec/metadata/unknown/password";
    const { custom_metadata: mark } = (await asRoot("GET", key)) as { custom_metadata: object };
    const refused_at = new Date(Date.now() - 16 * 60_000).toISOString();
    await asRoot("POST", key, { custom_metadata: { ...mark, refused_at } });
    await config("accounts[1].changedBy", "admin");
    await follow("pulumi up");
    for (const name of ["scanner", ...extra.map((one) => one.name)]) {
      expect([name, await passwordOf(name)]).toMatchObject([
        name,
        { state: "ok", values: { change_open: 0 } },
      ]);
    }
  }, 240_000);

  test("a password that is older than passwordMaxAge is changed by `renew --due` and the `up` that it prints", async () => {
    env["VAULT_TOKEN"] = own();
    const key = "apisec/metadata/admin/password";
    const { custom_metadata: mark } = (await asRoot("GET", key)) as {
      custom_metadata: Record<string, string>;
    };
    const changed_at = new Date(Date.now() - 100 * 86_400_000).toISOString();
    await asRoot("POST", key, { custom_metadata: { ...mark, changed_at } });
    await config("passwordMaxAge", "90d");
    const ofPasswords = async () =>
      (await findings("check")).filter(({ id, state }) => id === "password" && state !== "ok");
    expect(await ofPasswords()).toMatchObject([
      {
        account: "admin",
        state: "problem",
        found: "changed 100 days ago, passwordMaxAge is 90 days",
      },
    ]);
    const said = await follow("npm run --silent renew -- --stack dev --due");
    const wanted = Number(mark["generation"]) + 1;
    const raised = /^admin +passwordGeneration \d -> (\d), changed 100 days ago$/m.exec(said);
    expect(Number(raised?.[1])).toBe(wanted);
    expect(said).not.toMatch(/^scanner /m);
    await follow(commandsIn(said)[0] ?? "");
    expect(await ofPasswords()).toEqual([]);
    expect(await follow("npm run --silent renew -- --stack dev --due")).toContain(
      "No password is due: nothing was written.",
    );
  }, 240_000);
});
