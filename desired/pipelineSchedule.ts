import type { Settings } from "../config";
import { scheduleDescription } from "./names";

/** The schedule that rotates. It has no variables: they would go before the project's. */
export function pipelineSchedule(
  settings: Pick<Settings, "project" | "stack" | "gitlabBranch" | "cron" | "cronTimezone">,
) {
  return {
    description: scheduleDescription(settings.project, settings.stack),
    ref: `refs/heads/${settings.gitlabBranch}`,
    cron: settings.cron,
    cronTimezone: settings.cronTimezone,
    active: true,
  };
}
