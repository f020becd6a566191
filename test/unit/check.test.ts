import { readConfig } from "../../config/readConfig";
import { neededUntil, tokenFinding } from "../../checks/accounts";
import { checkAudit } from "../../checks/audit";
import { askGitlab } from "../../checks/attempt";
import { differences } from "../../core/differences";
import { about } from "../../checks/finding";
import type { Finding } from "../../checks/finding";
import { checkFiles } from "../../checks/files";
import { ownTokenFinding } from "../../checks/gitlabToken";
import { checkGroups } from "../../checks/groups";
import { readMetadata } from "../../checks/keys";
import { checks, gates } from "../../checks/list";
import { policyProblem } from "../../checks/policies";
import { overrideFinding, projectFinding } from "../../checks/project";
import { checkPublishedTokens, tokenProblem } from "../../checks/publishedTokens";
import { checkReport, shortened } from "../../checks/report";
import { roleFinding } from "../../checks/roles";
import { runChecks } from "../../checks/run";
import { lastPipelineFinding, ownerFinding, scheduleFinding } from "../../checks/schedule";
import { span } from "../../checks/time";
import { checkOwnRights } from "../../checks/vaultToken";
import { worldOf } from "../../checks/world";
import type { World } from "../../checks/world";
import { gitlabReader } from "../../clients/gitlab";
import type { HttpRequest, HttpResponse } from "../../net/http";
import type { VaultConnection } from "../../clients/vault";
import { rotatorRole } from "../../desired/roles";
import { accessToken } from "../support/accessToken";
import { sourceOf } from "../support/configSource";
import { scripted } from "../support/scripted";

const now = Date.UTC(2026, 10, 24, 12);
const hour = 3_600_000;
const settings = readConfig(sourceOf());
const [scanner] = settings.accounts;
if (scanner === undefined) throw new Error("no account");
const time = (ms: number) => new Date(ms).toISOString();

/** A stack that runs, seen by a monitor: a Vault and a GitLab that say nothing, unless `more` names others. */
function worldWith(more: Partial<Parameters<typeof worldOf>[0]> = {}): World {
  const vault = { ...scripted(), address: "https://vault.example.com:8200", token: "hvs.t" };
  const gitlab = () => Promise.resolve(undefined);
  return worldOf({ time: "after", settings, vault, gitlab, now, passwordAgeDays: 90, ...more });
}

/** A key whose newest version was written some hours ago. */
function key(hoursAgo: number, endsInHours?: number, destroyed = false) {
  const ends = endsInHours === undefined ? "" : time(now + endsInHours * hour);
  return readMetadata({
    current_version: 3,
    versions: {
      "2": { created_time: time(0), deletion_time: "", destroyed: false },
      "3": { created_time: time(now - hoursAgo * hour), deletion_time: ends, destroyed },
    },
  });
}

test.each([
  [20_000, "less than a minute"],
  [-5 * 60_000, "5m"],
  [17.5 * hour, "17h30m"],
  [47.9 * hour, "47h54m"],
  [90 * 24 * hour, "90 days"],
])("%d ms is %s", (ms, text) => {
  expect(span(ms)).toBe(text);
});

describe("differences", () => {
  test("names what is not as declared, and nothing that is not declared", () => {
    const declared = { ttl: 900, list: ["a"], claims: { ref: "main", id: "1" }, none: "", off: [] };
    const found = { ttl: 900, list: ["a"], claims: { id: "1", ref: "main" }, other: 1 };
    expect(differences(declared, found)).toEqual([]);
    expect(
      differences(declared, {
        ttl: 60,
        list: ["a", "b"],
        claims: { id: "1", sub: "x" },
        none: "y",
      }),
    ).toEqual([
      "ttl is 60, declared 900",
      "list is a, b, declared a",
      "claims.sub is x, declared not set",
      "claims.ref is not set, declared main",
      "none is y, declared not set",
    ]);
  });

  test("cuts what others wrote", () => {
    const [text] = differences({ a: "b" }, { a: `\u001b[31m${"x".repeat(500)}` });
    expect(text?.length).toBeLessThan(250);
    expect(text).not.toContain("\u001b");
  });
});

describe("a token", () => {
  const needed = neededUntil(settings, now);
  const finding = (...of: Parameters<typeof key>) =>
    tokenFinding(worldWith(), "scanner", key(...of), needed);

  test("must outlast the run after the next, where one run may be missed", () => {
    // 17 */6: at 12:00 the next are at 12:17 and 18:17; the job may take a quarter of an hour.
    expect(time(needed)).toBe("2026-11-24T18:32:00.000Z");
    const twice = readConfig(sourceOf({ cron: "0 */12 * * *" }));
    expect(time(neededUntil(twice, now))).toBe("2026-11-25T00:15:00.000Z");
  });

  test.each<[string, Finding["state"], RegExp, ReturnType<typeof finding>]>([
    ["fresh", "ok", /^issued 1h0m ago, readable for 22h30m, until 2026-/, finding(1, 22.5)],
    ["old", "warning", /readable for 6h0m.* needed until 2026-11-24T18:32:00Z$/, finding(17.5, 6)],
    ["ended", "problem", /^ended at 2026-11-24T10:00:00Z, 2h0m ago$/, finding(25.5, -2)],
    ["deleted", "problem", /^was deleted by hand at .*, 2h0m ago$/, finding(3, -2)],
    ["destroyed", "problem", /^version 3 was destroyed$/, finding(3, 20, true)],
    ["for ever", "warning", /^issued 3h0m ago; it leaves Vault never$/, finding(3)],
    ["for longer", "warning", /it leaves Vault only at 2026-/, finding(3, 30)],
    ["dead and there", "problem", /leaves Vault never, and has ended at APIsec$/, finding(24)],
  ])("%s: %s", (_, state, text, found) => {
    expect(found).toMatchObject({
      id: "token",
      subject: "token scanner",
      account: "scanner",
      state,
    });
    expect(found.found).toMatch(text);
    expect(found.fix).toBe(
      state === "ok" ? undefined : "npm run rotate -- --stack prod --account scanner",
    );
  });

  test("that is not there", () => {
    const finding = tokenFinding(worldWith(), "scanner", readMetadata({}), needed);
    expect(finding).toMatchObject({ state: "problem", found: "there is none" });
  });
});

describe("the schedule", () => {
  const declared = {
    active: true,
    ref: "refs/heads/main",
    cron: settings.cron,
    cron_timezone: "UTC",
    next_run_at: "2026-11-24T12:17:00.000Z",
    created_at: time(now - 30 * hour),
    variables: [] as unknown[],
  };
  const last = (status: string, hoursAgo: number) => ({
    ...declared,
    last_pipeline: { status, created_at: time(now - hoursAgo * hour), web_url: "https://g/1" },
  });

  test("is as declared, or what is not is named; a variable's value never is", () => {
    expect(scheduleFinding(worldWith(), "projects/3", declared)).toMatchObject({
      state: "ok",
      found: "17 */6 * * * UTC, next run 2026-11-24T12:17:00Z",
    });
    const spoilt = {
      ...{ ...declared, active: false, ref: "refs/heads/x", cron_timezone: "Europe/Berlin" },
      variables: [{ key: "VAULT_ADDR", value: "canary" }],
    };
    const two = [{ ...spoilt, id: 8 }, { id: 7 }];
    const { state, found, fix } = scheduleFinding(
      worldWith(),
      "projects/3",
      { ...spoilt, id: 8 },
      two,
    );
    expect(state).toBe("problem");
    expect(found.split("; ")).toEqual([
      "is inactive: nothing rotates the tokens",
      "ref is refs/heads/x, declared refs/heads/main",
      "cron_timezone is Europe/Berlin, declared UTC",
      "has variables, which win over the project's: VAULT_ADDR",
      "is there 2 times",
    ]);
    expect(fix?.split(" && ")).toEqual([
      "glab api -X DELETE projects/3/pipeline_schedules/8",
      "glab api -X DELETE projects/3/pipeline_schedules/7",
      "pulumi up --refresh --stack prod",
    ]);
    const alone = scheduleFinding(worldWith(), "projects/3", { ...spoilt, active: true, id: 8 });
    expect(alone.fix?.split(" && ")).toEqual([
      "glab api -X DELETE projects/3/pipeline_schedules/8/variables/VAULT_ADDR",
      "pulumi up --refresh --stack prod",
    ]);
  });

  test.each<[string, Finding["state"], object]>([
    ["succeeded", "ok", last("success", 5)],
    ["succeeded long ago", "problem", last("success", 7.1)],
    ["failed", "problem", last("failed", 1)],
    ["was cancelled", "warning", last("canceled", 1)],
    ["runs", "ok", last("running", 0.5)],
    ["hangs", "warning", last("pending", 2)],
    ["never was", "problem", declared],
    ["is to come", "ok", { ...declared, created_at: time(now - hour) }],
    ["has no date", "problem", { last_pipeline: { status: "success" } }],
  ])("its last pipeline %s: %s", (_, state, schedule) => {
    const finding = lastPipelineFinding(worldWith(), schedule as Record<string, unknown>);
    expect(finding.state).toBe(state);
  });
});

describe("the schedule's owner", () => {
  const bot = { id: 7, username: "project_3_bot_ab12", state: "active" };
  const person = { id: 7, username: "jo", state: "active" };
  const token = (days: number, more = {}) => ({
    ...{ user_id: 7, active: true, ...more },
    expires_at: time(now + days * 24 * hour).slice(0, 10),
  });
  const finding = (owner: object | undefined, level = 40, tokens?: object[]) =>
    ownerFinding(
      (path) =>
        path.includes("access_tokens")
          ? tokens === undefined
            ? Promise.reject(Object.assign(new Error("403"), { status: 403 }))
            : Promise.resolve(tokens)
          : Promise.resolve(level === 0 ? undefined : { access_level: level }),
      "projects/3",
      { owner },
      worldWith(),
    );

  test.each<[string, Finding["state"], RegExp, Parameters<typeof finding>]>([
    ["a person", "ok", /^jo, active$/, [person]],
    ["gone", "problem", /^is gone$/, [undefined]],
    ["deactivated", "problem", /^jo is deactivated$/, [{ ...person, state: "deactivated" }]],
    ["locked", "problem", /^jo is locked$/, [{ ...person, locked: true }]],
    ["no member", "problem", /^jo is no member/, [person, 0]],
    ["a Reporter", "problem", /^jo is no Developer/, [person, 20]],
    ["a bot without a date", "warning", /is not shown/, [bot]],
    ["a bot that stays", "ok", /ends .* on 2027-/, [bot, 40, [token(200)]]],
    ["a bot that goes", "warning", /in \d+ days$/, [bot, 40, [token(10)]]],
    ["a bot that is dead", "problem", /ends .* on 2026-/, [bot, 40, [token(-1)]]],
    [
      "a bot with two tokens",
      "ok",
      /2027-/,
      [bot, 40, [token(5), token(200), token(900, { user_id: 8 }), token(900, { active: false })]],
    ],
    ["a group's bot", "warning", /not shown/, [{ ...bot, username: "group_3_bot_1" }, 40, []]],
  ])("%s: %s", async (_, state, text, args) => {
    const found = await finding(...args);
    expect(found.state).toBe(state);
    expect(found.found).toMatch(text);
  });
});

test("the project is private and not archived; who may set variables is known", () => {
  const project = { id: 3, path_with_namespace: "a/b", visibility: "private" };
  expect(projectFinding(project, "https://g").state).toBe("ok");
  expect(projectFinding({ ...project, visibility: "internal" }, "https://g")).toMatchObject({
    state: "problem",
    fix: "glab api -X PUT projects/3 -f visibility=private",
  });
  expect(projectFinding({ ...project, archived: true }, "https://g").state).toBe("problem");
  const role = (value?: string) =>
    overrideFinding({ ci_pipeline_variables_minimum_override_role: value }).state;
  expect([role("developer"), role("maintainer"), role("no_one_allowed"), role()]).toEqual([
    ...["warning", "ok", "ok", "warning"],
  ]);
});

test("the token that asks GitLab is spoken of before it ends", () => {
  const state = (token: object) =>
    ownTokenFinding({ scopes: ["read_api"], ...token }, worldWith()).state;
  expect(state({ expires_at: null })).toBe("ok");
  expect(state({ expires_at: "2027-06-01" })).toBe("ok");
  expect(state({ expires_at: "2026-12-01" })).toBe("warning");
  expect(state({ scopes: undefined })).toBe("warning");
});

describe("GitLab's answers", () => {
  const read = (...answers: Parameters<typeof scripted>) => {
    const { send, clock, waits } = scripted(...answers);
    return { waits, answer: gitlabReader(send, clock, "https://g", "glpat-canary-token")("user") };
  };

  test("are the parsed body, or nothing for 404", async () => {
    await expect(read({ status: 200, body: { id: 1 } }).answer).resolves.toEqual({ id: 1 });
    await expect(read({ status: 404, body: {} }).answer).resolves.toBeUndefined();
  });

  test("are asked for again while it is busy, at most twice", async () => {
    const busy = read({ status: 503, body: "busy" }, { status: 429 }, { status: 200, body: {} });
    await expect(busy.answer).resolves.toEqual({});
    expect(busy.waits).toHaveLength(2);
    await expect(read({ status: 500, body: "x" }).answer).rejects.toThrow("with 500: x");
  });

  test("are an error in its words, without the token", async () => {
    const body = { message: "no, glpat-canary-token" };
    await expect(read({ status: 401, body }).answer).rejects.toMatchObject({
      message: "GitLab answers GET user with 401: no, [secret]",
      status: 401,
    });
    await expect(read({ status: 200, body: "<html>" }).answer).rejects.toThrow("with 200: <html>");
  });

  /** A page of a list that goes on, as GitLab says, at a host that is none of ours. */
  const pageOf = (body: unknown[], next?: number) => {
    const link = (page: number, rel: string) =>
      `<https://elsewhere/api/v4/list?id_after=1&page=${page}&per_page=100>; rel="${rel}"`;
    const links = [link(1, "first"), ...(next === undefined ? [] : [link(next, "next")])];
    return { status: 200, body, headers: { link: links.join(", ") } };
  };
  const list = (...answers: Parameters<typeof scripted>) => {
    const { send, clock, sent } = scripted(...answers);
    const answer = gitlabReader(
      send,
      clock,
      "https://g",
      "glpat-canary-token",
    )("list?per_page=100");
    return { sent, answer };
  };

  test("are a list to its last page, and the token stays with GitLab", async () => {
    const { sent, answer } = list(pageOf([1, 2], 2), { status: 502 }, pageOf([3], 3), pageOf([4]));
    await expect(answer).resolves.toEqual([1, 2, 3, 4]);
    expect([...new Set(sent.map(({ url }) => url))]).toEqual([
      "https://g/api/v4/list?per_page=100",
      "https://g/api/v4/list?id_after=1&page=2&per_page=100",
      "https://g/api/v4/list?id_after=1&page=3&per_page=100",
    ]);
  });

  test("are no part of a list: a page that is refused, or one that never is the last", async () => {
    const { answer } = list(pageOf([1], 2), { status: 403, body: { message: "no" } });
    await expect(answer).rejects.toMatchObject({ status: 403 });
    for (const second of [{ status: 404 }, { status: 200, body: {} }]) {
      const { answer: broken } = list(pageOf([1], 2), second);
      await expect(broken).rejects.toThrow("list?per_page=100 with no list on page 2");
    }
    const endless = list(pageOf([1], 2));
    await expect(endless.answer).rejects.toThrow("list?per_page=100 with more than 100 pages");
    expect(endless.sent).toHaveLength(100);
  });
});

test.each([
  [401, "problem", /^export GITLAB_TOKEN/],
  [403, "warning", /^export GITLAB_TOKEN/],
  [500, "problem", undefined],
])("a %d of GitLab is a %s", async (status, state, fix) => {
  const error = Object.assign(new Error("so it said"), { status });
  const it = about("branch", "branch main");
  const [finding] = await askGitlab(worldWith(), it, () => Promise.reject(error));
  expect(finding).toMatchObject({
    id: "branch",
    subject: "branch main",
    state,
    found: "so it said",
  });
  if (fix === undefined) expect(finding?.fix).toBeUndefined();
  else expect(finding?.fix).toMatch(fix);
});

test("a policy that was edited is named by its first line that differs", () => {
  expect(policyProblem("# a\nb\n", "# a\nb")).toBeUndefined();
  expect(policyProblem("a\nb", "a\nc")).toBe("differs from line 2 on: c; declared: b");
  expect(policyProblem("a", "a\nb")).toBe("differs from line 2 on: b; declared: nothing more");
  expect(policyProblem("a\nb", "a")).toBe("differs from line 2 on: nothing more; declared: b");
  expect(policyProblem("a", undefined)).toBe("is not there");
});

describe("the role", () => {
  const project = { id: "3", uri: "g/a/b", pipelineFile: ".gitlab-ci.yml" };
  const role = rotatorRole(settings, project, "7");
  const found = {
    ...{ role_type: "jwt", user_claim: "project_id", bound_audiences: [role.audience] },
    ...{ bound_claims_type: "string", bound_claims: { ...role.claims }, token_type: "service" },
    claim_mappings: { pipeline_id: "pipeline_id", job_id: "job_id", user_login: "user_login" },
    ...{ token_policies: ["apisec-prod-rotator"], token_no_default_policy: true },
    ...{ token_ttl: 900, token_max_ttl: 900, token_explicit_max_ttl: 900, expiration_leeway: 0 },
  };
  const finding = (changed: object, declared = role) =>
    roleFinding(worldWith(), declared, { ...found, ...changed });

  test("is as declared, or what is not is named", () => {
    expect(finding({})).toMatchObject({ state: "ok" });
    expect(finding({ expiration_leeway: 3600 })).toMatchObject({
      state: "problem",
      found: "expiration_leeway is 3600, declared not set",
    });
    expect(finding({ token_policies: ["apisec-prod-rotator", "root"] }).state).toBe("problem");
    expect(finding({ groups_claim: "groups_direct" }).state).toBe("problem");
    expect(finding({ bound_claims: { ...role.claims, user_id: "8" } })).toMatchObject({
      found: "bound_claims.user_id is 8, declared 7",
    });
    expect(roleFinding(worldWith(), role, undefined)).toMatchObject({ found: "is not there" });
  });

  test("whose claims are all gone is deleted first: the plugin does not see that", () => {
    for (const bound_claims of [null, {}]) {
      expect(finding({ bound_claims })).toMatchObject({
        state: "problem",
        fix: "vault delete auth/gitlab/role/apisec-prod-rotator && pulumi up --refresh --stack prod",
      });
    }
    expect(finding({ token_ttl: 60 }).fix).toBe("pulumi up --refresh --stack prod");
  });

  test("with claims that nobody could compare is not ok, and never passes for ok", () => {
    const other = { bound_claims: { ...role.claims, user_id: "8" } };
    const ownerless = rotatorRole(settings, project, undefined);
    expect(finding(other, ownerless)).toMatchObject({
      state: "warning",
      found: "is as declared, but user_id could not be compared: GitLab did not say",
    });
    expect(finding({ ...other, token_ttl: 60 }, ownerless).state).toBe("problem");
  });
});

test.each([
  ["Admins", ["default", "apisec-prod-admin"], "ok", /^has its policies$/],
  ["Admins", ["default"], "problem", /^lacks apisec-prod-admin$/],
  ["Developers", ["apisec-prod-developer"], "ok", /^has its policies$/],
  ["Developers", ["apisec-prod-developer", "apisec-prod-admin"], "problem", /read passwords$/],
  ["Developers", undefined, "problem", /^is not there: Vault knows no identity group/],
])("group %s with %j: %s", async (name, policies, state, found) => {
  const status = policies === undefined ? 404 : 200;
  const body = JSON.stringify(policies === undefined ? { errors: [] } : { data: { policies } });
  const vault: VaultConnection = {
    ...scripted(),
    address: "https://vault.example.com:8200",
    send: () => Promise.resolve({ status, headers: {}, body }),
  };
  const groups = name === "Admins" ? { adminGroups: [name] } : { developerGroups: [name] };
  const [finding] = await checkGroups(worldWith({ vault, settings: { ...settings, ...groups } }));
  expect(finding).toMatchObject({ subject: `group ${name}`, state });
  expect(finding?.found).toMatch(found);
});

test("a stored token is judged by what it says itself", () => {
  const seconds = now / 1000;
  const make = (username: string, exp: number) =>
    accessToken({ sub: `Acme//${username}`, iat: 0, exp });
  const problem = (token: unknown) => tokenProblem(scanner, token, now);
  expect(problem(make("Scanner@acme.example", seconds + 60))).toBeUndefined();
  expect(problem(make("other@acme.example", seconds + 60))).toBe("is another user's");
  expect(problem(make("scanner@acme.example", seconds))).toMatch(/^ended at 2026-11-24T12:00:00Z/);
  expect(problem("canary")).toBe("is no access token of APIsec");
  expect(problem(undefined)).toBe("there is none");
});

describe("the report", () => {
  const many = (state: Finding["state"], count: number): Finding[] =>
    Array.from({ length: count }, (_, index) => ({
      ...{ id: "token", subject: `token a-${index}`, state, found: "<it>", values: {} },
      ...(state === "ok" ? {} : { fix: "fix & go" }),
    }));

  test("shows twenty of a kind and counts the others; every one is in the JUnit report", () => {
    const findings = [...many("problem", 25), ...many("ok", 20), ...many("warning", 1)];
    const shown = shortened(findings);
    expect(shown).toHaveLength(20 + 20 + 1 + 1);
    expect(shown.at(-1)).toMatchObject({
      ...{ id: "token", subject: "token", state: "problem", found: "5 more of these" },
    });
    const report = checkReport(findings);
    expect(report).toContain('<testsuite name="check" tests="46" failures="25"');
    expect(report).toContain(
      'name="token a-24" time="0.000"><failure message="&lt;it&gt; [APC-TOKEN]. fix &amp; go"/>',
    );
  });
});

/** A Vault that holds this many healthy accounts, and how many it was asked at once. */
function vaultOf(count: number, asked = { most: 0, open: 0, calls: 0 }) {
  const body = (url: string): object => {
    if (url.includes("sys/health")) return { initialized: true, sealed: false };
    if (url.includes("sys/mounts/")) return { type: "kv", options: { version: "2" } };
    if (url.endsWith("/password")) {
      const versions = { "1": { created_time: time(now - hour), deletion_time: "" } };
      return { current_version: 1, versions, cas_required: true, max_versions: 10 };
    }
    const ends = time(now + 22.5 * hour);
    const versions = { "1": { created_time: time(now - hour), deletion_time: ends } };
    const kept = { cas_required: true, delete_version_after: "23h30m0s" };
    return { current_version: 1, versions, ...kept };
  };
  const vault: VaultConnection = {
    ...scripted(),
    address: "https://vault.example.com:8200",
    async send({ url }: HttpRequest): Promise<HttpResponse> {
      asked.calls += 1;
      asked.open += 1;
      asked.most = Math.max(asked.most, asked.open);
      await new Promise((resolve) => setImmediate(resolve));
      asked.open -= 1;
      const said = body(url);
      return { status: 200, headers: {}, body: JSON.stringify({ ...said, data: said }) };
    },
  };
  const accounts = Array.from({ length: count }, (_, index) => ({
    name: `a-${index}`,
    username: `a-${index}@acme.example`,
  }));
  return { vault, asked, settings: readConfig(sourceOf({ accounts })) };
}

/** The checks of the accounts' keys. */
const ofKeys = checks.filter(({ id }) => ["key-settings", "password", "token"].includes(id));

test("two thousand accounts are looked at a few at a time, and told in a screenful", async () => {
  const { vault, asked, settings: large } = vaultOf(2_000);
  const world = worldWith({ vault: { ...vault, token: "t" }, settings: large });
  const open = () => Promise.resolve(true);
  const findings = await runChecks(world, ofKeys, { ...gates, Vault: open });
  expect(findings).toHaveLength(4_001);
  expect(findings.every(({ state }) => state === "ok")).toBe(true);
  expect(findings[0]?.found).toBe("4000 of 4000 keys are as declared");
  expect(shortened(findings).length).toBeLessThan(50);
  expect(asked.calls).toBe(4_000);
  expect(asked.most).toBeLessThanOrEqual(16);
});

test("of the caller's rights it asks for a few accounts, from all over the list", async () => {
  const { vault, settings: large } = vaultOf(2_000);
  const asked: string[] = [];
  const send: VaultConnection["send"] = ({ body = "" }) => {
    const { paths } = JSON.parse(body) as { paths: string[] };
    asked.push(...paths);
    const rights = Object.fromEntries(paths.map((path) => [path, ["deny"]]));
    const answer = { data: { ...rights, "apisec/data/a-1900/password": ["read"] } };
    return Promise.resolve({ status: 200, headers: {}, body: JSON.stringify(answer) });
  };
  expect(
    await checkOwnRights(worldWith({ vault: { ...vault, send }, settings: large })),
  ).toMatchObject([
    { state: "warning", found: expect.stringMatching(/^has rights on 1 password /) as string },
  ]);
  expect(asked).toHaveLength(20);
  expect(asked.slice(0, 2)).toEqual(["apisec/data/a-0/password", "apisec/data/a-100/password"]);
});

test("an error for one account leaves the others' lines, and says what is missing", async () => {
  const { vault, settings: two } = vaultOf(2);
  const send: VaultConnection["send"] = (request) =>
    request.url.includes("a-0/token")
      ? Promise.resolve({ status: 403, headers: {}, body: '{"errors":["denied"]}' })
      : vault.send(request);
  const world = worldWith({ vault: { ...vault, send, token: "t" }, settings: two });
  const open = () => Promise.resolve(true);
  const findings = await runChecks(world, ofKeys, { ...gates, Vault: open });
  expect(findings.filter(({ state }) => state !== "ok")).toMatchObject([
    {
      subject: "token a-0",
      state: "problem",
      found: expect.stringMatching(/^Vault denies GET apisec\/metadata\/a-0\/token/) as string,
      fix: expect.stringMatching(/^npm run --silent policy -- monitor --stack prod/) as string,
    },
  ]);
});

test.each([
  ["/metadata/", ["key settings", "passwords", "verifications", "tokens", "runs for tokens"]],
  ["/sys/health", ["Vault"]],
])("where %s hangs, the lines are %j, and the rest is told", async (hanging, subjects) => {
  const { vault, settings: one } = vaultOf(1);
  const send: VaultConnection["send"] = (request) =>
    request.url.includes(hanging) ? new Promise(() => undefined) : vault.send(request);
  const world = worldWith({
    vault: { ...vault, send, token: "t" },
    settings: one,
    gitlab: undefined,
  });
  const findings = await runChecks(world, checks, gates, 300);
  const late = findings.filter(({ found }) => found === "did not end within 0.3 s");
  const others = new Set(
    checks.filter(({ needs }) => needs === "Vault").map(({ subject }) => subject),
  );
  const all = hanging === "/sys/health" ? [...others, "Vault token"] : [];
  expect(late.map(({ subject }) => subject)).toEqual(expect.arrayContaining(subjects));
  expect(
    late.every(({ subject }) =>
      [...subjects, ...all, "accounts that are not in config"].includes(subject),
    ),
  ).toBe(true);
  expect(findings).toContainEqual(expect.objectContaining({ id: "gitlab", state: "problem" }));
  expect(findings.some(({ subject }) => subject === "role apisec-prod-rotator")).toBe(
    hanging === "/metadata/",
  );
});

test.each<[string, string[], object, Finding["state"] | undefined]>([
  ["on", ["root"], { "file/": { type: "file" } }, "ok"],
  ["off", ["read", "sudo"], {}, "warning"],
  ["not shown to this token", ["deny"], {}, undefined],
])("an audit device that is %s", async (_, rights, devices, state) => {
  const answers = [{ data: { "sys/audit": rights } }, { data: devices }];
  const script = scripted(...answers.map((body) => ({ status: 200, body })));
  const vault = { ...script, address: "https://vault.example.com:8200" };
  const findings = await checkAudit(worldWith({ vault }));
  expect(findings.map((finding) => finding.state)).toEqual(state === undefined ? [] : [state]);
  expect(script.sent).toHaveLength(state === undefined ? 1 : 2);
});

test.each<[string, object, Finding["state"], string]>([
  ["works", { errors: false, data: [] }, "ok", "works"],
  ["is refused", { errors: true, messages: [] }, "problem", "is refused: HTTP 200"],
  ["cannot be tried", {}, "warning", "could not be tried: HTTP 200 without the expected content"],
])("a token that APIsec is shown %s", async (_, answer, state, found) => {
  const token = accessToken({ sub: "Acme//scanner@acme.example", iat: 0, exp: now / 1000 + 60 });
  const [finding] = await tokensTried(token, answer);
  expect(finding).toMatchObject({ subject: "token scanner at APIsec", state, found });
});

test("a token with ROLE_ADMIN is shown to nobody, unless that was accepted", async () => {
  const claims = { sub: "Acme//scanner@acme.example", iat: 0, exp: now / 1000 + 60 };
  const token = accessToken({ ...claims, scopes: "ROLE_USER,ROLE_ADMIN" });
  const answer = { errors: false };
  expect(await tokensTried(token, answer)).toMatchObject([
    { state: "problem", found: expect.stringMatching(/^carries ROLE_ADMIN/) as string },
  ]);
  expect(await tokensTried(token, answer, true)).toMatchObject([{ state: "ok" }]);
});

/** The line of account `scanner`, whose token is this one, where APIsec gives this answer. */
function tokensTried(token: string, answer: object, acceptAdminToken = false): Promise<Finding[]> {
  const stored = { data: { data: { token }, metadata: { version: 1 } } };
  const vault = { ...scripted({ status: 200, body: stored }), address: "https://v.example.com" };
  const accounts = [{ name: "scanner", username: "scanner@acme.example", acceptAdminToken }];
  const { send } = scripted({ status: 200, body: answer });
  return checkPublishedTokens(
    worldWith({ vault, apisec: send, settings: readConfig(sourceOf({ accounts })) }),
  );
}

test.each([
  ["includes the job", "include: { local: /apisec/prod.yml }", []],
  [
    "does not",
    "build: { script: make }",
    [expect.stringContaining("does not include apisec/prod.yml")],
  ],
])("a pipeline file of the project's own that %s", async (_what, text, warnings) => {
  const settings = readConfig(sourceOf({ pipelineFile: "included" }));
  const file = { content: Buffer.from(text).toString("base64") };
  const get = (path: string) => {
    if (path.includes("/files/.gitlab-ci.yml")) return Promise.resolve(file);
    return Promise.resolve(/^projects\/[^/]*$/.test(path) ? { id: 42, web_url: "" } : undefined);
  };
  const findings = await checkFiles(worldWith({ settings, gitlab: get }));
  const found = findings.filter(({ id }) => id === "project-files");
  expect(found.map(({ found: said }) => said)).toEqual(warnings);
});

describe("a key that seems to be missing in Vault", () => {
  const absent = { status: 404, body: { errors: [] } };
  const there = { status: 200, body: { data: { current_version: 3 } } };
  const at = (script: ReturnType<typeof scripted>, time: World["time"]) =>
    worldWith({
      time,
      vault: { ...script, address: "https://vault.example.com:8200", token: "t" },
    });

  test("is looked for again a second later, all of it after one wait: a standby may be behind", async () => {
    const script = scripted(absent, absent, there);
    const { lookForKey } = at(script, "after");
    expect(
      await Promise.all(["a", "b"].map((name) => lookForKey(`kv/metadata/${name}/token`))),
    ).toEqual([{ current_version: 3 }, { current_version: 3 }]);
    expect(script.waits).toEqual([1_000]);
    expect(script.sent).toHaveLength(4);
  });

  test("is missing where it is missing again", async () => {
    const script = scripted(absent);
    expect(await at(script, "after").lookForKey("kv/metadata/a/token")).toBeUndefined();
    expect(script.sent).toHaveLength(2);
  });

  test("is no policy, which a stack may do without", async () => {
    const script = scripted(absent, there);
    expect(await at(script, "after").look("sys/policies/acl/a")).toBeUndefined();
    expect(script.waits).toEqual([]);
  });

  test("need not be there before an up", async () => {
    const script = scripted(absent, there);
    expect(await at(script, "in").lookForKey("kv/metadata/a/token")).toBeUndefined();
    expect(script.waits).toEqual([]);
  });
});
