import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";

export interface GroupPoliciesArgs {
  /** Vault identity groups by name, and their ids. */
  groupIds: ReadonlyMap<string, string>;
  adminGroups: readonly string[];
  developerGroups: readonly string[];
  policies: { admin: pulumi.Input<string>; developer: pulumi.Input<string> };
}

/**
 * Gives the stack's policies to the members of identity groups that are there already, internal ones or
 * those of OIDC or LDAP. The groups stay their owner's: members and other policies are left alone.
 */
export class GroupPolicies extends pulumi.ComponentResource {
  constructor(name: string, args: GroupPoliciesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:GroupPolicies", name, {}, opts);
    const { adminGroups, developerGroups, policies } = args;
    for (const [group, groupId] of args.groupIds) {
      new vault.identity.GroupPolicies(
        // By id: under a new name the policies would be given once more, and then taken away with the old one.
        `${name}-${groupId}`,
        {
          groupId,
          exclusive: false,
          policies: [
            ...(adminGroups.includes(group) ? [policies.admin] : []),
            ...(developerGroups.includes(group) ? [policies.developer] : []),
          ],
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}
