import { encodePath } from "../clients/vault";
import type { VaultError } from "../clients/vault";
import { foreignText } from "../core/redact";
import { policyName } from "../desired/names";
import type { Owner } from "../desired/names";
import { isBoundTo, ownerNamed, ownerOf, ownershipOf } from "../desired/ownership";
import { projectOf } from "./gitlabFacts";
import type { World } from "./world";

/** A text of others, fit for a message; "" where there is none. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? foreignText(value, []) : "";
}

/** This stack as the owner of what it makes, as far as GitLab shows its project. */
export async function ownOwner(world: World): Promise<Owner> {
  const project = await projectOf(world).catch(() => undefined);
  return ownerOf(world.settings, { project });
}

/**
 * Whose a thing is, by the first line or description that marks it. One of before version 2, which has nothing that
 * makes it unique, is ours where the role of our job is bound to our project; who may not see the role believes it.
 * `namesake`: of a stack of the same names in another project of GitLab.
 */
export async function whose(
  world: World,
  text: unknown,
): Promise<"ours" | "namesake" | "another's"> {
  if (typeof text !== "string") return "another's";
  const owner = await ownOwner(world);
  const ownership = ownershipOf(owner, text);
  if (ownership === "ours" || (ownership === "old" && (await isBoundToUs(world)))) return "ours";
  const named = ownerNamed(text)?.split(" for ")[0];
  return named === `${owner.project}/${owner.stack}` ? "namesake" : "another's";
}

async function isBoundToUs(world: World): Promise<boolean> {
  const { authPath, policyPrefix, stack } = world.settings;
  const role = `auth/${encodePath(authPath)}/role/${policyName(policyPrefix, stack, "rotator")}`;
  try {
    return isBoundTo(await projectOf(world), await world.look(role));
  } catch (error) {
    return (error as VaultError).problem === "denied";
  }
}

/** What is to be said of a namesake's thing: `choose` another name, or `command` makes it ours. */
export function ofNamesake(
  text: unknown,
  choose: string,
  command: string,
): { found: string; fix: string } {
  return {
    found: `belongs to ${ownerNamed(textOf(text))}, a stack of another project`,
    fix: `${choose}. If it was this stack's before its project or host changed, as Vault's admin: \`${command}\``,
  };
}
