/** Repository files and commits. */
import { createHash } from "node:crypto";
import { timestamp } from "./app";
import { mayUpdate, projectOf } from "./access";
import {
  check,
  created,
  fail,
  isObject,
  list,
  notFound,
  ok,
  route,
  text,
  type Params,
  type Reply,
  type Request,
} from "./http";
import { commitJson } from "./entities";
import { startPush } from "./pipelineCreation";
import { protectBranch } from "./protection";
import { checkPush } from "./pushRules";
import {
  commit,
  commitFor,
  fileAt,
  isRefName,
  lastCommit,
  listRefs,
  log,
  readBlob,
  repositoryOf,
  resolveRef,
  type FileChange,
} from "./repository";
import type { Project } from "./store";

const isPath = (path: string) =>
  path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && part !== ".git");

async function readFile(request: Request, ref: string) {
  const project = projectOf(request, "reporter");
  const dir = repositoryOf(request.app, project);
  const path = request.params["path"] ?? "";
  const sha = await commitFor(dir, ref);
  if (!sha) throw notFound("Commit");
  const file = isPath(path) ? await fileAt(dir, sha, path) : undefined;
  if (!file) throw notFound("File");
  const [content, last] = await Promise.all([readBlob(dir, file.blob), lastCommit(dir, sha, path)]);
  const data = {
    file_name: path.slice(path.lastIndexOf("/") + 1),
    file_path: path,
    size: content.length,
    encoding: "base64",
    content_sha256: createHash("sha256").update(content).digest("hex"),
    ref,
    blob_id: file.blob,
    commit_id: sha,
    last_commit_id: last,
    execute_filemode: file.executable,
  };
  const headers: Record<string, string> = {};
  for (const [key, value] of Object.entries(data)) {
    const name = key.split("_").map((word) => word.charAt(0).toUpperCase() + word.slice(1));
    headers[`X-Gitlab-${name.join("-")}`] = encodeURI(String(value));
  }
  return { data, content, headers };
}

const refOf = (request: Request) =>
  check(request.query, { ref: { type: "string", required: true, filled: true } }).ref;

const getFile = async (request: Request): Promise<Reply> => {
  const { data, content, headers } = await readFile(request, refOf(request));
  return { status: 200, body: { ...data, content: content.toString("base64") }, headers };
};

const rawFile = async (request: Request): Promise<Reply> => {
  const { content, headers } = await readFile(request, text(request.query["ref"]) ?? "HEAD");
  return { status: 200, body: content, headers: { ...headers, "Content-Type": "text/plain" } };
};

const commitFields = {
  branch: { type: "string", required: true, filled: true },
  commit_message: { type: "string", required: true, filled: true },
  start_branch: { type: "string" },
  author_email: { type: "string" },
  author_name: { type: "string" },
} as const;

const contentFields = {
  content: { type: "string", required: true },
  encoding: { type: "string", values: ["base64", "text"] },
  last_commit_id: { type: "string" },
  execute_filemode: { type: "boolean" },
} as const;

interface Action {
  action: "create" | "update" | "delete";
  path: string;
  content?: string | undefined;
  encoding?: string | undefined;
  execute_filemode?: boolean | undefined;
  last_commit_id?: string | undefined;
}

/** Commits actions to the branch the parameters name, with GitLab's checks and texts. */
async function commitActions(request: Request, project: Project, input: Params, actions: Action[]) {
  const { app, user } = request;
  const fields = check(input, commitFields);
  const { branch, start_branch: start, commit_message: message } = fields;
  const dir = repositoryOf(app, project);
  if (!user || !mayUpdate(project, user, { type: "branch", name: branch }, "push")) {
    throw fail(400, "You are not allowed to push into this branch");
  }
  const ref = await resolveRef(dir, `refs/heads/${branch}`);
  const tip = ref && ref !== "ambiguous" ? ref.sha : undefined;
  const empty = tip === undefined && (await listRefs(dir, "heads")).length === 0;
  if (tip === undefined && !start && !empty) {
    throw fail(400, "You can only create or edit files when you are on a branch");
  }
  if (tip && start && start !== branch) {
    throw fail(
      400,
      `A branch called '${branch}' already exists. Switch to that branch in order to make changes`,
    );
  }
  if (!(await isRefName(branch))) throw fail(400, "Branch name is invalid");
  const parent = tip ?? (start && !empty ? await commitFor(dir, `refs/heads/${start}`) : undefined);
  if (!parent && !empty) throw fail(400, `Invalid reference name: ${start}`);

  checkPush(app, project, branch, {
    message,
    authorEmail: fields.author_email || user.email,
    committerEmail: user.email,
    paths: actions.map(({ path }) => path),
  });
  const changes: FileChange[] = [];
  for (const action of actions) changes.push(await changeFor(dir, parent, action));
  const author = {
    name: fields.author_name || user.name,
    email: fields.author_email || user.email,
  };
  const committer = { name: user.name, email: user.email };
  const date = timestamp(app);
  const sha = await commit(dir, {
    branch,
    tip,
    parent,
    changes,
    message,
    author,
    committer,
    date,
  }).catch((error: Error) => {
    if (!error.message.startsWith("git update-ref")) throw error;
    throw fail(400, `9:Could not update refs/heads/${branch}. Please refresh and try again..`);
  });
  if (empty && branch === project.default_branch && project.protected_branches.length === 0) {
    protectBranch(app, project, branch);
  }
  startPush(app, project, user, `refs/heads/${branch}`);
  return sha;
}

async function changeFor(
  dir: string,
  parent: string | undefined,
  { action, path, content = "", encoding, execute_filemode, last_commit_id }: Action,
): Promise<FileChange> {
  if (!isPath(path)) throw fail(400, "file_path should be a valid file path", "error");
  const file = parent ? await fileAt(dir, parent, path) : undefined;
  if (action === "create" && file) throw fail(400, "A file with this name already exists");
  if (action !== "create" && !file) throw fail(400, "A file with this name doesn't exist");
  if (last_commit_id && parent && (await lastCommit(dir, parent, path)) !== last_commit_id) {
    throw fail(
      400,
      "You are attempting to update a file that has changed since you started editing it.",
    );
  }
  if (action === "delete") return { path };
  return {
    path,
    content: Buffer.from(content, encoding === "base64" ? "base64" : "utf8"),
    executable: execute_filemode ?? file?.executable ?? false,
  };
}

function changeFile(action: Action["action"]) {
  return async (request: Request): Promise<Reply> => {
    const project = projectOf(request, "developer");
    const path = request.params["path"] ?? "";
    const fields = action === "delete" ? {} : contentFields;
    const input = check(request.input, { ...fields, ...commitFields }) as Params;
    const last = check(request.input, { last_commit_id: { type: "string" } });
    await commitActions(request, project, input, [{ ...input, ...last, action, path }]);
    if (action === "delete") return { status: 204 };
    return {
      status: action === "create" ? 201 : 200,
      body: { file_path: path, branch: input["branch"] },
    };
  };
}

async function postCommit(request: Request): Promise<Reply> {
  const project = projectOf(request, "developer");
  const { actions } = check(request.input, {
    ...commitFields,
    actions: { type: "array", required: true },
  });
  const parsed = actions.map((action): Action => {
    const fields = check(isObject(action) ? action : {}, {
      ...contentFields,
      content: { type: "string" },
      action: { type: "string", required: true, values: ["create", "update", "delete"] },
      file_path: { type: "string", required: true },
    });
    return { ...fields, action: fields.action as Action["action"], path: fields.file_path };
  });
  const sha = await commitActions(request, project, request.input, parsed);
  const [made] = await log(repositoryOf(request.app, project), ["-1", sha]);
  return created(made && commitJson(request, project, made));
}

async function listCommits(request: Request): Promise<Reply> {
  const project = projectOf(request, "reporter");
  const dir = repositoryOf(request.app, project);
  const { ref_name: name = project.default_branch, path } = check(request.query, {
    ref_name: { type: "string" },
    path: { type: "string" },
  });
  const sha = await commitFor(dir, name);
  if (!sha) throw notFound("Commit");
  const commits = await log(dir, [sha, "--", ...(path ? [path] : [])]);
  return list(request, commits, (entry) => commitJson(request, project, entry));
}

const file = "projects/:id/repository/files/:path";

export const fileRoutes = [
  route(`HEAD ${file}`, async (request) => ({ ...(await getFile(request)), body: undefined }), {
    anonymous: true,
    scopes: ["read_repository"],
  }),
  route(`GET ${file}`, getFile, { anonymous: true, scopes: ["read_repository"] }),
  route(`GET ${file}/raw`, rawFile, {
    anonymous: true,
    jobToken: true,
    scopes: ["read_repository"],
  }),
  route(`POST ${file}`, changeFile("create")),
  route(`PUT ${file}`, changeFile("update")),
  route(`DELETE ${file}`, changeFile("delete")),
  route("GET projects/:id/repository/commits", listCommits, { anonymous: true }),
  route("POST projects/:id/repository/commits", postCommit),
  route(
    "GET projects/:id/repository/commits/:sha",
    async (request) => {
      const project = projectOf(request, "reporter");
      const dir = repositoryOf(request.app, project);
      const sha = await commitFor(dir, request.params["sha"] ?? "");
      const [found] = sha ? await log(dir, ["-1", sha]) : [];
      if (!found) throw notFound("Commit");
      return ok(commitJson(request, project, found));
    },
    { anonymous: true },
  ),
];
