import type { Settings } from "../config/settings";
import { isObject } from "../net/http";
import { attempt, gitlabFix } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { gitlabOf, projectPath } from "./gitlabFacts";
import type { World } from "./world";

const rules = "Settings > Repository > Protected branches";

/** The branch that the schedule runs on. */
export function checkBranch(world: World): Promise<Finding[]> {
  const { settings, time, isPreview } = world;
  const it = about("branch", `branch ${settings.gitlabBranch}`);
  return attempt(
    it,
    async () => {
      const name = encodeURIComponent(settings.gitlabBranch);
      const branch = await gitlabOf(world)(
        `${await projectPath(world)}/repository/branches/${name}`,
      );
      // Whether the token's user may push is of no matter to who only checks.
      const writes = settings.manageProjectFiles && time !== "after" && !isPreview;
      const finding = branchFinding({ ...settings, manageProjectFiles: writes }, branch);
      // `up` itself is stopped by nothing but a branch that it cannot write to.
      const stops = time !== "in" || (writes && isObject(branch) && branch["can_push"] === false);
      return [stops ? finding : it.ok("is there, or is made by the first commit")];
    },
    ({ status, message }) => {
      if (status !== 403) return undefined;
      if (time === "in") return it.warning(message, gitlabFix(world));
      const fix = "turn the repository on: Settings > General > Visibility";
      return it.problem(`cannot be read (${status})`, fix);
    },
  );
}

/** The branch as GitLab's API describes it: there, protected, and not the developers'. */
export function branchFinding(
  { gitlabBranch, manageProjectFiles }: Pick<Settings, "gitlabBranch" | "manageProjectFiles">,
  branch: unknown,
): Finding {
  const it = about("branch", `branch ${gitlabBranch}`);
  if (!isObject(branch)) {
    return it.problem(
      "is not there, or not shown to this token's user",
      "push a first commit to it, and protect it",
    );
  }
  if (branch["protected"] !== true) {
    return it.problem("is not protected: Vault refuses the job's login", `protect it: ${rules}`);
  }
  if (manageProjectFiles && branch["can_push"] === false) {
    return it.problem(
      "is protected from this token's user too, and `up` writes two files to it",
      `allow Maintainers to push: ${rules}; or set manageProjectFiles to false`,
    );
  }
  if (branch["developers_can_push"] === true || branch["developers_can_merge"] === true) {
    return it.warning(
      "is protected, but Developers may push or merge: they can get at the passwords",
      `leave that to Maintainers: ${rules}`,
    );
  }
  return it.ok("is there, and protected");
}
