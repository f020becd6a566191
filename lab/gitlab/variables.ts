/** CI variables of projects, groups and the instance: scopes, masking rules, hidden values. */
import { projectOf, roles } from "./access";
import { timestamp } from "./app";
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
import { groupOf } from "./groups";
import type { ProjectVariable } from "./store";

export const variableTypes = ["env_var", "file"] as const;

const fields = {
  value: { type: "string" },
  variable_type: { type: "string", values: variableTypes },
  protected: { type: "boolean" },
  masked: { type: "boolean" },
  raw: { type: "boolean" },
  environment_scope: { type: "string" },
  description: { type: "string" },
} as const;

/** What has variables of its own. */
interface Holder {
  variables: ProjectVariable[];
}

type HolderOf = (request: Request) => Holder;

const json = (variable: ProjectVariable) => ({
  ...variable,
  updated_at: undefined,
  value: variable.hidden ? null : variable.value,
});

function find(request: Request, holder: Holder): ProjectVariable {
  const { filter } = request.input;
  const scope = isObject(filter) ? filter["environment_scope"] : undefined;
  const found = holder.variables.filter(
    ({ key, environment_scope: own }) =>
      key === request.params["key"] && (scope === undefined || own === scope),
  );
  const [variable] = found;
  if (!variable) throw notFound("Variable");
  if (found.length > 1) {
    throw fail(
      409,
      "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'",
    );
  }
  return variable;
}

function validate(holder: Holder, variable: ProjectVariable, self?: ProjectVariable): void {
  const { key, value, masked, raw, environment_scope: scope } = variable;
  const errors: Record<string, string[]> = {};
  const problem = (field: string, text: string) => (errors[field] ??= []).push(text);
  if (!/^[a-zA-Z0-9_]+$/.test(key)) problem("key", "can contain only letters, digits and '_'.");
  if (key.length > 255) problem("key", "is too long (maximum is 255 characters)");
  const taken = holder.variables.some(
    (other) => other !== self && other.key === key && other.environment_scope === scope,
  );
  if (taken) problem("key", `(${key}) has already been taken`);
  if (value.length > 10_000) problem("value", "is too long (maximum is 10000 characters)");
  const maskable = raw ? /^\S{8,}$/ : /^[a-zA-Z0-9_+=/@:.~-]{8,}$/;
  if (masked && !maskable.test(value)) problem("value", "is invalid");
  if (!/^[a-zA-Z0-9_/${}. *-]+$/.test(scope)) {
    problem(
      "environment_scope",
      "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', '*' and spaces",
    );
  }
  if (Object.keys(errors).length > 0) throw invalid(errors);
}

function create(request: Request, holder: Holder) {
  const { masked_and_hidden: hidden = false, ...input } = check(request.input, {
    key: { type: "string", required: true },
    ...fields,
    value: { type: "string", required: true },
    masked_and_hidden: { type: "boolean" },
  });
  const variable: ProjectVariable = {
    variable_type: input.variable_type ?? "env_var",
    key: input.key,
    value: input.value,
    protected: input.protected ?? false,
    masked: hidden || (input.masked ?? false),
    hidden,
    raw: input.raw ?? false,
    environment_scope: input.environment_scope ?? "*",
    description: input.description ?? null,
    updated_at: timestamp(request.app),
  };
  validate(holder, variable);
  holder.variables.push(variable);
  return created(json(variable));
}

function update(request: Request, holder: Holder) {
  const variable = find(request, holder);
  const changed: ProjectVariable = { ...variable, ...check(request.input, fields) };
  if (variable.hidden) changed.masked = true;
  changed.updated_at = timestamp(request.app);
  validate(holder, changed, variable);
  Object.assign(variable, changed);
  return ok(json(variable));
}

const routesOf = (base: string, holderOf: HolderOf) => [
  route(`GET ${base}`, (request) => list(request, holderOf(request).variables, json)),
  route(`GET ${base}/:key`, (request) => ok(json(find(request, holderOf(request))))),
  route(`POST ${base}`, (request) => create(request, holderOf(request))),
  route(`PUT ${base}/:key`, (request) => update(request, holderOf(request))),
  route(`DELETE ${base}/:key`, (request) => {
    const holder = holderOf(request);
    const variable = find(request, holder);
    checkUnmodified(request, variable.updated_at);
    holder.variables = holder.variables.filter((other) => other !== variable);
    return noContent;
  }),
];

export const variableRoutes = [
  ...routesOf("projects/:id/variables", (request) => projectOf(request, "maintainer")),
  ...routesOf("groups/:group/variables", (request) => groupOf(request, roles.owner)),
  ...routesOf("admin/ci/variables", ({ app, user }) => {
    if (!user?.admin) throw forbidden();
    return app.state;
  }),
];
