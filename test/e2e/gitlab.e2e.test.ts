import { createPublicKey, createHmac, verify } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Gitlab } from "@gitbeaker/rest";
import type { Seed } from "../../lab/gitlab/seed";
import { startLabGitlab, type LabGitlab } from "../support/labGitlab";

const dir = mkdtempSync(join(tmpdir(), "gitlab-e2e-"));
const tokens = {
  bot: "glpat-bot-0123456789",
  dev: "glpat-dev-0123456789",
  guest: "glpat-guest-0123456789",
  reader: "glpat-reader-0123456789",
  stranger: "glpat-stranger-0123456789",
  files: "glpat-files-0123456789",
  lead: "glpat-lead-0123456789",
};
const seed: Seed = {
  users: [
    {
      username: "ci-bot",
      tokens: [
        { token: tokens.bot },
        { token: tokens.reader, scopes: ["read_api"] },
        { token: tokens.files, scopes: ["read_repository"] },
      ],
    },
    ...(["dev", "guest", "stranger", "lead"] as const).map((username) => ({
      username,
      tokens: [{ token: tokens[username] }],
    })),
  ],
  groups: [{ path: "sec", members: { lead: "owner" } }],
  projects: [
    {
      path: "sec/rotator",
      members: { "ci-bot": "maintainer", dev: "developer", guest: "guest", lead: "maintainer" },
    },
  ],
};

let gitlab: LabGitlab;
let url: string;

async function start(port = 0) {
  gitlab = await startLabGitlab(dir, seed, port);
  url = gitlab.url;
}

const stop = () => gitlab.stop();
const lab: LabGitlab["lab"] = (...request) => gitlab.lab(...request);

beforeAll(() => start());
afterAll(async () => {
  await stop();
  rmSync(dir, { recursive: true, force: true });
});

const as = (token: string) => new Gitlab({ host: url, token });
const project = "sec/rotator";

function api(path: string, token?: string, init: RequestInit = {}) {
  const headers = { ...(token && { "PRIVATE-TOKEN": token }), ...(init.headers as object) };
  return fetch(`${url}/api/v4/${path}`, { ...init, headers });
}

const put = async (path: string, content: string, branch = "main", message = "x [skip ci]") => {
  const { RepositoryFiles } = as(tokens.bot);
  const exists = await RepositoryFiles.show(project, path, branch).catch(() => undefined);
  if (exists) await RepositoryFiles.edit(project, path, branch, content, message);
  else await RepositoryFiles.create(project, path, branch, content, message);
};

async function schedule(token = tokens.bot, ref = "main") {
  return as(token).PipelineSchedules.create(project, "rotate", ref, "17 */6 * * *");
}

/** Runs the pipeline file as the schedule's worker would; the jobs' logs by job name. */
async function runScheduled(file: string, token = tokens.bot, ref = "main") {
  await put(".gitlab-ci.yml", file, ref);
  const { id } = await schedule(token, ref);
  const run = await lab("POST", `projects/1/schedules/${id}/run?wait=true`);
  if (run.status !== 200) return { run, traces: {}, jobs: [] };
  const { Jobs } = as(tokens.bot);
  const jobs = await Jobs.all(project, { pipelineId: run.body["id"] as number });
  const traces: Record<string, string> = {};
  for (const job of jobs) traces[job.name] = await Jobs.showLog(project, job.id);
  return { run, traces, jobs };
}

const failure = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return "success";
  const { cause } = error as { cause?: { description?: string; response?: Response } };
  return `${cause?.response?.status} ${cause?.description}`;
};

describe("access", () => {
  test("three headers and a query parameter open the door, a wrong token does not", async () => {
    for (const header of [
      ["Private-Token", tokens.bot],
      ["Authorization", `Bearer ${tokens.bot}`],
    ]) {
      const response = await api("user", undefined, {
        headers: Object.fromEntries([header]) as HeadersInit,
      });
      expect(await response.json()).toMatchObject({
        username: "ci-bot",
        web_url: `${url}/ci-bot`,
      });
    }
    expect((await api(`user?private_token=${tokens.bot}`)).status).toBe(200);
    for (const header of [
      ["Private-Token", "wrong"],
      ["Job-Token", tokens.bot],
      ["X-None", ""],
    ]) {
      const response = await api("user", undefined, {
        headers: Object.fromEntries([header]) as HeadersInit,
      });
      expect([response.status, await response.json()]).toEqual([
        401,
        { message: "401 Unauthorized" },
      ]);
    }
  });

  test("a private project is not there for strangers; roles and scopes are checked", async () => {
    expect((await as(tokens.bot).Projects.show(project)).id).toBe(1);
    expect((await as(tokens.bot).Projects.show(1)).path_with_namespace).toBe(project);
    expect(await failure(as(tokens.stranger).Projects.show(project))).toBe(
      "404 404 Project Not Found",
    );
    for (const token of [tokens.dev, tokens.guest]) {
      expect(await failure(as(token).ProjectVariables.all(project))).toBe("403 403 Forbidden");
    }
    expect(await failure(as(tokens.guest).RepositoryFiles.show(project, "README.md", "main"))).toBe(
      "403 403 Forbidden",
    );
    const refused = await api("projects/1/variables", tokens.reader, { method: "POST" });
    expect([refused.status, await refused.json()]).toMatchObject([
      403,
      { error: "insufficient_scope" },
    ]);
    expect(await failure(as(tokens.files).RepositoryFiles.show(project, "README.md", "main"))).toBe(
      "success",
    );
    expect((await api("projects/1", tokens.files)).status).toBe(403);
    expect(await (await api("nonsense", tokens.bot)).json()).toEqual({ error: "404 Not Found" });
  });

  test("a faulty answer on order, and a log that holds no secret", async () => {
    await lab("DELETE", "requests");
    await lab("POST", "faults", { match: { path: "/user$" }, action: { status: 503 } });
    expect((await api("user", tokens.bot)).status).toBe(503);
    expect((await api(`user?private_token=${tokens.bot}`)).status).toBe(200);
    const { body } = await lab("GET", "requests");
    expect(body["requests"]).toMatchObject([
      { method: "GET", path: "/gitlab/api/v4/user", fault: "before 503" },
      { path: "/gitlab/api/v4/user?private_token=[MASKED]", outcome: "served" },
    ]);
    expect(JSON.stringify(body)).not.toContain(tokens.bot);
  });
});

describe("variables", () => {
  test("defaults, scopes, ambiguity, masking, hiding", async () => {
    const { ProjectVariables: variables } = as(tokens.bot);
    expect(await variables.create(project, "PLAIN", "1")).toEqual({
      ...{ variable_type: "env_var", key: "PLAIN", value: "1", protected: false, masked: false },
      ...{ hidden: false, raw: false, environment_scope: "*", description: null },
    });
    await variables.create(project, "PLAIN", "2", { environmentScope: "apisec/dev" });
    expect(await failure(variables.create(project, "PLAIN", "3"))).toContain(
      "(PLAIN) has already been taken",
    );
    expect(await failure(variables.show(project, "PLAIN"))).toContain("409 There are multiple");
    const scoped = { filter: { environment_scope: "apisec/dev" } };
    expect((await variables.show(project, "PLAIN", scoped)).value).toBe("2");
    await variables.edit(project, "PLAIN", "4", scoped);
    expect((await variables.show(project, "PLAIN", scoped)).value).toBe("4");
    await variables.remove(project, "PLAIN", scoped);
    expect((await variables.show(project, "PLAIN")).value).toBe("1");
    expect(await failure(variables.create(project, "M", "a b", { masked: true }))).toContain(
      "is invalid",
    );
    const hidden = await variables.create(project, "HIDDEN", "hidden-value", {
      masked_and_hidden: true,
    });
    expect(hidden).toMatchObject({ masked: true, hidden: true, value: null });
    expect(await failure(variables.show(project, "NONE"))).toBe("404 404 Variable Not Found");
    for (const key of ["PLAIN", "HIDDEN"]) await variables.remove(project, key);
  });

  test("lists come in pages with links", async () => {
    const { ProjectVariables: variables } = as(tokens.bot);
    for (let n = 0; n < 5; n += 1) await variables.create(project, `N${n}`, "x");
    const response = await api("projects/1/variables?per_page=2&page=2", tokens.bot);
    expect(((await response.json()) as unknown[]).length).toBe(2);
    expect(response.headers.get("x-total")).toBe("5");
    expect(response.headers.get("x-next-page")).toBe("3");
    expect(response.headers.get("link")).toContain(
      `<${url}/api/v4/projects/1/variables?per_page=2&page=3>; rel="next"`,
    );
    expect((await variables.all(project, { perPage: 2 })).length).toBe(5);
    for (let n = 0; n < 5; n += 1) await variables.remove(project, `N${n}`);
  });
});

describe("lists of projects", () => {
  test("in an order, from a level on, and by keys", async () => {
    for (const name of ["b", "a", "c"]) {
      await lab("POST", "projects", { path: `many/${name}`, members: { dev: "developer" } });
    }
    await lab("POST", "projects", { path: "many/own", members: { dev: "maintainer" } });
    const names = async (query: string) => {
      const answer = await api(`projects?${query}`, tokens.dev);
      return ((await answer.json()) as { path: string }[]).map(({ path }) => path);
    };
    expect(await names("order_by=name&sort=asc")).toEqual(["a", "b", "c", "own", "rotator"]);
    expect(await names("order_by=path")).toEqual(["rotator", "own", "c", "b", "a"]);
    expect(await names("")).toEqual(["own", "c", "a", "b", "rotator"]);
    expect(await names("min_access_level=40")).toEqual(["own"]);
    expect(await names("search=many")).toEqual([]);
    expect(await names("search=many&search_namespaces=true&per_page=2")).toEqual(["own", "c"]);
    for (const [query, status] of [
      ["order_by=colour", 400],
      ["min_access_level=41", 400],
      ["pagination=keyset", 405],
    ] as const) {
      expect([query, (await api(`projects?${query}`, tokens.dev)).status]).toEqual([query, status]);
    }

    let next: string | undefined =
      `${url}/api/v4/projects?pagination=keyset&order_by=id&per_page=2`;
    const pages: string[][] = [];
    while (next) {
      const answer: Response = await fetch(next, { headers: { "PRIVATE-TOKEN": tokens.dev } });
      pages.push(((await answer.json()) as { path: string }[]).map(({ path }) => path));
      expect(answer.headers.get("x-total")).toBeNull();
      next = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get("link") ?? "")?.[1];
    }
    expect(pages).toEqual([["own", "c"], ["a", "b"], ["rotator"]]);
    expect(
      (
        await as(tokens.dev).Projects.all({
          pagination: "keyset",
          orderBy: "id",
          sort: "desc",
          perPage: 2,
        })
      ).length,
    ).toBe(5);
  });
});

describe("the limit of requests", () => {
  test("has headers, and refuses what is too much as plain text", async () => {
    expect((await api("user", tokens.dev)).headers.get("ratelimit-limit")).toBeNull();
    await lab("PUT", "rate-limit", { perMinute: 2 });
    try {
      const answers = [];
      // Three within one minute, whatever second it is.
      for (let tries = 0; tries < 4; tries += 1) answers.push(await api("user", tokens.dev));
      const refused = answers.find(({ status }) => status === 429);
      expect(await refused?.text()).toBe("Retry later\n");
      expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(answers[0]?.headers.get("ratelimit-limit")).toBe("2");
      expect(Number(answers[0]?.headers.get("ratelimit-reset")) * 1_000).toBeGreaterThan(
        Date.now() - 61_000,
      );
    } finally {
      await lab("PUT", "rate-limit", { perMinute: null });
    }
  });
});

describe("push rules", () => {
  const rule = (method: string, body?: object) =>
    api("projects/1/push_rule", tokens.bot, {
      method,
      ...(body && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });

  test("are Premium; without one GitLab answers null", async () => {
    expect((await rule("GET")).status).toBe(404);
    await lab("PUT", "plan", { plan: "premium" });
    const none = await rule("GET");
    expect([none.status, await none.json()]).toEqual([200, null]);
  });

  test("refuse a commit by message, author or branch, and a branch by its name", async () => {
    const { RepositoryFiles: files, Branches } = as(tokens.bot);
    const made = await rule("POST", { commit_message_regex: "^(feat|fix): " });
    expect([made.status, await made.json()]).toMatchObject([
      201,
      { commit_message_regex: "^(feat|fix): ", project_id: 1 },
    ]);
    const write = (message: string, more: object = {}, branch = "main") =>
      failure(files.create(project, "ruled", branch, "x", message, more));
    expect(await write("add it")).toBe(
      "400 Commit message does not follow the pattern '^(feat|fix): '",
    );
    await rule("PUT", { commit_message_regex: "", commit_message_negative_regex: "skip ci" });
    expect(await write("add [skip ci]")).toBe(
      "400 Commit message contains the forbidden pattern 'skip ci'",
    );
    await rule("PUT", { commit_message_negative_regex: "", author_email_regex: "@example.test$" });
    expect(await write("x", { authorEmail: "bot@elsewhere.test" })).toBe(
      "400 Author's commit email 'bot@elsewhere.test' does not follow the pattern '@example.test$'",
    );
    await rule("PUT", { author_email_regex: "", branch_name_regex: "^feature/" });
    expect(await write("x", { startBranch: "main" }, "topic")).toBe(
      "400 Branch name 'topic' does not follow the pattern '^feature/'",
    );
    expect(await failure(Branches.create(project, "topic", "main"))).toContain(
      "Branch name 'topic'",
    );
    // The default branch may have any name.
    expect(await write("x [skip ci]")).toBe("success");
    await files.remove(project, "ruled", "main", "gone [skip ci]");
    expect((await rule("DELETE")).status).toBe(204);
    await lab("PUT", "plan", { plan: "free" });
  });
});

describe("files", () => {
  test("commits are real, with the texts and ids a client relies on", async () => {
    const { RepositoryFiles: files, Commits, Branches } = as(tokens.bot);
    await files.create(
      project,
      "dir/.a b.txt",
      "main",
      Buffer.from("hello").toString("base64"),
      "add [skip ci]",
      {
        encoding: "base64",
      },
    );
    const first = await files.show(project, "dir/.a b.txt", "main");
    expect(first).toMatchObject({
      ...{ file_name: ".a b.txt", ref: "main", content: "aGVsbG8=", size: 5 },
      content_sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
      blob_id: "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
    });
    await put("other", "1");
    const second = await files.show(project, "dir/.a b.txt", "main");
    expect(second.commit_id).not.toBe(first.commit_id);
    expect(second.last_commit_id).toBe(first.last_commit_id);
    expect(await failure(files.create(project, "other", "main", "2", "again"))).toBe(
      "400 A file with this name already exists",
    );
    expect(
      await failure(
        files.edit(project, "dir/.a b.txt", "main", "2", "m", { lastCommitId: "0".repeat(40) }),
      ),
    ).toContain("has changed since you started editing it");
    expect(
      await failure(as(tokens.dev).RepositoryFiles.create(project, "x", "main", "", "m")),
    ).toBe("400 You are not allowed to push into this branch");
    await files.remove(project, "dir/.a b.txt", "main", "gone [skip ci]");
    expect(await failure(files.show(project, "dir/.a b.txt", "main"))).toBe(
      "404 404 File Not Found",
    );
    const titles = (await Commits.all(project, { refName: "main" })).map(({ title }) => title);
    expect(titles.slice(0, 3)).toEqual(["gone [skip ci]", "x [skip ci]", "add [skip ci]"]);
    expect(await Branches.show(project, "main")).toMatchObject({ protected: true, default: true });
  });
});

describe("schedules", () => {
  test("the full life of one", async () => {
    const { PipelineSchedules: schedules, PipelineScheduleVariables: variables } = as(tokens.bot);
    const made = await schedule();
    expect(made).toMatchObject({ ref: "refs/heads/main", cron_timezone: "UTC", active: true });
    expect(made.owner.username).toBe("ci-bot");
    expect(made).not.toHaveProperty("variables");
    await schedules.edit(project, made.id, { cron: "0 */4 * * *", active: false });
    await variables.create(project, made.id, "K", "v");
    await variables.edit(project, made.id, "K", "w");
    expect(await schedules.show(project, made.id)).toMatchObject({
      ...{ cron: "0 */4 * * *", active: false, next_run_at: null },
      variables: [{ variable_type: "env_var", key: "K", value: "w", raw: false }],
    });
    const removed = await api(`projects/1/pipeline_schedules/${made.id}/variables/K`, tokens.bot, {
      method: "DELETE",
    });
    expect([removed.status, await removed.json()]).toMatchObject([202, { key: "K" }]);
    expect(await failure(schedules.create(project, "d", "main", "61 * * * *"))).toContain(
      " is invalid syntax",
    );
    expect(
      await failure(as(tokens.dev).PipelineSchedules.create(project, "d", "main", "* * * * *")),
    ).toContain("not authorized to create the pipeline schedule");
    await schedules.remove(project, made.id);
    expect(await failure(schedules.show(project, made.id))).toBe(
      "404 404 Pipeline Schedule Not Found",
    );
  });

  test("cron loses its blanks, a second POST makes a second schedule, a stale deletion is refused", async () => {
    const body = { description: "blanks", ref: "main", cron: "  5 4 * * *  " };
    const post = () =>
      api("projects/1/pipeline_schedules", tokens.bot, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
    const made = [await (await post()).json(), await (await post()).json()] as { id: number }[];
    expect(made).toMatchObject([{ cron: "5 4 * * *" }, { description: "blanks" }]);
    for (const { id } of made) {
      const remove = (since: string) =>
        api(`projects/1/pipeline_schedules/${id}`, tokens.bot, {
          method: "DELETE",
          headers: { "If-Unmodified-Since": since },
        });
      const stale = await remove(new Date(Date.now() - 60_000).toUTCString());
      expect([stale.status, await stale.json()]).toEqual([
        412,
        { message: "412 Precondition Failed" },
      ]);
      expect((await remove(new Date(Date.now() + 60_000).toUTCString())).status).toBe(204);
    }
  });

  test("one is played at once as whoever plays it, once a minute, and its next run stays", async () => {
    await put(".gitlab-ci.yml", "job: { script: [echo played] }");
    await lab("POST", "clock", { shiftMs: 0 });
    const { id, next_run_at: next } = await schedule();
    const { PipelineSchedules: schedules } = as(tokens.bot);
    expect(await schedules.run(project, id)).toEqual({ message: "201 Created" });
    const again = await api(`projects/1/pipeline_schedules/${id}/play`, tokens.bot, {
      method: "POST",
    });
    expect([again.status, await again.json()]).toEqual([
      429,
      {
        message: { error: "This endpoint has been requested too many times. Try again later." },
      },
    ]);
    expect((await as(tokens.lead).PipelineSchedules.run(project, id)).message).toBe("201 Created");
    await lab("POST", "clock", { shiftMs: 61_000 });
    expect(await schedules.run(project, id)).toEqual({ message: "201 Created" });
    await lab("POST", "clock", { shiftMs: 0 });
    const runs = () => schedules.allTriggeredPipelines(project, id);
    while ((await runs()).length < 3) await sleep(100);
    const users = await Promise.all(
      (await runs()).map(async ({ id: run }) => {
        const { user, source } = await as(tokens.bot).Pipelines.show(project, run);
        return `${user.username} ${source}`;
      }),
    );
    expect(users.sort()).toEqual(["ci-bot schedule", "ci-bot schedule", "lead schedule"]);
    expect((await schedules.show(project, id)).next_run_at).toBe(next);
    await schedules.remove(project, id);
  });

  test("others may not edit one, a maintainer may take it over", async () => {
    await as(tokens.bot).Branches.create(project, "feature", "main");
    const made = await schedule(tokens.dev, "feature");
    const { PipelineSchedules: schedules } = as(tokens.bot);
    expect(await failure(schedules.edit(project, made.id, { active: false }))).toBe(
      "403 403 Forbidden",
    );
    const taken = await schedules.takeOwnership(project, made.id);
    expect(taken.owner.username).toBe("ci-bot");
    expect(await failure(as(tokens.dev).PipelineSchedules.takeOwnership(project, made.id))).toBe(
      "403 403 Forbidden",
    );
    await schedules.remove(project, made.id);
  });
});

const printClaims = `
workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "schedule"
rotate:
  image: node:20
  environment: { name: apisec/dev, action: access }
  id_tokens: { VAULT_ID_TOKEN: { aud: https://vault.test } }
  timeout: 10 minutes
  resource_group: apisec/dev
  script:
    - node -p 'Buffer.from(process.env.VAULT_ID_TOKEN.split(".")[1],"base64url").toString()'
    - echo "whole=$VAULT_ID_TOKEN secret=$SECRET scoped=$SCOPED file=$(cat $FILE) host=\${VAULT_TOKEN-none}"
    - echo "url=$CI_PIPELINE_URL dir=$(test $CI_PROJECT_DIR = $PWD && echo same)"
bare:
  id_tokens: { T: { aud: [a, b] } }
  script:
    - node -p 'Buffer.from(process.env.T.split(".")[1],"base64url").toString()'
never:
  rules: [{ if: $CI_PIPELINE_SOURCE == "push" }]
  script: [exit 1]
`;
const claimsIn = (trace = "") =>
  JSON.parse(/^\{"iss".*$/m.exec(trace)?.[0] ?? "{}") as Record<string, unknown>;

describe("pipelines", () => {
  test("a scheduled one runs the real file, with the claims and variables GitLab would give", async () => {
    const all = as(tokens.bot).ProjectVariables;
    await all.create(project, "SECRET", "pa$$word$1", { masked: true, protected: true, raw: true });
    await all.create(project, "SCOPED", "any");
    await all.create(project, "SCOPED", "dev", { environmentScope: "apisec/*" });
    await all.create(project, "FILE", "content", { variableType: "file" });
    const { run, traces } = await runScheduled(printClaims);
    expect(run.body).toMatchObject({ status: "success" });
    expect(Object.keys(traces).sort()).toEqual(["bare", "rotate"]);

    const claims = claimsIn(traces["rotate"]);
    expect(claims).toMatchObject({
      ...{ iss: url, aud: "https://vault.test", user_login: "ci-bot", project_id: "1" },
      ...{ ref: "main", ref_type: "branch", ref_protected: "true", pipeline_source: "schedule" },
      ...{ environment: "apisec/dev", environment_action: "access", runner_id: 1 },
      ...{ sub: "project_path:sec/rotator:ref_type:branch:ref:main", user_id: "1" },
      pipeline_id: String(run.body["id"]),
      ci_config_ref_uri: `${url.slice(7)}/sec/rotator//.gitlab-ci.yml@refs/heads/main`,
    });
    expect(Number(claims["exp"]) - Number(claims["iat"])).toBe(600);
    expect(Number(claims["iat"]) - Number(claims["nbf"])).toBe(5);
    expect(traces["rotate"]).toContain(
      "whole=[MASKED] secret=[MASKED] scoped=dev file=content host=none",
    );
    expect(traces["rotate"]).toContain(
      `url=${url}/sec/rotator/-/pipelines/${String(run.body["id"])}`,
    );
    expect(traces["rotate"]).toContain("dir=same");
    expect(traces["rotate"]?.trimEnd().endsWith("Job succeeded")).toBe(true);

    const bare = claimsIn(traces["bare"]);
    expect(bare).not.toHaveProperty("environment");
    expect(bare).not.toHaveProperty("deployment_tier");
    expect(bare["aud"]).toEqual(["a", "b"]);
    expect(Number(bare["exp"]) - Number(bare["iat"])).toBe(3_600);
  });

  test("an unprotected branch gets no protected variable and says so in its token", async () => {
    const { run, traces } = await runScheduled(printClaims, tokens.dev, "feature");
    expect(run.body).toMatchObject({ status: "success" });
    expect(traces["rotate"]).toContain("secret= scoped=dev");
    expect(claimsIn(traces["rotate"])).toMatchObject({ ref_protected: "false", user_login: "dev" });
    for (const key of ["SECRET", "FILE"])
      await as(tokens.bot).ProjectVariables.remove(project, key);
  });

  test("workflow rules keep other sources out; nobody runs what they may not merge into", async () => {
    await put(".gitlab-ci.yml", printClaims);
    const { Pipelines } = as(tokens.bot);
    expect(await failure(Pipelines.create(project, "main"))).toContain("filtered out by workflow");
    expect(await failure(Pipelines.create(project, "nowhere"))).toContain("Reference not found");
    expect(await failure(as(tokens.dev).Pipelines.create(project, "main"))).toContain(
      "sufficient permission",
    );
  });

  test("a blocked owner's schedule is switched off", async () => {
    const made = await schedule(tokens.dev, "feature");
    await lab("POST", "users/dev/block");
    expect((await lab("POST", `projects/1/schedules/${made.id}/run`)).status).toBe(400);
    expect((await api("user", tokens.dev)).status).toBe(403);
    await lab("POST", "users/dev/unblock");
    const { active } = await as(tokens.bot).PipelineSchedules.show(project, made.id);
    expect(active).toBe(false);
  });

  test("the worker runs what is due, once, as its owner", async () => {
    await put(".gitlab-ci.yml", "job: { script: [echo due] }");
    const { id, next_run_at: first } = await schedule();
    const { PipelineSchedules: schedules } = as(tokens.bot);
    const runs = () => schedules.allTriggeredPipelines(project, id);
    await lab("POST", "clock", { shiftMs: 7 * 3_600_000 });
    try {
      while ((await runs()).length === 0) await sleep(100);
      await sleep(1_500);
      expect(await runs()).toMatchObject([{ source: "schedule", ref: "main" }]);
    } finally {
      await lab("POST", "clock", { shiftMs: 0 });
    }
    const { next_run_at: next } = await schedules.show(project, id);
    expect(Date.parse(next)).toBeGreaterThan(Date.parse(first));
    await schedules.remove(project, id);
  });

  test("failures, shards, reports, timeouts and stages", async () => {
    const { run, traces, jobs } = await runScheduled(`
stages: [first, second]
shard:
  stage: first
  parallel: 2
  allow_failure: true
  script:
    - echo "<testsuite><testcase name='n' classname=\\"c$CI_NODE_INDEX\\"/></testsuite>" > report.xml
    - exit $((CI_NODE_INDEX - 1))
  artifacts: { when: always, reports: { junit: report.xml } }
slow:
  stage: first
  timeout: 9 seconds
  script: [echo begun, sleep 60]
skipped: { stage: second, script: [echo no] }
always: { stage: second, when: always, script: [ls] }
`);
    expect(run.body).toMatchObject({ status: "failed" });
    const status = Object.fromEntries(jobs.map((job) => [job.name, job.status]));
    expect(status).toEqual({
      ...{ "shard 1/2": "success", "shard 2/2": "failed", slow: "failed" },
      ...{ skipped: "skipped", always: "success" },
    });
    expect(traces["shard 2/2"]).toContain("ERROR: Job failed: exit code 1");
    expect(traces["slow"]).toMatch(/begun[^]*execution took longer than 9s/);
    expect(traces["always"]).toContain("report.xml");
    const report = await api(
      `projects/1/pipelines/${String(run.body["id"])}/test_report`,
      tokens.bot,
    );
    expect(await report.json()).toMatchObject({ total_count: 2, success_count: 2 });
    const shard = jobs.find(({ name }) => name === "shard 1/2");
    const file = await api(`projects/1/jobs/${shard?.id}/artifacts/report.xml`, tokens.bot);
    expect(await file.text()).toContain('classname="c1"');
  });

  test("one resource group, one job at a time", async () => {
    const job = (name: string) => `
${name}:
  resource_group: one
  script: [date +%s%N, sleep 1, date +%s%N]`;
    const { traces } = await runScheduled(job("a") + job("b"));
    const times = Object.values(traces).map((trace) => trace.match(/^\d+$/gm)?.map(Number) ?? []);
    const [one = [], two = []] = times.sort((x, y) => (x[0] ?? 0) - (y[0] ?? 0));
    expect(two[0]).toBeGreaterThan(one[1] ?? Infinity);
  });
});

describe("what a pipeline waits for", () => {
  const statusOf = async (id: unknown) => {
    const { status } = await as(tokens.bot).Pipelines.show(project, id as number);
    return status;
  };
  const jobsOf = async (id: unknown) => {
    const jobs = await as(tokens.bot).Jobs.all(project, { pipelineId: id as number });
    return Object.fromEntries(jobs.map((job) => [job.name, job]));
  };
  const begin = async (file: string, token = tokens.bot) => {
    await put(".gitlab-ci.yml", file);
    return (await as(token).Pipelines.create(project, "main")).id;
  };
  const until = async (id: unknown, wanted: string) => {
    while ((await statusOf(id)) !== wanted) await sleep(100);
  };

  test("a runner with the job's tags, or one that takes jobs without any", async () => {
    await lab("PUT", "runners", [{ tag_list: ["docker", "vault"], run_untagged: false }]);
    const id = await begin(
      "bare: { script: [echo a] }\ntagged: { tags: [vault], script: [echo b] }",
    );
    while ((await jobsOf(id))["tagged"]?.status !== "success") await sleep(100);
    const { bare, tagged } = await jobsOf(id);
    expect([bare?.status, bare?.runner, await statusOf(id)]).toEqual(["pending", null, "running"]);
    expect([tagged?.tag_list, tagged?.runner?.id]).toEqual([["vault"], 1]);
    await lab("PUT", "runners", [{}]);
    await until(id, "success");
    const lone = await begin("lone: { tags: [gpu], script: [echo c] }");
    await until(lone, "pending");
    await as(tokens.bot).Pipelines.cancel(project, lone);
    await until(lone, "canceled");
  });

  test("a person: a rule's manual job holds the next stage, a manual job alone does not", async () => {
    const file = (job: string) =>
      `stages: [a, b]\nask: { stage: a, script: [echo asked], ${job} }\nthen: { stage: b, script: [echo then] }`;
    await until(await begin(file("when: manual")), "success");
    const id = await begin(file('rules: [{ if: "$CI", when: manual }]'));
    await until(id, "manual");
    const { ask, then } = await jobsOf(id);
    expect([ask?.status, then?.status]).toEqual(["manual", "created"]);
    const { Jobs } = as(tokens.bot);
    expect(await failure(Jobs.play(project, then?.id ?? 0))).toContain("Unplayable Job");
    await Jobs.play(project, ask?.id ?? 0);
    await until(id, "success");
  });

  test("a resource group that another pipeline holds", async () => {
    const file = "one: { resource_group: held, script: [sleep 600] }";
    const first = await begin(file);
    await until(first, "running");
    const second = await begin(file);
    await until(second, "waiting_for_resource");
    const { Pipelines } = as(tokens.bot);
    await Pipelines.cancel(project, first);
    await until(second, "running");
    await Pipelines.cancel(project, second);
    await until(second, "canceled");
  });

  test("an approval: where a protected environment is deployed to, not where it is looked at", async () => {
    await lab("PUT", "plan", { plan: "premium" });
    const protect = await api("projects/1/protected_environments", tokens.bot, {
      method: "POST",
      body: JSON.stringify({
        name: "guarded",
        deploy_access_levels: [{ access_level: 40 }],
        required_approval_count: 1,
      }),
      headers: { "content-type": "application/json" },
    });
    expect(protect.status).toBe(201);
    const job = (action: string) =>
      `job: { environment: { name: guarded, action: ${action} }, script: [echo done] }`;
    for (const action of ["access", "prepare", "verify"]) {
      await until(await begin(job(action)), "success");
    }
    const id = await begin(job("start"));
    await until(id, "manual");
    const held = (await jobsOf(id))["job"];
    const { Jobs } = as(tokens.bot);
    expect(await failure(Jobs.play(project, held?.id ?? 0))).toContain("Unplayable Job");
    const approve = (token: string) =>
      api(`projects/1/deployments/${held?.id}/approval`, token, {
        method: "POST",
        body: JSON.stringify({ status: "approved" }),
        headers: { "content-type": "application/json" },
      });
    expect((await approve(tokens.bot)).status).toBe(400);
    expect((await approve(tokens.lead)).status).toBe(201);
    await Jobs.play(project, held?.id ?? 0);
    await until(id, "success");
    await lab("PUT", "plan", { plan: "free" });
  });

  test("group variables reach the job; a project variable of that name wins, whatever its scope", async () => {
    const { GroupVariables } = as(tokens.lead);
    await GroupVariables.create("sec", "VAULT_SKIP_VERIFY", "true");
    await GroupVariables.create("sec", "ONLY", "group", { environmentScope: "apisec/dev" });
    expect(await failure(as(tokens.bot).GroupVariables.all("sec"))).toBe("403 403 Forbidden");
    const file =
      "job: { environment: { name: apisec/dev, action: access }, script: ['echo skip=$VAULT_SKIP_VERIFY only=$ONLY'] }";
    expect((await runScheduled(file)).traces["job"]).toContain("skip=true only=group");
    const { ProjectVariables } = as(tokens.bot);
    await ProjectVariables.create(project, "VAULT_SKIP_VERIFY", "false", {
      environmentScope: "apisec/*",
    });
    expect((await runScheduled(file)).traces["job"]).toContain("skip=false only=group");
    await ProjectVariables.remove(project, "VAULT_SKIP_VERIFY");
    for (const key of ["VAULT_SKIP_VERIFY", "ONLY"]) await GroupVariables.remove("sec", key);
  });
});

describe("OpenID", () => {
  interface Key {
    kid: string;
    [key: string]: unknown;
  }
  const keys = async () =>
    (await (await fetch(`${url}/oauth/discovery/keys`)).json()) as { keys: Key[] };
  const mint = async (more: object) => {
    const wanted = { project, user: "ci-bot", aud: "x", environment: "apisec/dev", ...more };
    const { body } = await lab("POST", "id-token", wanted);
    return body as { token: string; claims: Record<string, unknown> };
  };
  const parts = (token: string) => {
    const [head = "", payload = "", signature = ""] = token.split(".");
    const header = JSON.parse(Buffer.from(head, "base64url").toString()) as Record<string, string>;
    return { header, signed: `${head}.${payload}`, signature: Buffer.from(signature, "base64url") };
  };
  const isValid = async (token: string) => {
    const { header, signed, signature } = parts(token);
    const key = (await keys()).keys.find(({ kid }) => kid === header["kid"]);
    if (!key || header["alg"] !== "RS256") return false;
    return verify(
      "sha256",
      Buffer.from(signed),
      createPublicKey({ key, format: "jwk" }),
      signature,
    );
  };

  test("discovery names this very address, and two keys", async () => {
    const discovered: unknown = await (
      await fetch(`${url}/.well-known/openid-configuration`)
    ).json();
    expect(discovered).toMatchObject({ issuer: url, jwks_uri: `${url}/oauth/discovery/keys` });
    const found = await keys();
    expect(found.keys.length).toBe(2);
    for (const key of found.keys) {
      expect(Object.keys(key).sort()).toEqual(["alg", "e", "kid", "kty", "n", "use"]);
    }
  });

  test("tokens can be minted right and forged in every way", async () => {
    const good = await mint({ claims: { ref: "other", environment: null }, shift: -100 });
    expect(await isValid(good.token)).toBe(true);
    expect(good.claims).toMatchObject({ ref: "other", pipeline_source: "schedule" });
    expect(good.claims).not.toHaveProperty("environment");
    expect(Number(good.claims["iat"])).toBeLessThan(Date.now() / 1_000 - 90);
    for (const signature of ["wrong-key", "unknown-key", "none", "hs256"]) {
      expect(await isValid((await mint({ signature })).token)).toBe(false);
    }
    const { header, signed, signature } = parts((await mint({ signature: "hs256" })).token);
    const key = (await keys()).keys.find(({ kid }) => kid === header["kid"]);
    const pem = createPublicKey({ key: key!, format: "jwk" }).export({
      type: "spki",
      format: "pem",
    });
    expect(createHmac("sha256", pem).update(signed).digest()).toEqual(signature);
  });
});

test("a restart changes nothing, and no token lies in clear in its state", async () => {
  const before = (await (await fetch(`${url}/oauth/discovery/keys`)).json()) as object;
  const port = Number(new URL(url).port);
  const list = async () => (await as(tokens.bot).Pipelines.all(project)).map(({ id }) => id);
  const pipelines = await list();
  await stop();
  const state = readFileSync(join(dir, "state.json"), "utf8");
  for (const token of Object.values(tokens)) expect(state).not.toContain(token);
  await start(port);
  expect(await (await fetch(`${url}/oauth/discovery/keys`)).json()).toEqual(before);
  expect(await list()).toEqual(pipelines);
  expect((await as(tokens.bot).RepositoryFiles.show(project, "other", "main")).size).toBe(1);
});
