import * as pulumi from "@pulumi/pulumi";
import { invokeOptions } from "./utilities";

const token = "gitlab:index/getGroup:getGroup";

/** An existing group, by exactly one of `groupId` and `fullPath`. */
export function getGroup(
  args: GetGroupArgs = {},
  opts?: pulumi.InvokeOptions,
): Promise<GetGroupResult> {
  const { groupId, fullPath } = args;
  return pulumi.runtime.invoke(token, { groupId, fullPath }, invokeOptions(opts));
}

export interface GetGroupArgs {
  /** The group's full path, such as `company/team`. */
  fullPath?: string;
  groupId?: number;
}

export interface GetGroupResult {
  readonly description: string;
  readonly fullName: string;
  readonly fullPath: string;
  readonly groupId: number;
  readonly id: string;
  readonly name: string;
  readonly parentId: number;
  readonly path: string;
  readonly visibilityLevel: string;
  readonly webUrl: string;
}
