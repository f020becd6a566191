import { existsSync, readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import {
  checkAccounts,
  checkConsumers,
  checkFirstPasswords,
  checkHeartbeat,
  checkKeySource,
  checkSchedule,
  checkWebhook,
} from "./config/checks";
import { checkProxies, readGitlab, readVault } from "./config/environment";
import { problemList, quote } from "./config/problems";
import { readAccounts, readApisecPaths, readConsumers, readKeys } from "./config/read";
import type { AllKeys } from "./config/read";
import { runError } from "./config/runError";
import { namePattern, nameText, shape } from "./config/schema";
import type { ApisecPaths } from "./clients/apisec";
import { vaultTokenFile } from "./clients/vaultToken";

/** One service account as configured, defaults filled in. */
export interface Account {
  name: string;
  username: string;
  host: string;
  organization?: string | undefined;
  passwordGeneration: number;
  changedBy?: string | undefined;
  acceptAdminToken: boolean;
  publishToken: boolean;
  renamedFrom?: string | undefined;
}

/** Pipelines that read tokens with their own ID token: those of one project, or of a group's own projects. */
export interface Consumer {
  name: string;
  project?: string | undefined;
  group?: string | undefined;
  /** Whose tokens it reads; undefined = all that are published. */
  accounts?: string[] | undefined;
}

/** The stack's whole configuration, checked. Secret are `webhookUrl`, `heartbeatUrl` and the key of `vaultClient`. Durations are in seconds. */
export interface Settings {
  project: string;
  stack: string;
  accounts: Account[];
  /** Accounts whose first password still stands in config. */
  firstPasswordsFor: string[];
  /** The host of accounts that name none. */
  apisecUrl: string;
  mount: string;
  createMount: boolean;
  authPath: string;
  createAuth: boolean;
  jwksUrl?: string | undefined;
  jwtPublicKeys?: string[] | undefined;
  policyPrefix: string;
  gitlabProject: string;
  gitlabBranch: string;
  manageProjectFiles: boolean;
  /**
   * `own`: `.gitlab-ci.yml` is this stack's job; `shared`: it includes `apisec/*.yml`, one of each stack;
   * `included`: it is somebody else's, and includes `apisec/<stack>.yml`.
   */
  pipelineFile: "own" | "shared" | "included";
  jobImage?: string | undefined;
  /** Tags of the runner that the job needs. */
  jobTags?: string[] | undefined;
  /** Of the commits into the rotation project, with `{path}`, `{project}` and `{stack}` in it. */
  commitMessage: string;
  cron: string;
  cronTimezone: string;
  tokenLifetime: number;
  /** Whether Vault deletes a token before it expires; false for readers that take such a token for deleted. */
  tokenEndsInVault: boolean;
  apisecPaths: ApisecPaths;
  /** Vault identity groups whose members are given the policies. */
  adminGroups: string[];
  developerGroups: string[];
  consumers: Consumer[];
  /** Where the job tells of failures. A secret. */
  webhookUrl?: string | undefined;
  /** What the job asks after each run; `/fail` where not every account is fresh. A secret. */
  heartbeatUrl?: string | undefined;
  vaultAddress: string;
  vaultNamespace?: string | undefined;
  /** PEM text of the certificate authorities that Vault is checked against (VAULT_CACERT). */
  vaultCa?: string | undefined;
  /** The client certificate that Vault is shown, and its key: PEM texts, for this program's own calls. */
  vaultClient?: { cert: string; key: string } | undefined;
  gitlabUrl: string;
  warnings: string[];
}

/** What config is read from: the raw values, which of them are secret, and the environment. */
export interface ConfigSource {
  project: string;
  stack: string;
  /** All keys with their namespace, such as `apisec-credentials:mount`; objects as JSON text. */
  values: Record<string, string>;
  secretKeys: readonly string[];
  env: Record<string, string | undefined>;
  hasTokenFile: boolean;
  /** Reads a file; throws where it cannot. */
  readText: (path: string) => string;
  /** Milliseconds since 1970. */
  now: number;
}

/** The settings of a program that depends on this package, as its code gives them: see README, Configuration. */
export type SettingsInCode = Partial<
  Omit<
    { [K in keyof typeof shape]: z.input<(typeof shape)[K]> },
    "accounts" | "consumers" | "apisecPaths" | "firstPasswords" | "webhookUrl" | "heartbeatUrl"
  >
> & {
  accounts: (Pick<Account, "name" | "username"> & Partial<Account>)[];
  consumers?: Consumer[];
  apisecPaths?: Partial<ApisecPaths>;
};

/** Reads and checks the stack's configuration. Throws one RunError that lists every problem. */
export function loadConfig(): Settings {
  return readConfig(stackSource());
}

/**
 * `loadConfig` for a program of its own: a key of the same name in its stack config goes before what its code
 * says, and the secrets stand only there. Its other keys are none of our business.
 */
export function settingsFrom(code: SettingsInCode): Settings {
  const source = stackSource();
  const prefix = `${source.project}:`;
  const inCode = Object.entries(code)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [
      `${prefix}${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
  const inConfig = Object.entries(source.values).filter(
    ([key]) => !key.startsWith(prefix) || Object.hasOwn(shape, key.slice(prefix.length)),
  );
  return readConfig({
    ...source,
    values: Object.fromEntries([...inCode, ...inConfig]) as Record<string, string>,
  });
}

function stackSource(): ConfigSource {
  return {
    project: pulumi.getProject(),
    stack: pulumi.getStack(),
    values: pulumi.runtime.allConfig(),
    secretKeys: JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]") as string[],
    env: process.env,
    hasTokenFile: existsSync(vaultTokenFile()),
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  };
}

/**
 * `loadConfig` over any source: pure. Each line of the message names key, value (never a secret's),
 * expectation and a command that mends it.
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
  checkKeySource(keys, problems);
  checkWebhook(keys, source, problems);
  checkHeartbeat(keys, accounts, problems);
  const warnings = checkSchedule(keys, source, problems);
  if (problems.lines.length > 0) throw configError(source.stack, problems.lines);
  // Without a problem every key has been read.
  const { firstPasswords, ...rest } = keys as AllKeys;
  return {
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
}

function configError(stack: string, problems: readonly string[]): pulumi.RunError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return runError(
    `The configuration of stack ${stack} has ${count}; nothing was touched.\n` +
      problems.map((problem) => `  - ${problem}`).join("\n") +
      "\nREADME.md, section Configuration, lists every key.",
  );
}
