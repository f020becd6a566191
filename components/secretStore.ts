import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import { checked } from "../config/checked";
import { tokenMarginSeconds } from "../config/checks";
import { accountShape, shape } from "../config/schema";
import { runError } from "../config/runError";
import { formatDuration } from "../core/duration";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { policyName, renderPolicy } from "../policies/render";
import type { PolicyValues } from "../policies/render";

export interface SecretStoreArgs {
  /** The accounts, and whether developers read their tokens (default: they do). */
  accounts: readonly { name: string; publishToken?: boolean }[];
  /** Path of the KV version 2 mount, default `apisec`. */
  mount?: string;
  /** Whether this stack owns the mount (the default), or only uses it. */
  createMount?: boolean;
  /** Whether the mount is there already (default: no): it outlives `destroy`, and a state that was lost. */
  mountExists?: boolean;
  /** Waits for a mount that has just been made: Vault sets its keys only a moment later. */
  mountReady?: () => Promise<void>;
  /** Policies are named `<prefix>-<stack>-admin` and so on; default `apisec`. */
  policyPrefix?: string;
  /** How long a token stays readable after it was written, in seconds; default 23.5 hours. */
  tokenKeptSeconds?: number;
}

const usuallyKeptSeconds = shape.tokenLifetime.parse(undefined) - tokenMarginSeconds;

/** What a store holds of one account. */
export interface StoredAccount {
  mount: string;
  /** API path of the password. */
  passwordPath: string;
  /** API path of the access token; undefined where it is not published. */
  tokenPath: string | undefined;
  /** What must be there before the password is changed. */
  ready: pulumi.Resource[];
}

/** Ten versions of a password: an older change that lands late is found among them. */
export const passwordKeySettings = { cas_required: true, max_versions: 10 };

/** A token leaves Vault some seconds after it was written. */
export function tokenKeySettings(keptSeconds: number) {
  return { cas_required: true, delete_version_after: formatDuration(keptSeconds) };
}

/** The Vault side: KV mount, the settings of each account's two keys, and who may read what. */
export class SecretStore extends pulumi.ComponentResource {
  public readonly mount: pulumi.Output<string>;
  /** Names of the policies to give to people and machines. */
  public readonly policies: pulumi.Output<{ admin: string; developer: string; rotator: string }>;
  /** How long a token stays readable after it was written. */
  public readonly tokenKeptSeconds: number;
  private readonly values: PolicyValues;
  private readonly keySettings = new Map<string, pulumi.Resource[]>();
  private readonly policyResources: pulumi.Resource[] = [];

  constructor(name: string, args: SecretStoreArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:SecretStore", name, {}, opts);
    const { mountExists = false, mountReady, tokenKeptSeconds = usuallyKeptSeconds } = args;
    const policy = checkedValues(name, args);
    this.values = policy;
    this.tokenKeptSeconds = tokenKeptSeconds;
    this.mount = policy.ownsMount
      ? this.createMount(name, policy, mountExists).apply(async (path) => {
          if (!mountExists && !pulumi.runtime.isDryRun()) await mountReady?.();
          return path;
        })
      : pulumi.output(policy.mount);
    this.setKeys(name, policy, tokenKeptSeconds);
    this.policies = pulumi.output({
      admin: this.createPolicy(name, policy, "admin"),
      developer: this.createPolicy(name, policy, "developer"),
      rotator: this.createPolicy(name, policy, "rotator"),
    });
    this.registerOutputs({ mount: this.mount, policies: this.policies });
  }

  /** What the store holds of this account. Throws a RunError where it was not given that account. */
  public account(name: string): StoredAccount {
    const { mount, publishedAccounts } = this.values;
    const settings = this.keySettings.get(name);
    if (settings === undefined) {
      throw runError(
        `The secret store has no account ${name}: name it in the store's \`accounts\`.`,
      );
    }
    const published = publishedAccounts.includes(name);
    return {
      mount,
      passwordPath: `${mount}/data/${passwordKey(name)}`,
      tokenPath: published ? `${mount}/data/${tokenKey(name)}` : undefined,
      // Not all of the store: each of 2,000 accounts would then name thousands of resources in the state.
      ready: [...this.policyResources, ...settings],
    };
  }

  private createMount(
    name: string,
    policy: PolicyValues,
    mountExists: boolean,
  ): pulumi.Output<string> {
    const mount = new vault.Mount(
      name,
      {
        path: policy.mount,
        type: "kv",
        options: { version: "2" },
        description: mountDescription(policy.project, policy.stack),
      },
      {
        parent: this,
        // Unmounting would delete every password: neither destroy nor a replacement may.
        retainOnDelete: true,
        // Of no effect where the state knows the mount.
        ...(mountExists ? { import: policy.mount } : {}),
      },
    );
    return mount.path;
  }

  /** Set before the first value: a write without check-and-set is refused, an ended token is gone. */
  private setKeys(name: string, policy: PolicyValues, tokenKeptSeconds: number): void {
    const setKey = (account: string, key: string, settings: object) => {
      const endpoint = new vault.generic.Endpoint(
        `${name}-${key.replace("/", "-")}`,
        {
          path: pulumi.interpolate`${this.mount}/metadata/${key}`,
          dataJson: JSON.stringify(settings),
          ignoreAbsentFields: true,
          // Deleting a key's metadata deletes all its versions.
          disableDelete: true,
        },
        { parent: this },
      );
      this.keySettings.set(account, [...(this.keySettings.get(account) ?? []), endpoint]);
    };
    for (const account of policy.accounts) {
      setKey(account, passwordKey(account), passwordKeySettings);
    }
    for (const account of policy.publishedAccounts) {
      setKey(account, tokenKey(account), tokenKeySettings(tokenKeptSeconds));
    }
  }

  private createPolicy(
    name: string,
    policy: PolicyValues,
    role: "admin" | "developer" | "rotator",
  ): pulumi.Output<string> {
    const resource = new vault.Policy(
      `${name}-${role}`,
      {
        name: policyName(policy.prefix, policy.stack, role),
        policy: renderPolicy(role, policy),
      },
      { parent: this },
    );
    this.policyResources.push(resource);
    return resource.name;
  }
}

/** What the three policies are filled with; they name nothing of GitLab's login. */
function checkedValues(name: string, args: SecretStoreArgs): PolicyValues {
  const owner = `SecretStore ${name}`;
  const { mount, createMount, policyPrefix } = checked(
    owner,
    { mount: shape.mount, createMount: shape.createMount, policyPrefix: shape.policyPrefix },
    args,
  );
  const accounts = args.accounts.map((account) =>
    checked(owner, { name: accountShape.name, publishToken: accountShape.publishToken }, account),
  );
  return {
    project: pulumi.getProject(),
    stack: pulumi.getStack(),
    prefix: policyPrefix,
    mount,
    ownsMount: createMount,
    authPath: "",
    ownsAuth: false,
    accounts: accounts.map((account) => account.name),
    publishedAccounts: accounts.filter(({ publishToken }) => publishToken).map(({ name }) => name),
    oldAccounts: [],
    consumers: [],
    groups: [],
  };
}

/** The mount's description in Vault, by which its owner is known. */
export function mountDescription(project: string, stack: string): string {
  return `APIsec passwords and tokens, managed by ${project}/${stack}`;
}
