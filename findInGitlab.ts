import * as gitlab from "@pulumi/gitlab";
import type { Consumer, Settings } from "./config";
import { runError } from "./config/runError";

/** The GitLab project that rotates. */
export interface RotationProject {
  id: string;
  /** Its address without the scheme, as GitLab's ID tokens name it. */
  uri: string;
}

/** What the program needs to know of GitLab before it begins. */
export interface GitlabFindings {
  project: RotationProject;
  /** By the consumer's name: the claim that its ID tokens carry. */
  consumers: ReadonlyMap<string, ConsumerClaim>;
}

/** By id and not by path: a path may be somebody else's one day. */
export type ConsumerClaim = { project_id: string } | { namespace_id: string };

/**
 * Looks for the projects and groups that config names by id or path. Throws one RunError that lists those
 * GitLab does not show: asked before anything is registered, since every resource that needs one would
 * say so in its own words.
 */
export async function findInGitlab(settings: Settings): Promise<GitlabFindings> {
  const { gitlabProject, gitlabUrl, stack } = settings;
  const problems: string[] = [];
  const consumers = new Map<string, ConsumerClaim>();
  const attempt = async <T>(what: string, advice: string, find: Promise<T>) => {
    try {
      return await find;
    } catch (error) {
      const reason = (error as Error).message.replace(/^.*returned an error: /s, "");
      problems.push(`${what}: ${reason}. ${advice}`);
      return undefined;
    }
  };
  const [project] = await Promise.all([
    attempt(
      `project ${gitlabProject}`,
      "Check gitlabProject and GITLAB_TOKEN (scope api, Maintainer of that project)",
      findProject(gitlabProject),
    ),
    ...settings.consumers.map(async (consumer) => {
      const { name, project: path, group } = consumer;
      const what = path === undefined ? `group ${group}` : `project ${path}`;
      const advice = `Check consumer ${name}, and that GITLAB_TOKEN's user sees it`;
      const claim = await attempt(what, advice, findClaim(consumer));
      if (claim !== undefined) consumers.set(name, claim);
    }),
  ]);
  if (project !== undefined && problems.length === 0) {
    return {
      project: { id: project.id, uri: project.webUrl.replace(/^https?:\/\//, "") },
      consumers,
    };
  }
  throw runError(
    `GitLab at ${gitlabUrl} is not ready for stack ${stack}; nothing was touched.\n` +
      problems.map((problem) => `  - ${problem}`).join("\n"),
  );
}

async function findClaim({ project, group = "" }: Consumer): Promise<ConsumerClaim> {
  if (project !== undefined) return { project_id: (await findProject(project)).id };
  const key = isId(group) ? { groupId: Number(group) } : { fullPath: group };
  return { namespace_id: String((await gitlab.getGroup(key)).groupId) };
}

function findProject(key: string): Promise<gitlab.GetProjectResult> {
  return gitlab.getProject(isId(key) ? { id: key } : { pathWithNamespace: key });
}

function isId(key: string): boolean {
  return /^\d+$/.test(key);
}
