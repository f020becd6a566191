/** Projects and their settings. */
import { randomBytes } from "node:crypto";
import { timestamp, type App } from "./app";
import { findProject, fullPath, isOpen, levelOf, namespaceOf, projectOf, roles } from "./access";
import {
  check,
  checkUnmodified,
  created,
  fail,
  invalid,
  keyset,
  list,
  ok,
  route,
  type Params,
  type Request,
} from "./http";
import { namespaceFor, namespaceJson } from "./groups";
import defaults from "./projectDefaults.json";
import { commitFor, createRepository, git, repositoryOf } from "./repository";
import type { Namespace, Project, User } from "./store";

export async function createProject(
  app: App,
  creator: User,
  options: { namespace: Namespace; name: string; path: string; visibility?: Project["visibility"] },
): Promise<Project> {
  const { namespace, name, path, visibility = "private" } = options;
  if (findProject(app, `${namespace.full_path}/${path}`)) {
    throw invalid({
      "project_namespace.name": ["has already been taken"],
      name: ["has already been taken"],
      path: ["has already been taken"],
    });
  }
  const now = timestamp(app);
  const project: Project = {
    id: app.store.nextId("project"),
    name,
    path,
    namespace_id: namespace.id,
    description: "",
    visibility,
    default_branch: "main",
    creator_id: creator.id,
    created_at: now,
    updated_at: now,
    archived: false,
    settings: { runners_token: `GR1348941${randomBytes(10).toString("hex")}` },
    members: { [creator.id]: roles.owner },
    variables: [],
    schedules: [],
    protected_branches: [],
    protected_tags: [],
    environments: [],
    protected_environments: [],
    push_rule: null,
    pipelines: [],
  };
  await createRepository(repositoryOf(app, project), project.default_branch);
  app.state.projects.push(project);
  return project;
}

async function projectJson(request: Request, project: Project) {
  const { app, base, user } = request;
  const path = fullPath(app, project);
  const namespace = namespaceOf(app, project);
  const level = user && project.members[user.id];
  const tip = await commitFor(repositoryOf(app, project), `refs/heads/${project.default_branch}`);
  const self = `${base}/api/v4/projects/${project.id}`;
  const { runners_token: runnersToken, ...settings } = project.settings;
  return {
    ...defaults,
    ...settings,
    id: project.id,
    description: project.description,
    name: project.name,
    name_with_namespace: `${namespace.full_path.replaceAll("/", " / ")} / ${project.name}`,
    path: project.path,
    path_with_namespace: path,
    created_at: project.created_at,
    updated_at: project.updated_at,
    last_activity_at: project.updated_at,
    default_branch: tip ? project.default_branch : null,
    empty_repo: tip === undefined,
    ssh_url_to_repo: `git@${new URL(base).hostname}:${path}.git`,
    http_url_to_repo: `${base}/${path}.git`,
    web_url: `${base}/${path}`,
    creator_id: project.creator_id,
    namespace: namespaceJson(request, namespace),
    visibility: project.visibility,
    archived: project.archived,
    permissions: {
      project_access: level ? { access_level: level, notification_level: 3 } : null,
      group_access: null,
    },
    _links: {
      self,
      repo_branches: `${self}/repository/branches`,
      members: `${self}/members`,
    },
    ...(levelOf(project, user) >= roles.maintainer && { runners_token: runnersToken }),
  };
}

const projectFields = {
  name: { type: "string" },
  path: { type: "string" },
  description: { type: "string" },
  visibility: { type: "string", values: ["private", "internal", "public"] },
  default_branch: { type: "string" },
} as const;

async function applySettings(app: App, project: Project, input: Params): Promise<void> {
  const { visibility, default_branch: branch, ...fields } = check(input, projectFields);
  Object.assign(project, fields);
  if (visibility) project.visibility = visibility as Project["visibility"];
  if (branch && branch !== project.default_branch) {
    await git(repositoryOf(app, project), ["symbolic-ref", "HEAD", `refs/heads/${branch}`]);
    project.default_branch = branch;
  }
  for (const key of Object.keys(defaults)) {
    if (input[key] !== undefined) project.settings[key] = input[key];
  }
  project.updated_at = timestamp(app);
}

async function postProject(request: Request) {
  const { app, user } = request;
  const input = check(request.input, { ...projectFields, namespace_id: { type: "integer" } });
  const { name = input.path, namespace_id: id } = input;
  if (!user || !name)
    throw fail(400, "name, path are missing, at least one parameter must be provided", "error");
  const path = input.path ?? name.toLowerCase().replace(/[^a-z0-9_.-]+/g, "-");
  if (!/^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/.test(path)) {
    throw invalid({
      path: [
        "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in '.atom'",
      ],
    });
  }
  const namespace =
    id === undefined
      ? namespaceFor(app, user.username, "user")
      : app.state.namespaces.find((candidate) => candidate.id === id);
  const member = app.state.projects.some(
    (other) => other.namespace_id === id && levelOf(other, user) >= roles.maintainer,
  );
  if (!namespace || !(user.admin || namespace.full_path === user.username || member)) {
    throw invalid({ namespace: ["is not valid"] });
  }
  const project = await createProject(app, user, { namespace, name, path });
  await applySettings(app, project, request.input);
  if (request.input["initialize_with_readme"]) {
    throw invalid({ base: ["initialize_with_readme is not supported by this server"] });
  }
  return created(await projectJson(request, project));
}

const orders: Record<string, (project: Project) => string | number> & {
  created_at: (project: Project) => string;
} = {
  id: ({ id }) => id,
  name: ({ name }) => name,
  path: ({ path }) => path,
  created_at: ({ created_at: at }) => at,
  updated_at: ({ updated_at: at }) => at,
  last_activity_at: ({ updated_at: at }) => at,
};
const levels = [5, 10, 15, 20, 30, 40, 50].map(String);

const listFields = {
  search: { type: "string" },
  search_namespaces: { type: "boolean" },
  visibility: { type: "string", values: ["private", "internal", "public"] },
  archived: { type: "boolean" },
  membership: { type: "boolean" },
  owned: { type: "boolean" },
  min_access_level: { type: "integer", values: levels },
  id_after: { type: "integer" },
  id_before: { type: "integer" },
  order_by: { type: "string", values: Object.keys(orders) },
  sort: { type: "string", values: ["asc", "desc"] },
  pagination: { type: "string", values: ["legacy", "keyset"] },
} as const;

/** The projects that the caller may see and asks for, in their order. */
export function projectQuery(request: Request) {
  const { app, user } = request;
  const wanted = check(request.query, listFields);
  const { search, min_access_level: least = 0, order_by: by = "created_at" } = wanted;
  const own = Boolean(wanted.membership ?? wanted.owned) || least > 0;
  const needed = Math.max(least, wanted.owned ? roles.owner : 0);
  const names = (project: Project) =>
    wanted.search_namespaces ? [fullPath(app, project)] : [project.name, project.path];
  const found = app.state.projects.filter((project) => {
    const level = levelOf(project, user);
    const seen = level > 0 || (!own && isOpen(project, user));
    return (
      seen &&
      level >= needed &&
      (!search ||
        names(project).some((name) => name.toLowerCase().includes(search.toLowerCase()))) &&
      (!wanted.visibility || project.visibility === wanted.visibility) &&
      (wanted.archived === undefined || project.archived === wanted.archived) &&
      project.id > (wanted.id_after ?? 0) &&
      project.id < (wanted.id_before ?? Infinity)
    );
  });
  const key = orders[by] ?? orders.created_at;
  const ascending = (a: Project, b: Project) =>
    key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id - b.id;
  found.sort((a, b) => (wanted.sort === "asc" ? ascending(a, b) : ascending(b, a)));
  return { found, wanted };
}

async function listProjects(request: Request) {
  const { found, wanted } = projectQuery(request);
  const byKeys = wanted.pagination === "keyset";
  if (byKeys && wanted.order_by !== "id") {
    const reason = "Keyset pagination is not yet available for this type of request";
    throw fail(405, reason, "error");
  }
  const reply = byKeys
    ? keyset(request, found, wanted.sort === "asc" ? "id_after" : "id_before")
    : list(request, found, (project) => project);
  return {
    ...reply,
    body: await Promise.all(
      (reply.body as Project[]).map((project) => projectJson(request, project)),
    ),
  };
}

export const projectRoutes = [
  route("GET projects", listProjects, { anonymous: true }),
  route("POST projects", postProject),
  route(
    "GET projects/:id",
    async (request) => ok(await projectJson(request, projectOf(request, "visible"))),
    { anonymous: true },
  ),
  route("PUT projects/:id", async (request) => {
    const project = projectOf(request, "maintainer");
    await applySettings(request.app, project, request.input);
    return ok(await projectJson(request, project));
  }),
  route("DELETE projects/:id", (request) => {
    const project = projectOf(request, "owner");
    checkUnmodified(request, project.updated_at);
    request.app.state.projects = request.app.state.projects.filter((other) => other !== project);
    return { status: 202, body: { message: "202 Accepted" } };
  }),
];
