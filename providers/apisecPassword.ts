import * as pulumi from "@pulumi/pulumi";
import { code } from "./code";
import "./endWithEngine";
import type { PasswordInputs, Stored } from "./passwordMethods";

// As a value of this file it is captured without the module that it comes from: less text in the state.
const load = code;

/**
 * The dynamic provider: functions only. `delete` leaves account and secret alone: an account cannot
 * lose its password, and what Vault holds is the only copy.
 */
export const passwordProvider: pulumi.dynamic.ResourceProvider<PasswordInputs, Stored> = {
  configure: (request) => load().passwordMethods.configure(request),
  diff: (id, olds, news) => load().passwordMethods.diff(id, olds, news),
  create: (inputs) => load().passwordMethods.create(inputs),
  update: (id, olds, news) => load().passwordMethods.update(id, olds, news),
  read: (id, stored) => load().passwordMethods.read(id, stored as Stored),
  delete: (id, stored) => load().passwordMethods.delete(id, stored),
};

type Wrapped<T> = { [K in keyof T]: pulumi.Input<T[K]> };

/** One account's password, changed with APIsec and kept in Vault. */
export class ApisecPassword extends pulumi.dynamic.Resource {
  declare public readonly currentGeneration: pulumi.Output<number>;
  declare public readonly recordVersion: pulumi.Output<number>;
  declare public readonly changeOpen: pulumi.Output<boolean>;
  declare public readonly recordDeleted: pulumi.Output<boolean>;
  declare public readonly tokenStale: pulumi.Output<boolean>;

  /**
   * @param name Resource name.
   * @param args See `PasswordInputs`; the first password is no input, it comes from the stack config.
   * @param opts `dependsOn` everything that must be good before the first remote change.
   */
  constructor(name: string, args: Wrapped<PasswordInputs>, opts: pulumi.CustomResourceOptions) {
    super(
      passwordProvider,
      name,
      {
        ...args,
        currentGeneration: undefined,
        recordVersion: undefined,
        changeOpen: undefined,
        recordDeleted: undefined,
        tokenStale: undefined,
      },
      opts,
      "apisec",
      "Password",
    );
  }
}
