import type { Settings } from "../config/settings";
import type { GitlabReader } from "../clients/gitlab";
import { isObject } from "../net/http";
import { rotationProject, warnIfNotIncluded } from "./findInGitlab";
import type { ConsumerClaim, RotationProject } from "../desired/facts";
import { ownerOf } from "../desired/ownership";
import { policyValues } from "../desired/policyValues";
import { projectFiles } from "../desired/projectFiles";
import { asked, gitlabFix, maintainerFix } from "./attempt";
import type { Finding } from "./finding";
import { branchFinding, fileReader, projectFinding } from "./project";
import { checkSchedule } from "./schedule";
import { soonMs, span } from "./time";

export type Json = Record<string, unknown>;

/** What GitLab says, as far as Vault's roles depend on it; undefined where it did not say. */
export interface GitlabFacts {
  project?: RotationProject;
  /** The id of the schedule's owner. */
  owner?: string;
  /** By the consumer's name. */
  claims: Map<string, ConsumerClaim>;
}

/** The rotation project, its schedule, its files, and the token that asks. Reads only. */
export async function checkGitlab(
  get: GitlabReader,
  settings: Settings,
  now: number,
): Promise<{ findings: Finding[]; facts: GitlabFacts }> {
  const facts: GitlabFacts = { claims: new Map() };
  const project = await asked("rotation project", () => checkProject(get, settings, facts));
  // What else is asked would be refused in the same way.
  if (facts.project === undefined) return { findings: project, facts };
  const { id } = facts.project;
  const others = await Promise.all([
    asked("GITLAB_TOKEN", async () => [
      ownTokenFinding(await get("personal_access_tokens/self"), now),
    ]),
    asked(`branch ${settings.gitlabBranch}`, () => checkBranch(get, settings, id)),
    checkSchedule(get, settings, facts, now),
    checkFiles(get, settings, facts.project),
    ...settings.consumers.map((consumer) => checkConsumer(get, consumer, facts)),
  ]);
  return { findings: [...project, ...others.flat()], facts };
}

async function checkProject(
  get: GitlabReader,
  settings: Settings,
  facts: GitlabFacts,
): Promise<Finding[]> {
  const { gitlabProject, gitlabUrl } = settings;
  const project = await get(`projects/${encodeURIComponent(gitlabProject)}`);
  if (!isObject(project)) {
    const found = `${gitlabProject} is not there, or not shown to this token's user`;
    return [{ what: "rotation project", state: "problem", found, fix: gitlabFix }];
  }
  const { ci_config_path: path } = project;
  facts.project = rotationProject({
    id: String(project["id"]),
    webUrl: String(project["web_url"]),
    ciConfigPath: typeof path === "string" ? path : "",
  });
  return [projectFinding(project, gitlabUrl), overrideFinding(project)];
}

/** Who may give a pipeline variables of his own, which win over the project's. */
export function overrideFinding(project: Json): Finding {
  const what = "pipeline variables";
  const key = "ci_pipeline_variables_minimum_override_role";
  const role = project[key];
  const fix = `glab api -X PUT projects/${String(project["id"])} -f ${key}=maintainer`;
  if (typeof role !== "string") {
    const found = "who may set them is not shown to this token's user";
    return { what, state: "warning", found, fix: maintainerFix };
  }
  const found = `may be set by ${role === "no_one_allowed" ? "no one" : role}`;
  return role === "developer"
    ? { what, state: "warning", found, fix }
    : { what, state: "ok", found };
}

async function checkBranch(get: GitlabReader, settings: Settings, id: string): Promise<Finding[]> {
  const name = encodeURIComponent(settings.gitlabBranch);
  const branch = await get(`projects/${id}/repository/branches/${name}`);
  // Whether the token's user may push is of no matter here.
  const about = { gitlabBranch: settings.gitlabBranch, manageProjectFiles: false };
  return [branchFinding(about, branch)];
}

/** The files that `pulumi up` delivers: what this version of the program would write. */
async function checkFiles(
  get: GitlabReader,
  settings: Settings,
  project: RotationProject,
): Promise<Finding[]> {
  const { manageProjectFiles, gitlabBranch, stack } = settings;
  if (!manageProjectFiles) {
    return [{ what: "project files", state: "ok", found: "are not this stack's to deliver" }];
  }
  const accounts = policyValues(settings).publishedAccounts;
  const fix = `pulumi up --refresh --stack ${stack}`;
  const read = fileReader(get, project.id, gitlabBranch);
  return asked("project files", async () => {
    const declared = projectFiles(
      settings,
      project.pipelineFile,
      accounts,
      ownerOf(settings, { project }),
    );
    const findings = declared.map(({ path, content }) =>
      asked(`file ${path}`, async () => {
        const what = `file ${path}`;
        const text = await read(path);
        if (text === undefined) {
          return [{ what, state: "problem", found: `is not on branch ${gitlabBranch}`, fix }];
        }
        return text === content
          ? [{ what, state: "ok", found: "is as this version delivers it" }]
          : [{ what, state: "problem", found: "was edited, or is of another version", fix }];
      }),
    );
    const calls: Finding[] = [];
    if (settings.pipelineFile === "included") {
      const what = "project files";
      const fixInclude = `add the \`include\` of docs/set-ups.md, "A project with a pipeline of its own"`;
      await warnIfNotIncluded(settings, project.pipelineFile, read, (found) =>
        calls.push({ what, state: "warning", found, fix: fixInclude }),
      );
    }
    return [...(await Promise.all(findings)).flat(), ...calls];
  });
}

/** The id of a consumer's project or group, which its role is bound to. */
async function checkConsumer(
  get: GitlabReader,
  { name, project, group = "" }: Settings["consumers"][number],
  facts: GitlabFacts,
): Promise<Finding[]> {
  const what = `consumer ${name}`;
  const path = project ?? group;
  return asked(what, async () => {
    const kind = project === undefined ? "group" : "project";
    const found = await get(`${kind}s/${encodeURIComponent(path)}`);
    if (!isObject(found)) {
      const text = `${kind} ${path} is not there, or not shown to this token's user`;
      return [{ what, state: "warning", found: text, fix: gitlabFix }];
    }
    const id = String(found["id"]);
    facts.claims.set(name, project === undefined ? { namespace_id: id } : { project_id: id });
    return [{ what, state: "ok", found: `${kind} ${path}` }];
  });
}

/** The end of the token that asks: from then on this check would be blind. */
export function ownTokenFinding(token: unknown, now: number): Finding {
  const what = "GITLAB_TOKEN";
  if (!isObject(token)) {
    return { what, state: "warning", found: "does not say when it ends", fix: gitlabFix };
  }
  const { expires_at: ends } = token;
  if (typeof ends !== "string") return { what, state: "ok", found: "has no end" };
  const left = Date.parse(ends) - now;
  const found = `ends on ${ends}`;
  return left < soonMs
    ? { what, state: "warning", found: `${found}, in ${span(left)}`, fix: gitlabFix }
    : { what, state: "ok", found };
}
