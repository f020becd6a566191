/** Vault's capabilities by path. */
export type Rights = ReadonlyMap<string, readonly string[]>;

/** What a policy as desired/policies.ts makes it gives: exact paths, each named once. */
export function wantedRights(policy: string): Rights {
  const blocks = policy.matchAll(/^path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]/gm);
  return new Map(
    [...blocks].map(([, path = "", list = ""]) => [
      path,
      [...list.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name),
    ]),
  );
}

/** A line a path: `apisec/config: read`. */
export function missingRights(wanted: Rights, allowed: Rights): string[] {
  return [...wanted].flatMap(([path, capabilities]) => {
    const has = allowed.get(path) ?? [];
    const missing = has.includes("root")
      ? []
      : capabilities.filter((capability) => !has.includes(capability));
    return missing.length === 0 ? [] : [`${path}: ${missing.join(", ")}`];
  });
}
