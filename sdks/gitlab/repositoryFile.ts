import * as pulumi from "@pulumi/pulumi";
import { isOfType, resourceInputs, withVersion } from "./utilities";

const outputsOnly = [
  "blobId",
  "commitId",
  "contentSha256",
  "fileName",
  "lastCommitId",
  "ref",
  "size",
] as const;

const shape = {
  properties: [
    ...outputsOnly,
    "authorEmail",
    "authorName",
    "branch",
    "commitMessage",
    "content",
    "createCommitMessage",
    "deleteCommitMessage",
    "encoding",
    "executeFilemode",
    "filePath",
    "overwriteOnCreate",
    "project",
    "startBranch",
    "updateCommitMessage",
  ],
  required: ["branch", "content", "encoding", "filePath", "project"],
  outputsOnly,
} as const;

/** A file in a project's repository. Import id: `<project>:<branch>:<filePath>`. */
export class RepositoryFile extends pulumi.CustomResource {
  /** @internal */
  public static readonly __pulumiType = "gitlab:index/repositoryFile:RepositoryFile";

  /** An existing file's state. */
  public static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: RepositoryFileState,
    opts?: pulumi.CustomResourceOptions,
  ): RepositoryFile {
    return new RepositoryFile(name, state, { ...opts, id });
  }

  public static override isInstance(obj: unknown): obj is RepositoryFile {
    return isOfType(obj, RepositoryFile.__pulumiType);
  }

  /** E-mail address of the commit's author. */
  declare public readonly authorEmail: pulumi.Output<string | undefined>;
  /** Name of the commit's author. */
  declare public readonly authorName: pulumi.Output<string | undefined>;
  /** The blob's id. */
  declare public readonly blobId: pulumi.Output<string>;
  /** The branch committed to. */
  declare public readonly branch: pulumi.Output<string>;
  /** The id of the branch's newest commit. */
  declare public readonly commitId: pulumi.Output<string>;
  /** The commit message. */
  declare public readonly commitMessage: pulumi.Output<string | undefined>;
  /** The content, encoded as `encoding` says. */
  declare public readonly content: pulumi.Output<string>;
  /** SHA-256 of the content. */
  declare public readonly contentSha256: pulumi.Output<string>;
  /** The commit message of the creation. */
  declare public readonly createCommitMessage: pulumi.Output<string | undefined>;
  /** The commit message of the deletion. */
  declare public readonly deleteCommitMessage: pulumi.Output<string | undefined>;
  /** `base64` or `text`. */
  declare public readonly encoding: pulumi.Output<string>;
  /** Whether the file is executable. */
  declare public readonly executeFilemode: pulumi.Output<boolean | undefined>;
  /** The last part of the path. */
  declare public readonly fileName: pulumi.Output<string>;
  /** The path from the root of the repository, without a leading slash. */
  declare public readonly filePath: pulumi.Output<string>;
  /** The id of the newest commit that changed the file. */
  declare public readonly lastCommitId: pulumi.Output<string>;
  /** Whether an existing file was overwritten on creation. */
  declare public readonly overwriteOnCreate: pulumi.Output<boolean | undefined>;
  /** The name or id of the project. */
  declare public readonly project: pulumi.Output<string>;
  /** The branch, tag or commit read. */
  declare public readonly ref: pulumi.Output<string>;
  /** Size in bytes. */
  declare public readonly size: pulumi.Output<number>;
  /** The branch that the commit started from. */
  declare public readonly startBranch: pulumi.Output<string | undefined>;
  /** The commit message of an update. */
  declare public readonly updateCommitMessage: pulumi.Output<string | undefined>;

  constructor(name: string, args: RepositoryFileArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, state?: RepositoryFileState, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, argsOrState?: object, opts: pulumi.CustomResourceOptions = {}) {
    super(
      RepositoryFile.__pulumiType,
      name,
      resourceInputs(shape, argsOrState, opts),
      withVersion(opts),
    );
  }
}

export interface RepositoryFileArgs {
  /** E-mail address of the commit's author (default: the token's user). */
  authorEmail?: pulumi.Input<string>;
  /** Name of the commit's author (default: the token's user). */
  authorName?: pulumi.Input<string>;
  /** The branch to commit to. Changing it replaces the file. */
  branch: pulumi.Input<string>;
  /** The commit message; not together with the three particular ones. */
  commitMessage?: pulumi.Input<string>;
  /** The content, encoded as `encoding` says. */
  content: pulumi.Input<string>;
  /** The commit message of the creation. */
  createCommitMessage?: pulumi.Input<string>;
  /** The commit message of the deletion. */
  deleteCommitMessage?: pulumi.Input<string>;
  /** `base64` or `text`. */
  encoding: pulumi.Input<string>;
  /** Make the file executable. */
  executeFilemode?: pulumi.Input<boolean>;
  /** The path from the root of the repository. Changing it replaces the file. */
  filePath: pulumi.Input<string>;
  /** Overwrite a file that exists already when creating (default false). */
  overwriteOnCreate?: pulumi.Input<boolean>;
  /** The name or id of the project. Changing it replaces the file. */
  project: pulumi.Input<string>;
  /** The branch to start the commit from. */
  startBranch?: pulumi.Input<string>;
  /** The commit message of an update. */
  updateCommitMessage?: pulumi.Input<string>;
}

/** State to look an existing file up with. */
export interface RepositoryFileState extends Partial<RepositoryFileArgs> {
  blobId?: pulumi.Input<string>;
  commitId?: pulumi.Input<string>;
  contentSha256?: pulumi.Input<string>;
  fileName?: pulumi.Input<string>;
  lastCommitId?: pulumi.Input<string>;
  ref?: pulumi.Input<string>;
  size?: pulumi.Input<number>;
}
