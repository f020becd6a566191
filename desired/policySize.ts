import type { Settings } from "../config/settings";
import { consumerName } from "./names";
import { renderPolicy } from "./policies";
import type { PolicyName } from "./policies";
import { policyValues } from "./policyValues";

/** Vault keeps no value of 1 MiB or more; the rest is for what it writes around a policy, and for its first line. */
const mostBytes = 1024 * 1024 - 2048;
/** No account takes more of a policy, with the longest mount and name. */
const mostBytesAnAccount = 4096;

const ofAStack: PolicyName[] = [
  ...(["admin", "developer", "rotator", "deployer"] as const),
  ...(["preview", "monitor", "verifier"] as const),
];

/** A policy that is too large for Vault, and how many of the accounts, in their order, would fit. */
export interface TooLarge {
  policy: string;
  bytes: number;
  accountsThatFit: number;
}

/** The largest policy of a stack, where Vault would refuse it: Vault itself says so only when it is written. */
export function tooLargePolicy(settings: Settings): TooLarge | undefined {
  const { accounts } = settings;
  if (accounts.length * mostBytesAnAccount <= mostBytes) return undefined;
  const largest = largestPolicy(settings, accounts.length);
  if (largest.bytes <= mostBytes) return undefined;
  let [fits, tooMany] = [0, accounts.length];
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (largestPolicy(settings, middle).bytes <= mostBytes) fits = middle;
    else tooMany = middle;
  }
  return { ...largest, accountsThatFit: fits };
}

function largestPolicy(settings: Settings, count: number): Omit<TooLarge, "accountsThatFit"> {
  const first = settings.accounts.slice(0, count);
  const names = new Set(first.map(({ name }) => name));
  const groups = [...settings.adminGroups, ...settings.developerGroups];
  // As long as those that Vault gives.
  const groupIds = new Map(groups.map((group) => [group, "00000000-0000-0000-0000-000000000000"]));
  const values = policyValues({ ...settings, accounts: first }, { groupIds });
  const { prefix, stack } = values;
  const sizes = ofAStack.map((name) => ({
    policy: `${prefix}-${stack}-${name}`,
    bytes: bytesInVault(renderPolicy(name, values)),
  }));
  for (const { name, accounts } of settings.consumers) {
    const consumerAccounts = (accounts ?? values.publishedAccounts).filter((one) => names.has(one));
    const text = renderPolicy("consumer", { ...values, consumerAccounts });
    sizes.push({ policy: consumerName(prefix, stack, name), bytes: bytesInVault(text) });
  }
  return sizes.reduce((a, b) => (b.bytes > a.bytes ? b : a));
}

/** Vault keeps it as JSON of Go, which writes these three as `\u003c` and so on. */
function bytesInVault(text: string): number {
  return Buffer.byteLength(JSON.stringify(text).replaceAll(/[<>&]/g, "\\u0000"));
}
