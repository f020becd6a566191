import type { Settings } from "../config";
import type { PolicyValues } from "./render";

/** What a stack's policies are filled with. */
export function policyValues(settings: Settings): PolicyValues {
  const { accounts } = settings;
  return {
    project: settings.project,
    stack: settings.stack,
    prefix: settings.policyPrefix,
    mount: settings.mount,
    ownsMount: settings.createMount,
    authPath: settings.authPath,
    ownsAuth: settings.createAuth,
    accounts: accounts.map(({ name }) => name),
    publishedAccounts: accounts.filter(({ publishToken }) => publishToken).map(({ name }) => name),
    oldAccounts: accounts.flatMap(({ renamedFrom }) => renamedFrom ?? []),
  };
}
