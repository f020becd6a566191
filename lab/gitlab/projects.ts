/** Projects and their settings. */
import { randomBytes } from "node:crypto";
import { timestamp, type App } from "./app";
import { findProject, fullPath, isOpen, levelOf, namespaceOf, projectOf, roles } from "./access";
import {
  check,
  created,
  fail,
  invalid,
  list,
  notFound,
  ok,
  route,
  text,
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

async function listProjects(request: Request) {
  const { app, user } = request;
  const { search, visibility } = check(request.query, {
    search: { type: "string" },
    visibility: { type: "string" },
  });
  const mine = ["membership", "owned"].some((name) => text(request.query[name]) === "true");
  const found = app.state.projects.filter(
    (project) =>
      (levelOf(project, user) > 0 || (!mine && isOpen(project, user))) &&
      (!search || fullPath(app, project).toLowerCase().includes(search.toLowerCase())) &&
      (!visibility || project.visibility === visibility),
  );
  const reply = list(request, found.reverse(), (project) => project);
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
    request.app.state.projects = request.app.state.projects.filter((other) => other !== project);
    return { status: 202, body: { message: "202 Accepted" } };
  }),
  route("GET projects/:id/push_rule", (request) => {
    projectOf(request, "maintainer");
    throw notFound("Push Rule");
  }),
  route("GET projects/:id/environments", (request) =>
    list(
      request,
      projectOf(request, "reporter").environments,
      ({ id, name, tier, created_at }) => ({
        id,
        name,
        slug: name
          .toLowerCase()
          .replace(/[^a-z0-9]+/g, "-")
          .slice(0, 24),
        external_url: null,
        created_at,
        updated_at: created_at,
        tier,
        state: "available",
      }),
    ),
  ),
];
