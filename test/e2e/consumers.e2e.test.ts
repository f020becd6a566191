import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parse, stringify } from "yaml";
import { baoRequest } from "../../lab/openbao";
import { waitFor } from "../../lab/process";
import { idToken } from "../support/idTokens";
import type { TokenWish, VaultAuth } from "../support/idTokens";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { watchProcesses } from "../support/processWatch";
import { startRecorder } from "../support/recorder";
import type { Recorder } from "../support/recorder";
import type { TestStack } from "../support/stack";

/** Another user's token at GitLab: a maintainer of the reading projects. */
const danaToken = "glpat-dana-0123456789";
const groupNames = {
  admins: "APIsec Admins",
  developers: "ldap/Entwickler, Team=Ü",
  both: "both",
};
const projects = ["shop/api", "shop/other", "payments/web", "payments/inner/tool"];

let lab: TestLab;
let stack: TestStack;
let vault: Recorder;
let folder: string;
let groupsBefore: Group[];

interface Group {
  id: string;
  name: string;
  type: string;
  policies: string[];
  member_entity_ids: string[];
  alias: string | undefined;
  metadata: unknown;
}

interface Reader {
  role: string;
  snippet: string;
  scanJob: string;
}

/** What each consumer is given by the first `up`. */
let given: Record<string, Reader>;

const readers = async () => (await stack.outputs())["consumers"] as Record<string, Reader>;

/** `dev` with a second published account, both kinds of consumer, and groups in each list and in both. */
function config(changed: Record<string, unknown> = {}): Record<string, unknown> {
  const { accounts, ...rest } = devConfig(lab.world);
  const auditor = { name: "auditor", username: "auditor@acme.example", changedBy: "admin" };
  return {
    ...rest,
    accounts: [...(accounts as object[]), auditor],
    consumers: [
      { name: "by-project", project: "shop/api", accounts: ["scanner"] },
      { name: "by-group", group: "payments" },
    ],
    adminGroups: [groupNames.admins, groupNames.both],
    developerGroups: [groupNames.developers, groupNames.both],
    ...changed,
  };
}

/** Without the first consumer, and with one group less in the developers' list. */
function less(): Record<string, unknown> {
  const { consumers } = config() as { consumers: object[] };
  return config({ consumers: consumers.slice(1), developerGroups: [groupNames.developers] });
}

/** Config and deployer's policy of the stack; Vault's admin writes it, as ids are looked up for it. */
async function configure(
  ...args: Parameters<TestLab["stack"]> extends [string, ...infer R] ? R : never
) {
  lab.env["VAULT_TOKEN"] = lab.world.vault.rootToken;
  stack = await lab.stack("dev", ...args);
  expect(lab.env["VAULT_TOKEN"]).not.toBe(lab.world.vault.rootToken);
}

async function asRoot<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await lab.asRoot(method, path, body);
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer.body as T;
}

const as = async (token: string | undefined, method: string, path: string, body?: object) =>
  (await baoRequest(lab.world.vault.address, token, method, path, body)).status;

async function groupOf(name: string): Promise<Group> {
  const { data } = await asRoot<{ data: Omit<Group, "alias"> & { alias: { name?: string } } }>(
    "GET",
    `identity/group/name/${encodeURIComponent(name)}`,
  );
  const { id, type, alias, metadata } = data;
  // Vault answers null where no list was ever set.
  const lists = {
    policies: (data.policies ?? []).sort(),
    member_entity_ids: data.member_entity_ids ?? [],
  };
  return { id, name: data.name, type, ...lists, alias: alias.name, metadata };
}

const allGroups = () => Promise.all(Object.values(groupNames).map(groupOf));

/** A person of Vault: a userpass login with an entity of its own. */
async function addPerson(name: string, accessor: string): Promise<string> {
  await asRoot("POST", `auth/userpass/users/${name}`, { password: `${name}-password` });
  const { data } = await asRoot<{ data: { id: string } }>("POST", "identity/entity", { name });
  const alias = { name, canonical_id: data.id, mount_accessor: accessor };
  await asRoot("POST", "identity/entity-alias", alias);
  return data.id;
}

async function accessorOf(mount: string): Promise<string> {
  return (await asRoot<{ data: { accessor: string } }>("GET", `sys/auth/${mount}`)).data.accessor;
}

/** Groups as a company has them: with other policies and members, one of them known by its login alone. */
async function addGroups(): Promise<void> {
  await asRoot("POST", "sys/auth/userpass", { type: "userpass" });
  await asRoot("POST", "sys/auth/people", { type: "jwt" });
  const { url } = lab.world.gitlab;
  await asRoot("POST", "auth/people/config", { oidc_discovery_url: url, bound_issuer: url });
  await asRoot("POST", "auth/people/role/person", {
    role_type: "jwt",
    user_claim: "user_login",
    groups_claim: "groups_direct",
    bound_audiences: ["people"],
  });
  const userpass = await accessorOf("userpass");
  const [alice, bob] = [await addPerson("alice", userpass), await addPerson("bob", userpass)];
  const group = async (name: string, more: object) =>
    (await asRoot<{ data: { id: string } }>("POST", "identity/group", { name, ...more })).data.id;
  await group(groupNames.admins, {
    policies: ["of-others"],
    member_entity_ids: [alice],
    metadata: { owner: "somebody" },
  });
  await group(groupNames.both, { member_entity_ids: [bob] });
  const external = await group(groupNames.developers, {
    type: "external",
    policies: ["of-others"],
  });
  await asRoot("POST", "identity/group-alias", {
    name: "developers",
    mount_accessor: await accessorOf("people"),
    canonical_id: external,
  });
  await asRoot("PUT", "sys/policies/acl/of-others", {
    policy: 'path "sys/auth" {\n  capabilities = ["read"]\n}\n',
  });
}

async function gitlab<T = Record<string, unknown>>(
  method: string,
  project: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: T }> {
  const url = `${lab.world.gitlab.url}/api/v4/projects/${encodeURIComponent(project)}${path}`;
  const answer = await fetch(url, {
    method,
    headers: { "private-token": danaToken, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const isJson = answer.headers.get("content-type") === "application/json" && text !== "";
  return { status: answer.status, body: (isJson ? JSON.parse(text) : text) as T };
}

async function addProjects(): Promise<void> {
  const post = (path: string, body: object) =>
    fetch(`${lab.world.gitlab.url}/-/lab/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  await post("users", { username: "dana", tokens: [{ token: danaToken }] });
  for (const path of projects) {
    const members = { dana: "maintainer", "rotation-bot": "reporter" };
    expect((await post("projects", { path, members })).status).toBe(200);
  }
  for (const path of ["shop/api", "payments/web"]) {
    const feature = { branch: "feature", ref: "main" };
    expect((await gitlab("POST", path, "/repository/branches", feature)).status).toBe(201);
    const tag = { tag_name: "v1", ref: "main" };
    expect((await gitlab("POST", path, "/repository/tags", tag)).status).toBe(201);
  }
}

/** Puts a pipeline file into a project and waits for the pipeline of that push. */
async function pushed(project: string, branch: string, content: string) {
  const last = async () => {
    const { body } = await gitlab<{ id: number; status: string }[]>("GET", project, "/pipelines");
    return body[0];
  };
  const before = (await last())?.id ?? 0;
  const path = "/repository/files/.gitlab-ci.yml";
  const known = await gitlab("GET", project, `${path}?ref=${branch}`);
  const commit = { branch, content, commit_message: "Read a token" };
  await gitlab(known.status === 200 ? "PUT" : "POST", project, path, commit);
  const pipeline = await waitFor(`a pipeline of ${project}`, 30_000, async () => {
    const found = await last();
    const over = found && found.id > before && ["success", "failed"].includes(found.status);
    return over ? found : undefined;
  });
  const { body: jobs } = await gitlab<{ id: number }[]>(
    "GET",
    project,
    `/pipelines/${pipeline.id}/jobs`,
  );
  const { body: trace } = await gitlab<string>("GET", project, `/jobs/${jobs[0]?.id}/trace`);
  return { status: pipeline.status, trace };
}

async function tokenOf(account: string): Promise<string> {
  const { data } = await asRoot<{ data: { data: { token: string } } }>(
    "GET",
    `apisec/data/${account}/token`,
  );
  return data.data.token;
}

const fingerprint = (text: string) => createHash("sha256").update(text).digest("hex");

/** The Vault tokens that were given since the recorder was cleared, and the ID tokens they were given for. */
function logins(): { jwt: string; auth?: VaultAuth }[] {
  return vault.exchanges
    .filter(({ path }) => path === "/v1/auth/gitlab/login")
    .map(({ body, answer }) => ({
      jwt: (JSON.parse(body) as { jwt: string }).jwt,
      ...(JSON.parse(answer) as { auth?: VaultAuth }),
    }));
}

/** A reading job's ID token, but for what is wished otherwise. */
const readToken = (project: string, wish: TokenWish = {}) =>
  idToken(lab, "dev", {
    project,
    user: "dana",
    source: "push",
    aud: `${vault.url}/apisec/dev/read`,
    environment: undefined,
    ...wish,
  });

async function logIn(role: string, jwt: string) {
  const { address } = lab.world.vault;
  const answer = await baoRequest(address, undefined, "POST", "auth/gitlab/login", { role, jwt });
  const { auth, errors } = answer.body as { auth?: VaultAuth; errors?: string[] };
  return { status: answer.status, token: auth?.client_token, auth, problem: errors?.join("; ") };
}

const byProject = "apisec-dev-consumer.by-project";
const byGroup = "apisec-dev-consumer.by-group";

const expectNoChanges = () => stack.preview({ expectNoChanges: true });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "apisec-vault-command-"));
  // Jobs call `vault`; here that is OpenBao, and every argument is noted.
  const script = `#!/bin/sh\nprintf '%s\\n' "$*" >> ${join(folder, "arguments")}\nexec bao "$@"\n`;
  writeFileSync(join(folder, "vault"), script);
  chmodSync(join(folder, "vault"), 0o755);
  appendFileSync(join(folder, "arguments"), "");
  process.env["PATH"] = [folder, process.env["PATH"]].join(delimiter);
  lab = await startTestLab();
  vault = await startRecorder(lab.world.vault.address);
  lab.env["VAULT_ADDR"] = vault.url;
  await Promise.all([addGroups(), addProjects()]);
  groupsBefore = await allGroups();
  const auditor = { username: "auditor@acme.example", password: "First-of-auditor", userId: "u-3" };
  await lab.apisec("POST", "accounts", [
    { ...auditor, name: "auditor", org: { id: "org-1", name: "Acme" }, roles: ["ROLE_USER"] },
  ]);
  await configure(config(), { ...lab.world.secrets.firstPasswords, auditor: auditor.password });
  await stack.up();
  given = await readers();
}, 240_000);

afterAll(async () => {
  await vault?.close();
  await lab?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("preview right after up says that there is nothing to do", async () => {
  await expectNoChanges();
});

describe("a pipeline", () => {
  test.each([
    ["of the project", "by-project", "shop/api"],
    ["of a project of the group", "by-group", "payments/web"],
  ])(
    "%s runs the snippet: reads the token, and its login ends with it",
    async (_, name, project) => {
      const reader = given[name];
      const watch = watchProcesses();
      vault.exchanges.length = 0;
      // In another process: what is exported, and nothing of Vault's.
      const proof =
        '    - sh -c \'printf %s "$APISEC_TOKEN" | sha256sum; echo "at $APISEC_HOST with$VAULT_TOKEN$VAULT_ID_TOKEN."\'\n';
      const { status, trace } = await pushed(project, "main", `${reader?.snippet}${proof}`);
      watch.stop();
      expect({ status, trace }).toEqual({
        status: "success",
        trace: expect.stringContaining(fingerprint(await tokenOf("scanner"))) as string,
      });
      expect(trace).toContain(`at ${lab.world.apisec.url} with.`);
      const [login, ...others] = logins();
      expect(others).toEqual([]);
      expect(login?.auth?.policies).toEqual([`apisec-dev-consumer.${name}`]);
      const token = login?.auth?.client_token;
      expect((await lab.asRoot("POST", "auth/token/lookup", { token })).status).toBe(403);

      const seen = watch.seen.map(({ commandLine }) => commandLine);
      expect(seen.some((line) => line.includes("auth/gitlab/login"))).toBe(true);
      const commands = readFileSync(join(folder, "arguments"), "utf8");
      expect(commands).toContain(`auth/gitlab/login role=${reader?.role} jwt=-`);
      for (const text of [...seen, commands]) {
        expect(text).not.toContain(login?.jwt);
        expect(text).not.toContain(token);
      }
    },
  );

  test("that scans fails at a High, and shows no token", async () => {
    const { scanJob } = given["by-project"] ?? { scanJob: "" };
    const file = (path: string, content: string) =>
      gitlab("POST", "shop/api", `/repository/files/${encodeURIComponent(path)}`, {
        branch: "main",
        content,
        commit_message: "[skip ci]",
      });
    const scan = readFileSync(join(__dirname, "..", "..", "dist", "scan.mjs"), "utf8");
    expect((await file(".gitlab/apisec-scan.mjs", scan)).status).toBe(201);
    expect((await file("openapi.yaml", "openapi: 3.1.0\n")).status).toBe(201);
    vault.exchanges.length = 0;
    const watch = watchProcesses();
    const clean = await pushed("shop/api", "main", scanJob);
    expect(clean).toMatchObject({ status: "success" });
    expect(clean.trace).toContain("scan completed: 100 tests, 0 failed");
    const found = {
      vulnerabilities: [
        { id: "v-1", severity: "High" },
        { id: "v-2", severity: "Low" },
      ],
    };
    expect(await lab.apisec("PATCH", "apis/api", found)).toHaveLength(1);
    const failed = await pushed("shop/api", "main", `${scanJob}# once more\n`);
    watch.stop();
    expect(failed).toMatchObject({ status: "failed" });
    expect(failed.trace).toContain("failed: 1 of 2 are High or worse");
    // Each run's login has ended with it, and neither token nor ID token was shown.
    const secrets = [
      await tokenOf("scanner"),
      ...logins().flatMap(({ jwt, auth }) => [jwt, auth?.client_token ?? ""]),
    ];
    expect(secrets).toHaveLength(5);
    const shown = [clean.trace, failed.trace, ...watch.seen.map(({ commandLine }) => commandLine)];
    for (const secret of secrets) {
      expect(shown.filter((text) => text.includes(secret))).toEqual([]);
      expect((await lab.asRoot("POST", "auth/token/lookup", { token: secret })).status).toBe(403);
    }
    const { body: jobs } = await gitlab<{ id: number }[]>("GET", "shop/api", "/jobs");
    const { body: sarif } = await gitlab<string>(
      "GET",
      "shop/api",
      `/jobs/${jobs[0]?.id}/artifacts/apisec.sarif`,
    );
    expect(JSON.stringify(sarif)).toContain("High");
  });

  test("of a branch that is not protected has no such job, and gets nothing where it has", async () => {
    const snippet = given["by-project"]?.snippet ?? "";
    const file = parse(snippet) as { "read-token": { rules?: unknown } };
    delete file["read-token"].rules;
    vault.exchanges.length = 0;
    const { status, trace } = await pushed("shop/api", "feature", stringify(file));
    expect(status).toBe("failed");
    expect(trace).toContain('claim "ref_protected" does not match');
    expect(logins()).toHaveLength(1);
    expect(vault.exchanges.every(({ path }) => !path.startsWith("/v1/apisec/"))).toBe(true);

    const path = "/repository/files/.gitlab-ci.yml";
    const commit = { branch: "feature", content: snippet, commit_message: "[skip ci]" };
    await gitlab("PUT", "shop/api", path, commit);
    const none = await gitlab("POST", "shop/api", "/pipeline", { ref: "feature" });
    expect(none.status).toBe(400);
    expect((await gitlab("POST", "shop/api", "/pipeline", { ref: "main" })).status).toBe(201);
  });
});

describe("the login of a consumer", () => {
  test("reads the tokens in its list, and does nothing else", async () => {
    const { status, token, auth } = await logIn(byProject, await readToken("shop/api"));
    expect(status).toBe(200);
    expect(auth).toMatchObject({ policies: [byProject], renewable: true });
    expect(auth?.lease_duration).toBeLessThanOrEqual(900);
    const denied = [
      ["GET", "apisec/data/scanner/password"],
      ["GET", "apisec/data/auditor/token"],
      ["GET", "apisec/data/admin/token"],
      ["GET", "apisec/metadata/scanner/token"],
      ["LIST", "apisec/metadata/scanner/"],
      ["POST", "apisec/data/scanner/token"],
      ["DELETE", "apisec/data/scanner/token"],
      ["POST", "apisec/destroy/scanner/token"],
      ["GET", "auth/token/lookup-self"],
      ["POST", "auth/token/renew-self"],
      ["POST", "auth/token/create"],
      ["GET", `auth/gitlab/role/${byProject}`],
    ] as const;
    for (const [method, path] of denied) {
      expect({ path, status: await as(token, method, path, {}) }).toEqual({ path, status: 403 });
    }
    expect(await as(token, "GET", "apisec/data/scanner/token")).toBe(200);
    expect(await as(token, "POST", "auth/token/revoke-self", {})).toBe(204);
    expect(await as(token, "GET", "apisec/data/scanner/token")).toBe(403);
  });

  test("without a list reads all tokens that are published, and no other", async () => {
    const { token } = await logIn(byGroup, await readToken("payments/web"));
    expect(await as(token, "GET", "apisec/data/scanner/token")).toBe(200);
    expect(await as(token, "GET", "apisec/data/auditor/token")).toBe(200);
    expect(await as(token, "GET", "apisec/data/admin/token")).toBe(403);
    expect(await as(token, "GET", "apisec/data/auditor/password")).toBe(403);
  });

  const branch = { claims: { ref_protected: "false" } };
  test.each<[string, string, () => Promise<string>]>([
    ["another project of the same group", byProject, () => readToken("shop/other")],
    ["another group", byGroup, () => readToken("shop/api")],
    ["a project of a subgroup", byGroup, () => readToken("payments/inner/tool")],
    ["the group's project as the project", byProject, () => readToken("payments/web")],
    ["an unprotected branch", byProject, () => readToken("shop/api", { ref: "feature" })],
    ["one in the group", byGroup, () => readToken("payments/web", { ref: "feature" })],
    ["a tag", byProject, () => readToken("shop/api", { ref: "refs/tags/v1" })],
    [
      "a protected tag",
      byGroup,
      () => readToken("payments/web", { ref: "refs/tags/v1", claims: { ref_protected: "true" } }),
    ],
    [
      "a merge request's pipeline",
      byProject,
      () => readToken("shop/api", { ref: "feature", source: "merge_request_event" }),
    ],
    [
      "a merge request's from a protected branch",
      byGroup,
      () => readToken("payments/web", { source: "merge_request_event", ...branch }),
    ],
    ["the rotation job's ID token", byProject, () => idToken(lab, "dev")],
    [
      "the rotation project with the readers' audience",
      byProject,
      () => idToken(lab, "dev", { aud: `${vault.url}/apisec/dev/read` }),
    ],
    [
      "another audience",
      byProject,
      () => readToken("shop/api", { aud: `${vault.url}/apisec/dev` }),
    ],
    [
      "a consumer's ID token as the rotation job's",
      "apisec-dev-rotator",
      () => readToken("shop/api"),
    ],
    [
      "a consumer's ID token with the job's audience, schedule and environment",
      "apisec-dev-rotator",
      () =>
        readToken("shop/api", {
          aud: `${vault.url}/apisec/dev`,
          source: "schedule",
          environment: "apisec/dev",
        }),
    ],
    ["a forged ID token", byProject, () => readToken("shop/api", { signature: "wrong-key" })],
  ])("refuses %s", async (_, role, jwt) => {
    const { status, token, problem } = await logIn(role, await jwt());
    expect({ status, token }).toEqual({ status: 400, token: undefined });
    expect(problem).not.toBe("");
  });
});

test("GitLab shows a group to whoever sees a project below it, and to nobody else", async () => {
  const statusOf = async (group: string) => {
    const url = `${lab.world.gitlab.url}/api/v4/groups/${encodeURIComponent(group)}`;
    return (await fetch(url, { headers: { "private-token": danaToken } })).status;
  };
  expect(await statusOf("payments")).toBe(200);
  expect(await statusOf("payments/inner")).toBe(200);
  expect(await statusOf("platform")).toBe(404);
  expect(await statusOf("nobody")).toBe(404);
});

describe("a member of an identity group", () => {
  async function person(name: string): Promise<string | undefined> {
    const { address } = lab.world.vault;
    const login = { password: `${name}-password` };
    const path = `auth/userpass/login/${name}`;
    const answer = await baoRequest(address, undefined, "POST", path, login);
    return (answer.body as { auth?: VaultAuth }).auth?.client_token;
  }

  /** Somebody whose groups the login itself names. */
  async function employee(groups: string[]): Promise<string | undefined> {
    const jwt = await readToken("shop/api", { aud: "people", claims: { groups_direct: groups } });
    const login = { role: "person", jwt };
    const { address } = lab.world.vault;
    const answer = await baoRequest(address, undefined, "POST", "auth/people/login", login);
    return (answer.body as { auth?: VaultAuth }).auth?.client_token;
  }

  const places = {
    "GET apisec/data/scanner/token": "token",
    "GET apisec/data/scanner/password": "password",
    "GET apisec/metadata/scanner/password": "versions",
    "GET sys/auth": "others",
    "POST apisec/data/scanner/token": "write",
    "DELETE apisec/data/scanner/token": "delete",
    "POST apisec/destroy/scanner/password": "destroy",
    "GET identity/group/name/both": "groups",
    "GET auth/gitlab/config": "login",
  };
  async function rightsOf(token: string | undefined): Promise<string[]> {
    expect(token).toBeDefined();
    const may: string[] = [];
    for (const [call, right] of Object.entries(places)) {
      const [method = "", path = ""] = call.split(" ");
      if ((await as(token, method, path, {})) !== 403) may.push(right);
    }
    return may;
  }

  test("has what the stack's policy and the group's own say, and nothing else", async () => {
    const admin = ["token", "password", "versions"];
    expect(await rightsOf(await person("alice"))).toEqual([...admin, "others"]);
    expect(await rightsOf(await person("bob"))).toEqual(admin);
    expect(await rightsOf(await employee(["developers"]))).toEqual(["token", "others"]);
    expect(await rightsOf(await employee(["managers"]))).toEqual([]);
  });

  test("the groups have the stack's policies beside their own; nothing else about them has changed", async () => {
    const [admin, developer] = ["apisec-dev-admin", "apisec-dev-developer"];
    const added = [
      [admin, "of-others"],
      [developer, "of-others"],
      [admin, developer],
    ];
    const after = await allGroups();
    expect(after.map(({ policies }) => policies)).toEqual(added);
    expect(after.map((group) => ({ ...group, policies: [] }))).toEqual(
      groupsBefore.map((group) => ({ ...group, policies: [] })),
    );
  });

  test("is in a group that the deployer's policy names by its id, and no other group", async () => {
    const { data } = await asRoot<{ data: { policy: string } }>(
      "GET",
      "sys/policies/acl/apisec-dev-deployer",
    );
    const named = [...data.policy.matchAll(/identity\/group\/id\/([^"]+)"/g)].map(([, id]) => id);
    expect(named.sort()).toEqual(groupsBefore.map(({ id }) => id).sort());
  });

  test("is no matter of the deployer, who can write the groups' policies alone", async () => {
    const deployer = lab.env["VAULT_TOKEN"];
    const { id } = await groupOf(groupNames.both);
    const attempts: [string, string, object][] = [
      ["POST", `identity/group/id/${id}`, { member_entity_ids: [] }],
      ["POST", `identity/group/id/${id}`, { name: "mine" }],
      ["POST", `identity/group/id/${id}`, { policies: [], metadata: { mine: "yes" } }],
      ["DELETE", `identity/group/id/${id}`, {}],
      ["POST", "identity/group/name/both", { policies: ["x"] }],
      ["POST", "identity/group", { name: "both", policies: ["x"] }],
      ["LIST", "identity/group/name", {}],
      ["POST", "identity/entity", { name: "mine" }],
    ];
    for (const [method, path, body] of attempts) {
      expect({ path, body, status: await as(deployer, method, path, body) }).toEqual({
        path,
        body,
        status: 403,
      });
    }
  });
});

test("a policy that was taken from a group by hand comes back, one that was added stays", async () => {
  const { id } = await groupOf(groupNames.admins);
  await asRoot("POST", `identity/group/id/${id}`, { policies: ["added-by-hand"] });
  const seen = await stack.preview({ refresh: true, diff: true });
  expect(seen.changes).toMatchObject({ update: 1 });
  expect(seen.printed).toContain("apisec-dev-admin");
  expect(seen.printed).not.toContain("added-by-hand");
  await stack.up({ refresh: true });
  const { policies } = await groupOf(groupNames.admins);
  expect(policies).toEqual(["added-by-hand", "apisec-dev-admin"]);
  await asRoot("POST", `identity/group/id/${id}`, { policies: ["of-others", "apisec-dev-admin"] });
});

test("a group that got another name, or is written with other letters, keeps its policies", async () => {
  const before = await groupOf(groupNames.both);
  const { admins, developers } = groupNames;
  await configure(config({ adminGroups: [admins, "Both"], developerGroups: [developers, "Both"] }));
  await stack.up();
  expect(await groupOf(groupNames.both)).toEqual(before);
  await configure(config());
  await stack.up();
  expect(await groupOf(groupNames.both)).toEqual(before);
});

test("a consumer taken out of config loses role and policy, a group its policy", async () => {
  const jwt = await readToken("shop/api");
  expect((await logIn(byProject, jwt)).status).toBe(200);
  // What is taken away is taken away with the former policy.
  lab.writeConfig("dev", less());
  await stack.up();
  expect((await lab.asRoot("GET", `sys/policies/acl/${byProject}`)).status).toBe(404);
  expect((await lab.asRoot("GET", `auth/gitlab/role/${byProject}`)).status).toBe(404);
  expect((await logIn(byProject, jwt)).status).toBe(400);
  expect((await logIn(byGroup, await readToken("payments/web"))).status).toBe(200);
  expect((await groupOf(groupNames.both)).policies).toEqual(["apisec-dev-admin"]);
  expect(Object.keys(await readers())).toEqual(["by-group"]);
});

test("a group that was made anew is found again, after a refresh with the former policy", async () => {
  const { id, member_entity_ids } = await groupOf(groupNames.both);
  await asRoot("DELETE", `identity/group/id/${id}`);
  const made = { name: groupNames.both, member_entity_ids };
  await asRoot("POST", "identity/group", made);
  const anew = await groupOf(groupNames.both);
  groupsBefore = groupsBefore.map((group) => (group.name === anew.name ? anew : group));
  const refreshed = await stack.refresh();
  expect(refreshed.changes).toMatchObject({ delete: 1 });
  await configure(less());
  const { changes } = await stack.up();
  expect(changes).toMatchObject({ create: 1 });
  expect(changes).not.toHaveProperty("update");
  expect((await groupOf(groupNames.both)).policies).toEqual(["apisec-dev-admin"]);
});

test("destroy leaves the groups with their own policies and their members", async () => {
  expect(await allGroups()).not.toEqual(groupsBefore);
  await stack.destroy();
  expect(await allGroups()).toEqual(groupsBefore);
  expect((await lab.asRoot("GET", `sys/policies/acl/${byGroup}`)).status).toBe(404);
});
