import { createHash } from "node:crypto";
import { join, relative } from "node:path";
import type { Settings } from "../config/settings";
import { packageFolder, programFolder } from "./packageFolder";
import type { DesiredState } from "./state";

/** What `first-run` is told of the schedule to play, by the variable of its name. No field is a secret. */
export interface FirstRunWish {
  stack: string;
  gitlabUrl: string;
  project: string;
  schedule: number;
  waits: boolean;
  /** The certificate authorities that GitLab is checked against, as stack config names the file. */
  caFile?: string | undefined;
}

export const firstRunVariable = "APISEC_FIRST_RUN";

/** What the rotation job depends on, in short: where it changes, the job is to be proven again. */
export function jobFingerprint(
  { vault, gitlab }: Pick<DesiredState, "vault" | "gitlab">,
  { jobImage, jobTags }: Pick<Settings, "jobImage" | "jobTags">,
): string {
  const { rotator, authMount, policies } = vault;
  const parts = {
    rotator,
    authMount,
    policy: policies.rotator,
    ref: gitlab.schedule.ref,
    // A secret is in no state, not even like this.
    variables: gitlab.variables.filter(({ masked }) => !masked),
    files: gitlab.files ?? [],
    jobImage,
    jobTags,
  };
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** The command that plays it, from the program's folder: the same on every machine. */
export function firstRunCommand(): string {
  const bin = join(relative(programFolder(), packageFolder()), "cli", "bin.js");
  return `node '${bin}' first-run`;
}
