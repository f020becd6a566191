import type { Settings } from "../config/settings";
import { policyName } from "./names";
import { renderPolicy } from "./policies";
import type { PolicyName } from "./policies";
import { policyValues } from "./policyValues";
import { rightsOf } from "./rights";
import type { Rights } from "./rights";
import { consumerAccess } from "./state";

export type Secret = "password" | "token";
export type Right = "read" | "write";

/** One thing that somebody may do with one secret. */
export interface Access {
  /** People or machines in words, such as `members of group Developers`. */
  who: string;
  right: Right;
  secret: Secret;
  account: string;
}

/** Whose rights a stack's policies are, and the text that gives them. */
interface Holder {
  who: string;
  rights: Rights;
}

/**
 * Who may read or write which of these accounts' secrets: computed from the policies' own text, so it says what
 * Vault would. `accounts`: also names that config no longer has.
 */
export function accessOf(settings: Settings, accounts: readonly string[]): Access[] {
  return holders(settings).flatMap(({ who, rights }) =>
    accounts.flatMap((account) =>
      (["password", "token"] as const).flatMap((secret) =>
        rightsAt(rights, `${settings.mount}/data/${account}/${secret}`).map((right) => ({
          who,
          right,
          secret,
          account,
        })),
      ),
    ),
  );
}

function holders(settings: Settings): Holder[] {
  const values = policyValues(settings);
  const rights = (name: PolicyName) => rightsOf(renderPolicy(name, values));
  const people = (role: "admin" | "developer", groups: readonly string[]): Holder[] => {
    const name = policyName(settings.policyPrefix, settings.stack, role);
    const holdersOf = [
      ...groups.map((group) => `members of group ${group}`),
      `whoever has policy ${name}`,
    ];
    return holdersOf.map((who) => ({ who, rights: rights(role) }));
  };
  return [
    ...people("admin", settings.adminGroups),
    ...people("developer", settings.developerGroups),
    ...consumerAccess(settings, { claims: new Map() }).map(({ name, policy }, index) => ({
      who: `pipelines of ${placeOf(settings.consumers[index])} (consumer ${name})`,
      rights: rightsOf(policy.text),
    })),
    { who: `the rotation job in ${settings.gitlabProject}`, rights: rights("rotator") },
    { who: "the deployer", rights: rights("deployer") },
  ];
}

function placeOf(consumer: Settings["consumers"][number] | undefined): string {
  return consumer?.project === undefined
    ? `group ${consumer?.group}`
    : `project ${consumer.project}`;
}

/** As Vault decides: an exact path replaces one with `+`. */
function rightsAt(rights: Rights, path: string): Right[] {
  const pattern = path.replace(/\/data\/[^/]+\//, "/data/+/");
  const capabilities = rights.get(path) ?? rights.get(pattern) ?? [];
  const mayWrite = capabilities.some((one) => one === "create" || one === "update");
  return [
    ...(capabilities.includes("read") ? (["read"] as const) : []),
    ...(mayWrite ? (["write"] as const) : []),
  ];
}
