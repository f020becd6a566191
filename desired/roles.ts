import type { Settings } from "../config/settings";
import type { ConsumerClaim, RotationProject } from "./facts";
import { audience, consumerName, environmentName, policyName } from "./names";

/** A Vault role that jobs of GitLab log in with. */
export interface LoginRole {
  roleName: string;
  /** The one `aud` of the job's ID token. */
  audience: string;
  /** Claims of GitLab's ID token, each with its one value; undefined = it is not known yet. */
  claims: Readonly<Record<string, string | undefined>>;
  /** The name of the policy that its tokens have. */
  policy: string;
}

/** A job's longest run, and by that the life of its ID token and of its Vault token. */
export const timeoutMinutes = 15;

/** What a role says: exact claims, one audience, a short-lived token without the default policy. */
export function roleFields<Value>(
  role: Pick<LoginRole, "audience"> & {
    claims: Readonly<Record<string, Value>>;
    policy: Value;
  },
) {
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

/** Only this project's protected branch, this pipeline file, and a schedule of this owner may log in. */
export function rotatorRole(
  settings: Pick<Settings, "stack" | "policyPrefix" | "vaultAddress" | "gitlabBranch">,
  project: RotationProject | undefined,
  owner: string | undefined,
): LoginRole {
  const { stack, policyPrefix, gitlabBranch } = settings;
  const name = policyName(policyPrefix, stack, "rotator");
  return {
    roleName: name,
    audience: audience(settings.vaultAddress, stack),
    claims: {
      project_id: project?.id,
      ref: gitlabBranch,
      ref_type: "branch",
      ref_protected: "true",
      pipeline_source: "schedule",
      user_id: owner,
      // Where that file only includes the job, it is named all the same.
      ci_config_ref_uri:
        project && `${project.uri}//${project.pipelineFile}@refs/heads/${gitlabBranch}`,
      environment: environmentName(stack),
    },
    policy: name,
  };
}

/** The role of a consumer's jobs, which has the name of its policy. */
export function consumerRole(
  { stack, policyPrefix, vaultAddress }: Pick<Settings, "stack" | "policyPrefix" | "vaultAddress">,
  { name, group }: Settings["consumers"][number],
  claim: ConsumerClaim | undefined,
): LoginRole {
  const roleName = consumerName(policyPrefix, stack, name);
  const unknown = group === undefined ? { project_id: undefined } : { namespace_id: undefined };
  return {
    roleName,
    audience: audience(vaultAddress, stack, "read"),
    claims: { ...(claim ?? unknown), ref_type: "branch", ref_protected: "true" },
    policy: roleName,
  };
}
