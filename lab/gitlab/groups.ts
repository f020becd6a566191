/** Namespaces: groups, and the users' own. */
import type { App } from "./app";
import { fullPath, isOpen, levelOf } from "./access";
import { notFound, ok, route, type Request } from "./http";
import type { Namespace } from "./store";

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

export const groupRoutes = [
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
];
