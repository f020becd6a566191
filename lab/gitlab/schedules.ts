/** Pipeline schedules, their variables, and the worker that runs them when due. */
import { timestamp, type App } from "./app";
import { levelOf, maySetVariables, mayUpdate, projectOf, roles } from "./access";
import { nextRun, zone } from "./cron";
import {
  check,
  checkUnmodified,
  created,
  fail,
  forbidden,
  invalid,
  isObject,
  list,
  noContent,
  notFound,
  ok,
  route,
  type Request,
} from "./http";
import { pipelineJson, userJson } from "./entities";
import { createPipeline } from "./pipelineCreation";
import { pipelineQuery } from "./pipelines";
import { repositoryOf, resolveRef } from "./repository";
import type { Pipeline, Project, Schedule, User, Variable } from "./store";
import { variableTypes } from "./variables";

const runsOf = (project: Project, schedule: Schedule) =>
  project.pipelines.filter(({ schedule_id: id }) => id === schedule.id);

function json(request: Request, schedule: Schedule) {
  const owner = request.app.state.users.find(({ id }) => id === schedule.owner_id);
  return {
    ...{ id: schedule.id, description: schedule.description, ref: schedule.ref },
    ...{ cron: schedule.cron, cron_timezone: schedule.cron_timezone },
    ...{ next_run_at: schedule.next_run_at, active: schedule.active },
    ...{ created_at: schedule.created_at, updated_at: schedule.updated_at },
    owner: owner ? userJson(request, owner) : null,
    inputs: schedule.inputs,
  };
}

/** With the last pipeline and, for a reader who may see them, the variables. GitLab renders those on GET alone. */
function details(request: Request, project: Project, schedule: Schedule, reading: boolean) {
  const last = runsOf(project, schedule).at(-1);
  return {
    ...json(request, schedule),
    last_pipeline: last ? pipelineJson(request, project, last) : null,
    ...(reading && mayAdmin(project, schedule, request.user) && { variables: schedule.variables }),
  };
}

function mayAdmin(project: Project, schedule: Schedule, user: User | undefined): boolean {
  const level = levelOf(project, user);
  const own = schedule.owner_id === user?.id && level >= roles.developer;
  return own || level >= roles.maintainer;
}

function find(request: Request, right: "read" | "update" | "admin") {
  const project = projectOf(request, "reporter");
  const { sid } = check(request.params, { sid: { type: "integer", required: true } });
  const schedule = project.schedules.find(({ id }) => id === sid);
  if (!schedule) throw notFound("Pipeline Schedule");
  const { user } = request;
  if (right === "admin" && !mayAdmin(project, schedule, user)) throw forbidden();
  const own = schedule.owner_id === user?.id && levelOf(project, user) >= roles.developer;
  if (right === "update" && !own && !user?.admin) throw forbidden();
  return { project, schedule };
}

/** GitLab stores the full ref, unless the short one is ambiguous (refused) or unknown (kept). */
async function canonicalRef(app: App, project: Project, name: string): Promise<string> {
  if (name.startsWith("refs/")) return name;
  const ref = await resolveRef(repositoryOf(app, project), name);
  if (ref === "ambiguous") throw invalid({ ref: ["is ambiguous"] });
  if (!ref || ref.type === "commit") return name;
  return `refs/${ref.type === "tag" ? "tags" : "heads"}/${ref.name}`;
}

const namedRef = (ref: string) => ({
  type: ref.startsWith("refs/tags/") ? "tag" : "branch",
  name: ref.replace(/^refs\/(heads|tags)\//, ""),
});

const fields = {
  description: { type: "string" },
  ref: { type: "string", filled: true },
  cron: { type: "string" },
  cron_timezone: { type: "string" },
  active: { type: "boolean" },
  inputs: { type: "array" },
} as const;

/** Checks the schedule as a whole and moves its next run. */
function settle(app: App, project: Project, user: User, schedule: Schedule, verb: string): void {
  const errors: Record<string, string[]> = {};
  if (schedule.description.trim() === "") errors["description"] = ["can't be blank"];
  if (!zone(schedule.cron_timezone)) errors["cron_timezone"] = [" is invalid syntax"];
  const next = nextRun(schedule.cron, zone(schedule.cron_timezone) ?? "UTC", app.now());
  if (!next) errors["cron"] = [" is invalid syntax"];
  const names = schedule.inputs.map(({ name }) => name);
  if (names.length > 20) errors["inputs"] = ["exceed the limit of 20."];
  if (new Set(names).size < names.length) errors["inputs"] = ["have duplicate values"];
  if (!mayUpdate(project, user, namedRef(schedule.ref), "merge")) {
    errors["base"] = [`The current user is not authorized to ${verb} the pipeline schedule`];
  }
  if (Object.keys(errors).length > 0) throw invalid(errors);
  schedule.next_run_at = schedule.active ? (next ?? null) : null;
  schedule.updated_at = timestamp(app);
}

function mergeInputs(current: Schedule["inputs"], changes: unknown[]): Schedule["inputs"] {
  const merged = new Map(current.map(({ name, value }) => [name, value]));
  for (const change of changes) {
    if (!isObject(change) || typeof change["name"] !== "string") {
      throw fail(400, "inputs[0][name] is missing", "error");
    }
    if (change["destroy"] === true) merged.delete(change["name"]);
    else merged.set(change["name"], change["value"]);
  }
  return [...merged].map(([name, value]) => ({ name, value }));
}

async function create(request: Request) {
  const { app, user } = request;
  const project = projectOf(request, "developer");
  const input = check(request.input, {
    ...fields,
    description: { type: "string", required: true },
    ref: { type: "string", required: true, filled: true },
    cron: { type: "string", required: true },
  });
  if (!user) throw forbidden();
  const now = timestamp(app);
  const schedule: Schedule = {
    id: 0,
    description: input.description,
    ref: await canonicalRef(app, project, input.ref),
    cron: input.cron.trim(),
    cron_timezone: input.cron_timezone ?? "UTC",
    next_run_at: null,
    active: input.active ?? true,
    created_at: now,
    updated_at: now,
    owner_id: user.id,
    variables: [],
    inputs: mergeInputs([], input.inputs ?? []),
  };
  settle(app, project, user, schedule, "create");
  schedule.id = app.store.nextId("schedule");
  project.schedules.push(schedule);
  return created(details(request, project, schedule, false));
}

async function update(request: Request) {
  const { app, user } = request;
  const { project, schedule } = find(request, "update");
  const { inputs, ...input } = check(request.input, fields);
  if (!user) throw forbidden();
  const changed: Schedule = { ...schedule, ...input };
  changed.cron = changed.cron.trim();
  if (input.ref) changed.ref = await canonicalRef(app, project, input.ref);
  if (inputs) changed.inputs = mergeInputs(schedule.inputs, inputs);
  settle(app, project, user, changed, "update");
  Object.assign(schedule, changed);
  return ok(details(request, project, schedule, false));
}

function takeOwnership(request: Request) {
  const { project, schedule } = find(request, "admin");
  const { app, user } = request;
  if (!user || schedule.owner_id === user.id) return ok(details(request, project, schedule, false));
  schedule.owner_id = user.id;
  schedule.updated_at = timestamp(app);
  return created(details(request, project, schedule, false));
}

function play(request: Request) {
  const { app, user } = request;
  const { project, schedule } = find(request, "read");
  if (!user || !mayUpdate(project, user, namedRef(schedule.ref), "merge")) throw forbidden();
  // One a user, schedule and minute.
  const key = `${user.id} ${schedule.id}`;
  if ((app.plays.get(key) ?? -Infinity) > app.now() - 60_000) {
    const error = "This endpoint has been requested too many times. Try again later.";
    throw fail(429, { error });
  }
  app.plays.set(key, app.now());
  // As in GitLab the pipeline follows; whoever plays learns of a refusal by its absence.
  void createPipeline(app, project, {
    user,
    ref: schedule.ref,
    source: "schedule",
    schedule,
  }).catch(() => undefined);
  return created({ message: "201 Created" });
}

/**
 * Runs a schedule as GitLab's worker does: source `schedule`, as its owner. A schedule whose owner is blocked or no
 * longer a developer is switched off instead (undefined).
 */
export async function runSchedule(
  app: App,
  project: Project,
  schedule: Schedule,
): Promise<Pipeline | undefined> {
  const user = app.state.users.find(({ id }) => id === schedule.owner_id);
  if (!user || user.state === "blocked" || levelOf(project, user) < roles.developer) {
    schedule.active = false;
    schedule.next_run_at = null;
    await app.store.save();
    return undefined;
  }
  return createPipeline(app, project, { user, ref: schedule.ref, source: "schedule", schedule });
}

/** Looks for due schedules every `interval` milliseconds. Returns how to stop. */
export function startScheduler(app: App, interval = 1_000): () => void {
  const timer = setInterval(() => {
    for (const project of app.state.projects) {
      for (const schedule of project.schedules) {
        const due = schedule.next_run_at ? Date.parse(schedule.next_run_at) : Infinity;
        if (!schedule.active || due > app.now()) continue;
        schedule.next_run_at = nextRun(schedule.cron, schedule.cron_timezone, app.now()) ?? null;
        void runSchedule(app, project, schedule)
          .catch(() => undefined)
          .then(() => app.store.save());
      }
    }
  }, interval);
  return () => clearInterval(timer);
}

const variableFields = {
  value: { type: "string" },
  variable_type: { type: "string", values: variableTypes },
} as const;

function findVariable(request: Request) {
  const found = find(request, "admin");
  const variable = found.schedule.variables.find(({ key }) => key === request.params["key"]);
  if (!variable) throw notFound("Pipeline Schedule Variable");
  return { ...found, variable };
}

function createVariable(request: Request) {
  const { project, schedule } = find(request, "update");
  if (!maySetVariables(project, request.user)) throw forbidden();
  const input = check(request.input, {
    key: { type: "string", required: true },
    ...variableFields,
    value: { type: "string", required: true },
  });
  if (!/^[a-zA-Z0-9_]{1,255}$/.test(input.key)) {
    throw invalid({ key: ["can contain only letters, digits and '_'."] });
  }
  if (schedule.variables.some(({ key }) => key === input.key)) {
    throw invalid({ key: ["has already been taken"] });
  }
  const variable: Variable = {
    variable_type: input.variable_type ?? "env_var",
    key: input.key,
    value: input.value,
    raw: false,
  };
  schedule.variables.push(variable);
  return created(variable);
}

const schedules = "projects/:id/pipeline_schedules";

export const scheduleRoutes = [
  route(`GET ${schedules}`, (request) => {
    const project = projectOf(request, "reporter");
    const { scope } = check(request.query, {
      scope: { type: "string", values: ["active", "inactive"] },
    });
    const found = project.schedules.filter(
      ({ active }) => !scope || active === (scope === "active"),
    );
    return list(request, found, (schedule) => json(request, schedule));
  }),
  route(`POST ${schedules}`, create),
  route(`GET ${schedules}/:sid`, (request) => {
    const { project, schedule } = find(request, "read");
    return ok(details(request, project, schedule, true));
  }),
  route(`PUT ${schedules}/:sid`, update),
  route(`DELETE ${schedules}/:sid`, (request) => {
    const { project, schedule } = find(request, "admin");
    checkUnmodified(request, schedule.updated_at);
    project.schedules = project.schedules.filter((other) => other !== schedule);
    return noContent;
  }),
  route(`POST ${schedules}/:sid/take_ownership`, takeOwnership),
  route(`POST ${schedules}/:sid/play`, play),
  route(`GET ${schedules}/:sid/pipelines`, (request) => {
    const { project, schedule } = find(request, "read");
    const found = pipelineQuery(request, runsOf(project, schedule), "asc");
    return list(request, found, (pipeline) => pipelineJson(request, project, pipeline));
  }),
  route(`POST ${schedules}/:sid/variables`, createVariable),
  route(`GET ${schedules}/:sid/variables/:key`, (request) => ok(findVariable(request).variable)),
  route(`PUT ${schedules}/:sid/variables/:key`, (request) => {
    const { project } = find(request, "update");
    const { variable } = findVariable(request);
    if (!maySetVariables(project, request.user)) throw forbidden();
    Object.assign(variable, check(request.input, variableFields));
    return ok(variable);
  }),
  route(`DELETE ${schedules}/:sid/variables/:key`, (request) => {
    const { project, schedule, variable } = findVariable(request);
    if (!maySetVariables(project, request.user)) throw forbidden();
    schedule.variables = schedule.variables.filter((other) => other !== variable);
    return { status: 202, body: variable };
  }),
];
