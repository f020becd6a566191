/** Which variables a job gets: project, schedule and pipeline ones, and GitLab's predefined. */
import { fullPath, namespaceOf, wildcard } from "./access";
import { lineOf } from "./groups";
import type { App } from "./app";
import type { Variables } from "./ciRules";
import type { Commit } from "./repository";
import type { Pipeline, Project, ProjectVariable, Schedule, User, Variable } from "./store";

const slug = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");

/** The variables a project inherits: the instance's, then those of each group above it, the outermost first. */
export const inheritedVariables = (app: App, project: Project): ProjectVariable[][] => [
  app.state.variables,
  ...lineOf(app, namespaceOf(app, project)).map(({ variables }) => variables),
];

/**
 * The inherited variables for a ref and an environment, then the project's, the schedule's and the pipeline's: a later
 * one overrides an earlier one of the same key, whatever their scopes; at one level the longest scope that matches wins.
 */
export function selectVariables(
  project: Project,
  options: {
    protectedRef: boolean;
    environment: string | undefined;
    schedule: Schedule | undefined;
    own: Variable[];
    inherited?: ProjectVariable[][];
  },
): (Variable & Partial<ProjectVariable>)[] {
  const { protectedRef, environment, schedule, own, inherited = [] } = options;
  const chosen = new Map<string, Variable>();
  const scoped = [...inherited, project.variables].flatMap((level) =>
    level
      .filter((variable) => protectedRef || !variable.protected)
      .filter(({ environment_scope: scope }) =>
        environment === undefined ? scope === "*" : wildcard(scope, environment),
      )
      .sort((a, b) => specificity(a, environment) - specificity(b, environment)),
  );
  for (const variable of [...scoped, ...(schedule?.variables ?? []), ...own]) {
    chosen.set(variable.key, variable);
  }
  return [...chosen.values()];
}

const specificity = ({ environment_scope: scope }: ProjectVariable, environment?: string) =>
  scope === environment ? Infinity : scope.length;

/** Predefined variables that are known when the pipeline is created. */
export function pipelineVariables(
  app: App,
  project: Project,
  pipeline: Pick<Pipeline, "ref" | "ref_type" | "protected" | "sha" | "source">,
  user: User,
  commit: Commit | undefined,
  schedule: Schedule | undefined,
): Variables {
  const path = fullPath(app, project);
  const server = new URL(app.url);
  const tag = pipeline.ref_type === "tag";
  const defaultPort = server.protocol === "https:" ? "443" : "80";
  return {
    CI: "true",
    GITLAB_CI: "true",
    CI_SERVER: "yes",
    CI_SERVER_NAME: "GitLab",
    CI_SERVER_URL: app.url,
    CI_SERVER_HOST: server.hostname,
    CI_SERVER_PORT: server.port || defaultPort,
    CI_SERVER_PROTOCOL: server.protocol.slice(0, -1),
    CI_SERVER_FQDN: server.host,
    CI_SERVER_VERSION: "19.1.0-ee",
    CI_API_V4_URL: `${app.url}/api/v4`,
    CI_PIPELINE_SOURCE: pipeline.source,
    ...(schedule && { CI_PIPELINE_SCHEDULE_DESCRIPTION: schedule.description }),
    CI_PROJECT_ID: String(project.id),
    CI_PROJECT_NAME: project.path,
    CI_PROJECT_TITLE: project.name,
    CI_PROJECT_NAMESPACE: namespaceOf(app, project).full_path,
    CI_PROJECT_PATH: path,
    CI_PROJECT_PATH_SLUG: slug(path),
    CI_PROJECT_URL: `${app.url}/${path}`,
    CI_PROJECT_VISIBILITY: project.visibility,
    CI_DEFAULT_BRANCH: project.default_branch,
    CI_CONFIG_PATH: configPath(project),
    CI_COMMIT_SHA: pipeline.sha,
    CI_COMMIT_SHORT_SHA: pipeline.sha.slice(0, 8),
    CI_COMMIT_BEFORE_SHA: "0".repeat(40),
    CI_COMMIT_REF_NAME: pipeline.ref,
    CI_COMMIT_REF_SLUG: slug(pipeline.ref),
    CI_COMMIT_REF_PROTECTED: String(pipeline.protected),
    [tag ? "CI_COMMIT_TAG" : "CI_COMMIT_BRANCH"]: pipeline.ref,
    CI_COMMIT_MESSAGE: commit?.message ?? "",
    CI_COMMIT_TITLE: commit?.message.split("\n")[0] ?? "",
    CI_COMMIT_TIMESTAMP: commit?.committed_date ?? "",
    CI_COMMIT_AUTHOR: commit ? `${commit.author_name} <${commit.author_email}>` : "",
    GITLAB_USER_ID: String(user.id),
    GITLAB_USER_LOGIN: user.username,
    GITLAB_USER_NAME: user.name,
    GITLAB_USER_EMAIL: user.email,
  };
}

export const configPath = (project: Project): string =>
  (project.settings["ci_config_path"] as string | undefined) || ".gitlab-ci.yml";

/** GitLab's guess at an environment's tier by its name. */
export function tierOf(name: string): string {
  const guesses: [RegExp, string][] = [
    [/dev|review|trunk/i, "development"],
    [/test|tst|int|ac(ce|)pt|qa|qc|control|quality/i, "testing"],
    [/st(a|)g|mod(e|)l|pre|demo|non/i, "staging"],
    [/pr(o|)d|live/i, "production"],
  ];
  return guesses.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
}
