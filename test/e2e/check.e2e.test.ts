import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Evidence } from "../../checks/evidence";
import type { Finding } from "../../checks/finding";
import type { JsonReport } from "../../checks/report";
import { capabilitiesAt, rightsOf } from "../../desired/rights";
import { tryRight } from "../../lab/access";
import { run } from "../../lab/process";
import { rotationProject, tokenWith } from "../../lab/world";
import { followFix } from "../support/followFix";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { sampled } from "../support/sampled";
import { stepsOf } from "../support/runbook";

let lab: TestLab;
let scheduleId: number;
let monitorId: number;
/** What the check runs with: a token of policy monitor, and one of a Maintainer with read_api. */
const tokens = { vault: "", gitlab: "glpat-of-the-monitor" };
/** All that the check has printed or written. */
const printed: string[] = [];
type Data = Record<string, unknown>;

/** Runs the check as a person or a job does. */
async function check(options: string[], env: Record<string, string> = {}) {
  const args = ["cli/bin.js", "check", "--stack", "dev", ...options];
  const result = await run(process.execPath, args, {
    cwd: lab.program,
    env: { ...lab.env, VAULT_TOKEN: tokens.vault, GITLAB_TOKEN: tokens.gitlab, ...env },
  });
  printed.push(result.stdout, result.stderr);
  return result;
}

/** Runs another of the commands, with the token of who deploys unless `env` has another. */
async function command(name: string, options: string[], env: Record<string, string> = {}) {
  const args = ["cli/bin.js", name, ...options, "--stack", "dev"];
  const result = await run(process.execPath, args, {
    cwd: lab.program,
    env: { ...lab.env, ...env },
  });
  printed.push(result.stdout, result.stderr);
  return result;
}

type Line = Pick<Finding, "subject" | "state" | "found" | "fix">;

/** A finding as the table shows it. */
function lineOf({ subject, state, found, fix }: Finding): Line {
  return { subject, state, found, ...(fix === undefined ? {} : { fix }) };
}

/** The lines that are not ok, but for those that were skipped, and the exit code. */
async function notOk(options: string[] = [], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await check(["--json", ...options], env);
  expect(stderr).toBe("");
  const { findings } = JSON.parse(stdout) as JsonReport;
  const seen = findings.filter(({ state }) => state !== "ok" && state !== "skipped");
  return { code, lines: seen.map(lineOf) };
}

async function asRoot(method: string, path: string, body?: object): Promise<Data> {
  const answer = await lab.asRoot(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status}`);
  return (answer.body as { data?: Data } | undefined)?.data ?? {};
}

async function gitlab(method: string, path: string, body?: object): Promise<void> {
  const answer = await lab.gitlab(method, path, body);
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

async function gitlabControl(path: string, body: object = {}): Promise<void> {
  const answer = await fetch(`${lab.world.gitlab.url}/-/lab/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Writes what a key holds once more, so that it lives from now on. */
async function renew(key: string): Promise<void> {
  const { data, metadata } = await asRoot("GET", `apisec/data/${key}`);
  const { version: cas } = metadata as { version: number };
  await asRoot("POST", `apisec/data/${key}`, { data, options: { cas } });
}

beforeAll(async () => {
  lab = await startTestLab();
  const { world, env } = lab;
  env["VAULT_TOKEN"] = world.vault.rootToken;
  await asRoot("POST", "identity/group", { name: "appsec", policies: ["of-others"] });
  // More of others than GitLab lists in one page: ours is on the second.
  const others = { ref: "main", cron: "0 1 * * *", active: false };
  for (let number = 1; number <= 100; number += 1) {
    await gitlab("POST", "pipeline_schedules", { ...others, description: `other ${number}` });
  }
  const dev = await lab.stack(
    "dev",
    {
      ...devConfig(world),
      developerGroups: ["appsec"],
      consumers: [{ name: "scan", project: rotationProject }],
    },
    world.secrets.firstPasswords,
  );
  await dev.up();
  scheduleId = (await dev.outputs())["scheduleId"] as number;
  expect((await lab.runSchedule(scheduleId)).status).toBe("success");

  const args = ["cli/bin.js", "policy", "monitor", "--stack", "dev"];
  const policy = await run(process.execPath, args, { cwd: lab.program, env });
  tokens.vault = await tokenWith(world.vault, "apisec-dev-monitor", policy.stdout);
  await gitlabControl("users", {
    username: "monitor",
    tokens: [{ token: tokens.gitlab, scopes: ["read_api"] }],
  });
  const self = await fetch(`${world.gitlab.url}/api/v4/user`, {
    headers: { authorization: `Bearer ${tokens.gitlab}` },
  });
  monitorId = ((await self.json()) as { id: number }).id;
  await gitlab("POST", "members", { user_id: monitorId, access_level: 40 });
}, 240_000);

afterAll(() => lab?.stop());

test("a stack as pulumi up left it is healthy: a table, a report, exit code 0", async () => {
  const file = join(lab.program, "check.xml");
  const { code, stdout } = await check(["--junit", file]);
  const lines = [
    /^ok +mount apisec\/ +KV version 2 at http:\S+, ends no version$/,
    /^ok +auth mount gitlab\/ +JWT, with the keys of http:/,
    /^ok +policy apisec-dev-admin +is as declared$/,
    /^ok +policy apisec-dev-consumer\.scan +is as declared$/,
    /^ok +role apisec-dev-rotator +is as declared$/,
    /^ok +role apisec-dev-consumer\.scan +is as declared$/,
    /^ok +group appsec +has its policies$/,
    /^ok +members of group appsec +reads the token of scanner; changes nothing$/,
    /^ok +the deployer +reads the password of all 2 accounts .*; changes the password of all 2 /,
    /^ok +the verifier +nothing: there is no policy apisec-dev-verifier$/,
    /^ok +this Vault token +may do nothing to a password \(asked of 2, such as \S+\)$/,
    /^ok +key settings +3 of 3 keys are as declared$/,
    /^ok +password scanner +changed (less than a minute|\d+m) ago$/,
    /^ok +verification admin +APIsec took it (less than a minute|\d+m) ago$/,
    /^ok +token scanner +issued .* ago, readable for 23h\d+m, until \d{4}-.*Z$/,
    /^ok +runs for token scanner +none (is known yet|of the \d+ that Vault remembers was missed)$/,
    /^ok +rotation project +platform\/apisec-rotation at http:\S+, private$/,
    /^ok +pipeline variables +may be set by no one$/,
    /^ok +branch main +is there, and protected$/,
    /^ok +schedule +17 \*\/6 \* \* \* UTC, next run \d{4}-.*:17:00Z$/,
    /^ok +last pipeline +success, began /,
    /^ok +schedule's owner +rotation-bot, active$/,
    /^ok +file rotate\.mjs +is as this version delivers it$/,
    /^ok +file \.gitlab-ci\.yml +is as this version delivers it$/,
    /^ok +GitLab token +scopes read_api; does not end$/,
  ];
  for (const line of lines) {
    expect(stdout.split("\n").filter((text) => line.test(text))).toHaveLength(1);
  }
  expect(stdout).toMatch(/^0 problems, 0 warnings$/m);
  expect(code).toBe(0);
  const report = readFileSync(file, "utf8");
  printed.push(report);
  expect(report).toMatch(/<testsuite name="check" tests="\d+" failures="0"/);
  expect(report).toContain('<testcase classname="check" name="token scanner"');
});

test("its token can read no password and no token", async () => {
  const { address } = lab.world.vault;
  for (const key of ["scanner/password", "scanner/token", "admin/password"]) {
    for (const [kind, verdict] of [
      ["data", "no"],
      ["subkeys", "no"],
      ["metadata", "yes"],
    ] as const) {
      const right = { name: key, method: "GET", path: `apisec/${kind}/${key}` };
      expect([kind, key, await tryRight(address, tokens.vault, right)]).toEqual([
        kind,
        key,
        verdict,
      ]);
    }
  }
});

test("what a policy is found to give is what Vault lets its token do", async () => {
  const asked = ["admin", "scanner"].flatMap((name) =>
    ["password", "token"].map((secret) => `apisec/data/${name}/${secret}`),
  );
  const odd = `path "apisec/*" { capabilities = ["list"] }
path "apisec/data/+/password" { capabilities = ["read"] }
path "apisec/data/scanner/*" { capabilities = ["update"] }
path "apisec/+/admin/token" { capabilities = ["create"] }
path "apisec/data/scanner/tok*" { capabilities = ["delete"] }`;
  await asRoot("PUT", "sys/policies/acl/odd", { policy: odd });
  const names = ["admin", "developer", "rotator", "deployer", "monitor", "consumer.scan"];
  for (const name of ["odd", ...names.map((one) => `apisec-dev-${one}`)]) {
    const { policy } = await asRoot("GET", `sys/policies/acl/${name}`);
    const rights = rightsOf(String(policy));
    const token = await tokenWith(lab.world.vault, name, undefined, "10m");
    const answer = await asRoot("POST", "sys/capabilities", { token, paths: asked });
    for (const path of asked) {
      const real = (answer[path] as string[]).filter((one) => one !== "deny").sort();
      expect([name, path, [...capabilitiesAt(rights, path)].sort()]).toEqual([name, path, real]);
    }
  }
  await asRoot("DELETE", "sys/policies/acl/odd");
});

/** One thing that goes wrong: how, what the check says of it, and the way back, where that is not the printed fix. */
interface Break {
  spoil: () => Promise<unknown>;
  expected: Line[];
  code: 1 | 2;
  restore?: () => Promise<unknown>;
}

/** A printed fix, run as it is printed. */
async function follow(fix: string): Promise<void> {
  printed.push(await followFix(lab, fix));
}

const variablesMayBeSetBy = (role: string) =>
  gitlab("PUT", "", { ci_pipeline_variables_minimum_override_role: role });
const like = (pattern: RegExp) => expect.stringMatching(pattern) as string;
const restoring = "pulumi up --refresh --stack dev";
const rotating = "npm run rotate -- --stack dev --account scanner";
const policy = "sys/policies/acl/apisec-dev-developer";
const role = "auth/gitlab/role/apisec-dev-rotator";
let kept: Data = {};

const breaks: Record<string, Break> = {
  "the schedule is switched off": {
    spoil: () => gitlab("PUT", `pipeline_schedules/${scheduleId}`, { active: false }),
    expected: [
      {
        subject: "schedule",
        state: "problem",
        found: "is inactive: nothing rotates the tokens",
        fix: restoring,
      },
    ],
    code: 2,
    restore: () => gitlab("PUT", `pipeline_schedules/${scheduleId}`, { active: true }),
  },
  "the schedule's owner is blocked": {
    spoil: () => gitlabControl("users/rotation-bot/block"),
    expected: [
      {
        subject: "schedule's owner",
        state: "problem",
        found: "rotation-bot is blocked",
        fix: like(/^pulumi up --refresh --stack dev .*a user who stays/),
      },
    ],
    code: 2,
    restore: () => gitlabControl("users/rotation-bot/unblock"),
  },
  "the schedule runs at other times": {
    spoil: () => gitlab("PUT", `pipeline_schedules/${scheduleId}`, { cron: "0 0 * * *" }),
    expected: [
      {
        subject: "schedule",
        state: "problem",
        found: "cron is 0 0 * * *, declared 17 */6 * * *",
        fix: restoring,
      },
    ],
    code: 2,
    restore: () => gitlab("PUT", `pipeline_schedules/${scheduleId}`, { cron: "17 */6 * * *" }),
  },
  "pipeline variables are as GitLab has them if nobody says otherwise": {
    spoil: () => variablesMayBeSetBy("developer"),
    expected: [
      {
        subject: "pipeline variables",
        state: "warning",
        found: "may be set by developer",
        fix: "glab api -X PUT projects/1 -f ci_pipeline_variables_minimum_override_role=maintainer",
      },
    ],
    code: 1,
  },
  "the schedule has variables": {
    spoil: async () => {
      await variablesMayBeSetBy("maintainer");
      await gitlab("POST", `pipeline_schedules/${scheduleId}/variables`, { key: "X", value: "y" });
    },
    expected: [
      {
        subject: "schedule",
        state: "problem",
        found: "has variables, which win over the project's: X",
        fix: like(/^glab api -X DELETE projects\/1\/pipeline_schedules\/\d+\/variables\/X$/),
      },
    ],
    code: 2,
  },
  "the token's user is a Reporter, who is not shown everything": {
    spoil: () => gitlab("PUT", `members/${monitorId}`, { access_level: 20 }),
    expected: [
      {
        subject: "schedule",
        state: "warning",
        found: like(/; whether it has variables is not shown to this token's user$/),
        fix: "export GITLAB_TOKEN=…   (scope read_api, of a Maintainer)",
      },
    ],
    code: 1,
    restore: () => gitlab("PUT", `members/${monitorId}`, { access_level: 40 }),
  },
  "the branch is not protected": {
    spoil: () => gitlab("DELETE", "protected_branches/main"),
    expected: [
      {
        subject: "branch main",
        state: "problem",
        found: like(/^is not protected/),
        fix: like(/Protected branches/),
      },
    ],
    code: 2,
    restore: () =>
      gitlab("POST", "protected_branches", {
        name: "main",
        push_access_level: 40,
        merge_access_level: 40,
      }),
  },
  "a policy is edited": {
    spoil: async () => {
      kept = await asRoot("GET", policy);
      const text = String(kept["policy"]).replace('["read"]', '["read", "update"]');
      await asRoot("PUT", policy, { policy: text });
    },
    expected: [
      {
        subject: "policy apisec-dev-developer",
        state: "problem",
        found: like(/^differs from line \d+ on: .*\["read", "update"\]; declared: .*\["read"\]$/),
        fix: restoring,
      },
    ],
    code: 2,
    restore: () => asRoot("PUT", policy, { policy: kept["policy"] }),
  },
  "the role asks for one claim less": {
    spoil: async () => {
      kept = await asRoot("GET", role);
      const bound_claims = { ...(kept["bound_claims"] as Data) };
      delete bound_claims["ref_protected"];
      await asRoot("POST", role, { ...kept, bound_claims });
    },
    expected: [
      {
        subject: "role apisec-dev-rotator",
        state: "problem",
        found: "bound_claims.ref_protected is not set, declared true",
        fix: restoring,
      },
    ],
    code: 2,
    restore: () => asRoot("POST", role, kept),
  },
  "GitLab's keys come from elsewhere": {
    spoil: async () => {
      kept = await asRoot("GET", "auth/gitlab/config");
      const jwks = { jwks_url: `${lab.world.gitlab.url}/oauth/discovery/keys` };
      await asRoot("POST", "auth/gitlab/config", { ...jwks, bound_issuer: kept["bound_issuer"] });
    },
    expected: [
      {
        subject: "auth mount gitlab/",
        state: "problem",
        found: like(/oidc_discovery_url is not set, declared http.*jwks_url is http/),
        fix: restoring,
      },
    ],
    code: 2,
    restore: () =>
      asRoot("POST", "auth/gitlab/config", {
        oidc_discovery_url: kept["oidc_discovery_url"],
        bound_issuer: kept["bound_issuer"],
      }),
  },
  "a group has lost its policy": {
    spoil: async () => {
      kept = await asRoot("GET", "identity/group/name/appsec");
      await asRoot("POST", "identity/group/name/appsec", { policies: ["of-others"] });
    },
    expected: [
      {
        subject: "group appsec",
        state: "problem",
        found: "lacks apisec-dev-developer",
        fix: restoring,
      },
    ],
    code: 2,
    restore: () => asRoot("POST", "identity/group/name/appsec", { policies: kept["policies"] }),
  },
  "a key may be written without check-and-set": {
    spoil: () => asRoot("POST", "apisec/metadata/admin/password", { cas_required: false }),
    expected: [
      {
        subject: "key settings admin/password",
        state: "problem",
        found: "cas_required is false, declared true",
        fix: "vault kv metadata put -mount=apisec -cas-required=true -max-versions=10 -delete-version-after=0s admin/password",
      },
    ],
    code: 2,
  },
  "a token is deleted": {
    spoil: () => asRoot("DELETE", "apisec/data/scanner/token"),
    expected: [
      {
        subject: "token scanner",
        state: "problem",
        found: like(/^was deleted by hand at \d{4}-.*Z, .* ago$/),
        fix: rotating,
      },
    ],
    code: 2,
  },
  "a token is about to end": {
    spoil: async () => {
      await asRoot("POST", "apisec/metadata/scanner/token", { delete_version_after: "30m" });
      await renew("scanner/token");
      await asRoot("POST", "apisec/metadata/scanner/token", { delete_version_after: "23h30m" });
    },
    expected: [
      {
        subject: "token scanner",
        state: "warning",
        found: like(/, readable for (30|29)m, until \d{4}-.*Z; .* needed until \d{4}-.*Z$/),
        fix: rotating,
      },
    ],
    code: 1,
  },
  "a password record is deleted": {
    spoil: () => asRoot("DELETE", "apisec/data/scanner/password"),
    expected: [
      {
        subject: "password scanner",
        state: "problem",
        found: like(/^version \d was deleted at /),
        fix: like(/^vault kv undelete -mount=apisec -versions=\d scanner\/password$/),
      },
    ],
    code: 2,
  },
  "the pipeline file is edited": {
    spoil: async () => {
      const path = "repository/files/.gitlab-ci.yml";
      const file = (await (await lab.gitlab("GET", `${path}?ref=main`)).json()) as Data;
      kept = { text: Buffer.from(String(file["content"]), "base64").toString("utf8") };
      const content = `${String(kept["text"])}\n# one line more\n`;
      const commit = { branch: "main", commit_message: "Edit [skip ci]", content };
      await gitlab("PUT", path, commit);
    },
    expected: [
      {
        subject: "file .gitlab-ci.yml",
        state: "problem",
        found: "was edited, or is of another version",
        fix: restoring,
      },
    ],
    code: 2,
    restore: () =>
      gitlab("PUT", "repository/files/.gitlab-ci.yml", {
        branch: "main",
        commit_message: "Back [skip ci]",
        content: kept["text"],
      }),
  },
  "the last pipeline has failed": {
    spoil: async () => {
      kept = await asRoot("GET", role);
      await asRoot("POST", role, { ...kept, bound_audiences: ["elsewhere"] });
      expect((await lab.runSchedule(scheduleId)).status).toBe("failed");
      await asRoot("POST", role, kept);
    },
    expected: [
      {
        subject: "last pipeline",
        state: "problem",
        found: like(/^failed, began .* ago: http.*\/-\/pipelines\/\d+$/),
        fix: like(/^see its job at http.*, then: `npm run rotate -- --stack dev`$/),
      },
    ],
    code: 2,
    restore: async () => expect((await lab.runSchedule(scheduleId)).status).toBe("success"),
  },
};

test.each(sampled(Object.entries(breaks)))(
  "%s",
  async (_name, { spoil, expected, code, restore }) => {
    await spoil();
    const found = await notOk();
    await restore?.();
    expect(found).toEqual({ lines: expected, code });
    if (restore !== undefined) return;
    for (const { fix = "" } of found.lines) await follow(fix);
    expect(await notOk()).toEqual({ code: 0, lines: [] });
  },
);

test("whatever `pulumi up --refresh` is to restore, it does", async () => {
  const ofUp = Object.values(breaks).filter(({ expected }) =>
    expected.every(({ fix }) => fix === restoring),
  );
  for (const { spoil } of ofUp) await spoil();
  const { lines } = await notOk();
  expect(new Set(lines.map(({ fix }) => fix))).toEqual(new Set([restoring]));
  expect(lines.length).toBeGreaterThanOrEqual(6);
  await follow(restoring);
  expect(await notOk()).toEqual({ code: 0, lines: [] });
});

test.each<[string, () => Promise<unknown>, Line]>([
  [
    "the schedule is there twice, as after a repeated request",
    async () => {
      const ours = (await (
        await lab.gitlab("GET", `pipeline_schedules/${scheduleId}`)
      ).json()) as Data;
      const { description, ref, cron, cron_timezone, active } = ours;
      await gitlab("POST", "pipeline_schedules", { description, ref, cron, cron_timezone, active });
    },
    {
      subject: "schedule",
      state: "problem",
      found: "is there 2 times",
      fix: like(
        /^(glab api -X DELETE projects\/1\/pipeline_schedules\/\d+ && ){2}pulumi up --refresh --stack dev$/,
      ),
    },
  ],
  [
    "the role has lost all its claims",
    async () => {
      await asRoot("POST", role, { ...(await asRoot("GET", role)), bound_claims: {} });
    },
    {
      subject: "role apisec-dev-rotator",
      state: "problem",
      found: like(/^bound_claims/),
      fix: `vault delete ${role} && ${restoring}`,
    },
  ],
])("%s: the printed commands fix it", async (_name, spoil, expected) => {
  await spoil();
  expect(await notOk()).toEqual({ code: 2, lines: [expected] });
  await follow(String((await notOk()).lines[0]?.fix));
  expect(await notOk()).toEqual({ code: 0, lines: [] });
});

test("after all that it is healthy again", async () => {
  expect(await notOk()).toEqual({ code: 0, lines: [] });
});

test("a Vault that is sealed, unreachable or denies the token is one line; GitLab is checked all the same", async () => {
  const { vault } = lab.world;
  await vault.seal();
  const sealed = await notOk();
  await vault.unseal();
  expect(sealed.lines).toEqual([
    {
      ...{ subject: "Vault", state: "problem", fix: "vault operator unseal" },
      found: like(/^http:\S+, version \S+, is sealed$/),
    },
  ]);
  const away = await notOk([], { VAULT_ADDR: "http://127.0.0.1:9" });
  expect(away.lines).toEqual([
    {
      ...{ subject: "Vault", state: "problem", fix: like(/^see that it runs/) },
      found: like(/^http:\/\/127.0.0.1:9 refused/),
    },
    // The job would be told another Vault.
    {
      subject: "file .gitlab-ci.yml",
      state: "problem",
      found: like(/^was edited/),
      fix: restoring,
    },
  ]);
  const denied = await notOk([], { VAULT_TOKEN: "of-nobody" });
  expect(denied.lines).toEqual([
    {
      subject: "Vault token",
      state: "problem",
      found: "is not valid: it is wrong, or has ended",
      fix: "vault login",
    },
  ]);
  const plain = await tokenWith(vault, "default", undefined, "10m");
  const without = await notOk([], { VAULT_TOKEN: plain });
  expect(without.lines).toEqual([
    {
      subject: "Vault token",
      state: "problem",
      found: like(/^Vault denies GET sys\/mounts\/apisec \(403\): the token's policies do not/),
      fix: like(/^npm run --silent policy -- monitor --stack dev \| .* apisec-dev-monitor/),
    },
  ]);
  expect([sealed.code, away.code, denied.code]).toEqual([2, 2, 2]);
});

test("a GitLab token that is wrong, or missing, leaves the role's claims unknown: never ok", async () => {
  const unknown = ["project_id, user_id, ci_config_ref_uri", "project_id"];
  const roles = ["rotator", "consumer.scan"].map((name, index) => ({
    subject: `role apisec-dev-${name}`,
    state: "warning",
    found: like(new RegExp(`but ${unknown[index]} could not be compared`)),
    fix: "see the lines about GitLab",
  }));
  const fix = like(/^export GITLAB_TOKEN=…/);
  const wrong = await notOk([], { GITLAB_TOKEN: "glpat-of-nobody" });
  const found = like(/^GitLab answers GET user with 401: 401 Unauthorized$/);
  expect(wrong.lines).toEqual([
    ...roles,
    { subject: "GitLab token", state: "problem", found, fix },
  ]);
  const missing = await notOk([], { GITLAB_TOKEN: "" });
  expect(missing.lines).toEqual([
    ...roles,
    { subject: "GitLab", state: "problem", found: like(/GITLAB_TOKEN is not set/), fix },
  ]);
  expect([wrong.code, missing.code]).toEqual([2, 2]);
});

test("a token that can do more than it should, or is not shown what it can do, is a warning", async () => {
  const fix = "run it with a token of policy apisec-dev-monitor";
  const subject = "this Vault token";
  const unseen = (what: string): Line => ({
    ...{ subject: what, state: "warning", found: like(/^Vault denies LIST /) },
    fix: like(/^npm run --silent policy -- monitor --stack dev \| /),
  });
  expect(await notOk([], { VAULT_TOKEN: lab.world.vault.rootToken })).toEqual({
    code: 1,
    lines: [
      {
        ...{ subject, state: "warning", fix },
        found: like(
          /^has rights on 2 passwords \(asked of 2, such as apisec\/data\/admin\/password\)$/,
        ),
      },
    ],
  });
  expect(await notOk([], { VAULT_TOKEN: lab.env["VAULT_TOKEN"] ?? "" })).toEqual({
    code: 1,
    lines: [
      ...["consumers' roles", "consumers' policies"].map(unseen),
      { ...{ subject, state: "warning", fix }, found: like(/^has rights on 2 passwords/) },
      unseen("accounts that are not in config"),
    ],
  });
});

test("tokens are read and tried at APIsec where that is asked for, with the developers' rights", async () => {
  const body = {
    policies: ["apisec-dev-monitor", "apisec-dev-developer"],
    no_default_policy: true,
  };
  const answer = await lab.asRoot("POST", "auth/token/create", body);
  const VAULT_TOKEN = (answer.body as { auth: { client_token: string } }).auth.client_token;
  const healthy = await check(["--read-tokens"], { VAULT_TOKEN });
  expect(healthy.stdout).toMatch(/^ok +token scanner at APIsec +works$/m);
  expect(healthy.code).toBe(0);
  const denied = await notOk(["--read-tokens"]);
  expect(denied).toMatchObject({
    code: 2,
    lines: [{ subject: "token scanner at APIsec", found: like(/^Vault denies GET/) }],
  });
  // An account that is given the role after it was set up, and a token that has ended at APIsec.
  await lab.apisec("POST", "faults", [
    { match: { kind: "probe" }, action: { status: 401, body: {} } },
  ]);
  const refused = await notOk(["--read-tokens"], { VAULT_TOKEN });
  await lab.apisec("DELETE", "faults");
  expect(refused).toMatchObject({
    code: 2,
    lines: [{ subject: "token scanner at APIsec", found: "is refused: HTTP 401", fix: rotating }],
  });
});

test("a password that was changed outside is found by verify, and by the printed command taken back", async () => {
  const policy = await command("policy", ["verifier"]);
  const VAULT_TOKEN = await tokenWith(lab.world.vault, "apisec-dev-verifier", policy.stdout);
  const as = { VAULT_TOKEN };
  const well = await command("verify", ["--now"], as);
  expect(well.stdout.split("\n").sort()).toEqual(["", "admin    verified", "scanner  verified"]);
  expect([well.code, well.stderr]).toEqual([0, ""]);
  expect((await command("verify", [], as)).stdout).toMatch(/^scanner +not tried +it was tried at/m);
  // Its token writes nothing else.
  const headers = { "x-vault-token": VAULT_TOKEN };
  const post = (path: string, body: object) =>
    fetch(`${lab.world.vault.address}/v1/apisec/${path}`, {
      ...{ method: "POST", headers },
      body: JSON.stringify(body),
    }).then(({ status }) => status);
  expect(await post("metadata/scanner/password", { cas_required: false })).toBe(403);
  expect(await post("data/scanner/password", { data: {}, options: { cas: 1 } })).toBe(403);
  expect((await check(["--json"])).code).toBe(0);

  const { data } = await asRoot("GET", "apisec/data/scanner/password");
  const { username } = data as { username: string };
  await lab.apisec("POST", `accounts/${username}/password`, { password: "Changed-0utside-9!" });
  const refused = await command("verify", ["--now"], as);
  const html = join(lab.program, "refused.html");
  const page = () => check(["--html", html]).then(() => readFileSync(html, "utf8"));
  expect(refused).toMatchObject({ code: 2, stdout: like(/^scanner +REFUSED/m) });
  const found = await notOk();
  const fix = "npm run renew -- --stack dev --account scanner && pulumi up --stack dev";
  expect(found).toMatchObject({
    code: 2,
    lines: [{ subject: "verification scanner", state: "problem", fix: like(new RegExp(fix)) }],
  });
  const wrong = /<ol class="wrong">([^]*?)<\/ol>/.exec(await page())?.[1];
  expect(wrong).toMatch(/<strong>dev: verification scanner<\/strong> APIsec refused it at /);
  const renewed = await command("renew", ["--account", "scanner"]);
  expect(renewed.stdout).toMatch(/^scanner +passwordGeneration 1 -> 2, changed /);
  await lab.pulumi(["up", "--yes", "--stack", "dev"]);
  expect((await notOk()).code).toBe(0);
  expect(await page()).toContain("<p>Nothing.</p>");
}, 120_000);

/** The commands of docs/evidence.md, for this lab's stack and today. */
function evidenceSteps(): string[] {
  const day = (offset: number) => new Date(Date.now() + offset).toISOString().slice(0, 10);
  const days = { from: day(-86_400_000), to: day(86_400_000) };
  return stepsOf(join(__dirname, "..", "..", "docs", "evidence.md")).map(({ commands }) =>
    commands
      .replace(/--from \S+ --to \S+/, `--from ${days.from} --to ${days.to}`)
      .replaceAll(/\bprod\b/g, "dev"),
  );
}

const inShell = async (commands: string, env: Record<string, string>) => {
  const result = await run("bash", ["--norc", "-uo", "pipefail", "-c", commands], {
    cwd: lab.program,
    env: { ...lab.env, ...env },
  });
  printed.push(result.stdout, result.stderr);
  return result;
};

test("break-glass: a read by a person is a problem until the password is changed, and evidence has both", async () => {
  const { vault } = lab.world;
  const log = join(lab.program, "vault_audit.log");
  const asMonitor = { VAULT_TOKEN: tokens.vault, GITLAB_TOKEN: tokens.gitlab };
  const [checking = "", making = "", verifying = ""] = evidenceSteps();
  copyFileSync(vault.auditLog, log);
  const well = await inShell(checking, asMonitor);
  expect(well.stdout).toMatch(
    /^ok +reads of password scanner +by no person from \d{4}-\S*Z to \d{4}-\S*Z$/m,
  );

  await asRoot("POST", "sys/auth/people", { type: "userpass" });
  const user = { password: "Anna-logs-in-1", token_policies: ["apisec-dev-admin"] };
  await asRoot("POST", "auth/people/users/anna", user);
  const login = await vault.request("", "POST", "auth/people/login/anna", {
    password: user.password,
  });
  const anna = (login.body as { auth: { client_token: string } }).auth.client_token;
  const reading = await run("bao", ["kv", "get", "-mount=apisec", "scanner/password"], {
    cwd: lab.program,
    env: { ...lab.env, VAULT_TOKEN: anna },
  });
  expect(reading.code).toBe(0);
  copyFileSync(vault.auditLog, log);
  const found = await check(["--json", "--audit", log]);
  writeFileSync(join(lab.program, "check-dev-1.json"), found.stdout);
  const [wrong] = (JSON.parse(found.stdout) as JsonReport).findings.filter(
    ({ id, account }) => id === "password-read" && account === "scanner",
  );
  expect(found.code).toBe(2);
  expect(wrong && lineOf(wrong)).toEqual({
    ...{ subject: "reads of password scanner", state: "problem" },
    found: like(
      /^read at \d{4}-\S+Z by people-anna username=anna entity=[\w-]+, and not changed since$/,
    ),
    fix: "npm run renew -- --stack dev --account scanner && pulumi up --stack dev",
  });
  const committing =
    "git init -q && git -c user.name=Anna -c user.email=anna@acme.example commit -qm x --allow-empty";
  expect((await inShell(committing, {})).code).toBe(0);
  await follow(String(wrong?.fix));
  copyFileSync(vault.auditLog, log);

  // What Vault's admin gets tried is what a monitor gets computed.
  const madeBy = async (VAULT_TOKEN: string) => {
    const made = await inShell(making, { ...asMonitor, VAULT_TOKEN });
    expect([made.code, made.stderr]).toEqual([1, ""]);
    const text = (form: string) =>
      readFileSync(join(lab.program, `apisec-evidence-dev.${form}`), "utf8");
    printed.push(text("json"), text("csv"), text("html"));
    return (JSON.parse(text("json")) as { evidence: Evidence }).evidence;
  };
  const computed = await madeBy(tokens.vault);
  const tried = await madeBy(vault.rootToken);
  const byPolicy = ({ access }: Evidence) =>
    access
      .filter(({ policy }) => policy.startsWith("apisec-dev-"))
      .map((row) => ({ ...row, how: undefined }));
  expect(byPolicy(tried)).toEqual(byPolicy(computed));
  expect(byPolicy(tried).length).toBeGreaterThanOrEqual(6);
  const howOf = ({ access }: Evidence, role: string) =>
    access.find(({ policy }) => policy === `apisec-dev-${role}`)?.how;
  expect([howOf(tried, "deployer"), howOf(computed, "deployer")]).toEqual([
    "tried",
    "policy in Vault",
  ]);
  expect(computed.sources.map(({ state }) => state)).toContain("skipped");

  const of = (kind: string) =>
    tried.events.filter((event) => event.kind === kind && event.account === "scanner");
  const changes = of("password changed");
  expect(changes.length).toBeGreaterThanOrEqual(1);
  expect(changes.at(-1)?.by).toMatch(
    /^commit [0-9a-f]{40}.*, author Anna <anna@acme\.example>, \w+ \(as noted in Vault\)$/,
  );
  expect(of("password read").map(({ by }) => by)).toEqual(
    expect.arrayContaining([like(/^people-anna username=anna entity=/), "policy -rotator"]),
  );
  expect(of("finding").filter(({ what }) => what.includes("password-read"))).toMatchObject([
    { kind: "finding", account: "scanner", until: like(/^\d{4}-.*Z$/) },
  ]);
  expect(of("token issued").length).toBeGreaterThan(1);

  const verified = await inShell(verifying, asMonitor);
  const [, hash = ""] = /^as it was made: SHA-256 (\w{64})$/m.exec(verified.stdout) ?? [];
  expect(verified).toMatchObject({ code: 0, stdout: like(new RegExp(`^${hash}  -$`, "m")) });
}, 180_000);

test("table, JSON, metrics and page say the same, and reports that are joined say it again", async () => {
  const at = (name: string) => join(lab.program, name);
  const [metrics, html, json] = [at("check.prom"), at("check.html"), at("check.json")];
  const { code, stdout } = await check(["--json", "--metrics", metrics, "--html", html]);
  const { findings } = JSON.parse(stdout) as JsonReport;
  expect(code).toBe(0);
  const text = readFileSync(metrics, "utf8");
  const [schedule, token] = ["schedule", "token"].map((id) =>
    findings.find((one) => one.id === id),
  );
  const seconds = Date.parse(String(token?.values["readable_until"])) / 1000;
  expect(text).toContain(
    `apisec_token_readable_until_timestamp_seconds{project="apisec-credentials",stack="dev",account="scanner"} ${seconds}\n`,
  );
  expect(text).toMatch(/^apisec_schedule_active\{[^}]*\} 1$/m);
  const page = readFileSync(html, "utf8");
  expect(page).toContain(`<strong data-count="ok">${findings.length}</strong> ok`);
  expect(page).toContain(String(schedule?.values["next_run_4"]));
  writeFileSync(json, stdout);
  const joining = await run(process.execPath, ["cli/bin.js", "check", "--json", "--from", json], {
    cwd: lab.program,
    env: { PATH: lab.env["PATH"] },
  });
  expect(joining).toMatchObject({ code: 0, stdout });
  printed.push(text, page);
});

test("of all stacks, one that this caller cannot reach is skipped: never well", async () => {
  const all = (env: Record<string, string> = {}) =>
    run(process.execPath, ["cli/bin.js", "check", "--all", "--json"], {
      cwd: lab.program,
      env: { ...lab.env, VAULT_TOKEN: tokens.vault, GITLAB_TOKEN: tokens.gitlab, ...env },
    });
  lab.writeConfig("broken", { ...devConfig(lab.world), cron: "never" });
  const { stdout } = await all();
  const reports = JSON.parse(stdout) as JsonReport[];
  const of = (stack: string) => reports.find((one) => one.stack === stack)?.findings ?? [];
  expect(of("broken")).toMatchObject([{ id: "stack-reach", state: "skipped" }]);
  expect(of("dev").filter(({ state }) => state !== "ok")).toEqual([]);
  const none = await all({ VAULT_TOKEN: "hvs.of-nobody" });
  const states = (JSON.parse(none.stdout) as JsonReport[]).flatMap(({ findings }) => findings);
  expect([none.code, new Set(states.map(({ state }) => state))]).toEqual([2, new Set(["skipped"])]);
  rmSync(join(lab.program, "Pulumi.broken.yaml"));
});

test("what is new is told once, and once that it is over", async () => {
  const messages: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      messages.push((JSON.parse(body) as { text: string }).text);
      response.end("ok");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const APISEC_WEBHOOK = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/x`;
  const telling = () =>
    check(["--notify", "--state", join(lab.program, "told")], { APISEC_WEBHOOK });
  // A fix above has made the schedule anew.
  const { stdout } = await lab.pulumi(["stack", "output", "scheduleId", "--stack", "dev"]);
  const path = `pipeline_schedules/${stdout.trim()}`;
  try {
    await telling();
    await gitlab("PUT", path, { active: false });
    await telling();
    await telling();
    await gitlab("PUT", path, { active: true });
    await telling();
    await telling();
  } finally {
    server.close();
  }
  expect(messages).toEqual([
    like(
      /^apisec-credentials\/dev: 1 new, 0 over\n• problem schedule: is inactive: .* \[APC-SCHEDULE\] -&gt; pulumi up/,
    ),
    like(/^apisec-credentials\/dev: 0 new, 1 over\n• over schedule: 17 /),
  ]);
});

test("an account that came later, and a stack that is not there, are said and not passed over", async () => {
  const config = devConfig(lab.world);
  const accounts = [...(config["accounts"] as Data[]), { name: "new", username: "n@acme.example" }];
  lab.writeConfig("later", { ...config, accounts, policyPrefix: "apisec" });
  const args = ["--json", "--stack", "later"];
  const { code, stdout } = await check(args);
  const { findings } = JSON.parse(stdout) as JsonReport;
  expect(findings.map(lineOf)).toContainEqual({
    subject: "password new",
    state: "problem",
    found: "there is no record",
    fix: "pulumi up --stack later",
  });
  expect(code).toBe(2);
  const none = await check(["--stack", "nowhere"]);
  expect(none).toMatchObject({ code: 2, stderr: like(/^Pulumi.nowhere.yaml is not there/) });
});

test("nothing that it prints is a secret", async () => {
  const secrets = await Promise.all(
    ["admin/password", "scanner/password", "scanner/token"].map(async (key) => {
      const { data } = await asRoot("GET", `apisec/data/${key}`);
      const { password, token } = data as { password?: string; token?: string };
      return password ?? token ?? "";
    }),
  );
  const all = printed.join("\n");
  for (const secret of [...secrets, ...Object.values(tokens), lab.world.vault.rootToken]) {
    expect(secret.length).toBeGreaterThan(10);
    expect(all.includes(secret)).toBe(false);
  }
});
