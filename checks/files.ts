import { quote } from "../config/problems";
import { guardedFiles, jobFile, projectFiles } from "../desired/projectFiles";
import { policyValues } from "../desired/policyValues";
import { askGitlab } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { fileOf, projectOf } from "./gitlabFacts";
import { ownOwner } from "./owner";
import type { World } from "./world";

const ofFiles = about("project-files", "project files");

/** Before an `up`: no file that it would overwrite is somebody else's. */
export async function checkForeignFiles(world: World): Promise<Finding[]> {
  const { settings, print } = world;
  const project = await projectOf(world);
  if (!settings.manageProjectFiles || project === undefined) {
    return [ofFiles.ok("are not this stack's to deliver")];
  }
  const root = project.pipelineFile;
  const found = guardedFiles(settings, root, await ownOwner(world)).map(({ path, markers }) => {
    const it = about("project-file", `file ${path}`);
    return askGitlab(world, it, async () => {
      const text = await fileOf(world, path);
      const [first = ""] = text?.split(/\r?\n/, 1) ?? [];
      if (text === undefined) return [it.ok("is not there yet")];
      if (markers.includes(first)) return [it.ok("is this stack's")];
      const owner = first.startsWith("# managed by ") ? ` but with ${quote(first)}` : "";
      const keep =
        path === root
          ? `keep it and include this stack's job in it (\`${print.pulumi("config set pipelineFile included")}\`), share it with other stacks (\`shared\`)`
          : `give the stack another name (\`${print.pulumi("stack rename …")}\`)`;
      return [
        it.problem(
          `in project ${settings.gitlabProject} does not begin with ${quote(markers.at(-1))}${owner}: it is not stack ${settings.stack}'s to write`,
          `${keep}, or, if it is to be overwritten, make that its first line`,
        ),
      ];
    });
  });
  return [...(await Promise.all(found)).flat(), ...(await checkIncluded(world, root))];
}

/** The files that `pulumi up` delivers: what this version of the program would write. */
export function checkFiles(world: World): Promise<Finding[]> {
  const { settings, print } = world;
  const fix = print.pulumi("up --refresh");
  return askGitlab(world, ofFiles, async () => {
    const project = await projectOf(world);
    if (!settings.manageProjectFiles || project === undefined) {
      return [ofFiles.ok("are not this stack's to deliver")];
    }
    const root = project.pipelineFile;
    const declared = projectFiles(
      settings,
      root,
      policyValues(settings).publishedAccounts,
      await ownOwner(world),
    );
    const findings = declared.map(({ path, content }) => {
      const it = about("project-file", `file ${path}`);
      return askGitlab(world, it, async () => {
        const text = await fileOf(world, path);
        if (text === undefined) {
          return [it.problem(`is not on branch ${settings.gitlabBranch}`, fix)];
        }
        return text === content
          ? [it.ok("is as this version delivers it")]
          : [it.problem("was edited, or is of another version", fix)];
      });
    });
    return [...(await Promise.all(findings)).flat(), ...(await checkIncluded(world, root))];
  });
}

/** A job that nothing includes would never run, and nobody would be told. */
async function checkIncluded(world: World, root: string): Promise<Finding[]> {
  const { settings } = world;
  if (settings.pipelineFile !== "included") return [];
  const text = await fileOf(world, root).catch(() => undefined);
  const job = jobFile(settings.stack);
  if ([job, "apisec/*"].some((named) => text?.includes(named))) return [];
  return [
    ofFiles.warning(
      `${root} in project ${settings.gitlabProject} does not include ${job}: the schedule rotates nothing until it does`,
      'add the `include` of docs/set-ups.md, "A project with a pipeline of its own"',
    ),
  ];
}
