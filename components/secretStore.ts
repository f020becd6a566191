import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import { checked } from "../config/checked";
import { accountShape, ownerShape, shape } from "../config/schema";
import { runError } from "../config/runError";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { formatDuration } from "../core/duration";
import { passwordKeySettings, tokenKeySettings } from "../desired/keySettings";
import { mountDescription, policyName } from "../desired/names";
import type { Owner } from "../desired/names";
import type { KeySettings as VaultKeySettings } from "../clients/keySettings";
import { renderPolicy } from "../desired/policies";
import type { PolicyValues } from "../desired/policies";
import { tokenKeptSeconds } from "../desired/tokenLife";
import { KeySettings } from "../providers/keySettings";
import type { KeySettingsInputs } from "../providers/keySettingsMethods";
import type { VaultPlace } from "../clients/connect";

export interface SecretStoreArgs extends VaultPlace {
  /** The accounts, and whether developers read their tokens (default: they do). */
  accounts: readonly { name: string; publishToken?: boolean }[];
  /** Path of the KV version 2 mount, default `apisec`. */
  mount?: string;
  /** Whether this stack owns the mount (the default), or only uses it. */
  createMount?: boolean;
  /** Whether other stacks use that mount, too (default: no): then no policy reaches their accounts. */
  shareMount?: boolean;
  /**
   * What makes the marks of this store unique, where others have a project and stack of the same names: GitLab's
   * host and the rotation project's id, such as `gitlab.example.com/22`, or a name of your own. Without it,
   * whoever has the same names is taken for this stack.
   */
  owner?: string | undefined;
  /** Whether the mount is there already (default: no): it outlives `destroy`, and a state that was lost. */
  mountExists?: boolean;
  /** Policies are named `<prefix>-<stack>-admin` and so on; default `apisec`. */
  policyPrefix?: string;
  /** How long a token stays readable after it was written, in seconds; default 23.5 hours. */
  tokenKeptSeconds?: number;
  /** Whether Vault deletes a token after that time (the default), or leaves it to readers to see its end. */
  tokenEndsInVault?: boolean;
}

const usuallyKeptSeconds = tokenKeptSeconds({
  tokenLifetime: shape.tokenLifetime.parse(undefined),
});

/** What a store holds of one account. */
export interface StoredAccount extends VaultPlace {
  mount: string;
  /** API path of the password. */
  passwordPath: string;
  /** API path of the access token; undefined where it is not published. */
  tokenPath: string | undefined;
  /** Whose stack this is, as marks in Vault name it, and whether others use the mount. */
  owner: Owner;
  sharedMount: boolean;
  /** What is set on the token's key. */
  tokenSettings: VaultKeySettings;
  /** A token with a shorter life is not published, in seconds. */
  minLifetimeSeconds: number;
  /** What must be there before the password is changed. */
  ready: pulumi.Resource[];
}

/** The Vault side: KV mount, the settings of each account's two keys, and who may read what. */
export class SecretStore extends pulumi.ComponentResource {
  public readonly mount: pulumi.Output<string>;
  /** Names of the policies to give to people and machines. */
  public readonly policies: pulumi.Output<{ admin: string; developer: string; rotator: string }>;
  /** How long a token stays readable after it was written. */
  public readonly tokenKeptSeconds: number;
  private readonly place: VaultPlace;
  private readonly values: PolicyValues;
  private readonly tokenSettings: VaultKeySettings;
  private readonly ready: pulumi.Resource[];

  constructor(name: string, args: SecretStoreArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:SecretStore", name, {}, opts);
    const { mountExists = false, tokenKeptSeconds: kept = usuallyKeptSeconds } = args;
    const policy = checkedValues(name, args);
    const { vaultAddress, vaultNamespace } = args;
    this.place = { vaultAddress, vaultNamespace };
    this.values = policy;
    this.tokenKeptSeconds = kept;
    const mount = policy.ownsMount ? this.createMount(name, policy, mountExists) : undefined;
    this.mount = mount?.path ?? pulumi.output(policy.mount);
    const policies = {
      admin: this.createPolicy(name, policy, "admin"),
      developer: this.createPolicy(name, policy, "developer"),
      rotator: this.createPolicy(name, policy, "rotator"),
    };
    this.policies = pulumi.output({
      admin: policies.admin.name,
      developer: policies.developer.name,
      rotator: policies.rotator.name,
    });
    // A mount that is there need not be waited for: two plugins start at once.
    const deletedAfter = args.tokenEndsInVault === false ? undefined : kept;
    this.tokenSettings = tokenKeySettings(deletedAfter);
    const keys = this.setKeys(
      name,
      policy,
      deletedAfter,
      mount === undefined || mountExists ? [] : [mount],
    );
    this.ready = [keys, ...Object.values(policies)];
    this.registerOutputs({ mount: this.mount, policies: this.policies });
  }

  /** What the store holds of this account. Throws a RunError where it was not given that account. */
  public account(name: string): StoredAccount {
    const { mount, accounts, publishedAccounts } = this.values;
    const { project, stack, instance, sharesMount, ownsMount } = this.values;
    if (!accounts.includes(name)) {
      throw runError(
        `The secret store has no account ${name}: name it in the store's \`accounts\`.`,
      );
    }
    const published = publishedAccounts.includes(name);
    return {
      ...this.place,
      mount,
      passwordPath: `${mount}/data/${passwordKey(name)}`,
      tokenPath: published ? `${mount}/data/${tokenKey(name)}` : undefined,
      owner: { project, stack, instance },
      sharedMount: sharesMount || !ownsMount,
      tokenSettings: this.tokenSettings,
      minLifetimeSeconds: this.tokenKeptSeconds,
      ready: this.ready,
    };
  }

  private createMount(name: string, policy: PolicyValues, mountExists: boolean): vault.Mount {
    return new vault.Mount(
      name,
      {
        path: policy.mount,
        type: "kv",
        options: { version: "2" },
        description: mountDescription(policy, policy.sharesMount),
      },
      {
        parent: this,
        // Unmounting would delete every password: neither destroy nor a replacement may.
        retainOnDelete: true,
        // Of no effect where the state knows the mount.
        ...(mountExists ? { import: policy.mount } : {}),
      },
    );
  }

  /** Set before the first values: a write without check-and-set is refused, an ended token is gone. */
  private setKeys(
    name: string,
    { mount, accounts, publishedAccounts }: PolicyValues,
    tokensDeletedAfter: number | undefined,
    dependsOn: pulumi.Resource[],
  ): pulumi.Resource {
    const published = new Set(publishedAccounts);
    const inputs: KeySettingsInputs = {
      ...this.place,
      mount,
      settings: {
        password: passwordKeySettings,
        token: tokenKeySettings(tokensDeletedAfter),
      },
      accounts: Object.fromEntries(
        accounts.map((account) => [
          account,
          published.has(account) ? ["password", "token"] : ["password"],
        ]),
      ),
    };
    return new KeySettings(name, inputs, { parent: this, dependsOn });
  }

  private createPolicy(
    name: string,
    policy: PolicyValues,
    role: "admin" | "developer" | "rotator",
  ): vault.Policy {
    return new vault.Policy(
      `${name}-${role}`,
      {
        name: policyName(policy.prefix, policy.stack, role),
        policy: renderPolicy(role, policy),
      },
      { parent: this },
    );
  }
}

/** What the three policies are filled with; they name nothing of GitLab's login. */
function checkedValues(name: string, args: SecretStoreArgs): PolicyValues {
  const owner = `SecretStore ${name}`;
  const {
    mount,
    createMount,
    policyPrefix,
    owner: instance,
  } = checked(
    owner,
    {
      mount: shape.mount,
      createMount: shape.createMount,
      policyPrefix: shape.policyPrefix,
      owner: ownerShape,
    },
    args,
  );
  const accounts = args.accounts.map((account) =>
    checked(owner, { name: accountShape.name, publishToken: accountShape.publishToken }, account),
  );
  return {
    project: pulumi.getProject(),
    stack: pulumi.getStack(),
    instance,
    prefix: policyPrefix,
    mount,
    ownsMount: createMount,
    sharesMount: args.shareMount ?? false,
    authPath: "",
    ownsAuth: false,
    accounts: accounts.map((account) => account.name),
    publishedAccounts: accounts.filter(({ publishToken }) => publishToken).map(({ name }) => name),
    oldAccounts: [],
    consumers: [],
    groups: [],
    tokenKept: formatDuration(args.tokenKeptSeconds ?? usuallyKeptSeconds),
  };
}
