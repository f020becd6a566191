import { text, type Props } from "../resource";
import { call, find, idParts, projectPath, segment, unable, type GitlabError } from "./connection";
import { framework } from "./framework";

const schedulePath = (id: string): string => {
  const [project, number] = idParts(id, "project:pipelineScheduleId");
  return `projects/${segment(project)}/pipeline_schedules/${segment(number)}`;
};

const bodyOf = (planned: Props): Props => ({
  description: planned.description,
  ref: planned.ref,
  cron: planned.cron,
  cron_timezone: planned.cronTimezone,
  active: planned.active,
});

const stateOf = (project: unknown, answer: Props): Props => ({
  project,
  description: answer.description ?? "",
  ref: answer.ref ?? "",
  cron: answer.cron ?? "",
  cronTimezone: answer.cron_timezone ?? "",
  active: answer.active ?? false,
  owner: (answer.owner as { id?: number } | null | undefined)?.id ?? 0,
  pipelineScheduleId: answer.id,
});

async function currentUser(): Promise<unknown> {
  const user = await call("GET", "user").catch((error: GitlabError) => {
    throw new Error(`GitLab API error occured - unable to get current user: ${error.message}`);
  });
  return user.id;
}

export const pipelineSchedule = framework({
  fields: {
    project: { required: true, replace: true },
    description: { required: true },
    ref: { required: true },
    cron: { required: true },
    cronTimezone: { default: "UTC" },
    active: { default: true },
    takeOwnership: { default: false },
    owner: { output: true },
    pipelineScheduleId: { output: true, settled: true },
  },
  async foresee(inputs) {
    return inputs.takeOwnership === true ? { owner: await currentUser() } : {};
  },
  async create(planned) {
    const path = `${projectPath(planned)}/pipeline_schedules`;
    const answer = await call("POST", path, bodyOf(planned)).catch(
      unable("create pipeline schedule"),
    );
    const { project } = planned;
    return { id: `${text(project)}:${text(answer.id)}`, real: stateOf(project, answer) };
  },
  async read(id) {
    const [project] = idParts(id, "project:pipelineScheduleId");
    const answer = await find("GET", schedulePath(id)).catch(
      unable("read gitlab pipeline schedule details"),
    );
    return answer && stateOf(project, answer);
  },
  async update(id, planned) {
    if (planned.takeOwnership === true) {
      await call("POST", `${schedulePath(id)}/take_ownership`).catch(
        unable("take ownership on pipeline schedule"),
      );
    }
    const answer = await call("PUT", schedulePath(id), bodyOf(planned)).catch(
      unable("update pipeline schedule"),
    );
    return stateOf(planned.project, answer);
  },
  async delete(id) {
    await call("DELETE", schedulePath(id)).catch(unable("delete pipeline schedule"));
  },
});
