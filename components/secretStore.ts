import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { DesiredState, Mount, Policy } from "../desired/state";
import { KeySettings } from "../providers/keySettings";

export interface SecretStoreArgs extends Pick<
  DesiredState["vault"],
  "vaultAddress" | "vaultNamespace" | "mount" | "policies" | "keys"
> {
  /** Whether the mount is there already (default: no): it outlives `destroy`, and a state that was lost. */
  mountExists?: boolean;
}

/** The Vault side: KV mount, the settings of each account's two keys, and who may read what. */
export class SecretStore extends pulumi.ComponentResource {
  public readonly mount: pulumi.Output<string>;
  /** Names of the policies to give to people and machines. */
  public readonly policies: pulumi.Output<{ admin: string; developer: string; rotator: string }>;
  /** The policies themselves. */
  public readonly policyResources: readonly pulumi.Resource[];
  /** What must be there before a password is changed. */
  public readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: SecretStoreArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:SecretStore", name, {}, opts);
    const { mountExists = false, vaultAddress, vaultNamespace, keys } = args;
    const mount = args.mount.owned ? this.createMount(name, args.mount, mountExists) : undefined;
    this.mount = mount?.path ?? pulumi.output(args.mount.path);
    const policies = {
      admin: this.createPolicy(`${name}-admin`, args.policies.admin),
      developer: this.createPolicy(`${name}-developer`, args.policies.developer),
      rotator: this.createPolicy(`${name}-rotator`, args.policies.rotator),
    };
    this.policies = pulumi.output({
      admin: policies.admin.name,
      developer: policies.developer.name,
      rotator: policies.rotator.name,
    });
    this.policyResources = Object.values(policies);
    // Set before the first values: a write without check-and-set is refused, an ended token is gone.
    const settings = new KeySettings(
      name,
      { vaultAddress, vaultNamespace, mount: args.mount.path, ...keys },
      {
        parent: this,
        // Keys keep their settings as they keep their values.
        retainOnDelete: true,
        // A mount that is there need not be waited for: two plugins start at once.
        dependsOn: mount === undefined || mountExists ? [] : [mount],
      },
    );
    this.ready = [settings, ...this.policyResources];
    this.registerOutputs({ mount: this.mount, policies: this.policies });
  }

  private createMount(
    name: string,
    { path, description }: Mount,
    mountExists: boolean,
  ): vault.Mount {
    return new vault.Mount(
      name,
      { path, type: "kv", options: { version: "2" }, description },
      {
        parent: this,
        // Unmounting would delete every password: neither destroy nor a replacement may.
        retainOnDelete: true,
        // Of no effect where the state knows the mount.
        ...(mountExists ? { import: path } : {}),
      },
    );
  }

  private createPolicy(name: string, policy: Policy): vault.Policy {
    return new vault.Policy(name, { name: policy.name, policy: policy.text }, { parent: this });
  }
}
