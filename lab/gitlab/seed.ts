/** The users and projects a lab's GitLab begins with. */
import { z } from "zod";
import { timestamp, type App } from "./app";
import { findProject, hashToken, roles, type Role } from "./access";
import { namespaceFor } from "./groups";
import { createProject } from "./projects";
import { protectBranch } from "./protection";
import { setRunners } from "./runners";
import { commit, repositoryOf } from "./repository";
import type { User } from "./store";

export const SeedUser = z.strictObject({
  username: z.string(),
  name: z.string().optional(),
  email: z.string().optional(),
  admin: z.boolean().default(false),
  tokens: z
    .array(
      z.strictObject({
        token: z.string().min(8),
        name: z.string().default("lab"),
        scopes: z.array(z.string()).default(["api"]),
        expires_at: z.string().nullable().default(null),
      }),
    )
    .default([]),
});

export const SeedProject = z.strictObject({
  /** Full path, namespace first. */
  path: z.string().includes("/"),
  visibility: z.enum(["private", "internal", "public"]).default("private"),
  members: z.record(z.string(), z.enum(Object.keys(roles) as [Role, ...Role[]])).default({}),
  /** What else the API would set, such as who may set pipeline variables. */
  settings: z.record(z.string(), z.unknown()).default({}),
  /** Committed to the default branch, which is protected. */
  files: z.record(z.string(), z.string()).default({ "README.md": "" }),
});

export const SeedGroup = z.strictObject({
  /** Full path. */
  path: z.string(),
  members: z.record(z.string(), z.enum(Object.keys(roles) as [Role, ...Role[]])).default({}),
});

export const SeedRunner = z.strictObject({
  description: z.string().default("lab"),
  tag_list: z.array(z.string()).default([]),
  run_untagged: z.boolean().default(true),
  paused: z.boolean().default(false),
});

export const Seed = z.strictObject({
  users: z.array(SeedUser).default([]),
  groups: z.array(SeedGroup).default([]),
  projects: z.array(SeedProject).default([]),
  /** In place of one that runs untagged jobs. */
  runners: z.array(SeedRunner).optional(),
});

export type Seed = z.input<typeof Seed>;

/** Adds what is not there yet; what is, stays as it is (a user's new tokens are added). */
export async function seed(app: App, given: Seed): Promise<void> {
  const { users, groups, projects, runners } = Seed.parse(given);
  for (const user of users) addUser(app, user);
  for (const { path, members } of groups) {
    const levels = membersOf(app, path, members).map(({ user, role }) => [user.id, roles[role]]);
    Object.assign(namespaceFor(app, path, "group").members, Object.fromEntries(levels));
  }
  for (const project of projects) await addProject(app, project);
  if (runners) setRunners(app, runners);
  await app.store.save();
}

function addUser(app: App, { username, tokens, ...given }: z.output<typeof SeedUser>): void {
  let user = app.state.users.find((other) => other.username === username);
  if (!user) {
    const { name = username, email = `${username}@example.test`, admin } = given;
    const id = app.store.nextId("user");
    user = { id, username, name, email, admin, state: "active", created_at: timestamp(app) };
    app.state.users.push(user);
    namespaceFor(app, username, "user");
  }
  for (const { token, ...rest } of tokens) {
    const hash = hashToken(token);
    if (app.state.tokens.some((known) => known.hash === hash)) continue;
    app.state.tokens.push({ id: app.store.nextId("token"), user_id: user.id, hash, ...rest });
  }
}

function membersOf(app: App, path: string, members: Record<string, Role>) {
  return Object.entries(members).map(([username, role]) => {
    const user = app.state.users.find((other) => other.username === username);
    if (!user) throw new Error(`${path}: no user ${username}`);
    return { user, role };
  });
}

async function addProject(app: App, project: z.output<typeof SeedProject>): Promise<void> {
  if (findProject(app, project.path)) return;
  const at = project.path.lastIndexOf("/");
  const [namespace, path] = [project.path.slice(0, at), project.path.slice(at + 1)];
  const members = membersOf(app, project.path, project.members);
  const creator = members[0]?.user ?? app.state.users[0];
  if (!creator) throw new Error(`${project.path}: no user to create it`);
  const kind = app.state.users.some(({ username }) => username === namespace) ? "user" : "group";
  const made = await createProject(app, creator, {
    namespace: namespaceFor(app, namespace, kind),
    name: path,
    path,
    visibility: project.visibility,
  });
  made.members = Object.fromEntries(members.map(({ user, role }) => [user.id, roles[role]]));
  Object.assign(made.settings, project.settings);
  await firstCommit(app, creator, repositoryOf(app, made), project.files);
  protectBranch(app, made, made.default_branch);
}

async function firstCommit(app: App, author: User, dir: string, files: Record<string, string>) {
  await commit(dir, {
    branch: "main",
    tip: undefined,
    parent: undefined,
    changes: Object.entries(files).map(([path, content]) => ({
      path,
      content: Buffer.from(content),
    })),
    message: "Initial commit",
    author,
    committer: author,
    date: timestamp(app),
  });
}
