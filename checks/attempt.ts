import type { VaultError } from "../clients/vault";
import type { About, Finding } from "./finding";
import type { World } from "./world";

type Failure = Error & Partial<VaultError> & { status?: number };

/**
 * The findings of a check. An error of Vault or GitLab is one, too: nothing is known then, and nothing passes for
 * well unseen. `judge` says what the error means, where that is more than a problem without a fix.
 */
export async function attempt(
  it: About,
  check: () => Promise<Finding[]>,
  judge: (error: Failure) => Finding | undefined,
): Promise<Finding[]> {
  try {
    return await check();
  } catch (error) {
    return [judge(error as Failure) ?? it.problem((error as Error).message)];
  }
}

/** `attempt` for Vault: what a token may not see in a preview is no problem, elsewhere a policy is to be written. */
export function askVault(
  world: World,
  it: About,
  check: () => Promise<Finding[]>,
): Promise<Finding[]> {
  return attempt(it, check, ({ problem, isTokenUnknown, message }) => {
    if (problem !== "denied") return undefined;
    if (isTokenUnknown) return it.problem(message, "vault login");
    if (world.time === "in" && world.isPreview) return it.skipped(`not checked yet: ${message}`);
    return it.problem(message, policyFix(world));
  });
}

/** How the policy is written that lets the caller's token do what it is for. */
export function policyFix({ time, isPreview, settings, print }: World): string {
  const { policyPrefix, stack } = settings;
  const name = time === "after" ? "monitor" : isPreview ? "preview" : "deployer";
  const text = print.own("policy", { of: name, isPiped: true });
  return `${text} | vault policy write ${policyPrefix}-${stack}-${name} -`;
}

/** What a token of GitLab needs, by who asks. */
export function gitlabFix({ time, isPreview }: World): string {
  return time === "after" || isPreview
    ? "export GITLAB_TOKEN=…   (scope read_api, of a user who sees the project)"
    : "export GITLAB_TOKEN=…   (scope api, of a Maintainer of the rotation project)";
}

/** Where GitLab shows something to Maintainers only. */
export const maintainerFix = "export GITLAB_TOKEN=…   (scope read_api, of a Maintainer)";

/** `attempt` for GitLab; what `check`'s token may not see is not known, and by that a warning. */
export function askGitlab(
  world: World,
  it: About,
  check: () => Promise<Finding[]>,
): Promise<Finding[]> {
  return attempt(it, check, ({ status, message }) => {
    if (status === 401) return it.problem(message, gitlabFix(world));
    if (status !== 403) return undefined;
    if (world.time === "in" && world.isPreview) return it.skipped(`not checked yet: ${message}`);
    return world.time === "after"
      ? it.warning(message, gitlabFix(world))
      : it.problem(message, gitlabFix(world));
  });
}
