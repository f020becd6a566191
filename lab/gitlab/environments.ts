/** Environments: protected ones hold a deployment until it is approved, or refuse it. Protection is Premium. */
import type { App } from "./app";
import { levelOf, projectOf, roles, wildcard } from "./access";
import type { JobPlan } from "./plan";
import { check, created, fail, list, noContent, notFound, ok, route, type Request } from "./http";
import { userJson } from "./entities";
import type { Deployment, Job, Pipeline, Project, ProtectedEnvironment, User } from "./store";

const protectionOf = (project: Project, name: string): ProtectedEnvironment | undefined =>
  project.protected_environments.find((rule) => wildcard(rule.name, name));

export const isProtectedEnvironment = (project: Project, name: string): boolean =>
  protectionOf(project, name) !== undefined;

/**
 * What a job deploys. `action: prepare`, `verify` and `access` deploy nothing, so since GitLab 18.0 nothing holds them.
 */
export function deploymentOf(project: Project, { yaml }: JobPlan, name: string): Deployment | null {
  const action = typeof yaml.environment === "object" ? yaml.environment.action : undefined;
  if ((action ?? "start") !== "start") return null;
  const required = protectionOf(project, name)?.required_approvals ?? 0;
  return { environment: name, required_approvals: required, approvals: [] };
}

/** May this user deploy? */
export function mayDeploy(project: Project, user: User, { deployment }: Job): boolean {
  const rule = deployment && protectionOf(project, deployment.environment);
  return !rule || levelOf(project, user) >= rule.deploy_level;
}

/** Does the job wait for somebody's approval? */
export function isHeld({ deployment }: Job): boolean {
  if (!deployment) return false;
  const { approvals, required_approvals: required } = deployment;
  const rejected = approvals.some(({ status }) => status === "rejected");
  return rejected || approvals.filter(({ status }) => status === "approved").length < required;
}

const protectionJson = ({
  name,
  deploy_level: level,
  required_approvals,
}: ProtectedEnvironment) => ({
  name,
  deploy_access_levels: [
    {
      id: 1,
      access_level: level,
      access_level_description:
        level >= roles.maintainer ? "Maintainers" : "Developers + Maintainers",
      user_id: null,
      group_id: null,
      group_inheritance_type: 0,
    },
  ],
  required_approval_count: required_approvals,
  approval_rules: [],
});

function licensed(request: Request): Project {
  const project = projectOf(request, "maintainer");
  if (request.app.state.plan === "free") throw fail(404, "404 Not Found");
  return project;
}

function protect(request: Request) {
  const project = licensed(request);
  const input = check(request.input, {
    name: { type: "string", required: true },
    deploy_access_levels: { type: "array", required: true },
    required_approval_count: { type: "integer" },
  });
  if (project.protected_environments.some(({ name }) => name === input.name)) {
    throw fail(409, `Protected environment '${input.name}' already exists`);
  }
  const given = input.deploy_access_levels.map((entry) =>
    Number((entry as { access_level?: unknown }).access_level ?? NaN),
  );
  const rule = {
    name: input.name,
    deploy_level: Math.min(...given.filter((level) => !Number.isNaN(level)), roles.owner),
    required_approvals: input.required_approval_count ?? 0,
  };
  project.protected_environments.push(rule);
  return created(protectionJson(rule));
}

const slug = (name: string) =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 24);

interface Deployed {
  pipeline: Pipeline;
  job: Job;
  deployment: Deployment;
}

/** The project's deployments; each has the number of its job. */
const deploymentsOf = (project: Project): Deployed[] =>
  project.pipelines.flatMap((pipeline) =>
    pipeline.jobs.flatMap((job) =>
      job.deployment ? [{ pipeline, job, deployment: job.deployment }] : [],
    ),
  );

const deploymentJson = (app: App, base: string, { pipeline, job, deployment }: Deployed) => {
  const user = app.state.users.find(({ id }) => id === pipeline.user_id);
  return {
    id: job.id,
    iid: job.id,
    ref: pipeline.ref,
    sha: pipeline.sha,
    created_at: job.created_at,
    updated_at: job.finished_at ?? job.created_at,
    user: user ? userJson({ base }, user) : null,
    environment: { name: deployment.environment, slug: slug(deployment.environment) },
    deployable: { id: job.id, status: job.status, name: job.name, stage: job.stage },
    status: job.status === "manual" && deployment.required_approvals > 0 ? "blocked" : job.status,
    pending_approval_count: Math.max(
      0,
      deployment.required_approvals - deployment.approvals.length,
    ),
    approvals: deployment.approvals.map(({ user_id: id, status }) => ({ user: { id }, status })),
  };
};

/** A person's yes or no to a deployment that is held. The job is played after it, not by it. */
function approve(request: Request) {
  const { user, params } = request;
  const project = projectOf(request, "reporter");
  const { status } = check(request.input, {
    status: { type: "string", required: true, values: ["approved", "rejected"] },
  });
  const found = deploymentsOf(project).find(({ job }) => String(job.id) === params["deployment"]);
  if (!found || !user) throw notFound("Deployment");
  if (found.pipeline.user_id === user.id) {
    throw fail(400, "You cannot approve your own deployment.");
  }
  if (!mayDeploy(project, user, found.job)) {
    throw fail(
      400,
      "You don't have permission to approve this deployment. Contact the project or group owner for help.",
    );
  }
  const { deployment } = found;
  deployment.approvals = deployment.approvals.filter(({ user_id: id }) => id !== user.id);
  deployment.approvals.push({ user_id: user.id, status: status as "approved" | "rejected" });
  return created({ user: userJson(request, user), status, created_at: null, comment: null });
}

const rules = "projects/:id/protected_environments";

export const environmentRoutes = [
  route("GET projects/:id/environments", (request) => {
    const { name: wanted } = check(request.query, { name: { type: "string" } });
    const found = projectOf(request, "reporter").environments.filter(
      ({ name }) => wanted === undefined || name === wanted,
    );
    return list(request, found, ({ id, name, tier, created_at }) => ({
      ...{ id, name, slug: slug(name), external_url: null },
      ...{ created_at, updated_at: created_at, tier, state: "available" },
    }));
  }),
  route(`GET ${rules}`, (request) =>
    list(request, licensed(request).protected_environments, protectionJson),
  ),
  route(`POST ${rules}`, protect),
  route(`GET ${rules}/:name`, (request) => {
    const name = request.params["name"];
    const rule = licensed(request).protected_environments.find((other) => other.name === name);
    if (!rule) throw notFound("Protected Environment");
    return ok(protectionJson(rule));
  }),
  route(`DELETE ${rules}/:name`, (request) => {
    const project = licensed(request);
    const { name } = request.params;
    project.protected_environments = project.protected_environments.filter(
      (rule) => rule.name !== name,
    );
    return noContent;
  }),
  route("GET projects/:id/deployments", (request) =>
    list(request, deploymentsOf(projectOf(request, "reporter")), (found) =>
      deploymentJson(request.app, request.base, found),
    ),
  ),
  route("POST projects/:id/deployments/:deployment/approval", approve),
];
