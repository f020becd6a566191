import { createRequire } from "node:module";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type * as built from "./passwordMethods";
import type { PasswordInputs, Stored } from "./passwordMethods";

/**
 * The code behind the provider, built from passwordMethods.ts. It is loaded at run time and not
 * captured: the state then holds 2 KB an account instead of 73 KB, a new version of the program never
 * runs an old one's code out of the state, and nothing has to survive serialisation but these few
 * lines. Old states keep them: the names of package, entry and methods must stay. Asked for from the
 * program's folder, where the engine starts the provider: that program is this package or depends on it.
 */
function methods(): typeof built.passwordMethods {
  const ofProgram = createRequire(join(process.cwd(), "index.js"));
  return (ofProgram("apisec-credentials/passwordProvider") as typeof built).passwordMethods;
}

/**
 * The dynamic provider: functions only. `delete` leaves account and secret alone: an account cannot
 * lose its password, and what Vault holds is the only copy.
 */
export const passwordProvider: pulumi.dynamic.ResourceProvider<PasswordInputs, Stored> = {
  configure: (request) => methods().configure(request),
  diff: (id, olds, news) => methods().diff(id, olds, news),
  create: (inputs) => methods().create(inputs),
  update: (id, olds, news) => methods().update(id, olds, news),
  read: (id, stored) => methods().read(id, stored as Stored),
  delete: async (_id, stored) => {
    // The engine shows what its provider process prints.
    // eslint-disable-next-line no-console
    console.log(
      `Account ${stored.name}: its password stays as it is, at APIsec and in Vault at ${stored.mount}/${stored.name}/password.`,
    );
  },
};

type Wrapped<T> = { [K in keyof T]: pulumi.Input<T[K]> };

/** One account's password, changed with APIsec and kept in Vault. */
export class ApisecPassword extends pulumi.dynamic.Resource {
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
    super(
      passwordProvider,
      name,
      {
        ...args,
        currentGeneration: undefined,
        recordVersion: undefined,
        changeOpen: undefined,
        recordDeleted: undefined,
      },
      opts,
      "apisec",
      "Password",
    );
  }
}
