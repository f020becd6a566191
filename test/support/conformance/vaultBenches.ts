import { randomUUID } from "node:crypto";
import type { OpenBao } from "../../../lab/openbao";
import type { Props } from "../../recordings/expand";
import type { placeholders } from "./placeholders";
import type { Bench } from "./replay";

type Hands = Pick<Bench, "clean" | "remove" | "byHand"> & Partial<Bench>;

const rule = 'path "traces/data/a" {\n  capabilities = ["read"]\n}\n';

/** Hands for each of the Vault plugin's types, in a real server. */
export function vaultHands(
  bao: OpenBao,
  places: ReturnType<typeof placeholders>,
): Record<string, Hands> {
  const ask = async (method: string, path: string, body?: object) => {
    const answer = await bao.request(bao.rootToken, method, path, body);
    if (answer.status >= 400 && method !== "DELETE" && method !== "GET") {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer;
  };
  const issuer = () => places.fill("http://<gitlab-host>");
  const mask = (outputs: Props): Props =>
    typeof outputs.accessor === "string" && outputs.accessor.includes("_")
      ? { ...outputs, accessor: "<accessor>" }
      : outputs;

  const tune = (body: object) => () => ask("POST", "sys/mounts/traces/tune", body);
  const remount = (body: object) => async () => {
    await ask("DELETE", "sys/mounts/traces");
    await ask("POST", "sys/mounts/traces", { description: "ours", ...body });
  };
  const mount: Hands = {
    async clean() {
      for (const path of ["traces", "traces-moved", "traces/nested"]) {
        await ask("DELETE", `sys/mounts/${path}`);
      }
    },
    remove: async () => void (await ask("DELETE", "sys/mounts/traces")),
    mask,
    byHand: {
      description: tune({ description: "theirs" }),
      "description removed": tune({ description: "" }),
      default_lease_ttl: tune({ default_lease_ttl: "90s" }),
      max_lease_ttl: tune({ max_lease_ttl: "90h" }),
      listing_visibility: tune({ listing_visibility: "unauth" }),
      audit_non_hmac_request_keys: tune({ audit_non_hmac_request_keys: ["a"] }),
      passthrough_request_headers: tune({ passthrough_request_headers: ["X-A"] }),
      "another type at the path": remount({ type: "transit" }),
      "KV version 1 at the path": remount({ type: "kv", options: { version: "1" } }),
      "import of a KV version 1 mount": remount({ type: "kv", options: { version: "1" } }),
    },
  };

  const policy: Hands = {
    async clean() {
      for (const name of ["traces-p", "traces-q", "traces-c.d", "traces-upper"]) {
        await ask("DELETE", `sys/policies/acl/${name}`);
      }
    },
    remove: async () => void (await ask("DELETE", "sys/policies/acl/traces-p")),
    byHand: { policy: () => ask("PUT", "sys/policies/acl/traces-p", { policy: 'path "*" {}' }) },
  };

  const config =
    (body: object, discovery = true) =>
    () =>
      ask("PUT", "auth/traces-jwt/config", {
        bound_issuer: issuer(),
        ...(discovery && { oidc_discovery_url: issuer() }),
        ...body,
      });
  const tuneAuth = (body: object) => () => ask("POST", "sys/mounts/auth/traces-jwt/tune", body);
  const authBackend: Hands = {
    async clean() {
      for (const path of ["traces-jwt", "traces-jwt-moved"])
        await ask("DELETE", `sys/auth/${path}`);
    },
    remove: async () => void (await ask("DELETE", "sys/auth/traces-jwt")),
    mask,
    byHand: {
      description: tuneAuth({ description: "theirs" }),
      "default_lease_ttl tuned": tuneAuth({ default_lease_ttl: "90s" }),
      "listing_visibility tuned": tuneAuth({ listing_visibility: "unauth" }),
      "token_type tuned": tuneAuth({ token_type: "batch" }),
      bound_issuer: config({ bound_issuer: "https://other.example" }),
      "bound_issuer removed": config({ bound_issuer: "" }),
      default_role: config({ default_role: "theirs" }),
      jwt_supported_algs: config({ jwt_supported_algs: ["ES256"] }),
      "keys at a URL": () => config({ jwks_url: `${issuer()}/oauth/discovery/keys` }, false)(),
      "own public keys": () =>
        config({ jwt_validation_pubkeys: [places.fill("<public key 2>")] }, false)(),
      "another type at the path": async () => {
        await ask("DELETE", "sys/auth/traces-jwt");
        await ask("POST", "sys/auth/traces-jwt", { type: "userpass" });
      },
    },
  };

  const role = {
    bound_audiences: ["http://vault/apisec/dev"],
    bound_claims: { project_id: ["1"], ref: ["main"], ref_protected: ["true"] },
    bound_claims_type: "string",
    claim_mappings: { job_id: "job_id", pipeline_id: "pipeline_id" },
    role_type: "jwt",
    token_explicit_max_ttl: 900,
    token_max_ttl: 900,
    token_no_default_policy: true,
    token_policies: ["traces-p"],
    token_ttl: 900,
    token_type: "service",
    user_claim: "project_id",
  };
  const writeRole = (body: object) => () =>
    ask("PUT", "auth/traces-jwt/role/traces-role", { ...role, ...body });
  const authBackendRole: Hands = {
    async clean() {
      for (const path of ["traces-jwt", "traces-jwt-moved"]) {
        const { status } = await ask("GET", `sys/mounts/auth/${path}`);
        if (status !== 200) await ask("POST", `sys/auth/${path}`, { type: "jwt" });
        await ask("PUT", `auth/${path}/config`, { oidc_discovery_url: issuer() });
        for (const name of ["traces-role", "traces-other", "traces-consumer.a"]) {
          await ask("DELETE", `auth/${path}/role/${name}`);
        }
      }
    },
    remove: async () => void (await ask("DELETE", "auth/traces-jwt/role/traces-role")),
    byHand: {
      bound_claims: writeRole({ bound_claims: { project_id: ["666"] } }),
      "bound_claims, a list": writeRole({
        bound_claims: { ...role.bound_claims, project_id: ["1", "2"] },
      }),
      "bound_claims, a boolean": writeRole({ bound_claims: { project_id: true } }),
      "bound_claims removed": writeRole({ bound_claims: {} }),
      "claim_mappings removed": writeRole({ claim_mappings: {} }),
      claim_mappings: writeRole({ claim_mappings: { a: "b" } }),
      bound_audiences: writeRole({ bound_audiences: ["theirs"] }),
      "bound_audiences, one more": writeRole({
        bound_audiences: [...role.bound_audiences, "theirs"],
      }),
      bound_subject: writeRole({ bound_subject: "theirs" }),
      bound_claims_type: writeRole({ bound_claims_type: "glob" }),
      user_claim: writeRole({ user_claim: "sub" }),
      groups_claim: writeRole({ groups_claim: "groups" }),
      token_policies: writeRole({ token_policies: ["root-like"] }),
      "token_policies, one more": writeRole({ token_policies: ["traces-p", "z"] }),
      token_ttl: writeRole({ token_ttl: 60 }),
      token_max_ttl: writeRole({ token_max_ttl: 7200 }),
      token_explicit_max_ttl: writeRole({ token_explicit_max_ttl: 0 }),
      token_no_default_policy: writeRole({ token_no_default_policy: false }),
      token_type: writeRole({ token_type: "batch" }),
      token_bound_cidrs: writeRole({ token_bound_cidrs: ["10.0.0.0/8"] }),
      token_num_uses: writeRole({ token_num_uses: 5 }),
      token_period: writeRole({ token_period: 60 }),
      clock_skew_leeway: writeRole({ clock_skew_leeway: 60 }),
      expiration_leeway: writeRole({ expiration_leeway: 60 }),
      not_before_leeway: writeRole({ not_before_leeway: 60 }),
      verbose_oidc_logging: writeRole({ verbose_oidc_logging: true }),
      user_claim_json_pointer: writeRole({ user_claim_json_pointer: true }),
    },
  };

  const group = async (name: string, policies: string[]): Promise<string> => {
    await ask("DELETE", `identity/group/name/${name}`);
    const { body } = await ask("POST", "identity/group", { name, policies });
    return (body as { data: { id: string } }).data.id;
  };
  const writeGroup = (body: object) => () =>
    ask("POST", `identity/group/id/${places.values["<group-id>"]}`, body);
  const groupPolicies: Hands = {
    async clean() {
      await ask("DELETE", "identity/group/name/traces-others-2");
      Object.assign(places.values, {
        "<group-id>": await group("traces-admins", ["theirs"]),
        "<other-group-id>": await group("traces-others", []),
      });
    },
    remove: async () =>
      void (await ask("DELETE", `identity/group/id/${places.values["<group-id>"]}`)),
    byHand: {
      "ours taken away": writeGroup({ policies: ["theirs"] }),
      "theirs changed": writeGroup({ policies: ["other", "traces-p"] }),
      "all taken away": writeGroup({ policies: [] }),
      renamed: writeGroup({ name: "traces-others-2" }),
      "create: the group has the policy": writeGroup({ policies: ["theirs", "traces-p"] }),
      "create: exclusive": writeGroup({ policies: ["theirs"] }),
    },
  };
  places.values["<uuid>"] = randomUUID();

  return {
    "vault:index/mount:Mount": mount,
    "vault:index/policy:Policy": policy,
    "vault:jwt/authBackend:AuthBackend": {
      ...authBackend,
      halfMadeBy: {
        boundIssuer: "http://<gitlab-host>",
        description: "ours",
        oidcDiscoveryUrl: "http://<address>",
        path: "traces-jwt",
        type: "jwt",
      },
    },
    "vault:jwt/authBackendRole:AuthBackendRole": authBackendRole,
    "vault:identity/groupPolicies:GroupPolicies": groupPolicies,
  };
}

/** What `provider.json` reads first. */
export const firstPolicy = { name: "traces-first", policy: rule };
