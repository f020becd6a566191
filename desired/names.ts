/** Vault's name of a policy or role of this stack, such as `apisec-dev-developer`. */
export function policyName(
  prefix: string,
  stack: string,
  name: "admin" | "developer" | "rotator" | "deployer" | "monitor" | "verifier",
): string {
  return `${prefix}-${stack}-${name}`;
}

/** Vault's name of a consumer's policy and role. The dot is in no stack's name: no other stack has the same. */
export function consumerName(prefix: string, stack: string, consumer: string): string {
  return `${prefix}-${stack}-consumer.${consumer}`;
}

/** Whose a stack's things in Vault and GitLab are. */
export interface Owner {
  project: string;
  stack: string;
  /**
   * What makes it unique, where two teams have stacks of the same name: GitLab's host and the rotation project's
   * id, such as `gitlab.example.com/22`, or what a program without one gives. Undefined: it is not known.
   */
  instance?: string | undefined;
}

/** The owner as records, policies, mounts, variables and files name it, such as `apisec/prod for gitlab.com/22`. */
export function ownerText({ project, stack, instance }: Owner): string {
  return `${project}/${stack}${instance === undefined ? "" : ` for ${instance}`}`;
}

/** The first line of every policy and pipeline file of a stack: one without it belongs to somebody else. */
export function ownerMark(owner: Owner): string {
  return `# ${managedBy(owner)}`;
}

/** The mark without a comment's sign, as CI variables have it. */
export function managedBy(owner: Owner): string {
  return `managed by ${ownerText(owner)}`;
}

/** The mount's description in Vault, by which its owner is known, and whether other stacks may use it. */
export function mountDescription(owner: Owner, isShared = false): string {
  return `${isShared ? sharedMountStart : ownMountStart}, ${managedBy(owner)}`;
}

/** How the description of a mount begins that a stack of this program owns, and that it shares with others. */
export const ownMountStart = "APIsec passwords and tokens";
export const sharedMountStart = `${ownMountStart}, shared with other stacks`;

/** The auth mount's description in Vault, by which its owner is known. */
export function authDescription(owner: Owner): string {
  return `Logins of GitLab jobs, ${managedBy(owner)}`;
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
