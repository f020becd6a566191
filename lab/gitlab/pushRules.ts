/** Push rules: what GitLab refuses of a commit or a branch. Premium. */
import { timestamp, type App } from "./app";
import { projectOf } from "./access";
import { check, created, fail, noContent, ok, route, type Request } from "./http";
import type { Project, PushRule } from "./store";

const fields = {
  commit_message_regex: { type: "string" },
  commit_message_negative_regex: { type: "string" },
  branch_name_regex: { type: "string" },
  author_email_regex: { type: "string" },
  file_name_regex: { type: "string" },
  member_check: { type: "boolean" },
  reject_non_dco_commits: { type: "boolean" },
} as const;

const json = (project: Project, rule: PushRule) => ({
  id: rule.id,
  project_id: project.id,
  created_at: rule.created_at,
  commit_message_regex: rule.commit_message_regex,
  commit_message_negative_regex: rule.commit_message_negative_regex,
  branch_name_regex: rule.branch_name_regex,
  author_email_regex: rule.author_email_regex,
  file_name_regex: rule.file_name_regex,
  deny_delete_tag: false,
  member_check: rule.member_check,
  prevent_secrets: false,
  max_file_size: 0,
  commit_committer_check: false,
  commit_committer_name_check: false,
  reject_unsigned_commits: false,
  reject_non_dco_commits: rule.reject_non_dco_commits,
});

function licensed(request: Request): Project {
  const project = projectOf(request, "maintainer");
  if (request.app.state.plan === "free") throw fail(404, "404 Not Found");
  return project;
}

const matches = (pattern: string, text: string) => new RegExp(pattern, "m").test(text);

/** @throws the 400 of a branch whose name the rules forbid; the default branch may have any. */
export function checkBranchName(project: Project, branch: string): void {
  const pattern = project.push_rule?.branch_name_regex;
  if (!pattern || branch === project.default_branch || matches(pattern, branch)) return;
  throw fail(400, `Branch name '${branch}' does not follow the pattern '${pattern}'`);
}

/** @throws the 400 of a commit that the project's push rules forbid. */
export function checkPush(
  app: App,
  project: Project,
  branch: string,
  commit: { message: string; authorEmail: string; committerEmail: string; paths: string[] },
): void {
  const rule = project.push_rule;
  if (!rule) return;
  checkBranchName(project, branch);
  const { message, authorEmail, committerEmail, paths } = commit;
  const refuse = (reason: string) => fail(400, reason);
  const wanted = rule.commit_message_regex;
  if (wanted && !matches(wanted, message)) {
    throw refuse(`Commit message does not follow the pattern '${wanted}'`);
  }
  const forbidden = rule.commit_message_negative_regex;
  if (forbidden && matches(forbidden, message)) {
    throw refuse(`Commit message contains the forbidden pattern '${forbidden}'`);
  }
  if (rule.reject_non_dco_commits && !/^Signed-off-by: .+ <.+>$/m.test(message)) {
    throw refuse("Commit message must contain a DCO signoff");
  }
  const email = rule.author_email_regex;
  for (const [who, address] of [
    ["Committer's email", committerEmail],
    ["Author's commit email", authorEmail],
  ] as const) {
    if (email && !matches(email, address)) {
      throw refuse(`${who} '${address}' does not follow the pattern '${email}'`);
    }
  }
  if (rule.member_check && !app.state.users.some((user) => user.email === authorEmail)) {
    throw refuse(`Author '${authorEmail}' is not a member of team`);
  }
  const names = rule.file_name_regex;
  const prohibited = names && paths.find((path) => matches(names, path));
  if (prohibited) {
    throw refuse(`File name ${prohibited} was prohibited by the pattern '${names}'.`);
  }
}

const path = "projects/:id/push_rule";

export const pushRuleRoutes = [
  // Without a rule GitLab answers 200 and `null`.
  route(`GET ${path}`, (request) => {
    const project = licensed(request);
    return ok(project.push_rule && json(project, project.push_rule));
  }),
  route(`POST ${path}`, (request) => {
    const project = licensed(request);
    const input = check(request.input, fields);
    if (project.push_rule) throw fail(422, "Project push rule exists", "error");
    project.push_rule = {
      id: request.app.store.nextId("push_rule"),
      created_at: timestamp(request.app),
      commit_message_regex: input.commit_message_regex ?? "",
      commit_message_negative_regex: input.commit_message_negative_regex ?? "",
      branch_name_regex: input.branch_name_regex ?? "",
      author_email_regex: input.author_email_regex ?? "",
      file_name_regex: input.file_name_regex ?? "",
      member_check: input.member_check ?? false,
      reject_non_dco_commits: input.reject_non_dco_commits ?? false,
    };
    return created(json(project, project.push_rule));
  }),
  route(`PUT ${path}`, (request) => {
    const project = licensed(request);
    if (!project.push_rule) throw fail(404, "404 Push Rule Not Found");
    Object.assign(project.push_rule, check(request.input, fields));
    return ok(json(project, project.push_rule));
  }),
  route(`DELETE ${path}`, (request) => {
    const project = licensed(request);
    if (!project.push_rule) throw fail(404, "404 Push Rule Not Found");
    project.push_rule = null;
    return noContent;
  }),
];
