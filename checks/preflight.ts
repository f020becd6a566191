import type { ConsumerClaim, Facts, RotationProject } from "../desired/facts";
import { UserError } from "../core/messageCode";
import { encodePath } from "../clients/vault";
import type { Finding } from "./finding";
import { claimOf, projectOf } from "./gitlabFacts";
import { groupIdsOf } from "./groups";
import { checks, gates } from "./list";
import { runChecks } from "./run";
import { sentence } from "./report";
import type { World } from "./world";

/** What the program needs to know of Vault and GitLab before it registers anything. */
export interface Readiness extends Facts {
  project: RotationProject;
  /** The mount outlives `destroy`, and a state that was lost. */
  mountExists: boolean;
  /** What does not stop the program; of a preview also what its tokens could not see. */
  warnings: string[];
}

/**
 * Looks at Vault and GitLab before anything is registered; reads only. Throws one UserError that lists every
 * problem: each resource would say it in words of its own, and half an `up` would have happened.
 */
export async function preflight(world: World): Promise<Readiness> {
  const { settings } = world;
  const findings = await runChecks(world, checks, gates);
  const [ofVault, ofGitlab] = [
    findings.filter(isOfVault),
    findings.filter((one) => !isOfVault(one)),
  ];
  const problems = [
    ...listed(
      `Vault at ${settings.vaultAddress} is not ready for stack ${settings.stack}; nothing was touched.`,
      ofVault,
    ),
    ...listed(
      `GitLab at ${settings.gitlabUrl} is not ready for stack ${settings.stack}; nothing was touched.`,
      ofGitlab,
    ),
  ];
  const project = await projectOf(world).catch(() => undefined);
  if (problems.length > 0 || project === undefined) throw new UserError(problems.join("\n"));
  const mount = await world.look(`sys/mounts/${encodePath(settings.mount)}`).catch(() => undefined);
  const claims = new Map<string, ConsumerClaim>();
  for (const consumer of settings.consumers) {
    const claim = await claimOf(world, consumer).catch(() => undefined);
    if (claim !== undefined) claims.set(consumer.name, claim);
  }
  return {
    project,
    claims,
    groupIds: await groupIdsOf(world),
    mountExists: mount !== undefined,
    warnings: warningsOf(findings),
  };
}

function isOfVault({ id }: Finding): boolean {
  return !/^(gitlab|project|branch|consumer)/.test(id);
}

function listed(head: string, findings: readonly Finding[]): string[] {
  const problems = findings.filter(({ state }) => state === "problem");
  if (problems.length === 0) return [];
  const lines = together(withoutEchoes(problems))
    .filter(isFirstOfText)
    .map((finding) => `  - ${sentence(finding)}`);
  return [head, ...lines];
}

/** What several checks met is one line. */
function isFirstOfText(one: Finding, index: number, all: readonly Finding[]): boolean {
  const textOf = (finding: Finding) => sentence({ ...finding, id: "" });
  return all.findIndex((other) => textOf(other) === textOf(one)) === index;
}

/** Rights that are missing are listed by path: that each of these paths is denied says no more. */
function withoutEchoes(problems: readonly Finding[]): readonly Finding[] {
  if (!problems.some(({ id }) => id === "vault.rights")) return problems;
  return problems.filter(({ found }) => !found.startsWith("Vault denies "));
}

/** A token without the policy is denied everything: one line says so. */
function together(problems: readonly Finding[]): readonly Finding[] {
  const isDenied = ({ found }: Finding) => found.startsWith("Vault denies ");
  const [first, ...others] = problems.filter(isDenied);
  if (first === undefined || others.length === 0) return problems;
  const found = `${first.found} (${others.length + 1} paths in all)`;
  return [{ ...first, found }, ...problems.filter((problem) => !isDenied(problem))];
}

/** What a token that only previews does not see is said in one line: a reviewer has no use for each of them. */
function warningsOf(findings: readonly Finding[]): string[] {
  const skipped = findings.filter(({ state }) => state === "skipped");
  return [
    ...findings
      .filter(({ state, id }) => state === "warning" && id !== "vault.token")
      .map(sentence),
    ...skipped.map(sentence),
  ];
}
