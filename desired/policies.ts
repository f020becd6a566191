import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ownerMarker } from "./names";
import { packageFolder } from "./packageFolder";

/** One file of this folder. */
export type PolicyName =
  "admin" | "developer" | "rotator" | "consumer" | "deployer" | "preview" | "monitor";

/** What the placeholders of the policy files stand for. */
export interface PolicyValues {
  project: string;
  stack: string;
  prefix: string;
  mount: string;
  /** Whether the stack owns the mount, or only uses it; likewise the auth mount. */
  ownsMount: boolean;
  authPath: string;
  ownsAuth: boolean;
  accounts: readonly string[];
  publishedAccounts: readonly string[];
  /** Former names of renamed accounts. */
  oldAccounts: readonly string[];
  /** Names of the stack's consumers. */
  consumers: readonly string[];
  /** Whose tokens one consumer reads. */
  consumerAccounts?: readonly string[];
  /** Vault identity groups that are given policies; their ids are known where Vault was asked. */
  groups: readonly string[];
  groupIds?: readonly string[];
}

/**
 * Renders `policies/<name>.hcl`: a block that names `${account}`, `${consumer}`,
 * `${group}` and so on is written once for each of them, one that names `${ownMount}`, `${sharedMount}` and
 * so on only where that is the case; the other placeholders are replaced where they stand. The values
 * are checked by config.ts; a character that HCL or a policy path would read as something else is
 * refused here all the same.
 */
export function renderPolicy(name: PolicyName, values: PolicyValues): string {
  const template = readFileSync(join(packageFolder(), "policies", `${name}.hcl`), "utf8");
  const blocks = template.trim().split(/\n\n+/);
  const rendered = blocks.flatMap((block) => renderBlock(block, values));
  return `${ownerMarker(values.project, values.stack)}\n${rendered.join("\n\n")}\n`;
}

function renderBlock(block: string, values: PolicyValues): string[] {
  const lists: Record<string, readonly string[]> = {
    account: values.accounts,
    publishedAccount: values.publishedAccounts,
    oldAccount: values.oldAccounts,
    consumer: values.consumers,
    consumerAccount: values.consumerAccounts ?? [],
    group: values.groups,
    groupId: values.groupIds ?? [],
    ownMount: values.ownsMount ? [values.mount] : [],
    sharedMount: values.ownsMount ? [] : [values.mount],
    ownAuthPath: values.ownsAuth ? [values.authPath] : [],
    sharedAuthPath: values.ownsAuth ? [] : [values.authPath],
  };
  const listName = Object.keys(lists).find((key) => block.includes(`\${${key}}`));
  if (listName === undefined) return [fill(block, values)];
  const names = lists[listName] ?? [];
  const [comment, body] = splitComment(block);
  return names.map((name, index) =>
    fill(index === 0 ? comment + body : body, { ...values, [listName]: name }),
  );
}

/** A block's comment is written once, not for every account. */
function splitComment(block: string): [string, string] {
  const start = block.search(/^path /m);
  return [block.slice(0, start), block.slice(start)];
}

function fill(block: string, values: object): string {
  const table = values as Record<string, unknown>;
  return block.replace(/\$\{(\w+)\}/g, (_, key: string) => {
    const value = table[key];
    const shape =
      key === "group" ? /^[\p{L}\p{N}][\p{L}\p{N}_/. ,:=@-]*$/u : /^[A-Za-z0-9][\w/.-]*$/;
    if (typeof value !== "string" || !shape.test(value)) {
      throw new Error(`A policy placeholder cannot be filled: ${key}`);
    }
    return value;
  });
}
