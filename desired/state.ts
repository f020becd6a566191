import type { Settings } from "../config/settings";
import { desiredAccounts } from "./accounts";
import type { DesiredAccount } from "./accounts";
import { authKeys } from "./authMount";
import { ciVariables } from "./ciVariables";
import type { CiVariable } from "./ciVariables";
import { readingJob, scanningJob } from "./consumerJob";
import type { Facts } from "./facts";
import { passwordKeySettings, tokenKeySettings } from "./keySettings";
import type { KeySettings } from "./keySettings";
import { authDescription, consumerName, mountDescription, policyName } from "./names";
import type { Owner } from "./names";
import { ownerOf } from "./ownership";
import { pipelineSchedule } from "./pipelineSchedule";
import { renderPolicy } from "./policies";
import { groupNames, policyValues } from "./policyValues";
import { projectFiles } from "./projectFiles";
import type { ProjectFile } from "./projectFiles";
import { consumerRole, rotatorRole } from "./roles";
import type { LoginRole } from "./roles";
import { deletedAfterSeconds } from "./tokenLife";

/** A mount of Vault that this stack makes (`owned`), or only uses. */
export interface Mount {
  path: string;
  owned: boolean;
  /** By which its owner is known. */
  description: string;
}

export interface Policy {
  name: string;
  text: string;
}

/** Pipelines that read tokens. */
export interface ConsumerAccess {
  /** As config names it. */
  name: string;
  /** Accounts whose tokens it reads. */
  accounts: readonly string[];
  policy: Policy;
  role: LoginRole;
  /** What a job's `.gitlab-ci.yml` needs to read the first of the tokens. */
  snippet: string;
  /** The job that scans with it. */
  scanJob: string;
}

/** A Vault identity group and the policies that its members are given. */
export interface GroupAccess {
  group: string;
  /** Undefined: Vault was not asked, or knows no such group. */
  id: string | undefined;
  policies: readonly string[];
}

/** The settings of the accounts' keys, and which keys each account has. */
export interface Keys {
  settings: Readonly<Record<"password" | "token", KeySettings>>;
  accounts: Readonly<Record<string, readonly ("password" | "token")[]>>;
}

/** Everything that a stack wants in Vault and GitLab, but for the values of passwords and tokens. */
export interface DesiredState {
  /** Whose all of it is. */
  owner: Owner;
  vault: {
    vaultAddress: string;
    vaultNamespace: string | undefined;
    mount: Mount;
    authMount: Mount & { keys: ReturnType<typeof authKeys> };
    policies: Readonly<Record<"admin" | "developer" | "rotator", Policy>>;
    keys: Keys;
    /** The role that the rotation job logs in with. */
    rotator: LoginRole;
    consumers: readonly ConsumerAccess[];
    groups: readonly GroupAccess[];
  };
  gitlab: {
    schedule: ReturnType<typeof pipelineSchedule>;
    variables: readonly CiVariable[];
    /** In the order in which they are written; undefined where the project is not known. */
    files: readonly ProjectFile[] | undefined;
  };
  /** Each after the one that changes its password. */
  accounts: readonly DesiredAccount[];
}

/**
 * What a stack of these settings wants. Pure but for the templates and the job, which are read from this package:
 * throws where the job has not been built. What `facts` leaves open is undefined in it.
 */
export function desiredState(settings: Settings, facts: Facts): DesiredState {
  const owner = ownerOf(settings, facts);
  const published = policyValues(settings).publishedAccounts;
  return {
    owner,
    vault: {
      vaultAddress: settings.vaultAddress,
      vaultNamespace: settings.vaultNamespace,
      mount: {
        path: settings.mount,
        owned: settings.createMount,
        description: mountDescription(owner, settings.shareMount),
      },
      authMount: {
        path: settings.authPath,
        owned: settings.createAuth,
        description: authDescription(owner),
        keys: authKeys(settings),
      },
      policies: stackPolicies(settings, facts),
      keys: accountKeys(settings),
      rotator: rotatorRole(settings, facts.project, facts.owner),
      consumers: consumerAccess(settings, facts),
      groups: groupAccess(settings, facts.groupIds),
    },
    gitlab: {
      schedule: pipelineSchedule(settings),
      variables: ciVariables(settings, published, owner),
      files: filesOf(settings, facts, published, owner),
    },
    accounts: desiredAccounts(settings, owner),
  };
}

function filesOf(
  settings: Settings,
  { project }: Facts,
  published: readonly string[],
  owner: Owner,
): ProjectFile[] | undefined {
  if (!settings.manageProjectFiles) return [];
  return project && projectFiles(settings, project.pipelineFile, published, owner);
}

/** The policies of the stack's three roles. */
export function stackPolicies(
  settings: Settings,
  facts: Pick<Facts, "project" | "instance">,
): DesiredState["vault"]["policies"] {
  const values = policyValues(settings, facts);
  const policy = (role: "admin" | "developer" | "rotator"): Policy => ({
    name: policyName(settings.policyPrefix, settings.stack, role),
    text: renderPolicy(role, values),
  });
  return { admin: policy("admin"), developer: policy("developer"), rotator: policy("rotator") };
}

/** Each account's keys, and what is set on them before their first value. */
export function accountKeys(
  settings: Pick<Settings, "accounts" | "tokenLifetime" | "tokenEndsInVault">,
): Keys {
  return {
    settings: {
      password: passwordKeySettings,
      token: tokenKeySettings(deletedAfterSeconds(settings)),
    },
    accounts: Object.fromEntries(
      settings.accounts.map(({ name, publishToken }) => [
        name,
        publishToken ? ["password", "token"] : ["password"],
      ]),
    ),
  };
}

/** Each consumer's policy and role. */
export function consumerAccess(
  settings: Settings,
  facts: Pick<Facts, "project" | "instance" | "claims">,
): ConsumerAccess[] {
  const values = policyValues(settings, facts);
  return settings.consumers.map((consumer) => {
    const { name } = consumer;
    const accounts = consumer.accounts ?? values.publishedAccounts;
    const role = consumerRole(settings, consumer, facts.claims.get(name));
    return {
      name,
      accounts,
      policy: {
        name: consumerName(settings.policyPrefix, settings.stack, name),
        text: renderPolicy("consumer", { ...values, consumerAccounts: accounts }),
      },
      role,
      snippet: readingJob(settings, role, accounts[0] ?? ""),
      scanJob: scanningJob(settings, role, accounts[0] ?? ""),
    };
  });
}

function groupAccess(settings: Settings, ids: Facts["groupIds"]): GroupAccess[] {
  const { adminGroups, developerGroups, policyPrefix, stack } = settings;
  return groupNames(settings).map((group) => ({
    group,
    id: ids.get(group),
    policies: [
      ...(adminGroups.includes(group) ? [policyName(policyPrefix, stack, "admin")] : []),
      ...(developerGroups.includes(group) ? [policyName(policyPrefix, stack, "developer")] : []),
    ],
  }));
}
