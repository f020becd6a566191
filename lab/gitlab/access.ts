/** Who is calling, and what their role in a project allows. */
import { createHash } from "node:crypto";
import type { App } from "./app";
import { fail, forbidden, notFound, type Request, type Route } from "./http";
import type { Project, ProtectedRef, User } from "./store";

export const roles = { guest: 10, reporter: 20, developer: 30, maintainer: 40, owner: 50 } as const;
export type Role = keyof typeof roles;

export const hashToken = (token: string) => createHash("sha256").update(token).digest("hex");

/** Finds the caller by any of GitLab's headers and checks the token's scope for this route. */
export function authenticate(request: Request, route: Route): void {
  const { app, headers } = request;
  const bearer = /^Bearer (.+)$/i.exec(headers["authorization"] ?? "")?.[1];
  const given = headers["private-token"] ?? bearer ?? request.query["private_token"];
  const jobToken = headers["job-token"] ?? request.query["job_token"] ?? given;
  const job = typeof jobToken === "string" ? app.jobTokens.get(hashToken(jobToken)) : undefined;
  if (job) {
    if (!route.jobToken) throw forbidden();
    request.user = job.user;
    request.jobProjectId = job.projectId;
    return;
  }
  if (typeof given !== "string") {
    if (route.anonymous && headers["job-token"] === undefined) return;
    throw fail(401, "401 Unauthorized");
  }
  const token = app.state.tokens.find(({ hash }) => hash === hashToken(given));
  const user = token && app.state.users.find(({ id }) => id === token.user_id);
  if (!token || !user) throw fail(401, "401 Unauthorized");
  if (token.expires_at && Date.parse(token.expires_at) <= app.now()) {
    throw oauthError(
      401,
      "invalid_token",
      "Token is expired. You can either do re-authorization or token refresh.",
    );
  }
  if (user.state === "blocked") throw forbidden("Your account has been blocked.");
  const reading = request.method === "GET" || request.method === "HEAD";
  const opening = ["api", ...(reading ? ["read_api", ...route.scopes] : [])];
  if (!token.scopes.some((scope) => opening.includes(scope))) {
    throw oauthError(
      403,
      "insufficient_scope",
      "The request requires higher privileges than provided by the access token.",
      { scope: opening.join(" ") },
    );
  }
  request.user = user;
  request.token = token;
}

function oauthError(status: number, error: string, description: string, more = {}) {
  const body = { error, error_description: description, ...more };
  return Object.assign(new Error(error), { reply: { status, body } });
}

/** The caller's access level in a project; 0 without any. */
export function levelOf(project: Project, user: User | undefined): number {
  if (!user) return 0;
  return user.admin ? roles.owner : (project.members[user.id] ?? 0);
}

export function fullPath(app: App, project: Project): string {
  return `${namespaceOf(app, project).full_path}/${project.path}`;
}

export function namespaceOf(app: App, project: Project) {
  const found = app.state.namespaces.find(({ id }) => id === project.namespace_id);
  if (!found) throw new Error(`project ${project.id} has no namespace`);
  return found;
}

/** By number or by full path, whoever asks. */
export function findProject(app: App, key: string): Project | undefined {
  return app.state.projects.find(
    (project) =>
      (/^\d+$/.test(key) && project.id === Number(key)) ||
      fullPath(app, project).toLowerCase() === key.toLowerCase(),
  );
}

/** May this user see it without a role in it? */
export const isOpen = (project: Project, user: User | undefined): boolean =>
  project.visibility === "public" || (project.visibility === "internal" && user !== undefined);

/** The route's project, if the caller may see it and has at least this role (`visible`: no role needed in a public one). */
export function projectOf(request: Request, needed: Role | "visible"): Project {
  const { app, user } = request;
  const project = findProject(app, request.params["id"] ?? "");
  if (!project) throw notFound("Project");
  const level = levelOf(project, user);
  const open = isOpen(project, user);
  if (!open && level === 0) throw notFound("Project");
  if (request.jobProjectId !== undefined && request.jobProjectId !== project.id && !open) {
    throw notFound("Project");
  }
  if (needed === "visible") return project;
  if (needed === "reporter" && open) return project;
  if (level < roles[needed]) throw user ? forbidden() : fail(401, "401 Unauthorized");
  return project;
}

/** GitLab's wildcards in names of protected refs and environment scopes: `*` matches anything, `/` included. */
export function wildcard(pattern: string, name: string): boolean {
  const source = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${source.join(".*")}$`, "s").test(name);
}

export const protectionOf = (project: Project, branch: string): ProtectedRef[] =>
  project.protected_branches.filter(({ name }) => wildcard(name, branch));

export function isProtected(project: Project, ref: { type: string; name: string }): boolean {
  return ref.type === "tag"
    ? project.protected_tags.some((name) => wildcard(name, ref.name))
    : protectionOf(project, ref.name).length > 0;
}

/** May this user change the ref (`push`), or at least have a merge request merged into it (`merge`)? */
export function mayUpdate(
  project: Project,
  user: User,
  ref: { type: string; name: string },
  how: "push" | "merge",
): boolean {
  const level = levelOf(project, user);
  if (level < roles.developer) return false;
  if (!isProtected(project, ref)) return true;
  if (ref.type === "tag") return level >= roles.maintainer;
  return protectionOf(project, ref.name).some((rule) =>
    (how === "push"
      ? rule.push_access_levels
      : [...rule.push_access_levels, ...rule.merge_access_levels]
    ).some(({ access_level: needed, user_id: id }) =>
      id !== null ? id === user.id : needed !== null && needed > 0 && level >= needed,
    ),
  );
}

/** May this user give a pipeline or schedule variables of its own? */
export function maySetVariables(project: Project, user: User | undefined): boolean {
  const setting = project.settings["ci_pipeline_variables_minimum_override_role"] ?? "developer";
  if (setting === "no_one_allowed") return false;
  return levelOf(project, user) >= (roles[setting as Role] ?? roles.owner);
}
