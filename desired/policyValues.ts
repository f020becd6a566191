import type { Settings } from "../config/settings";
import { formatDuration } from "../core/duration";
import type { Facts } from "./facts";
import { ownerOf } from "./ownership";
import { tokenKeptSeconds } from "./tokenLife";
import type { PolicyValues } from "./policies";

/** What a stack's policies are filled with. What is not known of GitLab and Vault is not in them. */
export function policyValues(
  settings: Settings,
  facts: Partial<Pick<Facts, "project" | "instance" | "groupIds">> = {},
): PolicyValues {
  const { accounts } = settings;
  const { groupIds } = facts;
  return {
    ...ownerOf(settings, facts),
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
    ...(groupIds === undefined ? {} : { groupIds: [...groupIds.values()] }),
  };
}

/** The identity groups that are given a policy, each once. */
export function groupNames(settings: Pick<Settings, "adminGroups" | "developerGroups">): string[] {
  return [...new Set([...settings.adminGroups, ...settings.developerGroups])];
}
