import * as gitlab from "@pulumi/gitlab";
import type { Settings } from "../config";
import { runError } from "../config/runError";

/** The GitLab project that rotates. */
export interface RotationProject {
  id: string;
  /** Its address without the scheme, as GitLab's ID tokens name it. */
  uri: string;
}

/**
 * Looks for the project, by the id or path in config. Throws a RunError where GitLab does not show it:
 * asked before anything is registered, since every resource that needs it would say so in its own words.
 */
export async function findRotationProject(settings: Settings): Promise<RotationProject> {
  const { gitlabProject, gitlabUrl, stack } = settings;
  const key = /^\d+$/.test(gitlabProject)
    ? { id: gitlabProject }
    : { pathWithNamespace: gitlabProject };
  try {
    const { id, webUrl } = await gitlab.getProject(key);
    return { id, uri: webUrl.replace(/^https?:\/\//, "") };
  } catch (error) {
    const reason = (error as Error).message.replace(/^.*returned an error: /s, "");
    throw runError(
      `GitLab at ${gitlabUrl} is not ready for stack ${stack}; nothing was touched.\n` +
        `  - project ${gitlabProject}: ${reason}. Check gitlabProject and GITLAB_TOKEN (scope api, Maintainer of that project)`,
    );
  }
}
