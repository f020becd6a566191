import * as pulumi from "@pulumi/pulumi";
import { isOfType, resourceInputs, withVersion } from "./utilities";

const shape = {
  properties: [
    "active",
    "cron",
    "cronTimezone",
    "description",
    "inputs",
    "owner",
    "pipelineScheduleId",
    "project",
    "ref",
    "takeOwnership",
  ],
  required: ["cron", "description", "project", "ref"],
  outputsOnly: ["owner", "pipelineScheduleId"],
} as const;

/** A scheduled pipeline. Import id: `<project>:<pipelineScheduleId>`. */
export class PipelineSchedule extends pulumi.CustomResource {
  /** @internal */
  public static readonly __pulumiType = "gitlab:index/pipelineSchedule:PipelineSchedule";

  /** An existing schedule's state. */
  public static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: PipelineScheduleState,
    opts?: pulumi.CustomResourceOptions,
  ): PipelineSchedule {
    return new PipelineSchedule(name, state, { ...opts, id });
  }

  public static override isInstance(obj: unknown): obj is PipelineSchedule {
    return isOfType(obj, PipelineSchedule.__pulumiType);
  }

  /** Whether the schedule runs. */
  declare public readonly active: pulumi.Output<boolean>;
  /** The cron expression. */
  declare public readonly cron: pulumi.Output<string>;
  /** The time zone of `cron`. */
  declare public readonly cronTimezone: pulumi.Output<string>;
  /** The description of the schedule. */
  declare public readonly description: pulumi.Output<string>;
  /** Inputs of the scheduled pipeline. */
  declare public readonly inputs: pulumi.Output<PipelineScheduleInput[] | undefined>;
  /** The id of the user that owns the schedule; its pipelines run with that user's rights. */
  declare public readonly owner: pulumi.Output<number>;
  /** The schedule's id. */
  declare public readonly pipelineScheduleId: pulumi.Output<number>;
  /** The name or id of the project. */
  declare public readonly project: pulumi.Output<string>;
  /** The branch or tag as a full reference. */
  declare public readonly ref: pulumi.Output<string>;
  /** Whether an update makes the token's user the owner. */
  declare public readonly takeOwnership: pulumi.Output<boolean>;

  constructor(name: string, args: PipelineScheduleArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, state?: PipelineScheduleState, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, argsOrState?: object, opts: pulumi.CustomResourceOptions = {}) {
    super(
      PipelineSchedule.__pulumiType,
      name,
      resourceInputs(shape, argsOrState, opts),
      withVersion(opts),
    );
  }
}

export interface PipelineScheduleInput {
  name: string;
  value: string;
}

export interface PipelineScheduleArgs {
  /** Whether the schedule runs (default true). */
  active?: pulumi.Input<boolean>;
  /** The cron expression, such as `0 1 * * *`. */
  cron: pulumi.Input<string>;
  /** The time zone of `cron` (default UTC). */
  cronTimezone?: pulumi.Input<string>;
  /** The description of the schedule. */
  description: pulumi.Input<string>;
  /** Inputs of the scheduled pipeline, at most 20. */
  inputs?: pulumi.Input<pulumi.Input<PipelineScheduleInput>[]>;
  /** The name or id of the project. Changing it replaces the schedule. */
  project: pulumi.Input<string>;
  /** The branch or tag as a full reference: `refs/heads/main`, not `main`. */
  ref: pulumi.Input<string>;
  /** Make the token's user the owner before an update (default false). */
  takeOwnership?: pulumi.Input<boolean>;
}

/** State to look an existing schedule up with. */
export interface PipelineScheduleState extends Partial<PipelineScheduleArgs> {
  owner?: pulumi.Input<number>;
  pipelineScheduleId?: pulumi.Input<number>;
}
