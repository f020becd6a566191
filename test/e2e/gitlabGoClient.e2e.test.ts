// The lab's GitLab, held to the client that the official plugin is built on: tools/gitlab-client makes the plugin's
// calls and prints what the client understood.
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { waitFor } from "../../lab/process";
import { ensureGitlabClient } from "../../lab/tools/gitlabClient";
import { startLabGitlab, type LabGitlab } from "../support/labGitlab";

const dir = mkdtempSync(join(tmpdir(), "gitlab-go-"));
const token = "glpat-bot-0123456789";
const project = "sec/rotator.x";
let gitlab: LabGitlab;
let client: ChildProcessWithoutNullStreams | undefined;
let answers: Interface;

interface Answer {
  status?: number;
  error?: string;
  next?: string;
  // As the client's own types print themselves.
  value?: Record<string, unknown>;
}

beforeAll(async () => {
  const program = await ensureGitlabClient();
  gitlab = await startLabGitlab(dir, {
    users: [
      { username: "ci-bot", tokens: [{ token }] },
      { username: "other", tokens: [{ token: "glpat-other-0123456789" }] },
    ],
    projects: [{ path: project, members: { "ci-bot": "maintainer", other: "maintainer" } }],
  });
  if (!program) throw new Error("Go is needed: this test builds tools/gitlab-client");
  client = spawn(program, [], {
    env: { GITLAB_BASE_URL: gitlab.url, GITLAB_TOKEN: token, PATH: process.env["PATH"] },
  });
  client.stderr.pipe(process.stderr);
  answers = createInterface(client.stdout);
}, 900_000);

afterAll(async () => {
  client?.stdin.end();
  await gitlab.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function go(call: string, about: object = {}): Promise<Answer> {
  const answer = once(answers, "line") as Promise<[string]>;
  client?.stdin.write(`${JSON.stringify({ call, project, ...about })}\n`);
  return JSON.parse((await answer)[0]) as Answer;
}

/** The pipeline once it `is` what is waited for. Throws at once where the client does not understand it. */
function pipelineOnce(
  what: string,
  id: number,
  is: (pipeline: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  return waitFor(`${what} of pipeline ${id}`, 60_000, async () => {
    const { value, error } = await go("GetPipeline", { id });
    if (value === undefined) throw new Error(error);
    return is(value) ? value : undefined;
  });
}

/** The requests since the last time, as the server saw them. */
async function asked(): Promise<string[]> {
  const { body } = await gitlab.lab("GET", "requests");
  await gitlab.lab("DELETE", "requests");
  const entries = body["requests"] as { method: string; path: string }[];
  return entries.map(({ method, path }) => `${method} ${path.replace("/gitlab/api/v4/", "")}`);
}

const schedule = { description: "rotate", ref: "refs/heads/main", cron: "17 */6 * * *" };

describe("what the client understands", () => {
  test("user, project, group; a push rule that is not licensed, not there, and there", async () => {
    expect(await go("CurrentUser")).toMatchObject({ value: { username: "ci-bot", id: 1 } });
    expect(await go("GetProject")).toMatchObject({
      value: {
        path_with_namespace: project,
        default_branch: "main",
        visibility: "private",
        namespace: { full_path: "sec" },
        permissions: { project_access: { access_level: 40 } },
      },
    });
    expect(await go("GetGroup", { name: "sec" })).toMatchObject({ value: { full_path: "sec" } });
    expect(await go("GetGroup", { name: "none" })).toMatchObject({
      status: 404,
      error: "404 Not Found",
    });
    expect(await go("GetProjectPushRules")).toMatchObject({ status: 404 });
    await gitlab.lab("PUT", "plan", { plan: "premium" });
    expect(await go("GetProjectPushRules")).toMatchObject({ status: 200 });
    await fetch(`${gitlab.url}/api/v4/projects/1/push_rule`, {
      method: "POST",
      headers: { "PRIVATE-TOKEN": token, "content-type": "application/json" },
      body: JSON.stringify({ commit_message_regex: "^ops: " }),
    });
    expect(await go("GetProjectPushRules")).toMatchObject({
      value: { project_id: 1, commit_message_regex: "^ops: " },
    });
    const refused = { branch: "main", content: "x", commit_message: "add" };
    expect(await go("CreateFile", { name: "ruled", options: refused })).toMatchObject({
      status: 400,
      error: expect.stringContaining("Commit message does not follow the pattern") as unknown,
    });
    await fetch(`${gitlab.url}/api/v4/projects/1/push_rule`, {
      method: "DELETE",
      headers: { "PRIVATE-TOKEN": token },
    });
  });

  test("a schedule from its creation to its end, in the plugin's own requests", async () => {
    await asked();
    const made = await go("CreatePipelineSchedule", {
      options: { ...schedule, cron: " 1 2 * * * " },
    });
    expect(made).toMatchObject({
      value: {
        ...schedule,
        cron: "1 2 * * *",
        cron_timezone: "UTC",
        active: true,
        owner: { id: 1 },
      },
    });
    const id = made.value?.["id"] as number;
    expect(await go("GetPipelineSchedule", { id })).toMatchObject({ value: { id, active: true } });
    expect(
      await go("EditPipelineSchedule", { id, options: { ...schedule, active: false } }),
    ).toMatchObject({ value: { cron: "17 */6 * * *", active: false } });
    expect(await go("TakeOwnershipOfPipelineSchedule", { id })).toMatchObject({ status: 200 });
    expect(await go("ListPipelineSchedules")).toMatchObject({ value: [{ id }] });
    expect(await go("DeletePipelineSchedule", { id })).toMatchObject({ status: 204 });
    expect(await go("GetPipelineSchedule", { id })).toMatchObject({ error: "404 Not Found" });
    const base = "projects/sec%2Frotator%2Ex/pipeline_schedules";
    expect(await asked()).toEqual([
      `POST ${base}`,
      `GET ${base}/${id}`,
      `PUT ${base}/${id}`,
      `POST ${base}/${id}/take_ownership`,
      `GET ${base}`,
      `DELETE ${base}/${id}`,
      `GET ${base}/${id}`,
    ]);
    expect(
      await go("CreatePipelineSchedule", { options: { ...schedule, cron: "never" } }),
    ).toMatchObject({
      status: 400,
      error: expect.stringContaining("is invalid syntax") as unknown,
    });
  });

  test("a variable in its scope", async () => {
    const about = { name: "K", scope: "apisec/dev" };
    const options = { key: "K", value: "one", environment_scope: "apisec/dev", raw: true };
    expect(await go("CreateVariable", { options })).toMatchObject({
      value: { key: "K", value: "one", variable_type: "env_var", environment_scope: "apisec/dev" },
    });
    expect(await go("CreateVariable", { options })).toMatchObject({
      status: 400,
      error: expect.stringContaining("has already been taken") as unknown,
    });
    expect(await go("GetVariable", { name: "K", scope: "*" })).toMatchObject({
      error: "404 Not Found",
    });
    const changed = { ...options, value: "two" };
    expect(await go("UpdateVariable", { ...about, options: changed })).toMatchObject({
      value: { value: "two" },
    });
    expect(await go("GetVariable", about)).toMatchObject({ value: { value: "two" } });
    const hidden = { key: "H", value: "hidden-value", masked: false, masked_and_hidden: true };
    expect(await go("CreateVariable", { options: hidden })).toMatchObject({
      value: { masked: true, hidden: true, value: "" },
    });
    expect(await go("RemoveVariable", about)).toMatchObject({ status: 204 });
    expect(await go("RemoveVariable", about)).toMatchObject({ error: "404 Not Found" });
  });

  test("a file whose name has a dot and a slash", async () => {
    const name = "apisec/.dev.yml";
    const commit = { branch: "main", commit_message: "Deliver [skip ci]", encoding: "text" };
    expect(await go("CreateFile", { name, options: { ...commit, content: "a: 1\n" } })).toEqual({
      status: 201,
      value: { file_path: name, branch: "main" },
    });
    const file = await go("GetFile", { name, options: { ref: "main" } });
    expect(file).toMatchObject({
      value: { file_path: name, ref: "main", content: "YTogMQo=", encoding: "base64", size: 5 },
    });
    const last = { last_commit_id: file.value?.["last_commit_id"] };
    const update = { ...commit, content: "a: 2\n", ...last };
    expect(await go("UpdateFile", { name, options: update })).toMatchObject({ status: 200 });
    expect(await go("UpdateFile", { name, options: update })).toMatchObject({
      status: 400,
      error: expect.stringContaining("has changed since you started editing it") as unknown,
    });
    expect(await go("DeleteFile", { name, options: commit })).toMatchObject({ status: 204 });
    expect(await go("GetFile", { name, options: { ref: "main" } })).toMatchObject({
      error: "404 Not Found",
    });
  });
});

test("a schedule is played, and its pipeline looked for, as the first run does", async () => {
  await go("CreateFile", {
    name: ".gitlab-ci.yml",
    options: {
      branch: "main",
      commit_message: "CI [skip ci]",
      content: "rotate: { tags: [vault], script: [echo rotated] }\n",
    },
  });
  const made = await go("CreatePipelineSchedule", { options: schedule });
  const id = made.value?.["id"] as number;
  expect(await go("RunPipelineSchedule", { id })).toMatchObject({ status: 201 });
  const pipeline = await waitFor("the schedule's pipeline", 60_000, async () => {
    const { value } = await go("ListPipelinesTriggeredBySchedule", { id });
    return (value as { id: number }[] | undefined)?.[0]?.id;
  });
  await pipelineOnce("pending", pipeline, ({ status }) => status === "pending");
  expect(await go("ListPipelineJobs", { id: pipeline })).toMatchObject({
    value: [{ name: "rotate", status: "pending", tag_list: ["vault"], runner: { id: 0 } }],
  });
  await gitlab.lab("PUT", "runners", [{ tag_list: ["vault"] }]);
  await pipelineOnce("success", pipeline, ({ status }) => status === "success");
  // Its time in whole seconds, unlike a job's: the client reads nothing of a pipeline with a fraction there.
  const ended = await pipelineOnce("end", pipeline, ({ finished_at: end }) => Boolean(end));
  expect(ended).toMatchObject({ status: "success", duration: expect.any(Number) as number });
  expect(await go("ListPipelineJobs", { id: pipeline })).toMatchObject({
    value: [{ name: "rotate", status: "success", runner: { id: 1 } }],
  });
  await go("DeletePipelineSchedule", { id });
});

describe("a POST that took effect, with a 502 as its answer, is sent again", () => {
  const fault = (path: string) =>
    gitlab.lab("POST", "faults", {
      match: { method: "POST", path },
      when: "after",
      action: { status: 502 },
    });

  test("two schedules of one description", async () => {
    await fault("/pipeline_schedules$");
    expect(await go("CreatePipelineSchedule", { options: schedule })).toMatchObject({
      status: 201,
    });
    const found = await go("ListPipelineSchedules");
    const all = found.value as unknown as { id: number; description: string }[];
    expect(all.map(({ description }) => description)).toEqual(["rotate", "rotate"]);
    for (const { id } of all) await go("DeletePipelineSchedule", { id });
  });

  test("a variable that has already been taken", async () => {
    await fault("/variables$");
    expect(await go("CreateVariable", { options: { key: "TWICE", value: "x" } })).toMatchObject({
      status: 400,
      error: expect.stringContaining("(TWICE) has already been taken") as unknown,
    });
    expect(await go("GetVariable", { name: "TWICE", scope: "*" })).toMatchObject({ status: 200 });
  });
});

test("pages by keys are followed to the end", async () => {
  for (const name of ["a", "b", "c"]) {
    await gitlab.lab("POST", "projects", { path: `many/${name}`, members: { "ci-bot": "owner" } });
  }
  const options = { pagination: "keyset", order_by: "id", sort: "asc", per_page: 3 };
  const first = await go("ListProjects", { options: { ...options, min_access_level: 40 } });
  expect(first.value).toMatchObject([{ path: "rotator.x" }, { path: "a" }, { path: "b" }]);
  const after = new URL(first.next ?? "").searchParams.get("id_after");
  const rest = await go("ListProjects", { options: { ...options, id_after: Number(after) } });
  expect(rest).toMatchObject({ value: [{ path: "c" }] });
  expect(rest.next).toBeUndefined();
});
