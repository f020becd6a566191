import * as pulumi from "@pulumi/pulumi";
import type { PasswordInputs } from "./passwordMethods";

/**
 * The dynamic provider as the state holds it and the engine's provider process runs it: one line that
 * loads passwordMethods.ts, as built, from the program's folder. `pulumi.dynamic.Resource` would make
 * such a text out of the functions themselves: 73 KB an account, worked out anew in every preview, and
 * an old version's code would be run out of the state.
 */
export const providerText =
  'exports.handler = () => require(require("node:path").join(process.cwd(), "dist", "passwordProvider.cjs")).passwordMethods;';

type Wrapped<T> = { [K in keyof T]: pulumi.Input<T[K]> };

/** One account's password, changed with APIsec and kept in Vault. */
export class ApisecPassword extends pulumi.CustomResource {
  declare public readonly currentGeneration: pulumi.Output<number>;
  declare public readonly recordVersion: pulumi.Output<number>;
  declare public readonly changeOpen: pulumi.Output<boolean>;
  declare public readonly recordDeleted: pulumi.Output<boolean>;

  /**
   * @param name Resource name.
   * @param args See `PasswordInputs`; the first password is no input, it comes from the stack config.
   * @param opts `dependsOn` everything that must be good before the first remote change.
   */
  constructor(name: string, args: Wrapped<PasswordInputs>, opts: pulumi.CustomResourceOptions) {
    const inputs = {
      ...args,
      __provider: providerText,
      currentGeneration: undefined,
      recordVersion: undefined,
      changeOpen: undefined,
      recordDeleted: undefined,
    };
    super("pulumi-nodejs:dynamic/apisec:Password", name, inputs, opts);
  }
}
