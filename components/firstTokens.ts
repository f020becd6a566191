import { join, relative } from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../config";
import { formatDuration } from "../core/duration";
import { packageFolder } from "../core/packageFolder";
import type { ServiceAccount } from "./serviceAccount";

export interface FirstTokensArgs {
  settings: Pick<Settings, "vaultAddress" | "vaultNamespace" | "mount" | "apisecPaths">;
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
    const { login, probe } = settings.apisecPaths;
    new command.local.Command(
      name,
      {
        create: `sh ${onceScript()}`,
        dir: ".",
        stdin: `${accounts.map((account) => account.accountName).join("\n")}\n`,
        environment: {
          VAULT_ADDR: settings.vaultAddress,
          ...(settings.vaultNamespace === undefined
            ? {}
            : { VAULT_NAMESPACE: settings.vaultNamespace }),
          APISEC_MOUNT: settings.mount,
          APISEC_PATHS: JSON.stringify({ login, probe }),
          APISEC_MIN_LIFETIME: formatDuration(args.minLifetimeSeconds),
          APISEC_REPORT: "/dev/null",
        },
        addPreviousOutputInEnv: false,
        triggers: accounts.map(
          (account) => pulumi.interpolate`${account.accountName} ${account.generation}`,
        ),
      },
      { parent: this, dependsOn: [...accounts], deleteBeforeReplace: true },
    );
    this.registerOutputs({});
  }
}

/** As seen from the program's folder: the state is the same on every machine. */
function onceScript(): string {
  const path = relative(process.cwd(), join(packageFolder(), "rotator", "once.sh"));
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
