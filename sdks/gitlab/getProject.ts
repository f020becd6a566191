import * as pulumi from "@pulumi/pulumi";
import { invokeOptions } from "./utilities";

const token = "gitlab:index/getProject:getProject";

/** An existing project, by exactly one of `id` and `pathWithNamespace`. */
export function getProject(
  args: GetProjectArgs = {},
  opts?: pulumi.InvokeOptions,
): Promise<GetProjectResult> {
  const { id, pathWithNamespace } = args;
  return pulumi.runtime.invoke(token, { id, pathWithNamespace }, invokeOptions(opts));
}

/** An existing project, by exactly one of `id` and `pathWithNamespace`. */
export function getProjectOutput(
  args: GetProjectOutputArgs = {},
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetProjectResult> {
  const { id, pathWithNamespace } = args;
  return pulumi.runtime.invokeOutput(token, { id, pathWithNamespace }, invokeOptions(opts));
}

export interface GetProjectArgs {
  /** The project's id, digits only. */
  id?: string;
  /** The project's full path, such as `group/project`. */
  pathWithNamespace?: string;
}

export interface GetProjectOutputArgs {
  /** The project's id, digits only. */
  id?: pulumi.Input<string | undefined>;
  /** The project's full path, such as `group/project`. */
  pathWithNamespace?: pulumi.Input<string | undefined>;
}

export interface GetProjectResult {
  readonly archived: boolean;
  /** Where the pipeline file is; empty = `.gitlab-ci.yml`. */
  readonly ciConfigPath: string;
  readonly defaultBranch: string;
  readonly description: string;
  readonly httpUrlToRepo: string;
  readonly id: string;
  readonly name: string;
  readonly namespaceId: number;
  readonly path: string;
  readonly pathWithNamespace: string;
  readonly sshUrlToRepo: string;
  readonly visibility: string;
  readonly webUrl: string;
}
