import type { Settings } from "../config/settings";
import { policyName } from "./names";
import { renderPolicy } from "./policies";
import { policyValues } from "./policyValues";
import { capabilitiesAt, rightsOf } from "./rights";
import type { Rights } from "./rights";
import { consumerAccess } from "./state";

export type Secret = "password" | "token";
export type Right = "read" | "write";

/** What an account has in Vault. */
export const secrets: readonly Secret[] = ["password", "token"];

/** The API path of an account's secret. */
export function secretPath(mount: string, account: string, secret: Secret): string {
  return `${mount}/data/${account}/${secret}`;
}

/** One thing that somebody may do with one secret. */
export interface Access {
  /** People or machines in words, such as `members of group Developers`. */
  who: string;
  right: Right;
  secret: Secret;
  account: string;
}

/** Who has which of a stack's policies, and the text that this program gives it. */
export interface Holder {
  who: string;
  policy: string;
  text: string;
}

/**
 * Who may read or write which of these accounts' secrets: computed from the policies' own text, so it says what
 * Vault would. `accounts`: also names that config no longer has.
 */
export function accessOf(settings: Settings, accounts: readonly string[]): Access[] {
  return holdersOf(settings).flatMap(({ who, text }) =>
    accessBy(text, settings.mount, accounts).map((access) => ({ who, ...access })),
  );
}

/** What one policy's text gives of these accounts' secrets. */
export function accessBy(
  policy: string,
  mount: string,
  accounts: readonly string[],
): Omit<Access, "who">[] {
  const rights = rightsOf(policy);
  return accounts.flatMap((account) =>
    secrets.flatMap((secret) =>
      rightsAt(rights, secretPath(mount, account, secret)).map((right) => ({
        right,
        secret,
        account,
      })),
    ),
  );
}

type Role = "admin" | "developer" | "rotator" | "deployer";

/** Who has a policy of this stack that `pulumi up` writes, and the deployer. */
export function holdersOf(settings: Settings): Holder[] {
  const { policyPrefix, stack } = settings;
  const values = policyValues(settings);
  const of = (role: Role, who: string): Holder => ({
    who,
    policy: policyName(policyPrefix, stack, role),
    text: renderPolicy(role, values),
  });
  const people = (role: "admin" | "developer", groups: readonly string[]): Holder[] => [
    ...groups.map((group) => of(role, `members of group ${group}`)),
    of(role, `whoever has policy ${policyName(policyPrefix, stack, role)}`),
  ];
  return [
    ...people("admin", settings.adminGroups),
    ...people("developer", settings.developerGroups),
    ...consumerAccess(settings, { claims: new Map() }).map(({ name, policy }, index) => ({
      who: `pipelines of ${placeOf(settings.consumers[index])} (consumer ${name})`,
      policy: policy.name,
      text: policy.text,
    })),
    of("rotator", `the rotation job in ${settings.gitlabProject}`),
    of("deployer", "the deployer"),
  ];
}

function placeOf(consumer: Settings["consumers"][number] | undefined): string {
  return consumer?.project === undefined
    ? `group ${consumer?.group}`
    : `project ${consumer.project}`;
}

function rightsAt(rights: Rights, path: string): Right[] {
  const capabilities = capabilitiesAt(rights, path);
  const mayWrite = ["create", "update", "patch"].some((one) => capabilities.includes(one));
  return [
    ...(capabilities.includes("read") ? (["read"] as const) : []),
    ...(mayWrite ? (["write"] as const) : []),
  ];
}
