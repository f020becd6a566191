import { UserError } from "../core/messageCode";
import {
  checkAccounts,
  checkConsumers,
  checkFirstPasswords,
  checkKeySource,
  checkOwnPaths,
  checkPolicySizes,
  checkSchedule,
  checkSecretAddresses,
} from "./checks";
import { checkDebugging, checkProxies, readGitlab, readVault } from "./environment";
import { problemList, quote } from "./problems";
import { readAccounts, readApisecPaths, readConsumers, readKeys } from "./read";
import { namePattern, nameText } from "./schema";
import type { Account, ConfigSource, Consumer, Keys, Settings } from "./settings";

/**
 * Reads and checks the configuration of a stack: pure. Throws one UserError that lists every problem; each of its
 * lines names key, value (never a secret's), expectation and a command that sets it right.
 */
export function readConfig(source: ConfigSource): Settings {
  const problems = problemList(source);
  const keys = readKeys(source, problems);
  const accounts = readAccounts(keys, problems);
  const consumers = readConsumers(keys, problems);
  const apisecPaths = readApisecPaths(keys, problems);
  const vault = readVault(source, problems);
  const gitlabUrl = readGitlab(source, problems);
  if (!namePattern.test(source.stack)) {
    problems.addOther(
      `stack ${source.stack}`,
      `is named ${quote(source.stack)}`,
      nameText,
      `rename it with ${problems.pulumi("stack rename …")}`,
    );
  }
  checkAccounts(accounts, problems);
  checkFirstPasswords(keys, accounts, source, problems);
  checkConsumers(consumers, accounts, problems);
  checkProxies([vault.address, ...accounts.map(({ host }) => host)], source, problems);
  checkDebugging(source, problems);
  checkOwnPaths(keys, problems);
  checkKeySource(keys, problems);
  checkSecretAddresses(keys, accounts, source, problems);
  const warnings = checkSchedule(keys, source, problems);
  if (problems.lines.length > 0) throw configError(source.stack, problems.lines);
  // Without a problem every key has been read.
  const { firstPasswords, ...rest } = keys as Keys;
  const settings: Settings = {
    ...rest,
    project: source.project,
    stack: source.stack,
    accounts: accounts as Account[],
    firstPasswordsFor: Object.keys(firstPasswords),
    apisecPaths,
    consumers: consumers as Consumer[],
    vaultAddress: vault.address,
    vaultNamespace: vault.namespace,
    vaultCa: vault.ca,
    vaultClient: vault.client,
    gitlabUrl,
    warnings,
  };
  checkPolicySizes(settings, problems);
  if (problems.lines.length > 0) throw configError(source.stack, problems.lines);
  return settings;
}

function configError(stack: string, problems: readonly string[]): UserError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new UserError(
    `The configuration of stack ${stack} has ${count}; nothing was touched.\n` +
      problems.map((problem) => `  - ${problem}`).join("\n") +
      "\ndocs/configuration.md lists every key.",
    "configuration",
  );
}
