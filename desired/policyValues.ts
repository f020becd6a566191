import type { Settings } from "../config/settings";
import { formatDuration } from "../core/duration";
import { tokenKeptSeconds } from "./tokenLife";
import type { PolicyValues } from "./policies";

/** What a stack's policies are filled with. `groupIds`: as Vault says, where it was asked. */
export function policyValues(settings: Settings, groupIds?: readonly string[]): PolicyValues {
  const { accounts } = settings;
  return {
    project: settings.project,
    stack: settings.stack,
    prefix: settings.policyPrefix,
    mount: settings.mount,
    ownsMount: settings.createMount,
    sharesMount: settings.shareMount,
    authPath: settings.authPath,
    ownsAuth: settings.createAuth,
    accounts: accounts.map(({ name }) => name),
    publishedAccounts: accounts.filter(({ publishToken }) => publishToken).map(({ name }) => name),
    oldAccounts: accounts.flatMap(({ renamedFrom }) => renamedFrom ?? []),
    consumers: settings.consumers.map(({ name }) => name),
    tokenKept: formatDuration(tokenKeptSeconds(settings)),
    groups: groupNames(settings),
    ...(groupIds === undefined ? {} : { groupIds }),
  };
}

/** The identity groups that are given a policy, each once. */
export function groupNames(settings: Pick<Settings, "adminGroups" | "developerGroups">): string[] {
  return [...new Set([...settings.adminGroups, ...settings.developerGroups])];
}
