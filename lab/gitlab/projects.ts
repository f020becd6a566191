/** Users, projects, members, branches, tags and commits. */
import { randomBytes } from "node:crypto";
import { timestamp, type App } from "./app";
import {
  findProject,
  fullPath,
  isOpen,
  isProtected,
  levelOf,
  mayUpdate,
  namespaceOf,
  projectOf,
  protectionOf,
  roles,
} from "./access";
import {
  check,
  created,
  fail,
  forbidden,
  invalid,
  list,
  noContent,
  notFound,
  ok,
  route,
  text,
  type Params,
  type Request,
} from "./http";
import { commitJson, userJson } from "./entities";
import defaults from "./projectDefaults.json";
import {
  commitFor,
  createRepository,
  deleteRef,
  git,
  isRefName,
  listRefs,
  log,
  repositoryOf,
  resolveRef,
  updateRef,
  type Ref,
} from "./repository";
import { startPush } from "./pipelineCreation";
import type { Namespace, Project, ProtectedRef, User } from "./store";

const currentUserJson = (request: Request, user: User) => ({
  ...userJson(request, user),
  created_at: user.created_at,
  bio: "",
  location: "",
  linkedin: "",
  twitter: "",
  website_url: "",
  organization: "",
  job_title: "",
  bot: false,
  last_sign_in_at: null,
  confirmed_at: user.created_at,
  last_activity_on: timestamp(request.app).slice(0, 10),
  email: user.email,
  theme_id: 1,
  color_scheme_id: 1,
  projects_limit: 100000,
  current_sign_in_at: null,
  identities: [],
  can_create_group: true,
  can_create_project: true,
  two_factor_enabled: false,
  external: false,
  private_profile: false,
  commit_email: user.email,
  is_admin: user.admin,
  namespace_id: namespaceFor(request.app, user.username, "user").id,
});

/** Finds a namespace by its full path, or makes it with its parents. */
export function namespaceFor(app: App, path: string, kind: Namespace["kind"]): Namespace {
  const found = app.state.namespaces.find(({ full_path: existing }) => existing === path);
  if (found) return found;
  const at = path.lastIndexOf("/");
  const parent = at < 0 ? null : namespaceFor(app, path.slice(0, at), "group").id;
  const id = app.store.nextId("namespace");
  const made = { id, kind, name: path.slice(at + 1), full_path: path, parent_id: parent };
  app.state.namespaces.push(made);
  return made;
}

const namespaceJson = (request: Request, { id, kind, name, full_path, parent_id }: Namespace) => ({
  id,
  name,
  path: full_path.slice(full_path.lastIndexOf("/") + 1),
  kind,
  full_path,
  parent_id,
  avatar_url: null,
  web_url: `${request.base}/${kind === "group" ? "groups/" : ""}${full_path}`,
});

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

const memberJson = (request: Request, user: User, level: number) => ({
  ...userJson(request, user),
  access_level: level,
  expires_at: null,
  membership_state: "active",
});

function memberOf(request: Request, project: Project): User {
  const id = Number(request.params["userId"]);
  const user = request.app.state.users.find((candidate) => candidate.id === id);
  if (!user || project.members[id] === undefined) throw notFound("Member");
  return user;
}

function listMembers(request: Request) {
  const project = projectOf(request, "guest");
  const members = request.app.state.users.filter(({ id }) => project.members[id] !== undefined);
  return list(request, members, (user) => memberJson(request, user, project.members[user.id] ?? 0));
}

function getMember(request: Request) {
  const project = projectOf(request, "guest");
  const user = memberOf(request, project);
  return ok(memberJson(request, user, project.members[user.id] ?? 0));
}

function putMember(request: Request, adding: boolean) {
  const project = projectOf(request, "maintainer");
  const { access_level: level, user_id: id } = check(
    { user_id: request.params["userId"], ...request.input },
    {
      access_level: { type: "integer", required: true },
      user_id: { type: "integer", required: true },
    },
  );
  const user = request.app.state.users.find((candidate) => candidate.id === id);
  if (!user) throw notFound("User");
  if (adding && project.members[id] !== undefined) throw fail(409, "Member already exists");
  if (!adding) memberOf(request, project);
  project.members[id] = level;
  return { status: adding ? 201 : 200, body: memberJson(request, user, level) };
}

async function refJson(request: Request, project: Project, ref: Ref) {
  const dir = repositoryOf(request.app, project);
  const [commit] = await log(dir, ["-1", ref.sha]);
  const common = {
    name: ref.name,
    commit: commit && commitJson(request, project, commit),
    protected: isProtected(project, ref),
  };
  if (ref.type === "tag") return { ...common, message: "", target: ref.sha, release: null };
  const rules = protectionOf(project, ref.name);
  const developers = (key: "push_access_levels" | "merge_access_levels") =>
    rules.some((rule) => rule[key].some(({ access_level: level }) => level === roles.developer));
  return {
    ...common,
    merged: false,
    default: ref.name === project.default_branch,
    developers_can_push: developers("push_access_levels"),
    developers_can_merge: developers("merge_access_levels"),
    can_push: request.user !== undefined && mayUpdate(project, request.user, ref, "push"),
    web_url: `${request.base}/${fullPath(request.app, project)}/-/tree/${ref.name}`,
  };
}

const refRoutes = (kind: "heads" | "tags", noun: "branch" | "tag", plural: string) => {
  const what = noun === "branch" ? "Branch" : "Tag";
  const base = `projects/:id/repository/${plural}`;
  const get = async (request: Request, project: Project) => {
    const name = request.params["name"] ?? "";
    const ref = await resolveRef(repositoryOf(request.app, project), `refs/${kind}/${name}`);
    if (!ref || ref === "ambiguous") throw notFound(what);
    return ref;
  };
  return [
    route(
      `GET ${base}`,
      async (request) => {
        const project = projectOf(request, "reporter");
        const refs = await listRefs(repositoryOf(request.app, project), kind);
        const search = text(request.query["search"]) ?? "";
        const reply = list(
          request,
          refs.filter(({ name }) => name.includes(search)),
          (ref) => ref,
        );
        const body = (reply.body as Ref[]).map((ref) => refJson(request, project, ref));
        return { ...reply, body: await Promise.all(body) };
      },
      { anonymous: true },
    ),
    route(
      `GET ${base}/:name`,
      async (request) => {
        const project = projectOf(request, "reporter");
        return ok(await refJson(request, project, await get(request, project)));
      },
      { anonymous: true },
    ),
    route(`POST ${base}`, async (request) => {
      const { app, user } = request;
      const project = projectOf(request, "developer");
      const input = check(request.input, {
        [noun === "branch" ? "branch" : "tag_name"]: { type: "string", required: true },
        ref: { type: "string", required: true },
      }) as Record<string, string>;
      const [name = "", from = ""] = [input["branch"] ?? input["tag_name"], input["ref"]];
      const dir = repositoryOf(app, project);
      const sha = await commitFor(dir, from);
      if (!(await isRefName(name))) throw fail(400, `${what} name is invalid`);
      if (!sha)
        throw fail(
          400,
          noun === "branch" ? `Invalid reference name: ${from}` : `Target ${from} is invalid`,
        );
      if (!user || !mayUpdate(project, user, { type: noun, name }, "push")) throw forbidden();
      await updateRef(dir, `refs/${kind}/${name}`, sha, undefined).catch(() => {
        throw fail(400, noun === "branch" ? "Branch already exists" : `Tag ${name} already exists`);
      });
      startPush(app, project, user, `refs/${kind}/${name}`);
      return created(await refJson(request, project, { type: noun, name, sha }));
    }),
    route(`DELETE ${base}/:name`, async (request) => {
      const project = projectOf(request, "developer");
      const ref = await get(request, project);
      if (ref.type === "branch" && ref.name === project.default_branch) {
        throw fail(405, "Cannot remove HEAD branch");
      }
      if (isProtected(project, ref)) throw fail(403, "Deleting protected branches is not allowed.");
      await deleteRef(repositoryOf(request.app, project), `refs/${kind}/${ref.name}`);
      return noContent;
    }),
  ];
};

/** Protects a branch with one level for pushing and one for merging. */
export function protectBranch(
  app: App,
  project: Project,
  name: string,
  push: number = roles.maintainer,
  merge: number = roles.maintainer,
  allowForcePush = false,
): ProtectedRef {
  const level = (value: number) => [
    { id: app.store.nextId("access_level"), access_level: value, user_id: null },
  ];
  const rule = {
    id: app.store.nextId("protected_branch"),
    name,
    push_access_levels: level(push),
    merge_access_levels: level(merge),
    allow_force_push: allowForcePush,
  };
  project.protected_branches.push(rule);
  return rule;
}

const levelNames: Record<number, string> = {
  0: "No one",
  30: "Developers + Maintainers",
  40: "Maintainers",
  60: "Administrators",
};

const protectionJson = (rule: ProtectedRef) => {
  const levels = (key: "push_access_levels" | "merge_access_levels") =>
    rule[key].map((level) => ({
      ...level,
      access_level_description: levelNames[level.access_level ?? -1] ?? "User",
      group_id: null,
      ...(key === "push_access_levels" && { deploy_key_id: null }),
    }));
  return {
    id: rule.id,
    name: rule.name,
    push_access_levels: levels("push_access_levels"),
    merge_access_levels: levels("merge_access_levels"),
    unprotect_access_levels: [],
    allow_force_push: rule.allow_force_push,
    code_owner_approval_required: false,
    inherited: false,
  };
};

function protectionFor(request: Request): { project: Project; rule: ProtectedRef } {
  const project = projectOf(request, "maintainer");
  const rule = project.protected_branches.find(({ name }) => name === request.params["name"]);
  if (!rule) throw notFound("Protected Branch");
  return { project, rule };
}

const levelField = { type: "integer" } as const;

export const projectRoutes = [
  route("GET user", (request) => ok(request.user && currentUserJson(request, request.user))),
  route("GET users", (request) => {
    const name = request.query["username"];
    const users = request.app.state.users.filter(({ username }) => !name || username === name);
    return list(request, users, (user) => userJson(request, user));
  }),
  route("GET users/:userId", (request) => {
    const user = request.app.state.users.find(({ id }) => String(id) === request.params["userId"]);
    if (!user) throw notFound("User");
    return ok({ ...userJson(request, user), created_at: user.created_at });
  }),
  route("GET version", () => ok({ version: "19.1.0-ee", revision: "0a1b2c3d4e5" })),
  route("GET metadata", () =>
    ok({
      version: "19.1.0-ee",
      revision: "0a1b2c3d4e5",
      kas: { enabled: false, externalUrl: null, externalK8sProxyUrl: null, version: null },
      enterprise: true,
    }),
  ),
  route("GET personal_access_tokens/self", ({ token, user }) =>
    ok({
      id: token?.id,
      name: token?.name,
      revoked: false,
      created_at: user?.created_at,
      scopes: token?.scopes,
      user_id: user?.id,
      last_used_at: null,
      active: true,
      expires_at: token?.expires_at?.slice(0, 10) ?? null,
    }),
  ),
  route("GET groups/:group", (request) => {
    const { app, user } = request;
    const key = (request.params["group"] ?? "").toLowerCase();
    const group = app.state.namespaces.find(
      ({ kind, id, full_path: path }) =>
        kind === "group" && (String(id) === key || path.toLowerCase() === key),
    );
    // Whoever sees a project below a group sees the group.
    const seen = app.state.projects.some(
      (project) =>
        `${fullPath(app, project)}/`.startsWith(`${group?.full_path}/`) &&
        (isOpen(project, user) || levelOf(project, user) > 0),
    );
    if (!group || !seen) throw notFound("Group");
    return ok({
      ...namespaceJson(request, group),
      description: "",
      full_name: group.full_path.replaceAll("/", " / "),
      visibility: "private",
      default_branch_protection: 2,
    });
  }),
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
  route("GET projects/:id/members", listMembers),
  route("GET projects/:id/members/all", listMembers),
  route("GET projects/:id/members/:userId", getMember),
  route("GET projects/:id/members/all/:userId", getMember),
  route("POST projects/:id/members", (request) => putMember(request, true)),
  route("PUT projects/:id/members/:userId", (request) => putMember(request, false)),
  route("DELETE projects/:id/members/:userId", (request) => {
    const project = projectOf(request, "maintainer");
    delete project.members[memberOf(request, project).id];
    return noContent;
  }),
  ...refRoutes("heads", "branch", "branches"),
  ...refRoutes("tags", "tag", "tags"),
  route("GET projects/:id/protected_branches", (request) =>
    list(request, projectOf(request, "maintainer").protected_branches, protectionJson),
  ),
  route("GET projects/:id/protected_branches/:name", (request) =>
    ok(protectionJson(protectionFor(request).rule)),
  ),
  route("POST projects/:id/protected_branches", (request) => {
    const project = projectOf(request, "maintainer");
    const input = check(request.input, {
      name: { type: "string", required: true },
      push_access_level: levelField,
      merge_access_level: levelField,
      allow_force_push: { type: "boolean" },
    });
    if (project.protected_branches.some(({ name }) => name === input.name)) {
      throw fail(409, `Protected branch '${input.name}' already exists`);
    }
    const { push_access_level: push, merge_access_level: merge, allow_force_push: force } = input;
    return created(
      protectionJson(protectBranch(request.app, project, input.name, push, merge, force)),
    );
  }),
  route("PATCH projects/:id/protected_branches/:name", (request) => {
    const { rule } = protectionFor(request);
    const input = check(request.input, { allow_force_push: { type: "boolean" } });
    Object.assign(rule, input);
    return ok(protectionJson(rule));
  }),
  route("DELETE projects/:id/protected_branches/:name", (request) => {
    const { project, rule } = protectionFor(request);
    project.protected_branches = project.protected_branches.filter((other) => other !== rule);
    return noContent;
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
