import * as pulumi from "@pulumi/pulumi";
import { isOfType, resourceInputs, withVersion } from "./utilities";

const shape = {
  properties: [
    "description",
    "environmentScope",
    "hidden",
    "key",
    "masked",
    "project",
    "protected",
    "raw",
    "value",
    "variableType",
  ],
  required: ["key", "project", "value"],
  outputsOnly: [],
} as const;

/** A CI/CD variable of a project. Import id: `<project>:<key>:<environmentScope>`. */
export class ProjectVariable extends pulumi.CustomResource {
  /** @internal */
  public static readonly __pulumiType = "gitlab:index/projectVariable:ProjectVariable";

  /** An existing variable's state. */
  public static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: ProjectVariableState,
    opts?: pulumi.CustomResourceOptions,
  ): ProjectVariable {
    return new ProjectVariable(name, state, { ...opts, id });
  }

  public static override isInstance(obj: unknown): obj is ProjectVariable {
    return isOfType(obj, ProjectVariable.__pulumiType);
  }

  /** The description of the variable. */
  declare public readonly description: pulumi.Output<string>;
  /** The environments that get the variable. */
  declare public readonly environmentScope: pulumi.Output<string>;
  /** Whether the value is hidden in the user interface. */
  declare public readonly hidden: pulumi.Output<boolean>;
  /** The name of the variable. */
  declare public readonly key: pulumi.Output<string>;
  /** Whether the value is masked in job logs. */
  declare public readonly masked: pulumi.Output<boolean>;
  /** The name or id of the project. */
  declare public readonly project: pulumi.Output<string>;
  /** Whether only pipelines on protected refs get the variable. */
  declare public readonly protected: pulumi.Output<boolean>;
  /** Whether variables in the value are left unexpanded. */
  declare public readonly raw: pulumi.Output<boolean>;
  /** The value. Not a secret by itself: wrap a secret one in `pulumi.secret`. */
  declare public readonly value: pulumi.Output<string>;
  /** `env_var` or `file`. */
  declare public readonly variableType: pulumi.Output<string>;

  constructor(name: string, args: ProjectVariableArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, state?: ProjectVariableState, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, argsOrState?: object, opts: pulumi.CustomResourceOptions = {}) {
    super(
      ProjectVariable.__pulumiType,
      name,
      resourceInputs(shape, argsOrState, opts),
      withVersion(opts),
    );
  }
}

export interface ProjectVariableArgs {
  /** The description of the variable. */
  description?: pulumi.Input<string>;
  /** The environments that get the variable (default `*`). Changing it replaces the variable. */
  environmentScope?: pulumi.Input<string>;
  /** Hide the value in the user interface. Changing it replaces the variable. */
  hidden?: pulumi.Input<boolean>;
  /** The name of the variable. Changing it replaces the variable. */
  key: pulumi.Input<string>;
  /** Mask the value in job logs. */
  masked?: pulumi.Input<boolean>;
  /** The name or id of the project. Changing it replaces the variable. */
  project: pulumi.Input<string>;
  /** Give the variable to pipelines on protected refs only. */
  protected?: pulumi.Input<boolean>;
  /** Leave variables in the value unexpanded. */
  raw?: pulumi.Input<boolean>;
  /** The value. Not a secret by itself: wrap a secret one in `pulumi.secret`. */
  value: pulumi.Input<string>;
  /** `env_var` (default) or `file`. */
  variableType?: pulumi.Input<string>;
}

/** State to look an existing variable up with. */
export type ProjectVariableState = Partial<ProjectVariableArgs>;
