import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../config";
import { formatDuration } from "../core/duration";
import type { ServiceAccount } from "./serviceAccount";

export interface FirstTokensArgs {
  settings: Settings;
  /** Accounts whose tokens are published, their passwords already in Vault. */
  accounts: readonly ServiceAccount[];
  minLifetimeSeconds: number;
}

/** What the rotation job needs of the environment of `up`; all else is taken away before it starts. */
const kept = [
  "PATH",
  "HOME",
  "VAULT_ADDR",
  "VAULT_NAMESPACE",
  "VAULT_CACERT",
  "VAULT_TOKEN",
  "APISEC_*",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "NODE_USE_ENV_PROXY",
  "NODE_EXTRA_CA_CERTS",
];

/**
 * The job itself, run once from here with the deployer's Vault token, so that readers need not wait
 * for the schedule. `unset` and `exec`, because arguments of a command can be read by everybody.
 */
const script = `set -eu
for name in $(awk 'BEGIN { for (name in ENVIRON) print name }'); do
  case $name in
    ${kept.join(" | ")}) ;;
    *[!A-Za-z0-9_]* | [0-9]*) ;;
    *) unset "$name" ;;
  esac
done
if [ -z "\${VAULT_TOKEN:-}" ]; then VAULT_TOKEN=$(cat "$HOME/.vault-token"); export VAULT_TOKEN; fi
exec node dist/rotate.mjs`;

/** The first tokens after a password was changed. Nothing runs in a preview. */
export class FirstTokens extends pulumi.ComponentResource {
  constructor(name: string, args: FirstTokensArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:FirstTokens", name, {}, opts);
    const { settings, accounts } = args;
    const { login, probe } = settings.apisecPaths;
    new command.local.Command(
      name,
      {
        create: script,
        dir: ".",
        stdin: `${accounts.map((account) => account.accountName).join("\n")}\n`,
        environment: {
          VAULT_ADDR: settings.vaultAddress,
          ...(settings.vaultNamespace === undefined
            ? {}
            : { VAULT_NAMESPACE: settings.vaultNamespace }),
          APISEC_MOUNT: settings.mount,
          APISEC_ACCOUNTS_FILE: "/dev/stdin",
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
