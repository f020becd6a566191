/** A project's CI variables: scopes, masking rules, hidden values. */
import { projectOf } from "./access";
import {
  check,
  created,
  fail,
  invalid,
  isObject,
  list,
  noContent,
  notFound,
  ok,
  route,
  type Request,
} from "./http";
import type { Project, ProjectVariable } from "./store";

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

const json = (variable: ProjectVariable) => ({
  ...variable,
  value: variable.hidden ? null : variable.value,
});

function find(request: Request): { project: Project; variable: ProjectVariable } {
  const project = projectOf(request, "maintainer");
  const { filter } = request.input;
  const scope = isObject(filter) ? filter["environment_scope"] : undefined;
  const found = project.variables.filter(
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
  return { project, variable };
}

function validate(project: Project, variable: ProjectVariable, self?: ProjectVariable): void {
  const { key, value, masked, raw, environment_scope: scope } = variable;
  const errors: Record<string, string[]> = {};
  const problem = (field: string, text: string) => (errors[field] ??= []).push(text);
  if (!/^[a-zA-Z0-9_]+$/.test(key)) problem("key", "can contain only letters, digits and '_'.");
  if (key.length > 255) problem("key", "is too long (maximum is 255 characters)");
  const taken = project.variables.some(
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

function create(request: Request) {
  const project = projectOf(request, "maintainer");
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
  };
  validate(project, variable);
  project.variables.push(variable);
  return created(json(variable));
}

function update(request: Request) {
  const { project, variable } = find(request);
  const changed: ProjectVariable = { ...variable, ...check(request.input, fields) };
  if (variable.hidden) changed.masked = true;
  validate(project, changed, variable);
  Object.assign(variable, changed);
  return ok(json(variable));
}

export const variableRoutes = [
  route("GET projects/:id/variables", (request) =>
    list(request, projectOf(request, "maintainer").variables, json),
  ),
  route("GET projects/:id/variables/:key", (request) => ok(json(find(request).variable))),
  route("POST projects/:id/variables", create),
  route("PUT projects/:id/variables/:key", update),
  route("DELETE projects/:id/variables/:key", (request) => {
    const { project, variable } = find(request);
    project.variables = project.variables.filter((other) => other !== variable);
    return noContent;
  }),
];
