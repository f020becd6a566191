import { readFileSync } from "node:fs";
import type { Finding } from "../finding";
import { branchFinding, fileReader, projectFinding } from "../project";
import { soonMs } from "../time";
import type { Settings } from "../../config/settings";
import { gitlabReader } from "../../clients/gitlab";
import type { GitlabReader } from "../../clients/gitlab";
import { isObject, systemClock } from "../../net/http";
import type { TransportCode } from "../../net/http";
import { projectProblems } from "../findInGitlab";
import { proxyTo } from "../../net/proxy";
import { nodeSend } from "../../net/transport";
import { unreachableFix } from "./hosts";
import type { StackFile } from "./stackFile";

type Json = Record<string, unknown>;
const maintainer = 40;

/** GitLab: reachable, the token, its user's role, the branch, the schedules, and whom else config names. */
export async function examineGitlab(
  settings: Settings,
  { tokenInConfig, caFile }: StackFile["gitlab"],
  token: string | undefined,
): Promise<Finding[]> {
  const what = "GitLab token";
  const { gitlabUrl, stack } = settings;
  if (!token && tokenInConfig) {
    const found =
      "gitlab:token is a secret in config, which is not opened here: GitLab was not asked";
    return [{ what, state: "warning", found, fix: "export GITLAB_TOKEN=…" }];
  }
  if (!token) {
    const fix = "export GITLAB_TOKEN=…   (scope api, Maintainer of the rotation project)";
    return [{ what, state: "problem", found: "GITLAB_TOKEN is not set", fix }];
  }
  try {
    return await ask(callersGitlab(gitlabUrl, caFile, token), settings);
  } catch (error) {
    const { code, message } = error as { code: TransportCode; message: string };
    const fix =
      code === "tls"
        ? `pulumi config set gitlab:cacertFile <PEM file of GitLab's authority> --stack ${stack}`
        : unreachableFix(code);
    return [{ what: "GitLab", state: "problem", found: message, fix }];
  }
}

/** GitLab as the plugin reaches it: through the environment's proxy, `caFile` as stack config names it. */
export function callersGitlab(
  gitlabUrl: string,
  caFile: string | undefined,
  token: string,
): GitlabReader {
  const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
  return gitlabReader(nodeSend({ ca, proxyFor: proxyTo }), systemClock, gitlabUrl, token);
}

/** The answer whatever its status. Rejects where there is none. */
async function answer(
  get: GitlabReader,
  path: string,
): Promise<{ status: number; body?: unknown }> {
  try {
    const body = await get(path);
    return body === undefined ? { status: 404 } : { status: 200, body };
  } catch (error) {
    const { status } = error as { status?: number };
    if (status === undefined) throw error;
    return { status };
  }
}

/** The same of a GitLab that `get` reads. Rejects where it gives no answer at all. */
export async function ask(get: GitlabReader, settings: Settings): Promise<Finding[]> {
  const { gitlabUrl, gitlabProject, stack } = settings;
  const user = await answer(get, "user");
  if (user.status !== 200 || !isObject(user.body)) {
    const refused = user.status === 401 || user.status === 403;
    return [
      {
        what: refused ? "GitLab token" : "GitLab",
        state: "problem",
        found: refused
          ? `is refused by ${gitlabUrl} (${user.status}): wrong, ended, revoked, or without scope api`
          : `${gitlabUrl} answers ${user.status} to GET /api/v4/user`,
        fix: refused
          ? "export GITLAB_TOKEN=…   (scope api, Maintainer of the rotation project)"
          : `pulumi config set gitlab:baseUrl https://… --stack ${stack}`,
      },
    ];
  }
  const [token, project, consumers] = await Promise.all([
    answer(get, "personal_access_tokens/self"),
    answer(get, `projects/${encodeURIComponent(gitlabProject)}`),
    examineConsumers(get, settings),
  ]);
  return [
    { what: "GitLab", state: "ok", found: `${gitlabUrl}, as ${String(user.body["username"])}` },
    tokenFinding(token.status === 200 && isObject(token.body) ? token.body : {}, Date.now()),
    ...(project.status === 200 && isObject(project.body)
      ? await examineProject(get, settings, project.body, user.body["is_admin"] === true)
      : [noProject(settings, project.status)]),
    ...consumers,
  ];
}

/** Scopes and end of an access token, as it says itself. `now` in milliseconds since 1970. */
export function tokenFinding(token: Json, now: number): Finding {
  const what = "GitLab token";
  const { scopes, expires_at: ends } = token;
  if (!Array.isArray(scopes)) {
    const fix = "look at its scopes (api) and its end in GitLab: User settings > Access tokens";
    return { what, state: "warning", found: "is taken; it does not say its scopes and end", fix };
  }
  const found = `scopes ${scopes.join(", ")}; ${typeof ends === "string" ? `ends on ${ends}` : "does not end"}`;
  if (!scopes.includes("api")) {
    return { what, state: "problem", found, fix: "make a token with scope api" };
  }
  const isSoon = typeof ends === "string" && Date.parse(ends) - now < soonMs;
  return isSoon
    ? { what, state: "warning", found, fix: "make a new one" }
    : { what, state: "ok", found };
}

function noProject({ gitlabProject }: Settings, status: number): Finding {
  return {
    what: "rotation project",
    state: "problem",
    found: `${gitlabProject} is not shown to this user (${status})`,
    fix: "correct gitlabProject, or make the token's user a Maintainer of it",
  };
}

async function examineProject(
  get: GitlabReader,
  settings: Settings,
  project: Json,
  isAdmin: boolean,
): Promise<Finding[]> {
  const what = "rotation project";
  const path = String(project["path_with_namespace"]);
  const level = isAdmin ? maintainer : levelOf(project);
  if (level < maintainer) {
    const found = `${path}: the token's user has access level ${level}, needed ${maintainer} (Maintainer)`;
    const fix = `${String(project["web_url"])}/-/project_members: make it a Maintainer`;
    return [{ what, state: "problem", found, fix }];
  }
  const itself = projectFinding(project, settings.gitlabUrl);
  if (project["archived"] === true) return [itself];
  const place = `projects/${String(project["id"])}`;
  const [branch, schedules] = await Promise.all([
    answer(get, `${place}/repository/branches/${encodeURIComponent(settings.gitlabBranch)}`),
    answer(get, `${place}/pipeline_schedules?per_page=100`),
  ]);
  return [
    { ...itself, found: `${itself.found}; the token's user is Maintainer or more` },
    branch.status === 200 || branch.status === 404
      ? branchFinding(settings, branch.body)
      : {
          what: `branch ${settings.gitlabBranch}`,
          state: "problem",
          found: `cannot be read (${branch.status})`,
          fix: "403: turn the repository on: Settings > General > Visibility; else try again",
        },
    schedules.status === 200 && Array.isArray(schedules.body)
      ? { what: "schedules", state: "ok", found: `${schedules.body.length} in the project` }
      : {
          what: "schedules",
          state: "problem",
          found: `cannot be listed (${schedules.status})`,
          fix: "turn CI/CD on: Settings > General > Visibility > CI/CD",
        },
    ...(await examineFiles(get, settings, project)),
  ];
}

/** Files of the project that `up` would overwrite, or that keep the job from running. */
async function examineFiles(
  get: GitlabReader,
  settings: Settings,
  project: Json,
): Promise<Finding[]> {
  const what = "project files";
  const { id, ci_config_path: root } = project;
  const found: Finding[] = [];
  const problems = await projectProblems(
    settings,
    {
      id: String(id),
      uri: "",
      pipelineFile: typeof root === "string" && root !== "" ? root : ".gitlab-ci.yml",
    },
    fileReader(get, id, settings.gitlabBranch),
    (text) => found.push({ what, state: "warning", found: text }),
  );
  found.push(...problems.map((text): Finding => ({ what, state: "problem", found: text })));
  return found.length > 0
    ? found
    : [{ what, state: "ok", found: "none that is somebody else's is in the way" }];
}

function levelOf({ permissions }: Json): number {
  if (!isObject(permissions)) return 0;
  const levels = [permissions["project_access"], permissions["group_access"]]
    .filter(isObject)
    .map((access) => Number(access["access_level"]));
  return Math.max(0, ...levels);
}

/** The projects and groups whose pipelines read tokens. */
async function examineConsumers(get: GitlabReader, { consumers }: Settings): Promise<Finding[]> {
  const findings = await Promise.all(
    consumers.map(async ({ name, project, group = "" }): Promise<Finding> => {
      const path = encodeURIComponent(project ?? group);
      const { status } = await answer(
        get,
        project === undefined ? `groups/${path}` : `projects/${path}`,
      );
      const what = `consumer ${name}`;
      const it = `${project === undefined ? "group" : "project"} ${project ?? group}`;
      return status === 200
        ? { what, state: "ok", found: it }
        : {
            what,
            state: "problem",
            found: `${it} is not shown to this token's user (${status})`,
            fix: "correct the path, or make the user a member",
          };
    }),
  );
  return findings;
}
