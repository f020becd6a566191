import { setTimeout as sleep } from "node:timers/promises";
import { send } from "./http";
import { text, unknown, type Props, type ResourceType } from "./resource";
import { serve } from "./server";

let base = "";
let token = "";

/** One GitLab call. @returns the answer's JSON; undefined for 404. */
async function find(method: string, path: string, body?: Props): Promise<Props | undefined> {
  const url = `${base}${path}`;
  const answer = await send(method, url, { Authorization: `Bearer ${token}` }, body);
  if (answer.status === 404) {
    return undefined;
  }
  if (![200, 201, 202, 204, 304].includes(answer.status)) {
    const { message, error } = (answer.body ?? {}) as Props;
    const reason = JSON.stringify(message ?? error ?? "").slice(0, 500);
    throw new Error(`${method} ${url}: ${answer.status} ${reason}`);
  }
  return (answer.body ?? {}) as Props;
}

/** The same where 404 is an error. */
async function call(method: string, path: string, body?: Props): Promise<Props> {
  const found = await find(method, path, body);
  if (!found) {
    throw new Error(`${method} ${base}${path}: 404 Not Found`);
  }
  return found;
}

/** A path segment as the official client writes it: dots too. */
const segment = (value: unknown): string => encodeURIComponent(text(value)).replace(/\./g, "%2E");

const projectPath = (properties: Props): string => `projects/${segment(properties.project)}`;

/** The parts of an id; the last takes the colons that are left. */
function idParts(id: string, form: string): string[] {
  const count = form.split(":").length;
  const parts = id.split(":");
  if (parts.length < count) {
    throw new Error(`unexpected ID format ("${id}"). Expected ${form}`);
  }
  return [...parts.slice(0, count - 1), parts.slice(count - 1).join(":")];
}

const schedulePath = (id: string): string => {
  const [project, number] = idParts(id, "project:pipelineScheduleId");
  return `projects/${segment(project)}/pipeline_schedules/${segment(number)}`;
};

const scheduleBody = (inputs: Props): Props => ({
  description: inputs.description,
  ref: inputs.ref,
  cron: inputs.cron,
  cron_timezone: inputs.cronTimezone,
  active: inputs.active,
});

const scheduleState = (project: unknown, answer: Props): Props => ({
  project,
  description: answer.description ?? "",
  ref: answer.ref ?? "",
  cron: answer.cron ?? "",
  cronTimezone: answer.cron_timezone ?? "",
  active: answer.active ?? false,
  owner: (answer.owner as { id?: number } | null | undefined)?.id ?? 0,
  pipelineScheduleId: answer.id,
});

const pipelineSchedule: ResourceType = {
  inputs: {
    project: { required: true, replace: true },
    description: { required: true },
    ref: { required: true },
    cron: { required: true },
    cronTimezone: { default: "UTC" },
    active: { default: true },
    takeOwnership: { default: false },
  },
  outputs: ["owner", "pipelineScheduleId"],
  async plan(inputs) {
    return inputs.takeOwnership === true ? { owner: (await call("GET", "user")).id } : {};
  },
  async create(inputs) {
    const path = `${projectPath(inputs)}/pipeline_schedules`;
    const answer = await call("POST", path, scheduleBody(inputs));
    const state = { ...inputs, ...scheduleState(inputs.project, answer) };
    return { id: `${text(inputs.project)}:${text(answer.id)}`, state };
  },
  async read(id) {
    const [project] = idParts(id, "project:pipelineScheduleId");
    const answer = await find("GET", schedulePath(id));
    return answer && scheduleState(project, answer);
  },
  async update(id, _, now) {
    if (now.takeOwnership === true) {
      await call("POST", `${schedulePath(id)}/take_ownership`);
    }
    const answer = await call("PUT", schedulePath(id), scheduleBody(now));
    return { ...now, ...scheduleState(now.project, answer) };
  },
  async delete(id) {
    await call("DELETE", schedulePath(id));
  },
};

const variablePath = (id: string): string => {
  const [project, key, scope] = idParts(
    id.split(":").length === 2 ? `${id}:*` : id,
    "project:key:scope",
  );
  return `projects/${segment(project)}/variables/${segment(key)}?filter%5Benvironment_scope%5D=${encodeURIComponent(scope ?? "*")}`;
};

const variableBody = (inputs: Props): Props => ({
  value: inputs.value,
  masked: inputs.masked ?? false,
  raw: inputs.raw ?? false,
  description: inputs.description ?? "",
  environment_scope: inputs.environmentScope,
  protected: inputs.protected,
  variable_type: inputs.variableType,
});

const variableState = (answer: Props): Props => ({
  key: answer.key,
  // GitLab keeps a hidden value to itself.
  ...(answer.hidden ? {} : { value: answer.value }),
  variableType: answer.variable_type ?? "",
  protected: answer.protected ?? false,
  masked: answer.masked ?? false,
  hidden: answer.hidden ?? false,
  raw: answer.raw ?? false,
  environmentScope: answer.environment_scope ?? "*",
  description: answer.description ?? "",
});

const projectVariable: ResourceType = {
  inputs: {
    project: { required: true, replace: true },
    key: { required: true, replace: true },
    value: { required: true },
    environmentScope: { default: "*", replace: true },
    hidden: { replace: true, computed: true },
    variableType: { computed: true },
    protected: { computed: true },
    masked: { computed: true },
    raw: { computed: true },
    description: { computed: true },
  },
  outputs: [],
  async create(inputs) {
    const body = { ...variableBody(inputs), key: inputs.key };
    const hidden = inputs.hidden ? { masked: false, masked_and_hidden: true } : {};
    const answer = await call("POST", `${projectPath(inputs)}/variables`, { ...body, ...hidden });
    const { project, key, environmentScope } = inputs;
    return {
      id: [project, key, environmentScope].join(":"),
      state: { ...inputs, ...variableState(answer) },
    };
  },
  async read(id) {
    const answer = await find("GET", variablePath(id));
    return answer && { project: id.split(":")[0], ...variableState(answer) };
  },
  async update(id, _, now) {
    const answer = await call("PUT", variablePath(id), variableBody(now));
    return { ...now, ...variableState(answer) };
  },
  async delete(id) {
    await find("DELETE", variablePath(id));
  },
};

const filePath = (id: string): string => {
  const [project, , path] = idParts(id, "project:branch:repository_file_path");
  return `projects/${segment(project)}/repository/files/${segment(path)}`;
};

async function findFile(id: string): Promise<Props | undefined> {
  const [, branch] = idParts(id, "project:branch:repository_file_path");
  return find("GET", `${filePath(id)}?ref=${encodeURIComponent(branch ?? "")}`);
}

const commitBody = (inputs: Props, message: unknown): Props => ({
  branch: inputs.branch,
  author_email: inputs.authorEmail ?? "",
  author_name: inputs.authorName ?? "",
  encoding: inputs.encoding,
  content: inputs.content,
  commit_message: inputs.commitMessage ?? message,
  start_branch: inputs.startBranch,
  execute_filemode: inputs.executeFilemode,
});

let lastCommit: Promise<unknown> = Promise.resolve();

/**
 * GitLab refuses commits that cross: one at a time from here, and up to a minute of new tries when
 * somebody else's got in between.
 */
function commit<Result>(attempt: () => Promise<Result>): Promise<Result> {
  const insist = async (): Promise<Result> => {
    const deadline = Date.now() + 60_000;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const passing = (error as Error).message.includes("Please refresh and try again");
        if (!passing || Date.now() > deadline) {
          throw error;
        }
        await sleep(500);
      }
    }
  };
  const result = lastCommit.then(insist);
  lastCommit = result.catch(() => undefined);
  return result;
}

async function overwrite(id: string, inputs: Props, found: Props): Promise<void> {
  const body = commitBody(inputs, inputs.updateCommitMessage);
  await call("PUT", filePath(id), { ...body, last_commit_id: found.last_commit_id });
}

async function existingFile(id: string): Promise<Props> {
  const found = await findFile(id);
  if (!found) {
    throw new Error(`GET ${base}${filePath(id)}: 404 Not Found`);
  }
  return found;
}

const repositoryFile: ResourceType = {
  inputs: {
    project: { required: true, replace: true },
    branch: { required: true, replace: true },
    filePath: { required: true, replace: true },
    content: { required: true },
    encoding: { required: true },
    authorEmail: {},
    authorName: {},
    commitMessage: {},
    createCommitMessage: {},
    updateCommitMessage: {},
    deleteCommitMessage: {},
    startBranch: {},
    executeFilemode: {},
    overwriteOnCreate: {},
  },
  outputs: ["blobId", "commitId", "contentSha256", "fileName", "lastCommitId", "ref", "size"],
  async create(inputs) {
    const id = [inputs.project, inputs.branch, inputs.filePath].join(":");
    await commit(async () => {
      const found = inputs.overwriteOnCreate ? await findFile(id) : undefined;
      if (found) {
        await overwrite(id, inputs, found);
      } else {
        await call("POST", filePath(id), commitBody(inputs, inputs.createCommitMessage));
      }
    });
    return { id };
  },
  async read(id, state) {
    const found = await findFile(id);
    if (!found) {
      return undefined;
    }
    const isText = state.encoding === "text";
    const content = Buffer.from(text(found.content), "base64");
    return {
      project: id.split(":")[0],
      branch: found.ref,
      filePath: found.file_path,
      content: isText ? content.toString("utf8") : found.content,
      encoding: isText ? "text" : found.encoding,
      executeFilemode: found.execute_filemode,
      blobId: found.blob_id,
      commitId: found.commit_id,
      contentSha256: found.content_sha256,
      fileName: found.file_name,
      lastCommitId: found.last_commit_id,
      ref: found.ref,
      size: found.size,
    };
  },
  async update(id, _, now) {
    await commit(async () => overwrite(id, now, await existingFile(id)));
  },
  async delete(id, state) {
    const message =
      state.commitMessage === undefined
        ? text(state.deleteCommitMessage)
        : `[DELETE]: ${text(state.commitMessage)}`;
    await commit(async () => {
      const query = new URLSearchParams({
        branch: text(state.branch),
        commit_message: message,
        author_email: text(state.authorEmail),
        author_name: text(state.authorName),
        last_commit_id: text((await existingFile(id)).last_commit_id),
      });
      await call("DELETE", `${filePath(id)}?${query.toString()}`);
    });
  },
};

async function getProject(args: Props): Promise<Props> {
  const { id, pathWithNamespace, ...rest } = args;
  const [surplus] = Object.keys(rest);
  if (surplus !== undefined) {
    throw new Error(`this stand-in does not know the argument ${surplus} of getProject`);
  }
  if ((id === undefined) === (pathWithNamespace === undefined)) {
    throw new Error("exactly one of id and pathWithNamespace must be given");
  }
  const found = await call("GET", `projects/${segment(id ?? pathWithNamespace)}`);
  return {
    archived: found.archived,
    ciConfigPath: found.ci_config_path ?? "",
    defaultBranch: found.default_branch,
    description: found.description,
    httpUrlToRepo: found.http_url_to_repo,
    id: text(found.id),
    name: found.name,
    namespaceId: (found.namespace as { id: number }).id,
    path: found.path,
    pathWithNamespace: found.path_with_namespace,
    sshUrlToRepo: found.ssh_url_to_repo,
    visibility: found.visibility,
    webUrl: found.web_url,
  };
}

async function getGroup(args: Props): Promise<Props> {
  const { groupId, fullPath, ...rest } = args;
  const [surplus] = Object.keys(rest);
  if (surplus !== undefined) {
    throw new Error(`this stand-in does not know the argument ${surplus} of getGroup`);
  }
  if ((groupId === undefined) === (fullPath === undefined)) {
    throw new Error("exactly one of groupId and fullPath must be given");
  }
  const found = await call("GET", `groups/${segment(groupId ?? fullPath)}`);
  return {
    description: found.description,
    fullName: found.full_name,
    fullPath: found.full_path,
    groupId: found.id,
    id: text(found.id),
    name: found.name,
    parentId: found.parent_id ?? 0,
    path: found.path,
    visibilityLevel: found.visibility,
    webUrl: found.web_url,
  };
}

async function getRepositoryFile(args: Props): Promise<Props> {
  const { project, ref, filePath: path, ...rest } = args;
  const [surplus] = Object.keys(rest);
  if (surplus !== undefined) {
    throw new Error(`this stand-in does not know the argument ${surplus} of getRepositoryFile`);
  }
  const id = [project, ref, path].map(text).join(":");
  const found = await existingFile(id);
  return {
    id,
    project,
    blobId: found.blob_id,
    commitId: found.commit_id,
    content: found.content,
    contentSha256: found.content_sha256,
    encoding: found.encoding,
    executeFilemode: found.execute_filemode,
    fileName: found.file_name,
    filePath: found.file_path,
    lastCommitId: found.last_commit_id,
    ref: found.ref,
    size: found.size,
  };
}

serve({
  version: "10.1.1",
  config: ["token", "baseUrl", "earlyAuthCheck", "retries"],
  async configure(config) {
    token = config.token ?? process.env.GITLAB_TOKEN ?? "";
    const address = config.baseUrl ?? process.env.GITLAB_BASE_URL ?? "https://gitlab.com/api/v4/";
    if (token === "" || token === unknown || address === unknown) {
      throw new Error("Unknown GitLab Token: set gitlab:token or GITLAB_TOKEN to a known value");
    }
    base = `${address.replace(/\/*$/, "")}/`.replace(/(\/api\/v4)?\/$/, "/api/v4/");
    const check = config.earlyAuthCheck ?? process.env.GITLAB_EARLY_AUTH_CHECK ?? "true";
    if (check !== "false") {
      await call("GET", "user");
    }
  },
  types: {
    "gitlab:index/pipelineSchedule:PipelineSchedule": pipelineSchedule,
    "gitlab:index/projectVariable:ProjectVariable": projectVariable,
    "gitlab:index/repositoryFile:RepositoryFile": repositoryFile,
  },
  functions: {
    "gitlab:index/getGroup:getGroup": getGroup,
    "gitlab:index/getProject:getProject": getProject,
    "gitlab:index/getRepositoryFile:getRepositoryFile": getRepositoryFile,
  },
});
