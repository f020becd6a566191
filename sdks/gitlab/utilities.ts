import * as pulumi from "@pulumi/pulumi";
import { version } from "./package.json";

/** What the constructors of this package need to know of a resource type. */
export interface ResourceShape {
  /** Every property of the type, inputs and outputs, by name. */
  properties: readonly string[];
  required: readonly string[];
  /** Properties that only the plugin sets: they start out undefined. */
  outputsOnly: readonly string[];
}

/**
 * The property bag handed to the engine: the given state when a resource is looked up by id, else
 * the arguments.
 * @throws when a required argument is missing.
 */
export function resourceInputs(
  shape: ResourceShape,
  argsOrState: object | undefined,
  opts: pulumi.CustomResourceOptions,
): pulumi.Inputs {
  const given = (argsOrState ?? {}) as Record<string, unknown>;
  if (!opts.id && !opts.urn) {
    const missing = shape.required.find((name) => given[name] === undefined);
    if (missing !== undefined) {
      throw new Error(`Missing required property '${missing}'`);
    }
  }
  const bag: Record<string, unknown> = {};
  for (const name of shape.properties) {
    bag[name] = !opts.id && shape.outputsOnly.includes(name) ? undefined : given[name];
  }
  return bag;
}

/** Options with the plugin version this package speaks to. */
export function withVersion(opts: pulumi.CustomResourceOptions): pulumi.CustomResourceOptions {
  return pulumi.mergeOptions({ version }, opts);
}

/** Whether `obj` is a resource of this type, also one made by another copy of the package. */
export function isOfType(obj: unknown, type: string): boolean {
  return (
    obj !== undefined && obj !== null && (obj as { __pulumiType?: unknown }).__pulumiType === type
  );
}

export function invokeOptions<Options extends pulumi.InvokeOptions>(opts?: Options): Options {
  return { version, ...opts } as Options;
}
