import { consumerName } from "./names";
import { opensEveryAccount, renderPolicy } from "./policies";
import type { PolicyName, PolicyValues } from "./policies";

/** Vault's capabilities by path. */
export type Rights = ReadonlyMap<string, readonly string[]>;

/** What a policy gives, by the path as it stands there: as `renderPolicy` makes it, or as a person has edited that. */
export function rightsOf(policy: string): Rights {
  const blocks = withoutComments(policy).matchAll(
    /^\s*path\s+"([^"]+)"\s*\{[^}]*?\bcapabilities\s*=\s*\[([^\]]*)\]/gm,
  );
  const rights = new Map<string, string[]>();
  for (const [, path = "", list = ""] of blocks) {
    const names = [...list.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
    rights.set(path, [...(rights.get(path) ?? []), ...names]);
  }
  return rights;
}

/** Whether `rightsOf` has seen each path of a policy: one that is written in another way must not pass for none. */
export function isReadable(policy: string): boolean {
  const named = withoutComments(policy).match(/\bpath\b/g)?.length ?? 0;
  return named === [...rightsOf(policy)].length;
}

/** Without lines that are comments: one may hold what a line had before it was edited. */
function withoutComments(policy: string): string {
  return policy.replace(/^\s*(#|\/\/).*$/gm, "");
}

/** What these rights give on one path, as Vault decides it: the pattern that names it most closely counts alone. */
export function capabilitiesAt(rights: Rights, path: string): readonly string[] {
  const [closest] = [...rights.keys()].filter((pattern) => covers(pattern, path)).sort(closer);
  const capabilities = rights.get(closest ?? "") ?? [];
  return capabilities.includes("deny") ? [] : capabilities;
}

function covers(pattern: string, path: string): boolean {
  if (!pattern.includes("+") && !pattern.endsWith("*")) return pattern === path;
  const parts = pattern.replace(/\*$/, "").split("/");
  const text = parts.map((part) => (part === "+" ? "[^/]+" : escaped(part))).join("/");
  return new RegExp(`^${text}${pattern.endsWith("*") ? "" : "$"}`).test(path);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** Vault's order of patterns, the closest first: a later wildcard, no `*` at the end, fewer `+`, the longer one. */
function closer(one: string, other: string): number {
  const place = (pattern: string) => {
    const first = pattern.search(/(?<=^|\/)\+(?=\/|$)|\*$/);
    const many = pattern.split("/").filter((part) => part === "+").length;
    return [first < 0 ? Infinity : first, pattern.endsWith("*") ? 0 : 1, -many, pattern.length];
  };
  const [ours, others] = [place(one), place(other)];
  const index = ours.findIndex((value, at) => value !== others[at]);
  return index < 0 ? 0 : (others[index] ?? 0) - (ours[index] ?? 0);
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
