// What `check` and `doctor` alike have to say of the rotation project.
import type { Settings } from "../config/settings";
import type { GitlabReader } from "../clients/gitlab";
import { isObject } from "../net/http";
import type { Finding } from "./finding";

/** `project` as GitLab's API describes it: not archived, and private. */
export function projectFinding(project: Record<string, unknown>, gitlabUrl: string): Finding {
  const what = "rotation project";
  const name = `${String(project["path_with_namespace"])} at ${gitlabUrl}`;
  if (project["archived"] === true) {
    const fix = `glab api -X POST projects/${String(project["id"])}/unarchive`;
    return { what, state: "problem", found: `${name} is archived: nothing runs in it`, fix };
  }
  const visibility = String(project["visibility"]);
  if (visibility === "private") return { what, state: "ok", found: `${name}, private` };
  const fix = `glab api -X PUT projects/${String(project["id"])} -f visibility=private`;
  return {
    what,
    state: "problem",
    found: `${name} is ${visibility}: it holds what gets at passwords`,
    fix,
  };
}

/** The branch that the schedule runs on: there, protected, and not the developers'. */
export function branchFinding(
  { gitlabBranch, manageProjectFiles }: Pick<Settings, "gitlabBranch" | "manageProjectFiles">,
  branch: unknown,
): Finding {
  const what = `branch ${gitlabBranch}`;
  const rules = "Settings > Repository > Protected branches";
  if (!isObject(branch)) {
    const fix = "push a first commit to it, and protect it";
    return {
      what,
      state: "problem",
      found: "is not there, or not shown to this token's user",
      fix,
    };
  }
  if (branch["protected"] !== true) {
    const found = "is not protected: Vault refuses the job's login";
    return { what, state: "problem", found, fix: `protect it: ${rules}` };
  }
  if (manageProjectFiles && branch["can_push"] === false) {
    const found = "is protected from this token's user too, and `up` writes two files to it";
    const fix = `allow Maintainers to push: ${rules}; or set manageProjectFiles to false`;
    return { what, state: "problem", found, fix };
  }
  if (branch["developers_can_push"] === true || branch["developers_can_merge"] === true) {
    const found = "is protected, but Developers may push or merge: they can get at the passwords";
    return { what, state: "warning", found, fix: `leave that to Maintainers: ${rules}` };
  }
  return { what, state: "ok", found: "is there, and protected" };
}

/** Reads the project's files on a branch: a file's text, undefined where it is not there. */
export function fileReader(
  get: GitlabReader,
  projectId: unknown,
  branch: string,
): (path: string) => Promise<string | undefined> {
  return async (path) => {
    const place = `projects/${String(projectId)}/repository/files/${encodeURIComponent(path)}`;
    const file = await get(`${place}?ref=${encodeURIComponent(branch)}`);
    if (!isObject(file)) return undefined;
    return Buffer.from(String(file["content"]), "base64").toString("utf8");
  };
}
