import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gitlabReader, gitlabWriter } from "../clients/gitlab";
import { ciphertextsOf, readYaml } from "../config/stackFiles";
import { programFolder, stackFileName } from "../desired/packageFolder";
import { reviewMarkdown } from "../desired/review";
import type { Version } from "../desired/review";
import { readEndpoint } from "../net/endpoint";
import { isObject, systemClock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, settingsIn, stackName } from "./stackSettings";
import { UserError, coded } from "../core/messageCode";

const usage = `${calledFor.own("review", { options: "--base <ref>", isPiped: true })} [--note]
  --base <ref>  the commit that this one is compared with, such as origin/main
  --note        and writes it into the merge request whose pipeline this is, as GITLAB_TOKEN (scope api): always the
                same note
What a change does, in Markdown: who gains and who loses which secret, which passwords will change, the schedule. It
compares Pulumi.yaml and the stack's file as they are here with those of <ref>; it asks no Vault and no GitLab, and needs
no passphrase: a secret counts as changed where its ciphertext is.`;

const options = {
  stack: { type: "string" },
  base: { type: "string" },
  note: { type: "boolean", default: false },
} as const;

export const review: Command = {
  summary: "what does a change do, and who gains what? for its merge request",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, { options });
    if (values.base === undefined) throw coded(`Compared with what?\nUsage: ${usage}`, "usage");
    const stack = stackName(chosenStack(values.stack));
    const text = reviewOf(stack, values.base);
    console.log(text);
    if (values.note) await writeNote(stack, text);
    return 0;
  },
};

/** A file of the program's folder as one commit has it, or as it lies here; undefined where it is not there. */
type ReadFile = (path: string) => string | undefined;

function reviewOf(stack: string, base: string): string {
  const commit = commitOf(base);
  const after = versionOf(stack, (path) => {
    const file = join(programFolder(), path);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  });
  const before = (): Version | undefined => versionOf(stack, (path) => fileAt(commit, path));
  try {
    const known = before();
    if (known === undefined && after === undefined) {
      throw coded(`Pulumi.${stack}.yaml is neither here nor in ${base}.`, "no-stack-file");
    }
    return reviewMarkdown(known, after);
  } catch (error) {
    // A change that sets a wrong configuration right has to be reviewed, too.
    if (!(error instanceof UserError)) throw error;
    const problems = error.message.split("\n").slice(1, -1).join("\n");
    return `${reviewMarkdown(undefined, after)}\n### What cannot be compared\n\nThis program does not accept the configuration in the base, so everything is shown as new:\n\n${problems}\n`;
  }
}

/** Undefined where there is no such stack. Throws a UserError where the configuration is wrong. */
function versionOf(stack: string, read: ReadFile): Version | undefined {
  const projectText = read("Pulumi.yaml");
  const stackText = projectText && read(stackFileName(projectText, stack));
  if (projectText === undefined || stackText === undefined) return undefined;
  const [projectFile, stackFile] = [readYaml(projectText), readYaml(stackText)];
  return {
    settings: settingsIn(projectFile, stackFile, stack, true),
    secrets: ciphertextsOf(String(projectFile["name"]), projectFile, stackFile),
  };
}

/** A full id, so that nothing that people name is read as an option. */
function commitOf(ref: string): string {
  const { status, stdout, stderr } = git(
    "rev-parse",
    "--verify",
    "--end-of-options",
    `${ref}^{commit}`,
  );
  if (status === 0) return stdout.trim();
  if (/not a git repository|dubious ownership/.test(stderr)) throw coded(stderr.trim(), "git");
  throw coded(
    `git knows no commit ${ref} here. Fetch it first (\`git fetch origin <branch>\`; in a CI job set GIT_DEPTH to 0).`,
    "git",
  );
}

function fileAt(commit: string, path: string): string | undefined {
  const listed = git("ls-tree", "--name-only", commit, "--", path);
  if (listed.status === 0 && listed.stdout === "") return undefined;
  const { status, stdout, stderr } = git("show", `${commit}:./${path}`);
  if (status === 0) return stdout;
  throw coded(`git cannot read ${path} of ${commit}: ${stderr.trim()}`, "git");
}

/** With the variables that git reads, and no other: tokens are none of them. */
function git(...args: string[]) {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) =>
      /^(PATH|HOME|XDG_CONFIG_HOME|GIT_.*)$/.test(name),
    ),
  );
  const found = spawnSync("git", args, {
    cwd: programFolder(),
    env: { ...env, LC_ALL: "C" },
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (found.error !== undefined) throw coded(`git cannot be run: ${found.error.message}`, "git");
  return found;
}

/** GitLab takes no longer note. */
const longestNote = 900_000;

/** Writes the review into the merge request: over the note that it wrote before, else a new one. */
async function writeNote(stack: string, text: string): Promise<void> {
  const { api, project, request, token, ca } = mergeRequest(process.env);
  const send = nodeSend({ ca, proxyFor: proxyTo });
  const read = gitlabReader(send, systemClock, api, token);
  const write = gitlabWriter(send, systemClock, api, token);
  const notes = `projects/${project}/merge_requests/${request}/notes`;
  const mark = `<!-- apisec-credentials review ${stack} -->`;
  const [me, all] = await Promise.all([read("user"), read(`${notes}?per_page=100`)]);
  if (!Array.isArray(all)) {
    throw coded(
      `GitLab shows the owner of GITLAB_TOKEN no merge request ${request} of project ${project}.`,
      "note",
    );
  }
  const own = all.find(
    (note: unknown) =>
      isObject(note) &&
      String(note["body"]).startsWith(mark) &&
      isObject(note["author"]) &&
      isObject(me) &&
      note["author"]["id"] === me["id"],
  ) as { id: number } | undefined;
  const whole = `${mark}\n${text}`;
  const body =
    whole.length <= longestNote
      ? whole
      : `${whole.slice(0, longestNote)}\n\nThe rest is in the job's artifact.`;
  if (own === undefined) await write("POST", notes, { body });
  else await write("PUT", `${notes}/${own.id}`, { body });
}

/** Where the merge request is, as GitLab tells a job of its pipeline. */
function mergeRequest(env: NodeJS.ProcessEnv) {
  const names = [
    "CI_API_V4_URL",
    "CI_MERGE_REQUEST_PROJECT_ID",
    "CI_MERGE_REQUEST_IID",
    "GITLAB_TOKEN",
  ];
  const missing = names.filter((name) => !env[name]);
  if (missing.length > 0) {
    throw coded(
      `--note needs ${missing.join(", ")}: it writes into the merge request whose pipeline runs it.`,
      "note",
    );
  }
  const endpoint = readEndpoint((env["CI_API_V4_URL"] ?? "").replace(/\/api\/v4\/?$/, ""), "path");
  if ("problem" in endpoint) {
    throw coded(
      `CI_API_V4_URL ${endpoint.problem}: GITLAB_TOKEN is sent to no such address.`,
      "note",
    );
  }
  const caFile = env["CI_SERVER_TLS_CA_FILE"];
  return {
    api: endpoint.address,
    project: encodeURIComponent(env["CI_MERGE_REQUEST_PROJECT_ID"] ?? ""),
    request: encodeURIComponent(env["CI_MERGE_REQUEST_IID"] ?? ""),
    token: env["GITLAB_TOKEN"] ?? "",
    ca: caFile !== undefined && existsSync(caFile) ? readFileSync(caFile, "utf8") : undefined,
  };
}
