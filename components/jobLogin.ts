import * as vault from "@pulumi/vault";
import type * as pulumi from "@pulumi/pulumi";

/** A Vault role as declared; `Value` is what GitLab or Vault may have to say first. */
export interface LoginRole<Value> {
  roleName: string;
  /** The one `aud` of the job's ID token. */
  audience: string;
  /** Claims of GitLab's ID token, each with its one value. */
  claims: Record<string, Value | string>;
  policy: Value | string;
}

export interface JobLoginArgs extends LoginRole<pulumi.Input<string>> {
  /** The JWT auth mount. */
  backend: pulumi.Input<string>;
}

/** A job's longest run, and by that the life of its ID token and of its Vault token. */
export const timeoutMinutes = 15;

/** The Vault role that jobs of GitLab log in with. */
export function jobLogin(
  name: string,
  { backend, ...role }: JobLoginArgs,
  opts: pulumi.CustomResourceOptions,
): vault.jwt.AuthBackendRole {
  const { roleName } = role;
  return new vault.jwt.AuthBackendRole(name, { backend, roleName, ...roleFields(role) }, opts);
}

/** What a role says: exact claims, one audience, a short-lived token without the default policy. */
export function roleFields<Value>(role: LoginRole<Value>) {
  const life = timeoutMinutes * 60;
  return {
    roleType: "jwt",
    userClaim: "project_id",
    boundAudiences: [role.audience],
    boundClaimsType: "string",
    boundClaims: role.claims,
    // Vault's audit log then names the pipeline.
    claimMappings: {
      pipeline_id: "pipeline_id",
      job_id: "job_id",
      user_login: "user_login",
    },
    tokenType: "service",
    tokenPolicies: [role.policy],
    tokenNoDefaultPolicy: true,
    tokenTtl: life,
    tokenMaxTtl: life,
    tokenExplicitMaxTtl: life,
  };
}

/** One audience a stack and purpose, so that a token for one is no token for another at the same Vault. */
export function audience(vaultAddress: string, stack: string, purpose?: string): string {
  // The brackets of an IPv6 address, for one, have no place in the pipeline file.
  const address = vaultAddress.replaceAll(/[^A-Za-z0-9:/._~-]/g, "_");
  return [address, "apisec", stack, ...(purpose === undefined ? [] : [purpose])].join("/");
}
