import { consumerName } from "./names";
import { opensEveryAccount, renderPolicy } from "./policies";
import type { PolicyName, PolicyValues } from "./policies";

/** Vault's capabilities by path. */
export type Rights = ReadonlyMap<string, readonly string[]>;

/** What a policy as `renderPolicy` makes it gives, by the path as it stands there: each is named once. */
export function rightsOf(policy: string): Rights {
  const blocks = policy.matchAll(/^path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]/gm);
  return new Map(
    [...blocks].map(([, path = "", list = ""]) => [
      path,
      [...list.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name),
    ]),
  );
}

/**
 * What a stack's policy gives on the paths that are really asked: of these accounts and consumers, without a
 * pattern. Vault, asked what a token may do there, answers with what would happen; asked for a pattern it does not.
 */
export function rightsAsked(name: PolicyName, values: PolicyValues): Rights {
  const { prefix, stack, consumers } = values;
  const pattern = consumerName(prefix, stack, "*");
  const exact = renderPolicy(name, { ...values, sharesMount: true });
  return new Map(
    [...rightsOf(exact)].flatMap(([path, capabilities]) =>
      path.endsWith(pattern)
        ? consumers.map((one): [string, readonly string[]] => [
            path.slice(0, -1) + one,
            capabilities,
          ])
        : [[path, capabilities]],
    ),
  );
}

/** A line a path that lacks something: `apisec/config: read`. */
export function missingRights(wanted: Rights, allowed: Rights): string[] {
  return [...wanted].flatMap(([path, capabilities]) => {
    const has = allowed.get(path) ?? [];
    const missing = has.includes("root")
      ? []
      : capabilities.filter((capability) => !has.includes(capability));
    return missing.length === 0 ? [] : [`${path}: ${missing.join(", ")}`];
  });
}

/**
 * The policies of a token that take rights from a deployer, an admin or a monitor: with `+` in the account's
 * place, the exact paths of developers, rotators, consumers and so on replace what the pattern gives.
 * `policies`: as Vault names them at `auth/token/lookup-self`, `policies` and `identity_policies`.
 */
export function narrowingPolicies(values: PolicyValues, policies: readonly string[]): string[] {
  if (!opensEveryAccount(values)) return [];
  const { prefix, stack, accounts } = values;
  const handovers = accounts.map((account) => `handover-${account}`);
  const exact = ["developer", "rotator", "verifier", "handover", ...handovers];
  const names = exact.map((role) => `${prefix}-${stack}-${role}`);
  const ofConsumers = consumerName(prefix, stack, "");
  return policies.filter((name) => names.includes(name) || name.startsWith(ofConsumers));
}
