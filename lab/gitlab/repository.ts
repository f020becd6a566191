/** Bare git repositories, through the git command line. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { App } from "./app";
import type { Project } from "./store";

export interface Ref {
  type: "branch" | "tag" | "commit";
  name: string;
  sha: string;
}

export interface Commit {
  sha: string;
  parents: string[];
  author_name: string;
  author_email: string;
  authored_date: string;
  committer_name: string;
  committer_email: string;
  committed_date: string;
  message: string;
}

export interface FileChange {
  path: string;
  /** Undefined deletes the file. */
  content?: Buffer;
  executable?: boolean;
}

export const repositoryOf = (app: App, project: Project) =>
  join(app.store.dir, "repositories", `${project.id}.git`);

const environment = {
  PATH: process.env["PATH"],
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_LITERAL_PATHSPECS: "1",
  LC_ALL: "C",
};

/** What git said, and not that it could not run. */
class GitError extends Error {}

/** Runs git in `dir`; fails with git's own message. */
export function git(
  dir: string,
  args: string[],
  options: { input?: Buffer | string; env?: Record<string, string> } = {},
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      "git",
      ["-C", dir, ...args],
      { env: { ...environment, ...options.env }, encoding: "buffer", maxBuffer: 512 * 2 ** 20 },
      (error, stdout, stderr) => {
        const said = stderr.toString().trim();
        if (typeof error?.code === "number") reject(new GitError(`git ${args[0]}: ${said}`));
        else if (error) reject(new Error(`git ${args[0]}: ${error.message}`));
        else resolve(stdout);
      },
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
  });
}

const line = async (dir: string, args: string[], options = {}) =>
  (await git(dir, args, options)).toString().trim();

/** The hash of all files of a commit, whenever and by whom it was made. */
export const treeOf = (dir: string, sha: string): Promise<string> =>
  line(dir, ["rev-parse", "--verify", `${sha}^{tree}`]);

const commitAt = (dir: string, name: string) =>
  line(dir, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`]).catch(
    (error: unknown) => {
      // Git that was not started, or was killed, says nothing about the commit.
      if (error instanceof GitError) return undefined;
      throw error;
    },
  );

export const createRepository = async (dir: string, branch: string): Promise<void> => {
  await git("/", ["init", "--quiet", "--bare", "--template=", "--initial-branch", branch, dir]);
};

/** A full or short ref name or a commit's hash. A short name that is a branch and a tag is both: `ambiguous`. */
export async function resolveRef(
  dir: string,
  name: string,
): Promise<Ref | "ambiguous" | undefined> {
  const branch = /^refs\/heads\/(.+)$/.exec(name)?.[1] ?? (name.startsWith("refs/") ? "" : name);
  const tag = /^refs\/tags\/(.+)$/.exec(name)?.[1] ?? (name.startsWith("refs/") ? "" : name);
  const [onBranch, onTag] = await Promise.all([
    branch && commitAt(dir, `refs/heads/${branch}`),
    tag && commitAt(dir, `refs/tags/${tag}`),
  ]);
  if (onBranch && onTag) return "ambiguous";
  if (onBranch) return { type: "branch", name: branch, sha: onBranch };
  if (onTag) return { type: "tag", name: tag, sha: onTag };
  if (!/^[0-9a-f]{4,40}$/.test(name) && name !== "HEAD") return undefined;
  const sha = await commitAt(dir, name);
  return sha ? { type: "commit", name, sha } : undefined;
}

/** The commit a read means; an ambiguous short name means the tag, as in git. */
export async function commitFor(dir: string, name: string): Promise<string | undefined> {
  const ref = await resolveRef(dir, name);
  return ref === "ambiguous" ? commitAt(dir, `refs/tags/${name}`) : ref?.sha;
}

export async function listRefs(dir: string, kind: "heads" | "tags"): Promise<Ref[]> {
  const format = "%(refname:strip=2)%00%(objectname)%00%(*objectname)";
  const text = await line(dir, ["for-each-ref", `--format=${format}`, `refs/${kind}`]);
  return text.split("\n").flatMap((row) => {
    const [name = "", object = "", peeled] = row.split("\0");
    if (name === "") return [];
    return [{ type: kind === "heads" ? "branch" : "tag", name, sha: peeled || object } as const];
  });
}

export async function log(dir: string, args: string[]): Promise<Commit[]> {
  const format = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x01";
  const text = (await git(dir, ["log", `--format=${format}`, ...args])).toString();
  return text.split("\x01").flatMap((row) => {
    const [sha = "", parents = "", an, ae, ad, cn, ce, cd, message = ""] = row
      .trimStart()
      .split("\0");
    if (sha === "") return [];
    return [
      {
        sha,
        parents: parents.split(" ").filter(Boolean),
        author_name: an ?? "",
        author_email: ae ?? "",
        authored_date: ad ?? "",
        committer_name: cn ?? "",
        committer_email: ce ?? "",
        committed_date: cd ?? "",
        message: message.replace(/\n$/, ""),
      },
    ];
  });
}

export async function fileAt(
  dir: string,
  sha: string,
  path: string,
): Promise<{ blob: string; executable: boolean } | undefined> {
  const row = await line(dir, ["ls-tree", "-z", sha, "--", path]).catch(() => "");
  const found = /^(\d+) blob ([0-9a-f]+)\t/.exec(row);
  return found ? { blob: found[2] ?? "", executable: found[1] === "100755" } : undefined;
}

export const readBlob = (dir: string, blob: string) => git(dir, ["cat-file", "blob", blob]);

export const lastCommit = (dir: string, sha: string, path: string) =>
  line(dir, ["log", "-1", "--format=%H", sha, "--", path]);

/** Writes one commit on top of `parent` and moves the branch, if nobody else did meanwhile. */
export async function commit(
  dir: string,
  options: {
    branch: string;
    /** The tip the branch must still have; undefined = it must not exist. */
    tip: string | undefined;
    parent: string | undefined;
    changes: FileChange[];
    message: string;
    author: { name: string; email: string };
    committer: { name: string; email: string };
    date: string;
  },
): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), "lab-gitlab-index-"));
  const env = {
    GIT_INDEX_FILE: join(scratch, "index"),
    GIT_AUTHOR_NAME: options.author.name,
    GIT_AUTHOR_EMAIL: options.author.email,
    GIT_AUTHOR_DATE: options.date,
    GIT_COMMITTER_NAME: options.committer.name,
    GIT_COMMITTER_EMAIL: options.committer.email,
    GIT_COMMITTER_DATE: options.date,
  };
  try {
    if (options.parent) await git(dir, ["read-tree", options.parent], { env });
    const rows = await Promise.all(
      options.changes.map(async ({ path, content, executable }) => {
        if (content === undefined) return `0 ${"0".repeat(40)}\t${path}\0`;
        const blob = await line(dir, ["hash-object", "-w", "--stdin"], { input: content });
        return `${executable ? "100755" : "100644"} ${blob}\t${path}\0`;
      }),
    );
    await git(dir, ["update-index", "-z", "--index-info"], { env, input: rows.join("") });
    const tree = await line(dir, ["write-tree"], { env });
    const parents = options.parent ? ["-p", options.parent] : [];
    const sha = await line(dir, ["commit-tree", tree, ...parents], { env, input: options.message });
    await updateRef(dir, `refs/heads/${options.branch}`, sha, options.tip);
    return sha;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Moves a ref from `old` (undefined: it must not exist yet). */
export const updateRef = (dir: string, ref: string, sha: string, old: string | undefined) =>
  git(dir, ["update-ref", ref, sha, old ?? "0".repeat(40)]);

export const deleteRef = (dir: string, ref: string) => git(dir, ["update-ref", "-d", ref]);

export const isRefName = (name: string) =>
  git("/", ["check-ref-format", `refs/heads/${name}`]).then(
    () => true,
    () => false,
  );

/** A working copy of one commit, whose origin is the address people would clone. */
export async function checkOut(
  dir: string,
  sha: string,
  to: string,
  origin: string,
): Promise<void> {
  await git("/", ["clone", "--quiet", "--shared", "--no-checkout", "--template=", dir, to]);
  await git(to, ["checkout", "--quiet", "--detach", sha]);
  await git(to, ["remote", "set-url", "origin", origin]);
}
