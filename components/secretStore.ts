import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import { formatDuration } from "../core/duration";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { policyName, renderPolicy } from "../policies/render";
import type { PolicyValues } from "../policies/render";

export interface SecretStoreArgs {
  /** What the policy files are filled with; names the accounts of this stack. */
  policy: PolicyValues;
  /** Whether this stack owns the KV version 2 mount, or only uses it. */
  createMount: boolean;
  /** Whether the mount is there already: it outlives `destroy`, and a state that was lost. */
  mountExists: boolean;
  /** How long a token stays readable after it was written, in seconds. */
  tokenKeptSeconds: number;
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
  private readonly keySettings = new Map<string, pulumi.Resource[]>();
  private readonly policyResources: pulumi.Resource[] = [];

  constructor(name: string, args: SecretStoreArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:SecretStore", name, {}, opts);
    const { policy } = args;
    this.mount = args.createMount ? this.createMount(name, args) : pulumi.output(policy.mount);
    this.setKeys(name, args);
    this.policies = pulumi.output({
      admin: this.createPolicy(name, policy, "admin"),
      developer: this.createPolicy(name, policy, "developer"),
      rotator: this.createPolicy(name, policy, "rotator"),
    });
    this.registerOutputs({ mount: this.mount, policies: this.policies });
  }

  /**
   * What must be there before this account's password is changed. Not all of the store: each of 2,000
   * accounts would then name thousands of resources in the state.
   */
  public readyFor(account: string): pulumi.Resource[] {
    return [...this.policyResources, ...(this.keySettings.get(account) ?? [])];
  }

  private createMount(name: string, args: SecretStoreArgs): pulumi.Output<string> {
    const { policy, mountExists } = args;
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
  private setKeys(name: string, args: SecretStoreArgs): void {
    const { policy, tokenKeptSeconds } = args;
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

/** The mount's description in Vault, by which its owner is known. */
export function mountDescription(project: string, stack: string): string {
  return `APIsec passwords and tokens, managed by ${project}/${stack}`;
}
