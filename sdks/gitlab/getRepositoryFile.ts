import * as pulumi from "@pulumi/pulumi";
import { invokeOptions } from "./utilities";

const token = "gitlab:index/getRepositoryFile:getRepositoryFile";

/** A file of a project's repository. Fails with "404 Not Found" where there is none. */
export function getRepositoryFile(
  args: GetRepositoryFileArgs,
  opts?: pulumi.InvokeOptions,
): Promise<GetRepositoryFileResult> {
  const { filePath, project, ref } = args;
  return pulumi.runtime.invoke(token, { filePath, project, ref }, invokeOptions(opts));
}

export interface GetRepositoryFileArgs {
  /** The path from the root of the repository. */
  filePath: string;
  /** The name or id of the project. */
  project: string;
  /** The branch, tag or commit. */
  ref: string;
}

export interface GetRepositoryFileResult {
  readonly blobId: string;
  readonly commitId: string;
  /** Encoded as `encoding` says. */
  readonly content: string;
  readonly contentSha256: string;
  readonly encoding: string;
  readonly executeFilemode: boolean;
  readonly fileName: string;
  readonly filePath: string;
  readonly id: string;
  readonly lastCommitId: string;
  readonly project: string;
  readonly ref: string;
  readonly size: number;
}
