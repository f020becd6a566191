/** Namespaces: groups, and the users' own. */
import type { App } from "./app";
import { fullPath, isOpen, levelOf, roles } from "./access";
import { forbidden, notFound, ok, route, type Request } from "./http";
import type { Namespace, User } from "./store";

/** Finds a namespace by its full path, or makes it with its parents. */
export function namespaceFor(app: App, path: string, kind: Namespace["kind"]): Namespace {
  const found = app.state.namespaces.find(({ full_path: existing }) => existing === path);
  if (found) return found;
  const at = path.lastIndexOf("/");
  const parent = at < 0 ? null : namespaceFor(app, path.slice(0, at), "group").id;
  const id = app.store.nextId("namespace");
  const name = path.slice(at + 1);
  const made = { id, kind, name, full_path: path, parent_id: parent, members: {}, variables: [] };
  app.state.namespaces.push(made);
  return made;
}

export const namespaceJson = (
  request: Request,
  { id, kind, name, full_path, parent_id }: Namespace,
) => ({
  id,
  name,
  path: full_path.slice(full_path.lastIndexOf("/") + 1),
  kind,
  full_path,
  parent_id,
  avatar_url: null,
  web_url: `${request.base}/${kind === "group" ? "groups/" : ""}${full_path}`,
});

/** A namespace with those above it, outermost first. */
export function lineOf(app: App, namespace: Namespace): Namespace[] {
  const parent = app.state.namespaces.find(({ id }) => id === namespace.parent_id);
  return parent ? [...lineOf(app, parent), namespace] : [namespace];
}

/** The caller's access level in a group: as a member of it or of one above. */
function levelIn(app: App, group: Namespace, user: User | undefined): number {
  if (!user) return 0;
  if (user.admin) return roles.owner;
  return Math.max(...lineOf(app, group).map(({ members }) => members[user.id] ?? 0));
}

/** The route's group, if the caller may see it and has at least this level in it. */
export function groupOf(request: Request, needed = 0): Namespace {
  const { app, user } = request;
  const key = (request.params["group"] ?? "").toLowerCase();
  const group = app.state.namespaces.find(
    ({ kind, id, full_path: path }) =>
      kind === "group" && (String(id) === key || path.toLowerCase() === key),
  );
  if (!group) throw notFound("Group");
  const level = levelIn(app, group, user);
  // Whoever sees a project below a group sees the group.
  const seen = app.state.projects.some(
    (project) =>
      `${fullPath(app, project)}/`.startsWith(`${group.full_path}/`) &&
      (isOpen(project, user) || levelOf(project, user) > 0),
  );
  if (level === 0 && !seen) throw notFound("Group");
  if (level < needed) throw forbidden();
  return group;
}

export const groupRoutes = [
  route("GET groups/:group", (request) => {
    const group = groupOf(request);
    return ok({
      ...namespaceJson(request, group),
      description: "",
      full_name: group.full_path.replaceAll("/", " / "),
      visibility: "private",
      default_branch_protection: 2,
    });
  }),
];
