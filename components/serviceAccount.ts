import * as pulumi from "@pulumi/pulumi";
import { withCode } from "../core/messageCode";
import type { DesiredAccount } from "../desired/accounts";
import { ApisecPassword } from "../providers/apisecPassword";

export interface ServiceAccountArgs extends DesiredAccount {
  /** The account that changes this one's password, where that is another. */
  changer?: ServiceAccount | undefined;
  /** What must be known good before the first remote change. */
  after: readonly pulumi.Resource[];
}

/**
 * One APIsec service account: its password in Vault, changed from the first one, which stands in the
 * program's stack config as the secret `firstPasswords.<name>`.
 */
export class ServiceAccount extends ApisecPassword {
  public readonly accountName: string;
  /** API path of the password in Vault. */
  public readonly passwordPath: string;
  /** API path of the access token in Vault, and the command that reads it; undefined where it is not published. */
  public readonly token: DesiredAccount["token"];

  constructor(name: string, args: ServiceAccountArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { inputs, passwordPath, token, changer, after } = args;
    super(name, inputs, {
      // Said as [retain] in a preview: no account loses its password.
      retainOnDelete: true,
      ...opts,
      // Each resource named here stands in the state once an account: what its changer has waited for is not.
      dependsOn: changer === undefined ? [...after] : [changer],
      // Until version 0.1 each account was a component with this resource in it.
      aliases: [{ parent: pulumi.createUrn(name, "apisec:index:ServiceAccount") }],
    });
    this.accountName = inputs.name;
    this.passwordPath = passwordPath;
    this.token = token;
  }
}

/**
 * The accounts in the order in which they are given, each after its changer. Passwords come last: `after` names
 * everything in Vault and GitLab that they need.
 */
export function serviceAccounts(
  accounts: readonly DesiredAccount[],
  after: readonly pulumi.Resource[],
): ServiceAccount[] {
  const made = new Map<string, ServiceAccount>();
  for (const account of accounts) {
    const { name, changedBy } = account.inputs;
    const changer = changedBy && made.get(changedBy.name);
    made.set(name, new ServiceAccount(name, { ...account, changer, after }));
  }
  return [...made.values()];
}

/**
 * Asks, in the update alone, to take the first passwords out of config that have been changed. `accounts`: all whose
 * first password stands there.
 */
export function askToForget(
  accounts: readonly Pick<ServiceAccount, "accountName" | "currentGeneration">[],
): void {
  if (pulumi.runtime.isDryRun()) return;
  void pulumi
    .all(accounts.map(({ currentGeneration }) => currentGeneration))
    .apply((generations) => {
      const changed = accounts.filter((_, i) => (generations[i] ?? 0) >= 1);
      if (changed.length === 0) return;
      const keys =
        changed.length === accounts.length
          ? ["firstPasswords"]
          : changed.map(({ accountName }) => `--path firstPasswords.${accountName}`);
      const stack = pulumi.getStack();
      const remove = keys.map((key) => `pulumi config rm ${key} --stack ${stack}`).join(" && ");
      void pulumi.log.warn(
        withCode(
          `First passwords in config have been changed: take them out with \`${remove}\` and run \`pulumi up\` again, which clears them from the state too.`,
          "first-passwords-left",
        ),
      );
    });
}
