/** Protected branches. */
import { timestamp, type App } from "./app";
import { projectOf, roles } from "./access";
import {
  check,
  checkUnmodified,
  created,
  fail,
  list,
  noContent,
  notFound,
  ok,
  route,
  type Request,
} from "./http";
import type { Project, ProtectedRef } from "./store";

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
    updated_at: timestamp(app),
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

export const protectionRoutes = [
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
    Object.assign(rule, input, { updated_at: timestamp(request.app) });
    return ok(protectionJson(rule));
  }),
  route("DELETE projects/:id/protected_branches/:name", (request) => {
    const { project, rule } = protectionFor(request);
    checkUnmodified(request, rule.updated_at);
    project.protected_branches = project.protected_branches.filter((other) => other !== rule);
    return noContent;
  }),
];
