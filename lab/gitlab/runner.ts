/** Runs a job, in a checkout of its own, by gitlab-ci-local. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { timestamp, type App } from "./app";
import { fullPath, hashToken } from "./access";
import { childEnvironment, expand, gitlabCiLocal, seconds } from "./ciConfig";
import type { JobPlan, Run } from "./plan";
import type { Variables } from "./ciRules";
import { configPath, inheritedVariables, selectVariables, tierOf } from "./ciVariables";
import { isProtectedEnvironment } from "./environments";
import { jobClaims, sign } from "./oidc";
import { checkOut, repositoryOf } from "./repository";
import type { Job, Pipeline, Project } from "./store";

export interface JobRun extends Run {
  app: App;
  project: Project;
  pipeline: Pipeline;
  job: Job;
  own: JobPlan;
  canceled: AbortSignal;
}

const defaultTimeout = 3_600;

/** What rules, names and groups may be written with; secrets of the job's environment come later. */
export const variablesFor = ({
  predefined,
  own,
}: Pick<JobRun, "predefined" | "own">): Variables => ({
  ...predefined,
  CI_JOB_NAME: own.name,
  CI_JOB_STAGE: own.stage,
  ...own.variables,
});

/** Runs the job to its end and sets its status. */
export async function execute(run: JobRun): Promise<void> {
  const { app, project, pipeline, job, own, user, schedule } = run;
  const { yaml } = own;
  const timeout = yaml.timeout ? seconds(yaml.timeout) : defaultTimeout;
  const environment = environmentOf(run);
  const folder = join(app.store.dir, "builds", String(job.id));
  const jobToken = `glcbt-${randomBytes(20).toString("hex")}`;
  const [secrets, fromProject] = [new Set([jobToken]), new Map<string, string>()];
  try {
    await mkdir(join(folder, "tmp"), { recursive: true, mode: 0o700 });
    const chosen = selectVariables(project, {
      inherited: inheritedVariables(app, project),
      protectedRef: pipeline.protected,
      environment: environment?.name,
      schedule,
      own: pipeline.variables,
    });
    for (const { key, value, variable_type: type, raw, masked } of chosen) {
      if (masked) secrets.add(value);
      const file = join(folder, "tmp", key);
      if (type === "file") await writeFile(file, value, { mode: 0o600 });
      const text = type === "file" ? file : value;
      fromProject.set(key, raw || type === "file" ? text.replaceAll("$", "$$$$") : text);
    }
    const known = { ...variablesFor(run), ...Object.fromEntries(fromProject) };
    for (const [name, { aud }] of Object.entries(yaml.id_tokens ?? {})) {
      const audience = Array.isArray(aud)
        ? aud.map((one) => expand(one, known))
        : expand(aud, known);
      const token = await sign(
        app.keys,
        jobClaims(
          app,
          {
            project,
            user,
            pipelineId: pipeline.id,
            jobId: job.id,
            runnerId: job.runner_id ?? 1,
            source: pipeline.source,
            ref: { type: pipeline.ref_type, name: pipeline.ref, protected: pipeline.protected },
            sha: pipeline.sha,
            configPath: configPath(project),
            ...(environment && { environment }),
            timeout,
          },
          audience,
        ),
      );
      secrets.add(token);
      fromProject.set(name, token);
    }

    app.jobTokens.set(hashToken(jobToken), { projectId: project.id, user });
    const predefined = { ...jobVariables(run, environment), CI_JOB_TOKEN: jobToken };
    const variables = { ...escaped(predefined, own.variables), ...Object.fromEntries(fromProject) };
    await prepare(run, folder, variables);
    const outcome = await runProcess(run, folder, timeout);
    const text = outcome.text + footer(outcome, timeout);
    await writeTrace(app, job, mask(text, [...secrets]));
    job.status =
      outcome.ended === "canceled" ? "canceled" : outcome.code === 0 ? "success" : "failed";
    if (outcome.ended === "timeout") job.failure_reason = "job_execution_timeout";
    else if (job.status === "failed") job.failure_reason = "script_failure";
  } finally {
    app.jobTokens.delete(hashToken(jobToken));
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function environmentOf(run: JobRun) {
  const given = run.own.yaml.environment;
  if (!given) return undefined;
  const spec = typeof given === "string" ? { name: given } : given;
  const name = expand(spec.name, variablesFor(run));
  const tier = spec.deployment_tier ?? tierOf(name);
  const { app, project } = run;
  if (!project.environments.some((other) => other.name === name)) {
    const id = app.store.nextId("environment");
    project.environments.push({ id, name, tier, created_at: timestamp(app) });
  }
  const isProtected = isProtectedEnvironment(project, name);
  return { name, tier, action: spec.action ?? "start", protected: isProtected };
}

function jobVariables(run: JobRun, environment: ReturnType<typeof environmentOf>): Variables {
  const { app, project, pipeline, job, own } = run;
  const url = `${app.url}/${fullPath(app, project)}/-`;
  return {
    ...run.predefined,
    CI_PIPELINE_ID: String(pipeline.id),
    CI_PIPELINE_IID: String(pipeline.iid),
    CI_PIPELINE_URL: `${url}/pipelines/${pipeline.id}`,
    CI_PIPELINE_CREATED_AT: pipeline.created_at,
    CI_JOB_ID: String(job.id),
    CI_JOB_NAME: job.name,
    CI_JOB_STAGE: job.stage,
    CI_JOB_URL: `${url}/jobs/${job.id}`,
    CI_JOB_STARTED_AT: job.started_at ?? "",
    CI_RUNNER_ID: String(job.runner_id ?? 1),
    CI_NODE_TOTAL: String(own.node?.total ?? 1),
    ...(own.node && { CI_NODE_INDEX: String(own.node.index) }),
    ...(environment && {
      CI_ENVIRONMENT_NAME: environment.name,
      CI_ENVIRONMENT_TIER: environment.tier,
      CI_ENVIRONMENT_ACTION: environment.action,
    }),
  };
}

/** Predefined values are literal, and the pipeline file's own variables override them. */
const escaped = (predefined: Variables, overriding: Variables): Variables =>
  Object.fromEntries(
    Object.entries(predefined)
      .filter(([key]) => !(key in overriding))
      .map(([key, value]) => [key, value.replaceAll("$", "$$$$")]),
  );

/** The folder gitlab-ci-local gives a job's log and artifacts. */
export const folderOf = (job: string) =>
  job.replace(/[^\w-]+/g, (part) => Buffer.from(part).toString("base64url"));

export const artifactsOf = (app: App, pipeline: Pipeline) =>
  join(app.store.dir, "artifacts", String(pipeline.id));

/** Keywords that have been acted on, or need what a shell executor lacks. */
const handledHere = new Set(
  "allow_failure image services cache rules parallel needs dependencies environment id_tokens".split(
    " ",
  ),
);

/** A checkout, the plan as a pipeline file, and the variables: in a file, as arguments can be read by anybody. */
async function prepare(run: JobRun, folder: string, variables: Variables): Promise<void> {
  const { app, project, pipeline, plan } = run;
  const checkout = join(folder, "repository");
  const origin = `${app.url}/${fullPath(app, project)}.git`;
  await checkOut(repositoryOf(app, project), pipeline.sha, checkout, origin);
  // Files that gitlab-ci-local would obey and GitLab does not know.
  for (const name of [".gitlab-ci-local.yml", ".gitlab-ci-local-env", ".gitlab-ci-local"]) {
    await rm(join(checkout, name), { recursive: true, force: true });
  }
  await mkdir(artifactsOf(app, pipeline), { recursive: true });
  await mkdir(join(checkout, ".gitlab-ci-local"));
  await symlink(artifactsOf(app, pipeline), join(checkout, ".gitlab-ci-local/artifacts"));

  const jobs = plan.jobs.map(({ name, yaml, variables: own }) => {
    const wanted = (yaml.needs ?? yaml.dependencies)?.map((entry) =>
      typeof entry === "string" ? entry : entry.job,
    );
    const producers = plan.jobs
      .map((other) => other.name)
      .filter((other) => wanted?.some((base) => other === base || other.startsWith(`${base} `)));
    const reports = [yaml.artifacts?.reports?.junit ?? []].flat();
    const paths = [...new Set([...(yaml.artifacts?.paths ?? []), ...reports])];
    return [
      name,
      {
        ...Object.fromEntries(Object.entries(yaml).filter(([key]) => !handledHere.has(key))),
        when: "on_success",
        variables: own,
        ...(wanted && { dependencies: producers }),
        ...(yaml.artifacts && { artifacts: { ...yaml.artifacts, paths } }),
      },
    ] as const;
  });
  const file = { stages: plan.stages, ...Object.fromEntries(jobs) };
  await writeFile(join(folder, "pipeline.yml"), stringify(file, { lineWidth: 0 }));
  const typed = Object.entries(variables).map(([key, value]) => [
    key,
    { type: "variable", values: { "*": value } },
  ]);
  await writeFile(join(folder, "variables.yml"), JSON.stringify(Object.fromEntries(typed)), {
    mode: 0o600,
  });
}

interface Outcome {
  code: number;
  ended: "exit" | "timeout" | "canceled";
  text: string;
}

async function runProcess(run: JobRun, folder: string, timeout: number): Promise<Outcome> {
  const { app, job, canceled } = run;
  const checkout = join(folder, "repository");
  const child = spawn(
    process.execPath,
    [
      gitlabCiLocal,
      ...["--force-shell-executor", "--shell-isolation", "--no-artifacts-to-source", "--no-color"],
      ...["--file", "../pipeline.yml", "--variables-file", "../variables.yml"],
      ...["--json-schema-validation=false", "--home", folder, "--state-dir", ".gitlab-ci-local"],
      job.name,
    ],
    {
      cwd: checkout,
      env: childEnvironment(app, folder),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    },
  );
  let ended: Outcome["ended"] = "exit";
  const end = (why: Outcome["ended"]) => {
    ended = why;
    killGroup(child.pid);
  };
  const timer = setTimeout(() => end("timeout"), timeout * 1_000);
  const cancel = () => end("canceled");
  canceled.addEventListener("abort", cancel);
  // Nobody is told of what happened before.
  if (canceled.aborted) cancel();
  let output = "";
  const collect = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-1_000_000));
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (status) => resolve(status ?? 1));
    });
    const log = join(checkout, ".gitlab-ci-local/output", `${folderOf(job.name)}.log`);
    // Empty where gitlab-ci-local ended before the script: what it printed says why.
    const text = (await readFile(log, "utf8").catch(() => "")) || output;
    const exit =
      code === 0 ? 0 : Number(/ finished in [^\n]* FAIL (\d+)/.exec(output)?.[1] ?? code);
    return { code: exit, ended, text };
  } finally {
    clearTimeout(timer);
    canceled.removeEventListener("abort", cancel);
    // What a job left behind in the background ends with it.
    killGroup(child.pid);
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // All of it has ended already.
  }
}

function footer({ code, ended }: Outcome, timeout: number): string {
  if (ended === "timeout")
    return `ERROR: Job failed: execution took longer than ${timeout}s seconds\n`;
  if (ended === "canceled") return "ERROR: Job failed: canceled\n";
  return code === 0 ? "Job succeeded\n" : `ERROR: Job failed: exit code ${code}\n`;
}

/** Longest first, so that a value within another leaves no rest. */
export const mask = (text: string, secrets: string[]): string =>
  secrets
    .sort((a, b) => b.length - a.length)
    .reduce((masked, secret) => masked.replaceAll(secret, "[MASKED]"), text);

const traceFile = (app: App, job: Job) => join(app.store.dir, "traces", `${job.id}.log`);

export async function writeTrace(app: App, job: Job, text: string): Promise<void> {
  await mkdir(join(app.store.dir, "traces"), { recursive: true });
  await writeFile(traceFile(app, job), text, { mode: 0o600 });
}

export const readTrace = (app: App, job: Job): Promise<string> =>
  readFile(traceFile(app, job), "utf8").catch(() => "");
