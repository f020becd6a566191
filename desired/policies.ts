import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mountDescription, ownerMark } from "./names";
import { packageFolder } from "./packageFolder";

/** One file of this folder. */
export type PolicyName =
  | "admin"
  | "developer"
  | "rotator"
  | "consumer"
  | "deployer"
  | "preview"
  | "monitor"
  | "verifier"
  | "handover";

/** What the placeholders of the policy files stand for. */
export interface PolicyValues {
  project: string;
  stack: string;
  /** See `Owner`. */
  instance?: string | undefined;
  prefix: string;
  mount: string;
  /** Whether the stack owns the mount, or only uses it; likewise the auth mount. */
  ownsMount: boolean;
  /** Whether other stacks use the mount that this one owns. */
  sharesMount: boolean;
  authPath: string;
  ownsAuth: boolean;
  accounts: readonly string[];
  publishedAccounts: readonly string[];
  /** Former names of renamed accounts. */
  oldAccounts: readonly string[];
  /** Names of the stack's consumers. */
  consumers: readonly string[];
  /** How long a token stays in Vault, as its key's settings say it, such as `23h30m`. */
  tokenKept: string;
  /** Whose tokens one consumer reads. */
  consumerAccounts?: readonly string[];
  /** Vault identity groups that are given policies; their ids are known where Vault was asked. */
  groups: readonly string[];
  groupIds?: readonly string[];
  /** Whose first password is handed over. */
  handoverAccount?: string;
}

/**
 * Whether the policies of admin, deployer and monitor have `+` in the account's place: where nobody else's
 * secrets can be in the mount. Vault lets an exact path replace `+`, also that of another policy of the same
 * token: so none of them has one below `data/` or `metadata/` then.
 */
export function opensEveryAccount(
  values: Pick<PolicyValues, "ownsMount" | "sharesMount">,
): boolean {
  return values.ownsMount && !values.sharesMount;
}

/**
 * Renders `policies/<name>.hcl`: a block that names `${account}`, `${group}` and so on is written once for each
 * of them, one that names `${ownMount}`, `${othersMount}` and so on only where that is the case; the other
 * placeholders are replaced where they stand. The values are checked by config/; a character that HCL or
 * a policy path would read as something else is refused here all the same.
 */
export function renderPolicy(name: PolicyName, values: PolicyValues): string {
  const template = readFileSync(join(packageFolder(), "policies", `${name}.hcl`), "utf8");
  const blocks = template.trim().split(/\n\n+/);
  const rendered = blocks.flatMap((block) => renderBlock(block, values));
  return `${ownerMark(values)}\n${rendered.join("\n\n")}\n`;
}

function renderBlock(block: string, values: PolicyValues): string[] {
  const lists = listsOf(values);
  const listName = Object.keys(lists).find((key) => block.includes(`\${${key}}`));
  const texts = {
    ...values,
    mountDescription: describedAs(values, false),
    sharedMountDescription: describedAs(values, true),
  };
  if (listName === undefined) return [fill(block, texts)];
  const names = lists[listName] ?? [];
  const [comment, body] = splitComment(block);
  return names.map((name, index) =>
    fill(index === 0 ? comment + body : body, { ...texts, [listName]: name }),
  );
}

/** As Vault compares it: `*` at the end is whatever follows. Who prints a policy need not ask GitLab. */
function describedAs(values: PolicyValues, isShared: boolean): string {
  const { project, stack, instance = "*" } = values;
  return mountDescription({ project, stack, instance }, isShared);
}

/** What a block is written for, by the placeholder that it names. */
function listsOf(values: PolicyValues): Record<string, readonly string[]> {
  const { accounts, mount, ownsMount, authPath, ownsAuth, handoverAccount } = values;
  const opensEvery = opensEveryAccount(values);
  return {
    account: accounts,
    anyAccount: opensEvery ? [anyOne] : accounts,
    publishedAccount: values.publishedAccounts,
    oldAccount: opensEvery ? [] : values.oldAccounts,
    consumerAccount: values.consumerAccounts ?? [],
    handoverAccount: handoverAccount === undefined ? [] : [handoverAccount],
    group: values.groups,
    groupId: values.groupIds ?? [],
    ownMount: ownsMount ? [mount] : [],
    unsharedMount: opensEvery ? [mount] : [],
    othersMount: ownsMount ? [] : [mount],
    ownAuthPath: ownsAuth ? [authPath] : [],
  };
}

/** A block's comment is written once, not for every account. */
function splitComment(block: string): [string, string] {
  const start = block.search(/^path /m);
  return [block.slice(0, start), block.slice(start)];
}

/** In a policy's path: one segment, whatever it is. */
const anyOne = "+";
const plain = /^[A-Za-z0-9_][\w/.-]*$/;
const shapes: Record<string, RegExp> = {
  // A path that ends with `*`, has a segment `+` or holds a template names others, too.
  group: /^(?!(?:.*\/)?(?:\.{0,2}|\+)(?:\/|$))(?!.*(?:\{\{|\}\}))[^\p{Cc}]*[^\p{Cc}*]$/u,
  anyAccount: /^(\+|[A-Za-z0-9][\w/.-]*)$/,
  mountDescription: /^[\w ,./:()[\]-]+\*?$/,
  sharedMountDescription: /^[\w ,./:()[\]-]+\*?$/,
};

function fill(block: string, values: object): string {
  const table = values as Record<string, unknown>;
  return block.replace(/\$\{(\w+)\}/g, (_, key: string) => {
    const value = table[key];
    if (typeof value !== "string" || !(shapes[key] ?? plain).test(value)) {
      throw new Error(`A policy placeholder cannot be filled: ${key}`);
    }
    // HCL reads quotes and backslashes as JSON does.
    return JSON.stringify(value).slice(1, -1);
  });
}
