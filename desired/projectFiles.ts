import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../config/settings";
import { formatDuration } from "../core/duration";
import { withCode } from "../core/messageCode";
import { jobSettings, needsFile, scriptSettings } from "./ciVariables";
import { commitMessage } from "./commitMessage";
import { shardsOf } from "./shards";
import { audience, ownerMark, scheduleDescription } from "./names";
import type { Owner } from "./names";
import { packageFolder } from "./packageFolder";
import { defaultImage, renderPipeline, renderRoot, sharedMarker } from "./pipelineFile";
import { timeoutMinutes } from "./roles";
import { tokenKeptSeconds } from "./tokenLife";

export interface ProjectFile {
  /** Which of the files it is. */
  kind: "script" | "accounts" | "job" | "pipeline";
  path: string;
  content: string;
  branch: string;
  commitMessage: string;
  /** The pipeline file: other stacks may need it, or somebody has made it his own since. It outlives the stack. */
  retained: boolean;
}

type FileSettings = Pick<
  Settings,
  | "project"
  | "stack"
  | "policyPrefix"
  | "mount"
  | "vaultAddress"
  | "vaultNamespace"
  | "authPath"
  | "apisecPaths"
  | "gitlabBranch"
  | "pipelineFile"
  | "jobImage"
  | "jobTags"
  | "commitMessage"
  | "cron"
  | "cronTimezone"
  | "tokenLifetime"
  | "tokenEndsInVault"
>;

/**
 * The files of the rotation project, in the order in which they are written: each stands before the one that
 * calls for it. `root`: the path of the project's pipeline file; `accounts`: those whose tokens are rotated.
 * Throws where the job has not been built.
 */
export function projectFiles(
  settings: FileSettings,
  root: string,
  accounts: readonly string[],
  owner: Owner,
): ProjectFile[] {
  const { project, stack, pipelineFile } = settings;
  const alone = pipelineFile === "own";
  const scriptPath = alone ? "rotate.mjs" : `apisec/${stack}.mjs`;
  const accountsPath = alone ? `apisec-accounts-${stack}.txt` : `apisec/${stack}.txt`;
  const job = renderPipeline({
    marker: ownerMark(owner),
    stack,
    audience: audience(settings.vaultAddress, stack),
    image: settings.jobImage ?? defaultImage,
    tags: settings.jobTags,
    minLifetime: formatDuration(tokenKeptSeconds(settings)),
    timeoutMinutes,
    shards: shardsOf(accounts.length),
    accountsFile: needsFile(accounts) ? accountsPath : undefined,
    script: scriptPath,
    ...(alone ? {} : { sharedWith: scheduleDescription(project, stack) }),
    settings: { ...jobSettings(settings), ...scriptSettings(settings) },
  });
  const file = (kind: ProjectFile["kind"], path: string, content: string): ProjectFile => ({
    kind,
    path,
    content,
    branch: settings.gitlabBranch,
    commitMessage: commitMessage(settings.commitMessage, { path, project, stack }),
    retained: kind === "pipeline",
  });
  const files = [file("script", scriptPath, readScript())];
  if (needsFile(accounts)) files.push(file("accounts", accountsPath, `${accounts.join("\n")}\n`));
  if (alone) return [...files, file("pipeline", root, job)];
  files.push(file("job", jobFile(stack), job));
  return pipelineFile === "included" ? files : [...files, file("pipeline", root, renderRoot())];
}

/** A stack's job in a project that it shares. */
export function jobFile(stack: string): string {
  return `apisec/${stack}.yml`;
}

/**
 * The files that this stack writes and that may be somebody else's, each with the first lines by which it
 * is known to be this stack's or of all stacks.
 */
export function guardedFiles(
  { pipelineFile }: Pick<Settings, "pipelineFile">,
  root: string,
  owner: Owner,
): { path: string; markers: string[] }[] {
  const { project, stack } = owner;
  // In our project the old mark is ours: no other stack of these names is there.
  const ours = [ownerMark({ project, stack }), ownerMark(owner)];
  if (pipelineFile === "own") return [{ path: root, markers: ours }];
  const job = { path: jobFile(stack), markers: ours };
  if (pipelineFile === "included") return [job];
  return [job, { path: root, markers: [sharedMarker, ...ours] }];
}

function readScript(): string {
  const path = join(packageFolder(), "dist", "rotate.mjs");
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new Error(
      withCode(
        "dist/rotate.mjs, the rotation job, has not been built: run `npm run build`.",
        "not-built",
      ),
    );
  }
}
