import * as vault from "@pulumi/vault";
import type * as pulumi from "@pulumi/pulumi";
import { roleFields } from "../desired/roles";
import type { LoginRole } from "../desired/roles";

export interface JobLoginArgs {
  role: LoginRole;
  /** Claims whose values are known when other resources are there. */
  claims?: Record<string, pulumi.Input<string>>;
  /** The JWT auth mount. */
  backend: pulumi.Input<string>;
  /** The policy of its tokens, once it is there. */
  policy: pulumi.Input<string>;
}

/** The Vault role that jobs of GitLab log in with. */
export function jobLogin(
  name: string,
  { role, backend, policy, ...args }: JobLoginArgs,
  opts: pulumi.CustomResourceOptions,
): vault.jwt.AuthBackendRole {
  const { roleName, audience } = role;
  const claims: Record<string, pulumi.Input<string>> = {};
  for (const [key, value] of Object.entries({ ...role.claims, ...args.claims })) {
    // A claim less would let others in.
    if (value === undefined) throw new Error(`Claim ${key} of role ${roleName} is not known.`);
    claims[key] = value;
  }
  const fields = roleFields<pulumi.Input<string>>({ audience, claims, policy });
  return new vault.jwt.AuthBackendRole(name, { backend, roleName, ...fields }, opts);
}
