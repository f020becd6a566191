import * as gitlab from "@pulumi/gitlab";
import * as pulumi from "@pulumi/pulumi";
import type { Consumer, Settings } from "../config/settings";
import { quote } from "../config/problems";
import { runError } from "../config/runError";
import type { ConsumerClaim, RotationProject } from "../desired/facts";
import { ownerOf } from "../desired/ownership";
import { guardedFiles, jobFile } from "../desired/projectFiles";

/** What the program needs to know of GitLab before it begins. */
export interface GitlabFindings {
  project: RotationProject;
  /** By the consumer's name: the claim that its ID tokens carry. */
  consumers: ReadonlyMap<string, ConsumerClaim>;
}

/**
 * Looks for the projects and groups that config names by id or path, and for files of the rotation project
 * that this stack would overwrite. Throws one RunError that lists what GitLab does not show and what is
 * somebody else's: asked before anything is registered, since every resource that needs one would
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
      problems.push(`${what}: ${reasonOf(error as Error)}. ${advice}`);
      return undefined;
    }
  };
  const [project] = await Promise.all([
    attempt(
      `project ${gitlabProject}`,
      "Check gitlabProject and GITLAB_TOKEN (scope api, Maintainer of that project); where nothing answers, gitlab:baseUrl",
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
  const rotation = project && rotationProject(project);
  if (rotation !== undefined) {
    const read = (path: string) => readFile(settings, rotation, path);
    const warn = (text: string) => void pulumi.log.warn(text);
    problems.push(...(await projectProblems(settings, rotation, read, warn)));
  }
  if (rotation !== undefined && problems.length === 0) return { project: rotation, consumers };
  const refused = runError(
    `GitLab at ${gitlabUrl} is not ready for stack ${stack}; nothing was touched.\n` +
      problems.map((problem) => `  - ${problem}`).join("\n"),
  );
  // Whose things in Vault are can be said all the same.
  throw Object.assign(refused, { project: rotation });
}

/** The project of GitLab's answer. */
export function rotationProject({
  id,
  webUrl,
  ciConfigPath,
}: Pick<gitlab.GetProjectResult, "id" | "webUrl" | "ciConfigPath">): RotationProject {
  const uri = webUrl.replace(/^https?:\/\//, "");
  return { id, uri, pipelineFile: ciConfigPath || ".gitlab-ci.yml" };
}

/** The text of a file on the stack's branch of the rotation project; undefined where there is none. */
export type ReadProjectFile = (path: string) => Promise<string | undefined>;

/**
 * Why the stack's job cannot run in the rotation project, or must not be written there. `warn` is told what is no reason to stop.
 */
export async function projectProblems(
  settings: Settings,
  project: RotationProject,
  read: ReadProjectFile,
  warn: (text: string) => void,
): Promise<string[]> {
  const root = project.pipelineFile;
  const { gitlabProject, stack, manageProjectFiles } = settings;
  // Another project's file, or one at a URL, is none that an ID token names.
  if (!/^(?!.*\.\.)[\w.-][\w./-]*$/.test(root)) {
    return [
      `project ${gitlabProject} has its pipeline file at ${quote(root)}, which the job's login cannot name. Choose a file of the project (Settings > CI/CD > General pipelines)`,
    ];
  }
  if (!manageProjectFiles) return [];
  if (settings.pipelineFile === "included") await warnIfNotIncluded(settings, root, read, warn);
  const found = guardedFiles(settings, root, ownerOf(settings, { project })).map(
    async ({ path, markers }) => {
      const text = await read(path);
      const [first = ""] = text?.split(/\r?\n/, 1) ?? [];
      if (text === undefined || markers.includes(first)) return [];
      const owner = first.startsWith("# managed by ") ? ` but with ${quote(first)}` : "";
      const keep =
        path === root
          ? `Keep it and include this stack's job in it (\`pulumi config set pipelineFile included --stack ${stack}\`), share it with other stacks (\`shared\`)`
          : `Give the stack another name (\`pulumi stack rename … --stack ${stack}\`)`;
      return [
        `${path} in project ${gitlabProject} does not begin with ${quote(markers.at(-1))}${owner}: it is not stack ${stack}'s to write. ${keep}, or, if it is to be overwritten, make that its first line`,
      ];
    },
  );
  return Promise.all(found).then(
    (problems) => problems.flat(),
    (error: Error) => [`project ${gitlabProject}: ${reasonOf(error)}`],
  );
}

/** The job would never run, and nobody would be told. */
export async function warnIfNotIncluded(
  settings: Settings,
  root: string,
  read: ReadProjectFile,
  warn: (text: string) => void,
): Promise<void> {
  const text = await read(root).catch(() => undefined);
  const job = jobFile(settings.stack);
  if ([job, "apisec/*"].some((named) => text?.includes(named))) return;
  warn(
    `${root} in project ${settings.gitlabProject} does not include ${job}: the schedule rotates nothing until it does.`,
  );
}

/** A file on the stack's branch; undefined where there is none, or no branch yet. */
async function readFile(
  { gitlabBranch }: Settings,
  { id }: RotationProject,
  filePath: string,
): Promise<string | undefined> {
  try {
    const file = await gitlab.getRepositoryFile({ project: id, filePath, ref: gitlabBranch });
    return Buffer.from(file.content, "base64").toString("utf8");
  } catch (error) {
    if ((error as Error).message.includes("404 Not Found")) return undefined;
    throw error;
  }
}

/** GitLab's words without the engine's around them. */
function reasonOf(error: Error): string {
  return error.message.replace(/^.*returned an error: /s, "");
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
