import type { Settings } from "../config/settings";
import type { Facts } from "./facts";
import { ownMountStart, ownerText, sharedMountStart } from "./names";
import type { Owner } from "./names";

/** This stack as the owner of what it makes. The project is known once GitLab has been asked. */
export function ownerOf(
  { project, stack, gitlabUrl }: Pick<Settings, "project" | "stack" | "gitlabUrl">,
  facts: Pick<Facts, "project" | "instance">,
): Owner {
  const host = gitlabUrl.replace(/^https?:\/\//, "");
  const instance = facts.project === undefined ? facts.instance : `${host}/${facts.project.id}`;
  return { project, stack, instance };
}

/** The owner that a first line or a description names; undefined where it names none. */
export function ownerNamed(text: string): string | undefined {
  return /(?:^# |, |^)managed by (\S+\/\S+(?: for \S.*)?)$/.exec(text.trim())?.[1];
}

/**
 * Whose a thing is, by the text that marks it. `old`: it has our names, and nothing that makes them unique; so had
 * everything before version 2, and it is ours only where our role is bound to our project. Where our own project
 * is not known, another one of the same names cannot be told apart.
 */
export type Ownership = "ours" | "old" | "another" | "unmarked";

export function ownershipOf(owner: Owner, text: string): Ownership {
  const named = ownerNamed(text);
  if (named === undefined) return "unmarked";
  if (named === ownerText(owner)) return "ours";
  const { project, stack, instance } = owner;
  const names = `${project}/${stack}`;
  if (instance === undefined) {
    return named === names || named.startsWith(`${names} for `) ? "ours" : "another";
  }
  return named === names ? "old" : "another";
}

/** Whether the role that our job logs in with is bound to our project: what has our old mark is ours then. */
export function isBoundTo(
  project: Facts["project"],
  role: Record<string, unknown> | undefined,
): boolean {
  const claims = role?.["bound_claims"] as Record<string, unknown> | null | undefined;
  const bound = claims?.["project_id"];
  return project !== undefined && [project.id, [project.id]].some((id) => isSame(id, bound));
}

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/**
 * Why this stack, which does not own the mount, must not use it; undefined where it may. A mount that no stack of
 * this program owns is its owner's matter.
 */
export function useOfMount(description: string): "not shared" | undefined {
  const isAStacks = description.startsWith(ownMountStart) && ownerNamed(description) !== undefined;
  return isAStacks && !description.startsWith(sharedMountStart) ? "not shared" : undefined;
}

/**
 * Why a stack must not take an account's record; undefined where it may. A stack whose state names another owner than
 * its config was renamed, or moved to another project of GitLab: what has its former mark is its own.
 */
export function useOfRecord(
  owner: Owner,
  record: {
    /** As the record's mark names it; undefined where it has none. */
    owner: string | undefined;
    /** As this stack's state names it. */
    formerOwner?: Owner | undefined;
    /** Whether this stack knows the record: by its policies or state. */
    isKnown: boolean;
    hasFirstPassword: boolean;
  },
): "another's" | "nobody's" | undefined {
  if (record.owner === undefined) {
    return record.isKnown || record.hasFirstPassword ? undefined : "nobody's";
  }
  const { formerOwner } = record;
  if (formerOwner !== undefined && record.owner === ownerText(formerOwner)) return undefined;
  const whose = ownershipOf(owner, `managed by ${record.owner}`);
  return whose === "ours" || (whose === "old" && record.isKnown) ? undefined : "another's";
}
