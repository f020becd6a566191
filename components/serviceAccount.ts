import * as pulumi from "@pulumi/pulumi";
import type { Account, Settings } from "../config";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { ApisecPassword } from "../providers/apisecPassword";

export interface ServiceAccountArgs {
  account: Account;
  settings: Pick<
    Settings,
    "apisecPaths" | "mount" | "vaultAddress" | "vaultNamespace" | "firstPasswordsFor"
  >;
  /** The account that changes this one's password, already made. */
  changer?: ServiceAccount | undefined;
  /** What must be known good before the first remote change. */
  after: readonly pulumi.Resource[];
}

/** One APIsec service account: its password in Vault, changed from the first one. */
export class ServiceAccount extends pulumi.ComponentResource {
  public readonly accountName: string;
  public readonly username: string;
  /** Generation of the password that Vault holds; rises when the password is changed. */
  public readonly generation: pulumi.Output<number>;
  /** API path of the password in Vault. */
  public readonly passwordPath: string;
  /** API path of the access token in Vault; undefined where it is not published. */
  public readonly tokenPath: string | undefined;

  constructor(name: string, args: ServiceAccountArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:ServiceAccount", name, {}, opts);
    const { account, settings, changer, after } = args;
    this.accountName = account.name;
    this.username = account.username;
    this.passwordPath = `${settings.mount}/data/${passwordKey(account.name)}`;
    this.tokenPath = account.publishToken
      ? `${settings.mount}/data/${tokenKey(account.name)}`
      : undefined;
    const password = new ApisecPassword(
      name,
      {
        name: account.name,
        username: account.username,
        host: account.host,
        organization: account.organization,
        generation: account.passwordGeneration,
        changedBy:
          changer === undefined
            ? undefined
            : { name: changer.accountName, username: changer.username },
        acceptAdminToken: account.acceptAdminToken,
        published: account.publishToken,
        renamedFrom: account.renamedFrom,
        mount: settings.mount,
        vaultAddress: settings.vaultAddress,
        vaultNamespace: settings.vaultNamespace,
        apisecPaths: settings.apisecPaths,
      },
      { parent: this, dependsOn: changer === undefined ? [...after] : [...after, changer] },
    );
    this.generation = password.currentGeneration;
    if (settings.firstPasswordsFor.includes(account.name)) {
      void password.currentGeneration.apply((generation) => this.askToForget(generation));
    }
    this.registerOutputs({ generation: this.generation, passwordPath: this.passwordPath });
  }

  private askToForget(generation: number): void {
    if (generation < 1) return;
    void pulumi.log.warn(
      `The first password of ${this.accountName} has been changed and is of no use any more: take it out of config with \`pulumi config rm --path firstPasswords.${this.accountName}\` and run \`pulumi up\` once more, which clears it from the state too.`,
      this,
    );
  }
}
