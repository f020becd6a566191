import type { Finding } from "./finding";

/**
 * The findings of a check. An error of Vault or GitLab is one, too: nothing is known then, and nothing passes
 * for healthy unseen. `advice` may know what to do, and may know it for no problem but a warning.
 */
export async function attempt(
  what: string,
  check: () => Promise<Finding[]>,
  advice: (error: Error & { problem?: string; status?: number }) => Partial<Finding>,
): Promise<Finding[]> {
  try {
    return await check();
  } catch (error) {
    const { message } = error as Error;
    return [{ what, state: "problem", found: message, ...advice(error as Error) }];
  }
}

export const gitlabFix = "export GITLAB_TOKEN=…   (scope read_api, of a user who sees the project)";
/** Where GitLab shows something to Maintainers only. */
export const maintainerFix = "export GITLAB_TOKEN=…   (scope read_api, of a Maintainer)";

/** `attempt` for GitLab; what the token may not see is not known, and by that a warning. */
export function asked(what: string, check: () => Promise<Finding[]>): Promise<Finding[]> {
  return attempt(what, check, ({ status }) => {
    if (status === 401) return { fix: gitlabFix };
    return status === 403 ? { state: "warning", fix: gitlabFix } : {};
  });
}
