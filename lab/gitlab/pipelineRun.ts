/** Runs pipelines, stage by stage: what waits for a person, a resource or a runner, and whose turn it is. */
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { timestamp, type App } from "./app";
import { expand, seconds } from "./ciConfig";
import { deploymentOf, isHeld, mayDeploy } from "./environments";
import { pipelineStatus } from "./pipelineStatus";
import type { JobPlan, Run } from "./plan";
import { execute, variablesFor, writeTrace, type JobRun } from "./runner";
import { waitForRunner } from "./runners";
import type { Job, JobStatus, Pipeline, Project, User } from "./store";

/** Jobs at a time, whatever their pipeline. */
const concurrency = 4;

interface PipelineRun extends Run {
  app: App;
  project: Project;
  pipeline: Pipeline;
}

/** Starts a pipeline's jobs. Its promise is in `app.running` until it has ended or waits for a person. */
export function runPipeline(app: App, project: Project, pipeline: Pipeline, run: Run): void {
  for (const own of run.plan.jobs) {
    const { name, stage, allowFailure, yaml } = own;
    const environment = environmentName({ ...run, own });
    pipeline.jobs.push({
      id: app.store.nextId("job"),
      name,
      stage,
      status: "created",
      allow_failure: allowFailure,
      failure_reason: null,
      created_at: timestamp(app),
      started_at: null,
      finished_at: null,
      junit: [yaml.artifacts?.reports?.junit ?? []].flat(),
      tag_list: (yaml.tags ?? []).map((tag) => expand(tag, variablesFor({ ...run, own }))),
      runner_id: null,
      deployment: environment === undefined ? null : deploymentOf(project, own, environment),
    });
  }
  app.runs.set(pipeline.id, run);
  go({ app, project, pipeline, ...run });
}

function environmentName(run: Pick<JobRun, "predefined" | "own">): string | undefined {
  const given = run.own.yaml.environment;
  const name = typeof given === "string" ? given : given?.name;
  return name === undefined ? undefined : expand(name, variablesFor(run));
}

/** Can the job be played: does it wait for a person, and for no approval? */
export const isPlayable = (app: App, pipeline: Pipeline, job: Job): boolean =>
  job.status === "manual" && !isHeld(job) && app.runs.has(pipeline.id);

/** Starts a manual job as this user, and what waited for it. */
export function playJob(
  app: App,
  project: Project,
  pipeline: Pipeline,
  job: Job,
  user: User,
): void {
  const run = app.runs.get(pipeline.id);
  if (!run) throw new Error(`pipeline ${pipeline.id} was begun before the last restart`);
  job.status = "created";
  go({ app, project, pipeline, ...run, user }, job);
}

function go(run: PipelineRun, played?: Job): void {
  const { app, pipeline } = run;
  const abort = new AbortController();
  const before = app.running.get(pipeline.id);
  const entry = {
    done: advance(run, abort.signal, played, before?.done).then(() => {
      if (app.running.get(pipeline.id) === entry) app.running.delete(pipeline.id);
    }),
    cancel: () => {
      before?.cancel();
      abort.abort();
    },
  };
  app.running.set(pipeline.id, entry);
}

/** Runs what may run, until all has ended or a manual job stops the next stage. */
async function advance(
  run: PipelineRun,
  canceled: AbortSignal,
  played: Job | undefined,
  before: Promise<void> | undefined,
): Promise<void> {
  const { app, pipeline, plan } = run;
  // Whoever created the pipeline is told of it before it begins.
  await setImmediate();
  const failed = (stage: string) =>
    pipeline.jobs.some(
      (job) =>
        job.status === "failed" &&
        !job.allow_failure &&
        plan.stages.indexOf(job.stage) < plan.stages.indexOf(stage),
    );
  const started = new Map<Job, Promise<void>>();
  const start = (job: Job, own: JobPlan) => {
    if (job.status !== "created" || started.has(job)) return;
    const one: JobRun = { ...run, job, own, canceled };
    started.set(job, begin(one, job === played, failed(job.stage)));
  };
  const planOf = ({ name }: Job) => plan.jobs.find((own) => own.name === name);
  const begun = (jobs: Job[]) => {
    for (const job of jobs) {
      const own = planOf(job);
      if (own) start(job, own);
    }
    return Promise.all(jobs.flatMap((job) => started.get(job) ?? []));
  };
  if (played) await begun([played]);
  await before;
  // A job that needs no other waits for no stage.
  void begun(pipeline.jobs.filter((job) => planOf(job)?.yaml.needs?.length === 0));
  for (const stage of plan.stages) {
    const jobs = pipeline.jobs.filter((job) => job.stage === stage);
    await begun(jobs);
    if (jobs.some(({ status, allow_failure: may }) => status === "manual" && !may)) break;
  }
  await Promise.all(started.values());
  pipeline.updated_at = timestamp(app);
  pipeline.status = pipelineStatus(pipeline.jobs);
  if (pipeline.status !== "manual") pipeline.finished_at = pipeline.updated_at;
  await app.store.save();
}

/** Decides what becomes of a job whose stage has come. */
async function begin(run: JobRun, played: boolean, failed: boolean): Promise<void> {
  const { job, own, canceled } = run;
  const wanted = own.when === "always" || (own.when === "on_failure" ? failed : !failed);
  if (canceled.aborted) return set(run, "canceled");
  if (!played && (own.when === "manual" || isHeld(job))) return set(run, "manual");
  if (!played && !wanted) return set(run, "skipped");
  if (!mayDeploy(run.project, run.user, job)) {
    job.failure_reason = "protected_environment_failure";
    return set(run, "failed");
  }
  if (own.when === "delayed" && !played) {
    set(run, "scheduled");
    const delay = seconds(own.yaml.start_in ?? "0") * 1_000;
    await sleep(delay, undefined, { signal: canceled }).catch(() => undefined);
  }
  return takeTurn(run);
}

function set({ job, pipeline }: JobRun, status: JobStatus): void {
  job.status = status;
  pipeline.status = pipelineStatus(pipeline.jobs);
}

/** Waits for the job's resource group, for a runner that takes it and a place there, then runs it. */
async function takeTurn(run: JobRun): Promise<void> {
  const { app, project, pipeline, job, own, canceled } = run;
  const group = own.yaml.resource_group && expand(own.yaml.resource_group, variablesFor(run));
  const leave: (() => void)[] = [];
  try {
    if (group) {
      set(run, "waiting_for_resource");
      leave.push(await enter(app, `group ${project.id} ${group}`, 1, canceled));
    }
    set(run, "pending");
    await app.store.save();
    const runner = await waitForRunner(app, job, canceled);
    leave.push(await enter(app, "runner", concurrency, canceled));
    if (canceled.aborted) return set(run, "canceled");
    job.runner_id = runner?.id ?? null;
    job.started_at = timestamp(app);
    pipeline.started_at ??= job.started_at;
    set(run, "running");
    await app.store.save();
    await execute(run);
  } catch (error) {
    job.status = "failed";
    job.failure_reason = "runner_system_failure";
    await writeTrace(app, job, `ERROR: ${(error as Error).message}\n`);
  } finally {
    for (const exit of leave.reverse()) exit();
    job.finished_at = pipeline.updated_at = timestamp(app);
    set(run, job.status);
    await app.store.save();
  }
}

/** Waits until fewer than `limit` are in the room, or it was canceled; returns how to leave it. */
async function enter(
  app: App,
  room: string,
  limit: number,
  canceled: AbortSignal,
): Promise<() => void> {
  const queue = app.queues.get(room) ?? { inside: 0, waiting: [] };
  app.queues.set(room, queue);
  if (queue.inside < limit) {
    queue.inside += 1;
  } else {
    let gone: (() => void) | undefined;
    const entered = await new Promise<boolean>((resolve) => {
      const turn = () => resolve(true);
      queue.waiting.push(turn);
      gone = () => {
        queue.waiting = queue.waiting.filter((other) => other !== turn);
        resolve(false);
      };
      if (canceled.aborted) gone();
      canceled.addEventListener("abort", gone);
    });
    if (gone) canceled.removeEventListener("abort", gone);
    if (!entered) return () => {};
  }
  return () => {
    const next = queue.waiting.shift();
    if (next) next();
    else queue.inside -= 1;
  };
}
