import { join, relative } from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../config/settings";
import { packageFolder } from "../desired/packageFolder";
import { onceEnvironment } from "../job/environment";
import type { ServiceAccount } from "./serviceAccount";

export interface FirstTokensArgs {
  settings: Pick<
    Settings,
    "vaultAddress" | "vaultNamespace" | "mount" | "apisecPaths" | "tokenEndsInVault"
  >;
  /** Accounts whose tokens are published, their passwords already in Vault. */
  accounts: readonly ServiceAccount[];
  minLifetimeSeconds: number;
}

/**
 * The first tokens after a password was changed: the job itself, run once from here with the
 * deployer's Vault token, so that readers need not wait for the schedule. Nothing runs in a preview.
 */
export class FirstTokens extends pulumi.ComponentResource {
  constructor(name: string, args: FirstTokensArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:FirstTokens", name, {}, opts);
    const { settings, accounts } = args;
    new command.local.Command(
      name,
      {
        create: `sh ${onceScript()}`,
        dir: ".",
        stdin: `${accounts.map((account) => account.accountName).join("\n")}\n`,
        environment: onceEnvironment(settings, args.minLifetimeSeconds),
        addPreviousOutputInEnv: false,
        triggers: accounts.map(
          (account) => pulumi.interpolate`${account.accountName} ${account.currentGeneration}`,
        ),
      },
      { parent: this, dependsOn: [...accounts], deleteBeforeReplace: true },
    );
    this.registerOutputs({});
  }
}

/** As seen from the program's folder: the state is the same on every machine. */
function onceScript(): string {
  const path = relative(process.cwd(), join(packageFolder(), "job", "once.sh"));
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
