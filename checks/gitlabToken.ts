import type { GitlabReader } from "../clients/gitlab";
import { isObject } from "../net/http";
import type { TransportCode } from "../net/http";
import { attempt, gitlabFix } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { rawProject } from "./gitlabFacts";
import type { Json } from "./gitlabFacts";
import { unreachableFix } from "./hosts";
import { soonMs, span } from "./time";
import type { World } from "./world";

const maintainer = 40;

/** Whether GitLab can be asked: it answers, and knows the token. */
export async function isGitlabOpen(world: World): Promise<boolean> {
  try {
    return isObject(await world.gitlab?.("user"));
  } catch {
    return false;
  }
}

/** GitLab itself and the caller's token: whose it is, what it may do, when it ends. */
export async function checkGitlab(world: World): Promise<Finding[]> {
  const { settings, gitlab, print } = world;
  const it = about("gitlab", "GitLab");
  const ofToken = about("gitlab.token", "GitLab token");
  if (gitlab === undefined) {
    return [it.problem("was not asked: GITLAB_TOKEN is not set", gitlabFix(world))];
  }
  return attempt(
    it,
    async () => {
      const user = await gitlab("user");
      if (!isObject(user)) {
        const found = `${settings.gitlabUrl} answers GET /api/v4/user as no GitLab does`;
        return [it.problem(found, print.pulumi("config set gitlab:baseUrl https://…"))];
      }
      const name = `${settings.gitlabUrl}, as ${String(user["username"])}`;
      return [it.ok(name), await tokenFinding(world, gitlab)];
    },
    ({ status, message, ...error }) => {
      if (status === 401 || status === 403) return ofToken.problem(message, gitlabFix(world));
      if (status !== undefined) return undefined;
      const { code } = error as { code?: TransportCode };
      if (code === undefined) return undefined;
      const ca = "config set gitlab:cacertFile <PEM file of GitLab's authority>";
      return it.problem(message, code === "tls" ? print.pulumi(ca) : unreachableFix(code));
    },
  );
}

async function tokenFinding(world: World, gitlab: GitlabReader): Promise<Finding> {
  // Not every kind of token may look at itself.
  const itself = await gitlab("personal_access_tokens/self").catch(() => undefined);
  return ownTokenFinding(isObject(itself) ? itself : {}, world);
}

/** Scopes and end of the token that asks, as it says itself: from its end on this program is blind. */
export function ownTokenFinding(token: Json, world: World): Finding {
  const it = about("gitlab.token", "GitLab token");
  const { scopes, expires_at: ends } = token;
  if (!Array.isArray(scopes)) {
    return it.warning("is taken; it does not say its scopes and end", gitlabFix(world));
  }
  const left = typeof ends === "string" ? Date.parse(ends) - world.now : Infinity;
  const until = typeof ends === "string" ? `ends on ${ends}, in ${span(left)}` : "does not end";
  const found = `scopes ${scopes.join(", ")}; ${until}`;
  const values = { expires_at: typeof ends === "string" ? ends : undefined };
  if (world.time !== "after" && !scopes.includes("api")) {
    const lacks = `${found}: \`up\` needs scope api`;
    return world.isPreview ? it.ok(found, values) : it.problem(lacks, gitlabFix(world), values);
  }
  return left < soonMs ? it.warning(found, gitlabFix(world), values) : it.ok(found, values);
}

/** The role of the token's user in the rotation project: what `up` does there takes a Maintainer. */
export async function checkGitlabRole(world: World): Promise<Finding[]> {
  const it = about("gitlab.role", "GitLab role");
  const { settings, isPreview, gitlab } = world;
  const [user, project] = await Promise.all([gitlab?.("user"), rawProject(world)]);
  if (project === undefined) return [it.skipped("the project is not shown to this token's user")];
  const isAdmin = isObject(user) && user["is_admin"] === true;
  const level = isAdmin ? maintainer : levelOf(project);
  const { gitlabProject: path } = settings;
  const values = { access_level: level };
  if (level >= maintainer) return [it.ok(`Maintainer or more of ${path}`, values)];
  const found = `the token's user has access level ${level} in ${path}, \`up\` needs ${maintainer} (Maintainer)`;
  const fix = `${String(project["web_url"])}/-/project_members: make it a Maintainer`;
  return [isPreview ? it.warning(found, fix, values) : it.problem(found, fix, values)];
}

function levelOf({ permissions }: Json): number {
  if (!isObject(permissions)) return 0;
  const levels = [permissions["project_access"], permissions["group_access"]]
    .filter(isObject)
    .map((access) => Number(access["access_level"]));
  return Math.max(0, ...levels);
}
