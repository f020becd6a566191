import type { Handler } from "../handler";
import { changes, checked, inputsRead, planned } from "../lifecycle";
import { halfCreated, text, type Field, type Props } from "../resource";
import { pause } from "../waits";
import { call, find, idParts, segment } from "./connection";

const filePath = (id: string): string => {
  const [project, , path] = idParts(id, "project:branch:repository_file_path");
  return `projects/${segment(project)}/repository/files/${segment(path)}`;
};

const contentPath = (id: string): string => {
  const [, branch] = idParts(id, "project:branch:repository_file_path");
  return `${filePath(id)}?ref=${encodeURIComponent(branch ?? "")}`;
};

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
    for (let tries = 1; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        const passing = (error as Error).message.includes("Please refresh and try again");
        if (!passing || tries === 120) {
          throw error;
        }
        await pause(500);
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

/** What is there, in the form that the state has it; base64 where it says nothing. */
async function read(id: string, state: Props): Promise<Props | undefined> {
  const found = await find("GET", contentPath(id));
  if (!found) {
    return undefined;
  }
  const isText = state.encoding === "text";
  return {
    project: id.split(":")[0],
    branch: found.ref,
    filePath: found.file_path,
    content: isText ? Buffer.from(text(found.content), "base64").toString("utf8") : found.content,
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
}

async function readBack(id: string, wanted: Props): Promise<Props> {
  const real = await read(id, wanted);
  if (!real) {
    throw new Error(`expected non-nil error with nil state during Create of ${id}`);
  }
  return { ...wanted, ...real };
}

const inputs: Record<string, Field> = {
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
};
const type = { inputs };
const outputs = "id blobId commitId contentSha256 fileName lastCommitId ref size".split(" ");

const minute = 60_000_000_000;
const timeouts = {
  "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0": { create: minute, delete: minute, update: minute },
};
const meta = (more: Props = {}) => ({ __meta: JSON.stringify({ ...timeouts, ...more }) });

/** The state as an update shall leave it. */
function wantedOf(was: Props, now: Props): Props {
  const kept = Object.entries(was).filter(([key]) => !(key in inputs));
  // Computed where the program says nothing.
  const mode = was.executeFilemode === false ? { executeFilemode: false } : {};
  return { ...Object.fromEntries(kept), ...mode, ...now };
}

/** Terraform's older kind of resource: whatever fails in an update leaves the wanted values in the state. */
export const repositoryFile: Handler = {
  check: (news) => checked(type, news),
  diff: async (state, news) => changes(type, state, news),
  previewCreate: async (news) => ({ ...planned(outputs), ...news }),
  async create(news) {
    const id = [news.project, news.branch, news.filePath].join(":");
    await commit(async () => {
      const found = news.overwriteOnCreate ? await find("GET", contentPath(id)) : undefined;
      if (found) {
        await overwrite(id, news, found);
      } else {
        await call("POST", filePath(id), commitBody(news, news.createCommitMessage));
      }
    });
    const real = await readBack(id, news).catch((error: Error & { status?: number }) => {
      if (error.status === undefined) throw error;
      return halfCreated(id, { ...news, id, ...meta() })(error);
    });
    return { id, state: { ...real, id, ...meta() } };
  },
  async read(id, state, known) {
    const real = await read(id, state);
    if (!real) return undefined;
    const isImport = Object.keys(known).length === 0;
    const all = { ...(isImport ? meta({ schema_version: "0" }) : {}), ...state, ...real, id };
    const said = Object.fromEntries(Object.entries(known).filter(([key]) => !key.startsWith("__")));
    return { state: all, inputs: inputsRead(type, all, isImport ? {} : said) };
  },
  async previewUpdate(was, now) {
    return { ...wantedOf(was, now), ...meta({ _new_extra_shim: {} }) };
  },
  async update(id, was, now) {
    const wanted = { ...wantedOf(was, now), id, ...meta() };
    const write = async () => {
      await commit(async () => overwrite(id, now, await call("GET", contentPath(id))));
      const real = await readBack(id, wanted);
      const gone = was.overwriteOnCreate !== undefined && now.overwriteOnCreate === undefined;
      return { ...real, ...(gone && { overwriteOnCreate: false }) };
    };
    return write().catch(halfCreated(id, wanted));
  },
  async delete(id, state) {
    const message =
      state.commitMessage === undefined
        ? text(state.deleteCommitMessage)
        : `[DELETE]: ${text(state.commitMessage)}`;
    await commit(async () => {
      const { last_commit_id: last } = await call("GET", contentPath(id));
      const query = new URLSearchParams({
        author_email: text(state.authorEmail),
        author_name: text(state.authorName),
        branch: text(state.branch),
        commit_message: message,
        last_commit_id: text(last),
      });
      await call("DELETE", `${filePath(id)}?${query.toString()}`);
    });
  },
};
