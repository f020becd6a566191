/** From a ref to a pipeline: rights, file, rules; then it runs. */
import { timestamp, type App } from "./app";
import { isProtected, maySetVariables, mayUpdate } from "./access";
import { ConfigError, planPipeline } from "./ciConfig";
import type { Plan } from "./plan";
import { configPath, inheritedVariables, pipelineVariables, selectVariables } from "./ciVariables";
import { commitFor, fileAt, log, repositoryOf, resolveRef } from "./repository";
import { runPipeline } from "./pipelineRun";
import type { Pipeline, Project, Schedule, User, Variable } from "./store";

export interface PipelineRequest {
  user: User;
  ref: string;
  source: "api" | "push" | "schedule";
  schedule?: Schedule;
  variables?: Variable[];
}

/**
 * Creates a pipeline and starts it. A scheduled one whose file is wrong is kept as failed, as in GitLab.
 *
 * @throws ConfigError when there is to be no pipeline; its message is GitLab's.
 */
export async function createPipeline(
  app: App,
  project: Project,
  { user, ref: name, source, schedule, variables: own = [] }: PipelineRequest,
): Promise<Pipeline> {
  const dir = repositoryOf(app, project);
  const ref = await resolveRef(dir, name);
  if (ref === "ambiguous") throw new ConfigError("Ref is ambiguous");
  if (!ref || ref.type === "commit") throw new ConfigError("Reference not found");
  if (!mayUpdate(project, user, ref, "merge")) {
    throw new ConfigError(
      `You do not have sufficient permission to run a pipeline on '${ref.name}'. Please select a different branch or contact your administrator for assistance.`,
    );
  }
  if (own.length > 0 && !maySetVariables(project, user)) {
    throw new ConfigError("Insufficient permissions to set pipeline variables");
  }
  const [commit] = await log(dir, ["-1", ref.sha]);
  const now = timestamp(app);
  const pipeline: Pipeline = {
    id: 0,
    iid: 0,
    user_id: user.id,
    schedule_id: schedule?.id ?? null,
    ref: ref.name,
    ref_type: ref.type,
    protected: isProtected(project, ref),
    sha: ref.sha,
    source,
    status: "created",
    yaml_errors: null,
    variables: own,
    created_at: now,
    updated_at: now,
    started_at: null,
    finished_at: null,
    jobs: [],
  };
  if (source === "push" && /\[(ci skip|skip ci)\]/i.test(commit?.message ?? "")) {
    return keep(app, project, { ...pipeline, status: "skipped" });
  }

  const protectedRef = pipeline.protected;
  const override = selectVariables(project, {
    protectedRef,
    environment: undefined,
    schedule,
    own,
    inherited: inheritedVariables(app, project),
  });
  const predefined = pipelineVariables(app, project, pipeline, user, commit, schedule);
  let plan: Plan;
  try {
    plan = await planPipeline(
      app,
      { dir, sha: ref.sha, file: configPath(project) },
      { predefined, override: Object.fromEntries(override.map(({ key, value }) => [key, value])) },
    );
  } catch (error) {
    const filtered = /filtered out|would have been empty|Missing CI/.test((error as Error).message);
    if (source !== "schedule" || filtered || !(error instanceof ConfigError)) throw error;
    return keep(app, project, { ...pipeline, status: "failed", yaml_errors: error.message });
  }
  const kept = await keep(app, project, pipeline);
  runPipeline(app, project, kept, { plan, user, schedule, predefined });
  return kept;
}

async function keep(app: App, project: Project, pipeline: Pipeline): Promise<Pipeline> {
  pipeline.id = app.store.nextId("pipeline");
  pipeline.iid = Math.max(0, ...project.pipelines.map(({ iid }) => iid)) + 1;
  project.pipelines.push(pipeline);
  await app.store.save();
  return pipeline;
}

/** After a push: the pipeline follows on its own, if the commit has a pipeline file. */
export function startPush(app: App, project: Project, user: User, ref: string): void {
  void (async () => {
    const dir = repositoryOf(app, project);
    const sha = await commitFor(dir, ref);
    if (!sha || !(await fileAt(dir, sha, configPath(project)))) return;
    await createPipeline(app, project, { user, ref, source: "push" });
  })().catch(() => undefined);
}
