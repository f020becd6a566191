/** Pipelines and jobs in the API. */
import { readFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { mayUpdate, projectOf } from "./access";
import { ConfigError } from "./ciConfig";
import { pipelineJson, userJson, commitJson } from "./entities";
import {
  check,
  created,
  fail,
  forbidden,
  invalid,
  isObject,
  list,
  notFound,
  ok,
  route,
  text,
  type Request,
} from "./http";
import { createPipeline } from "./pipelineCreation";
import { isPlayable, playJob } from "./pipelineRun";
import { pipelineStatus } from "./pipelineStatus";
import { log, repositoryOf } from "./repository";
import { runnerJson } from "./runners";
import { artifactsOf, folderOf, readTrace } from "./runner";
import type { Job, Pipeline, Project, Variable } from "./store";
import { variableTypes } from "./variables";

const elapsed = ({ started_at: from, finished_at: to }: Pick<Job, "started_at" | "finished_at">) =>
  from && to ? (Date.parse(to) - Date.parse(from)) / 1_000 : null;

/** As GitLab has it for a pipeline; a job's time has a fraction. */
const wholeSeconds = (seconds: number | null) => seconds && Math.floor(seconds);

function detailsJson(request: Request, project: Project, pipeline: Pipeline) {
  const user = request.app.state.users.find(({ id }) => id === pipeline.user_id);
  return {
    ...pipelineJson(request, project, pipeline),
    before_sha: "0".repeat(40),
    tag: pipeline.ref_type === "tag",
    yaml_errors: pipeline.yaml_errors,
    user: user ? userJson(request, user) : null,
    started_at: pipeline.started_at,
    finished_at: pipeline.finished_at,
    committed_at: null,
    duration: wholeSeconds(elapsed(pipeline)),
    queued_duration: null,
    coverage: null,
    archived: false,
  };
}

/** Filters and sorts as both lists of pipelines do. */
export function pipelineQuery(request: Request, pipelines: Pipeline[], order: "asc" | "desc") {
  const { sort = order, ...query } = check(request.query, {
    sort: { type: "string", values: ["asc", "desc"] },
    status: { type: "string" },
    ref: { type: "string" },
    sha: { type: "string" },
    source: { type: "string" },
    created_after: { type: "string" },
    updated_after: { type: "string" },
  });
  const since = (value: string | undefined) => (value === undefined ? 0 : Date.parse(value));
  const found = pipelines.filter(
    (pipeline) =>
      (["status", "ref", "sha", "source"] as const).every(
        (key) => query[key] === undefined || pipeline[key] === query[key],
      ) &&
      Date.parse(pipeline.created_at) >= since(query.created_after) &&
      Date.parse(pipeline.updated_at) >= since(query.updated_after),
  );
  return found.sort((a, b) => (sort === "asc" ? a.id - b.id : b.id - a.id));
}

function findPipeline(request: Request, role: "reporter" | "developer" = "reporter") {
  const project = projectOf(request, role);
  const { pid } = check(request.params, { pid: { type: "integer", required: true } });
  const pipeline = project.pipelines.find(({ id }) => id === pid);
  if (!pipeline) throw notFound("Pipeline");
  return { project, pipeline };
}

async function post(request: Request) {
  const { app, user } = request;
  const project = projectOf(request, "developer");
  const { ref, variables = [] } = check(request.input, {
    ref: { type: "string", required: true, filled: true },
    variables: { type: "array" },
  });
  const own = variables.map((entry): Variable => {
    const fields = check(isObject(entry) ? entry : {}, {
      key: { type: "string", required: true },
      value: { type: "string", required: true },
      variable_type: { type: "string", values: variableTypes },
    });
    return { variable_type: "env_var", raw: false, ...fields };
  });
  if (!user) throw notFound("User");
  const pipeline = await createPipeline(app, project, {
    user,
    ref,
    source: "api",
    variables: own,
  }).catch((error: unknown) => {
    throw error instanceof ConfigError ? invalid({ base: [error.message] }) : error;
  });
  return created(detailsJson(request, project, pipeline));
}

async function jobJson(request: Request, project: Project, pipeline: Pipeline, job: Job) {
  const user = request.app.state.users.find(({ id }) => id === pipeline.user_id);
  const [commit] = await log(repositoryOf(request.app, project), ["-1", pipeline.sha]);
  const parent = pipelineJson(request, project, pipeline);
  const runner = request.app.state.runners.find(({ id }) => id === job.runner_id);
  return {
    id: job.id,
    status: job.status,
    stage: job.stage,
    name: job.name,
    ref: pipeline.ref,
    tag: pipeline.ref_type === "tag",
    coverage: null,
    allow_failure: job.allow_failure,
    created_at: job.created_at,
    started_at: job.started_at,
    finished_at: job.finished_at,
    erased_at: null,
    duration: elapsed(job),
    queued_duration: null,
    user: user ? userJson(request, user) : null,
    commit: commit ? commitJson(request, project, commit) : null,
    pipeline: parent,
    ...(job.failure_reason && { failure_reason: job.failure_reason }),
    web_url: parent.web_url.replace(/pipelines\/\d+$/, `jobs/${job.id}`),
    project: { ci_job_token_scope_enabled: false },
    artifacts: [],
    runner: runner ? runnerJson(runner) : null,
    runner_manager: null,
    artifacts_expire_at: null,
    archived: false,
    tag_list: job.tag_list,
  };
}

async function listJobs(
  request: Request,
  project: Project,
  jobs: { pipeline: Pipeline; job: Job }[],
) {
  const scopes = [request.query["scope"] ?? []].flat();
  const found = jobs.filter(({ job }) => scopes.length === 0 || scopes.includes(job.status));
  found.sort((a, b) => b.job.id - a.job.id);
  const reply = list(request, found, (entry) => entry);
  const page = reply.body as typeof found;
  const body = page.map(({ pipeline, job }) => jobJson(request, project, pipeline, job));
  return { ...reply, body: await Promise.all(body) };
}

function findJob(request: Request) {
  const project = projectOf(request, "reporter");
  const { jid } = check(request.params, { jid: { type: "integer", required: true } });
  for (const pipeline of project.pipelines) {
    const job = pipeline.jobs.find(({ id }) => id === jid);
    if (job) return { project, pipeline, job };
  }
  throw notFound("Job");
}

/** One artifact file, or undefined. */
function readArtifact(request: Request, pipeline: Pipeline, job: Job, path: string) {
  const inside = normalize(`/${path}`);
  const file = join(artifactsOf(request.app, pipeline), folderOf(job.name), inside);
  return readFile(file).catch(() => undefined);
}

/** JUnit as GitLab reports it: one suite a job. */
async function testReport(request: Request) {
  const { pipeline } = findPipeline(request);
  const suites = await Promise.all(
    pipeline.jobs
      .filter(({ junit }) => junit.length > 0)
      .map(async (job) => {
        const texts = await Promise.all(
          job.junit.map((path) => readArtifact(request, pipeline, job, path)),
        );
        return suiteOf(job.name, texts.filter((text) => text !== undefined).join("\n"));
      }),
  );
  const sum = (key: "total_time" | "total_count" | "success_count" | "failed_count") =>
    suites.reduce((total, suite) => total + suite[key], 0);
  return ok({
    total_time: sum("total_time"),
    total_count: sum("total_count"),
    success_count: sum("success_count"),
    failed_count: sum("failed_count"),
    skipped_count: 0,
    error_count: 0,
    test_suites: suites,
  });
}

function suiteOf(name: string, junit: string) {
  const cases = [...junit.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes = "", body = ""]) => {
      const attribute = (key: string) =>
        new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? null;
      const failed = /<(failure|error)\b/.test(body);
      return {
        status: failed ? "failed" : "success",
        name: attribute("name"),
        classname: attribute("classname"),
        execution_time: Number(attribute("time") ?? 0),
        system_output: failed ? body.trim() : null,
      };
    },
  );
  const failures = cases.filter(({ status }) => status === "failed").length;
  return {
    name,
    total_time: cases.reduce((total, { execution_time: time }) => total + time, 0),
    total_count: cases.length,
    success_count: cases.length - failures,
    failed_count: failures,
    skipped_count: 0,
    error_count: 0,
    suite_error: null,
    test_cases: cases,
  };
}

/** Of a pipeline that waits for a person: what has not begun never will. */
function cancelRest(pipeline: Pipeline): void {
  for (const job of pipeline.jobs) {
    if (job.status === "created") job.status = "canceled";
  }
  pipeline.status = pipelineStatus(pipeline.jobs);
}

const pipelines = "projects/:id/pipelines";

export const pipelineRoutes = [
  route("POST projects/:id/pipeline", post),
  route(
    `GET ${pipelines}`,
    (request) => {
      const project = projectOf(request, "reporter");
      const found = pipelineQuery(request, [...project.pipelines], "desc");
      return list(request, found, (pipeline) => pipelineJson(request, project, pipeline));
    },
    { anonymous: true },
  ),
  route(`GET ${pipelines}/latest`, (request) => {
    const project = projectOf(request, "reporter");
    const ref = text(request.query["ref"]) ?? project.default_branch;
    const latest = project.pipelines.filter((pipeline) => pipeline.ref === ref).at(-1);
    if (!latest) throw notFound("Pipeline");
    return ok(detailsJson(request, project, latest));
  }),
  route(`GET ${pipelines}/:pid`, (request) => {
    const { project, pipeline } = findPipeline(request);
    return ok(detailsJson(request, project, pipeline));
  }),
  route(`GET ${pipelines}/:pid/variables`, (request) =>
    ok(findPipeline(request, "developer").pipeline.variables),
  ),
  route(`GET ${pipelines}/:pid/test_report`, testReport),
  route(`POST ${pipelines}/:pid/cancel`, (request) => {
    const { project, pipeline } = findPipeline(request, "developer");
    const running = request.app.running.get(pipeline.id);
    running?.cancel();
    if (!running) cancelRest(pipeline);
    return ok(detailsJson(request, project, pipeline));
  }),
  route(`GET ${pipelines}/:pid/jobs`, (request) => {
    const { project, pipeline } = findPipeline(request);
    return listJobs(
      request,
      project,
      pipeline.jobs.map((job) => ({ pipeline, job })),
    );
  }),
  route("GET projects/:id/jobs", (request) => {
    const project = projectOf(request, "reporter");
    const jobs = project.pipelines.flatMap((pipeline) =>
      pipeline.jobs.map((job) => ({ pipeline, job })),
    );
    return listJobs(request, project, jobs);
  }),
  route("GET projects/:id/jobs/:jid", async (request) => {
    const { project, pipeline, job } = findJob(request);
    return ok(await jobJson(request, project, pipeline, job));
  }),
  route("POST projects/:id/jobs/:jid/play", async (request) => {
    const { app, user } = request;
    const { project, pipeline, job } = findJob(request);
    const ref = { type: pipeline.ref_type, name: pipeline.ref };
    if (!user || !mayUpdate(project, user, ref, "merge")) throw forbidden();
    if (!isPlayable(app, pipeline, job)) throw fail(400, "400 Bad request - Unplayable Job");
    playJob(app, project, pipeline, job, user);
    return ok(await jobJson(request, project, pipeline, job));
  }),
  route("GET projects/:id/jobs/:jid/trace", async (request) => ({
    status: 200,
    body: Buffer.from(await readTrace(request.app, findJob(request).job)),
    headers: { "Content-Type": "text/plain" },
  })),
  route("GET projects/:id/jobs/:jid/artifacts/*path", async (request) => {
    const { pipeline, job } = findJob(request);
    const content = await readArtifact(request, pipeline, job, request.params["path"] ?? "");
    if (!content) throw notFound("File");
    return { status: 200, body: content, headers: { "Content-Type": "application/octet-stream" } };
  }),
];
