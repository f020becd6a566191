/** GitLab as an OpenID provider: discovery, keys, and the ID tokens of jobs. */
import { createHmac, createPublicKey, randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from "jose";
import type { App, Keys } from "./app";
import { fullPath, levelOf, namespaceOf, roles } from "./access";
import type { Store, Project, User } from "./store";

/** The two persistent signing keys. */
export async function loadKeys(store: Store): Promise<Keys> {
  while (store.state.keys.length < 2) {
    const pair = await generateKeyPair("RS256", { extractable: true });
    const kid = Buffer.from(randomUUID()).toString("base64url").slice(0, 43);
    store.state.keys.push({ ...(await exportJWK(pair.privateKey)), kid });
  }
  await store.save();
  const secret: JWK[] = store.state.keys;
  const open = secret.map(({ kty, kid, e, n }) => ({ kty, kid, e, n, use: "sig", alg: "RS256" }));
  return { private: secret, public: open };
}

export function discovery(url: string): Record<string, unknown> {
  return {
    issuer: url,
    authorization_endpoint: `${url}/oauth/authorize`,
    token_endpoint: `${url}/oauth/token`,
    revocation_endpoint: `${url}/oauth/revoke`,
    introspection_endpoint: `${url}/oauth/introspect`,
    userinfo_endpoint: `${url}/oauth/userinfo`,
    jwks_uri: `${url}/oauth/discovery/keys`,
    scopes_supported: ["api", "read_api", "read_user", "openid", "profile", "email"],
    response_types_supported: ["code"],
    response_modes_supported: ["query", "fragment", "form_post"],
    grant_types_supported: [
      "authorization_code",
      "client_credentials",
      "device_code",
      "refresh_token",
    ],
    token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
    claim_types_supported: ["normal"],
    claims_supported: [
      ...["iss", "sub", "aud", "exp", "iat", "sub_legacy", "auth_time", "name", "nickname"],
      ...["preferred_username", "email", "email_verified", "website", "profile", "picture"],
      ...["groups", "groups_direct"],
    ],
    code_challenge_methods_supported: ["plain", "S256"],
  };
}

export interface JobIdentity {
  project: Project;
  user: User;
  pipelineId: number;
  jobId: number;
  runnerId?: number;
  source: string;
  ref: { type: string; name: string; protected: boolean };
  sha: string;
  configPath: string;
  environment?: { name: string; tier: string; action: string; protected?: boolean };
  /** Seconds the token lives: the job's timeout. */
  timeout: number;
}

/** The claims of a job's ID token. All ids are strings but the runner's. */
export function jobClaims(app: App, job: JobIdentity, audience: unknown): Record<string, unknown> {
  const { project, user, ref } = job;
  const path = fullPath(app, project);
  const namespace = namespaceOf(app, project);
  const issued = Math.floor(app.now() / 1000);
  const level = levelOf(project, user);
  const role = Object.entries(roles).find(([, value]) => value === level)?.[0] ?? null;
  const refPath = `refs/${ref.type === "tag" ? "tags" : "heads"}/${ref.name}`;
  const claims: Record<string, unknown> = {
    iss: app.url,
    iat: issued,
    nbf: issued - 5,
    exp: issued + job.timeout,
    jti: randomUUID(),
    aud: audience,
    namespace_id: String(namespace.id),
    namespace_path: namespace.full_path,
    project_id: String(project.id),
    project_path: path,
    job_project_id: String(project.id),
    job_project_path: path,
    job_namespace_id: String(namespace.id),
    job_namespace_path: namespace.full_path,
    user_id: String(user.id),
    user_login: user.username,
    user_email: user.email,
    user_access_level: role,
    pipeline_id: String(job.pipelineId),
    pipeline_source: job.source,
    job_id: String(job.jobId),
    ref: ref.name,
    ref_type: ref.type,
    ref_path: refPath,
    ref_protected: String(ref.protected),
    runner_id: job.runnerId ?? 1,
    runner_environment: "self-hosted",
    sha: job.sha,
    project_visibility: project.visibility,
    ci_config_ref_uri: `${app.url.replace(/^https?:\/\//, "")}/${path}//${job.configPath}@${refPath}`,
    ci_config_sha: job.sha,
  };
  if (job.environment) {
    claims["environment"] = job.environment.name;
    claims["environment_protected"] = String(job.environment.protected ?? false);
    claims["deployment_tier"] = job.environment.tier;
    claims["environment_action"] = job.environment.action;
  }
  const parts = (project.settings["ci_id_token_sub_claim_components"] as string[] | undefined) ?? [
    "project_path",
    "ref_type",
    "ref",
  ];
  claims["sub"] = parts.map((name) => `${name}:${String(claims[name])}`).join(":");
  return claims;
}

export const signatures = ["valid", "unknown-key", "wrong-key", "none", "hs256"] as const;
export type Signature = (typeof signatures)[number];

/**
 * Signs claims as GitLab does, or forges them for a test: with a key nobody published (under its own id, or under the
 * real one's), with no signature, or by HMAC with the public key as the secret.
 */
export async function sign(
  keys: Keys,
  claims: Record<string, unknown>,
  how: Signature = "valid",
): Promise<string> {
  const [jwk, open] = [keys.private[1], keys.public[1]];
  if (!jwk || !open) throw new Error("no signing key");
  const kid = jwk.kid ?? "";
  if (how === "none" || how === "hs256") {
    const alg = how === "none" ? "none" : "HS256";
    const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const text = `${encode({ alg, kid, typ: "JWT" })}.${encode(claims)}`;
    if (how === "none") return `${text}.`;
    const pem = createPublicKey({ key: { ...open }, format: "jwk" }).export({
      type: "spki",
      format: "pem",
    });
    return `${text}.${createHmac("sha256", pem).update(text).digest("base64url")}`;
  }
  const key =
    how === "valid" ? await importJWK(jwk, "RS256") : (await generateKeyPair("RS256")).privateKey;
  const header = { alg: "RS256", typ: "JWT", kid: how === "unknown-key" ? randomUUID() : kid };
  return new SignJWT(claims).setProtectedHeader(header).sign(key);
}
