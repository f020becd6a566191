import * as pulumi from "@pulumi/pulumi";
import type { AccountInputs } from "../desired/accounts";
import "./endWithEngine";
import { loadedProvider } from "./loaded";

/**
 * The dynamic provider: see passwordMethods.ts. Its `delete` leaves account and secret alone: an account cannot
 * lose its password, and what Vault holds is the only copy.
 */
export const passwordProvider = loadedProvider("passwordMethods");

/** One account's password, changed with APIsec and kept in Vault. Declares only the output that this program reads. */
export class ApisecPassword extends pulumi.dynamic.Resource {
  declare public readonly currentGeneration: pulumi.Output<number>;

  /**
   * @param name Resource name.
   * @param inputs See `AccountInputs`; the first password is no input, it comes from the stack config.
   * @param opts `dependsOn` everything that must be good before the first remote change.
   */
  constructor(name: string, inputs: AccountInputs, opts: pulumi.CustomResourceOptions) {
    super(
      passwordProvider,
      name,
      { ...inputs, currentGeneration: undefined },
      opts,
      "apisec",
      "Password",
    );
  }
}
