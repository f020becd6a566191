import type { Settings } from "../config/settings";
import { scheduleDescription } from "./names";

/**
 * The schedule that rotates. It has no variables: they would go before the project's. Inactive where no account
 * publishes its token: its job would have nothing to do, and fail.
 */
export function pipelineSchedule(
  settings: Pick<
    Settings,
    "project" | "stack" | "accounts" | "gitlabBranch" | "cron" | "cronTimezone"
  >,
) {
  return {
    description: scheduleDescription(settings.project, settings.stack),
    ref: `refs/heads/${settings.gitlabBranch}`,
    cron: settings.cron,
    cronTimezone: settings.cronTimezone,
    active: settings.accounts.some(({ publishToken }) => publishToken),
  };
}
