/** Vault's name of a policy or role of this stack, such as `apisec-dev-developer`. */
export function policyName(
  prefix: string,
  stack: string,
  name: "admin" | "developer" | "rotator" | "monitor",
): string {
  return `${prefix}-${stack}-${name}`;
}

/** Vault's name of a consumer's policy and role. The dot is in no stack's name: no other stack has the same. */
export function consumerName(prefix: string, stack: string, consumer: string): string {
  return `${prefix}-${stack}-consumer.${consumer}`;
}

/** The first line of every policy of a stack: a policy without it belongs to somebody else. */
export function ownerMarker(project: string, stack: string): string {
  return `# managed by ${project}/${stack}`;
}

/** The mount's description in Vault, by which its owner is known, and whether other stacks may use it. */
export function mountDescription(project: string, stack: string, isShared = false): string {
  return `APIsec passwords and tokens${isShared ? ", shared with other stacks" : ""}, managed by ${project}/${stack}`;
}

/** The auth mount's description in Vault, by which its owner is known. */
export function authDescription(project: string, stack: string): string {
  return `Logins of GitLab jobs, managed by ${project}/${stack}`;
}

/** The description of the schedule, by which it is found. */
export function scheduleDescription(project: string, stack: string): string {
  return `Rotate the APIsec tokens of ${project}/${stack} into Vault`;
}

/** The GitLab environment of the job, which its CI variables and its login are bound to. */
export function environmentName(stack: string): string {
  return `apisec/${stack}`;
}

/** One audience a stack and purpose, so that a token for one is no token for another at the same Vault. */
export function audience(vaultAddress: string, stack: string, purpose?: string): string {
  // The brackets of an IPv6 address, for one, have no place in the pipeline file.
  const address = vaultAddress.replaceAll(/[^A-Za-z0-9:/._~-]/g, "_");
  return [address, "apisec", stack, ...(purpose === undefined ? [] : [purpose])].join("/");
}
