import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { GroupAccess } from "../desired/state";

export interface GroupPoliciesArgs {
  /** Groups that Vault knows, and the policies that their members are given. */
  groups: readonly GroupAccess[];
  /** The policies, which are there before anybody is given them. */
  policies: readonly pulumi.Resource[];
}

/**
 * Gives the stack's policies to the members of identity groups that are there already, internal ones or
 * those of OIDC or LDAP. The groups stay their owner's: members and other policies are left alone.
 */
export class GroupPolicies extends pulumi.ComponentResource {
  constructor(name: string, args: GroupPoliciesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:GroupPolicies", name, {}, opts);
    for (const { group, id, policies } of args.groups) {
      if (id === undefined) throw new Error(`The id of identity group ${group} is not known.`);
      new vault.identity.GroupPolicies(
        // By id: under a new name the policies would be given once more, and then taken away with the old one.
        `${name}-${id}`,
        { groupId: id, exclusive: false, policies: [...policies] },
        { parent: this, dependsOn: [...args.policies] },
      );
    }
    this.registerOutputs({});
  }
}
