import type { Settings } from "../config/settings";
import { tokenKey } from "../core/passwordRecord";
import type { LoginRole } from "./roles";

/**
 * What a job's `.gitlab-ci.yml` needs to read one token. The ID token goes through standard input: arguments can be
 * read by everybody. Each command stands by itself, so that one that fails ends the job.
 */
export function readingJob(
  settings: Pick<
    Settings,
    "vaultAddress" | "vaultNamespace" | "vaultCa" | "vaultClient" | "authPath" | "mount"
  >,
  { roleName, audience }: LoginRole,
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
    `    VAULT_ID_TOKEN: { aud: "${audience}" }`,
    "  script:",
    `    - export VAULT_ADDR="${vaultAddress}"`,
    ...(vaultNamespace === undefined ? [] : [`    - export VAULT_NAMESPACE="${vaultNamespace}"`]),
    `    - VAULT_TOKEN="$(printf %s "$VAULT_ID_TOKEN" | vault write -field=token auth/${authPath}/login role=${roleName} jwt=-)"`,
    "    - export VAULT_TOKEN",
    `    - APISEC_TOKEN="$(vault kv get -mount=${mount} -field=token ${tokenKey(account)})"`,
    "    - vault token revoke -self",
    "",
  ].join("\n");
}
