import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { Settings } from "../config/settings";
import { tokenKey } from "../core/passwordRecord";
import type { ConsumerAccess } from "../desired/state";
import { jobLogin } from "./jobLogin";

export interface ConsumerArgs {
  settings: Pick<
    Settings,
    "vaultAddress" | "vaultNamespace" | "vaultCa" | "vaultClient" | "authPath" | "mount"
  >;
  access: ConsumerAccess;
  /** The JWT auth mount. */
  backend: pulumi.Input<string>;
}

/** Pipelines of a GitLab project, or of a group's projects, that read tokens with their own ID token. */
export class Consumer extends pulumi.ComponentResource {
  public readonly consumerName: string;
  /** Name of the Vault role, and of its policy. */
  public readonly role: pulumi.Output<string>;
  /** What a job's `.gitlab-ci.yml` needs, for the first of the accounts. */
  public readonly snippet: pulumi.Output<string>;

  constructor(name: string, args: ConsumerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:Consumer", name, {}, opts);
    this.consumerName = name;
    const { settings, access } = args;
    const { role, policy, accounts } = access;
    const readsTokens = new vault.Policy(
      `consumer-${name}`,
      { name: policy.name, policy: policy.text },
      { parent: this },
    );
    const login = jobLogin(
      `consumer-${name}`,
      { role, backend: args.backend, policy: readsTokens.name },
      { parent: this },
    );
    this.role = login.roleName;
    this.snippet = login.roleName.apply((roleName) =>
      readingJob(settings, roleName, role.audience, accounts[0] ?? ""),
    );
    this.registerOutputs({ role: this.role });
  }
}

/**
 * A job that reads one token. The ID token goes through standard input: arguments can be read by everybody.
 * Each command stands by itself, so that one that fails ends the job.
 */
function readingJob(
  settings: ConsumerArgs["settings"],
  role: string,
  aud: string,
  account: string,
): string {
  const { vaultAddress, vaultNamespace, authPath, mount } = settings;
  const files = [
    ...(settings.vaultCa === undefined ? [] : ["VAULT_CACERT"]),
    ...(settings.vaultClient === undefined ? [] : ["VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"]),
  ];
  return [
    "read-token:",
    "  # An image with Vault's command line, such as hashicorp/vault. GitLab does not mask the token it reads.",
    ...(files.length === 0
      ? []
      : [`  # Vault needs CI variables of type file: ${files.join(", ")}.`]),
    "  rules:",
    '    - if: $CI_COMMIT_BRANCH && $CI_COMMIT_REF_PROTECTED == "true"',
    "  id_tokens:",
    `    VAULT_ID_TOKEN: { aud: "${aud}" }`,
    "  script:",
    `    - export VAULT_ADDR="${vaultAddress}"`,
    ...(vaultNamespace === undefined ? [] : [`    - export VAULT_NAMESPACE="${vaultNamespace}"`]),
    `    - VAULT_TOKEN="$(printf %s "$VAULT_ID_TOKEN" | vault write -field=token auth/${authPath}/login role=${role} jwt=-)"`,
    "    - export VAULT_TOKEN",
    `    - APISEC_TOKEN="$(vault kv get -mount=${mount} -field=token ${tokenKey(account)})"`,
    "    - vault token revoke -self",
    "",
  ].join("\n");
}
