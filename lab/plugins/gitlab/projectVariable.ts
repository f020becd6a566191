import type { Props } from "../resource";
import { call, find, idParts, projectPath, segment, unable } from "./connection";
import { framework } from "./framework";

function partsOf(id: string): string[] {
  if (id.split(":").length === 2) return [...id.split(":"), "*"];
  return idParts(id, "project:key:environment_scope");
}

const variablePath = (id: string): string => {
  const [project, key, scope = "*"] = partsOf(id);
  return `projects/${segment(project)}/variables/${segment(key)}?filter%5Benvironment_scope%5D=${encodeURIComponent(scope)}`;
};

const bodyOf = (planned: Props): Props => ({
  value: planned.value,
  masked: planned.masked ?? false,
  raw: planned.raw ?? false,
  description: planned.description ?? "",
  environment_scope: planned.environmentScope,
  protected: planned.protected,
  variable_type: planned.variableType,
});

const stateOf = (answer: Props): Props => ({
  key: answer.key,
  // GitLab keeps a hidden value to itself.
  ...(answer.hidden ? {} : { value: answer.value }),
  variableType: answer.variable_type ?? "",
  protected: answer.protected ?? false,
  masked: answer.masked ?? false,
  hidden: answer.hidden ?? false,
  raw: answer.raw ?? false,
  environmentScope: answer.environment_scope ?? "*",
  description: answer.description ?? "",
});

export const projectVariable = framework({
  fields: {
    project: { required: true, replace: true },
    key: { required: true, replace: true },
    value: { required: true },
    environmentScope: { default: "*", replace: true },
    hidden: { computed: true, replace: true },
    variableType: { computed: true },
    protected: { computed: true },
    masked: { computed: true },
    raw: { computed: true },
    description: { computed: true },
  },
  async create(planned) {
    const body = { ...bodyOf(planned), key: planned.key };
    const hidden = planned.hidden ? { masked: false, masked_and_hidden: true } : {};
    const path = `${projectPath(planned)}/variables`;
    const answer = await call("POST", path, { ...body, ...hidden }).catch(
      unable("create project variable"),
    );
    const { project, key, environmentScope } = planned;
    return { id: [project, key, environmentScope].join(":"), real: stateOf(answer) };
  },
  async read(id) {
    const parts = partsOf(id);
    const answer = await find("GET", variablePath(id)).catch(unable("read project variable"));
    return answer && { id: parts.join(":"), project: parts[0], ...stateOf(answer) };
  },
  async update(id, planned) {
    const answer = await call("PUT", variablePath(id), bodyOf(planned)).catch(
      unable("update project variable"),
    );
    return stateOf(answer);
  },
  async delete(id) {
    await find("DELETE", variablePath(id)).catch(unable("delete project variable"));
  },
});
