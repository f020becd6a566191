import * as pulumi from "@pulumi/pulumi";
import { checked } from "../config/checked";
import { runError } from "../config/runError";
import { accountShape, shape } from "../config/schema";
import { defaultApisecPaths } from "../clients/apisec";
import type { ApisecPaths } from "../clients/apisec";
import { ApisecPassword } from "../providers/apisecPassword";
import type { SecretStore } from "./secretStore";

export interface ServiceAccountArgs {
  /** User name at APIsec. */
  username: string;
  /** Keeps the password; the account is one of its `accounts`, under this resource's name. */
  store: SecretStore;
  /** APIsec host, default `https://cloud.apisec.ai`. */
  host?: string | undefined;
  /** Name or id; a login that belongs to another one is refused. Default: as APIsec says. */
  organization?: string | undefined;
  /** Raise it to have the password changed; default 1. */
  passwordGeneration?: number;
  /** The account that changes this one's password, one whose token is not published. Default: itself. */
  changer?: ServiceAccount | undefined;
  /** Publish the token although it carries `ROLE_ADMIN`; default false. */
  acceptAdminToken?: boolean;
  /** Former name: the record is copied to the new one. */
  renamedFrom?: string | undefined;
  /** Where a tenant's API differs. */
  apisecPaths?: ApisecPaths;
  /** What must be known good, besides the store, before the first remote change. */
  after?: readonly pulumi.Resource[];
}

const fields = {
  name: accountShape.name,
  username: accountShape.username,
  host: accountShape.host,
  organization: accountShape.organization,
  passwordGeneration: accountShape.passwordGeneration,
  acceptAdminToken: accountShape.acceptAdminToken,
  renamedFrom: accountShape.renamedFrom,
};

/**
 * One APIsec service account: its password in Vault, changed from the first one, which stands in the
 * program's stack config as the secret `firstPasswords.<name>`.
 */
export class ServiceAccount extends pulumi.ComponentResource {
  public readonly accountName: string;
  public readonly store: SecretStore;
  public readonly username: string;
  public readonly host: string;
  /** Generation of the password that Vault holds; rises when the password is changed. */
  public readonly generation: pulumi.Output<number>;
  /** API path of the password in Vault. */
  public readonly passwordPath: string;
  /** API path of the access token in Vault; undefined where it is not published. */
  public readonly tokenPath: string | undefined;

  constructor(name: string, args: ServiceAccountArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:ServiceAccount", name, {}, opts);
    const { changer } = args;
    const account = checked(`ServiceAccount ${name}`, fields, { ...args, name });
    const stored = args.store.account(name);
    const { host = shape.apisecUrl.parse(undefined) } = account;
    if (changer !== undefined) checkChanger(name, host, args.store, changer);
    this.accountName = name;
    this.store = args.store;
    this.username = account.username;
    this.host = host;
    this.passwordPath = stored.passwordPath;
    this.tokenPath = stored.tokenPath;
    const password = new ApisecPassword(
      name,
      {
        name,
        username: account.username,
        host,
        organization: account.organization,
        generation: account.passwordGeneration,
        changedBy:
          changer === undefined
            ? undefined
            : { name: changer.accountName, username: changer.username },
        acceptAdminToken: account.acceptAdminToken,
        published: this.tokenPath !== undefined,
        renamedFrom: account.renamedFrom,
        mount: stored.mount,
        vaultAddress: stored.vaultAddress,
        vaultNamespace: stored.vaultNamespace,
        apisecPaths: args.apisecPaths ?? defaultApisecPaths,
        owner: stored.owner,
        sharedMount: stored.sharedMount,
        ...(this.tokenPath === undefined
          ? {}
          : {
              minLifetimeSeconds: stored.minLifetimeSeconds,
              tokenSettings: stored.tokenSettings,
            }),
      },
      {
        parent: this,
        // Each resource named here stands in the state once an account: what its changer has waited for is not.
        dependsOn: [...(changer === undefined ? stored.ready : [changer]), ...(args.after ?? [])],
      },
    );
    this.generation = password.currentGeneration;
    this.registerOutputs({ generation: this.generation, passwordPath: this.passwordPath });
  }
}

/**
 * Asks, in the update alone, to take the first passwords out of config that have been changed. `accounts`: all whose
 * first password stands there.
 */
export function askToForget(
  accounts: readonly Pick<ServiceAccount, "accountName" | "generation">[],
): void {
  if (pulumi.runtime.isDryRun()) return;
  void pulumi.all(accounts.map(({ generation }) => generation)).apply((generations) => {
    const changed = accounts.filter((_, i) => (generations[i] ?? 0) >= 1);
    if (changed.length === 0) return;
    const keys =
      changed.length === accounts.length
        ? ["firstPasswords"]
        : changed.map(({ accountName }) => `--path firstPasswords.${accountName}`);
    const stack = pulumi.getStack();
    const remove = keys.map((key) => `pulumi config rm ${key} --stack ${stack}`).join(" && ");
    void pulumi.log.warn(
      `First passwords in config have been changed and are of no use any more: take them out with \`${remove}\` and run \`pulumi up\` once more, which clears them from the state too.`,
    );
  });
}

/** As config checks it: whoever reads the changer's token can reset passwords. */
function checkChanger(
  name: string,
  host: string,
  store: SecretStore,
  changer: ServiceAccount,
): void {
  const { accountName, tokenPath } = changer;
  if (changer.store !== store) {
    throw runError(
      `ServiceAccount ${name}: its changer ${accountName} is kept in another store; expected one of the same store, where its password is looked for.`,
    );
  }
  if (tokenPath !== undefined) {
    throw runError(
      `ServiceAccount ${name}: its changer ${accountName} publishes its token, which can reset passwords; expected an account with \`publishToken: false\` in the store's \`accounts\`.`,
    );
  }
  if (changer.host !== host) {
    throw runError(
      `ServiceAccount ${name}: its changer ${accountName} is at ${changer.host}; expected an account at ${host}.`,
    );
  }
}
