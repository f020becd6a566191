import { askGitlab, gitlabFix, maintainerFix } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { projectOf, rawProject } from "./gitlabFacts";
import type { Json } from "./gitlabFacts";
import { quote } from "../config/problems";
import type { World } from "./world";

/** Whether the rotation project can be asked about: it is there and shown. */
export async function isProjectOpen(world: World): Promise<boolean> {
  try {
    return (await projectOf(world)) !== undefined;
  } catch {
    return false;
  }
}

/** The rotation project: shown, and one whose pipelines the job's login can name; then archived or public. */
export function checkProject(world: World): Promise<Finding[]> {
  const { settings, time } = world;
  const it = about("project", "rotation project");
  return askGitlab(world, it, async () => {
    const project = await rawProject(world);
    if (project === undefined) {
      const found = `${settings.gitlabProject} is not there, or not shown to this token's user`;
      return [it.problem(found, `correct gitlabProject; ${gitlabFix(world)}`)];
    }
    const root = (await projectOf(world))?.pipelineFile ?? "";
    // Another project's file, or one at a URL, is none that an ID token names.
    if (!/^(?!.*\.\.)[\w.-][\w./-]*$/.test(root)) {
      return [
        it.problem(
          `${settings.gitlabProject} has its pipeline file at ${quote(root)}, which the job's login cannot name`,
          "choose a file of the project: Settings > CI/CD > General pipelines",
        ),
      ];
    }
    // What is wrong with a project that `up` can still write to does not stop `up`.
    return time === "in"
      ? [it.ok(String(project["path_with_namespace"]))]
      : [projectFinding(project, settings.gitlabUrl)];
  });
}

/** `project` as GitLab's API describes it: not archived, and private. */
export function projectFinding(project: Json, gitlabUrl: string): Finding {
  const it = about("project", "rotation project");
  const name = `${String(project["path_with_namespace"])} at ${gitlabUrl}`;
  if (project["archived"] === true) {
    const fix = `glab api -X POST projects/${String(project["id"])}/unarchive`;
    return it.problem(`${name} is archived: nothing runs in it`, fix);
  }
  const visibility = String(project["visibility"]);
  if (visibility === "private") return it.ok(`${name}, private`);
  return it.problem(
    `${name} is ${visibility}: it holds what gets at passwords`,
    `glab api -X PUT projects/${String(project["id"])} -f visibility=private`,
  );
}

/** Who may give a pipeline variables of his own, which win over the project's. */
export async function checkOverride(world: World): Promise<Finding[]> {
  return [overrideFinding((await rawProject(world)) ?? {})];
}

export function overrideFinding(project: Json): Finding {
  const it = about("pipeline-variables", "pipeline variables");
  const key = "ci_pipeline_variables_minimum_override_role";
  const role = project[key];
  if (typeof role !== "string") {
    return it.warning("who may set them is not shown to this token's user", maintainerFix);
  }
  const found = `may be set by ${role === "no_one_allowed" ? "no one" : role}`;
  return role === "developer"
    ? it.warning(found, `glab api -X PUT projects/${String(project["id"])} -f ${key}=maintainer`)
    : it.ok(found);
}
