import type { Settings } from "../config/settings";
import { tokenKey } from "../core/passwordRecord";
import { defaultImage } from "./pipelineFile";
import type { LoginRole } from "./roles";

type Reading = Pick<
  Settings,
  "vaultAddress" | "vaultNamespace" | "vaultCa" | "vaultClient" | "authPath" | "mount"
>;

/** What every job that logs in with its ID token begins with; its script goes on below. */
function loginJob(
  name: string,
  settings: Reading,
  audience: string,
  image: readonly string[],
): string[] {
  const files = [
    ...(settings.vaultCa === undefined ? [] : ["VAULT_CACERT"]),
    ...(settings.vaultClient === undefined ? [] : ["VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"]),
  ];
  return [
    `${name}:`,
    ...image,
    ...(files.length === 0
      ? []
      : [`  # Vault needs CI variables of type file: ${files.join(", ")}.`]),
    "  rules:",
    '    - if: $CI_COMMIT_BRANCH && $CI_COMMIT_REF_PROTECTED == "true"',
    "  id_tokens:",
    `    VAULT_ID_TOKEN: { aud: "${audience}" }`,
    "  script:",
    // In the script: the project's own CI variables would go before the job's.
    `    - export VAULT_ADDR="${settings.vaultAddress}"`,
    ...(settings.vaultNamespace === undefined
      ? []
      : [`    - export VAULT_NAMESPACE="${settings.vaultNamespace}"`]),
  ];
}

/**
 * What a job's `.gitlab-ci.yml` needs to read one token: `APISEC_TOKEN` and `APISEC_HOST`, for the commands that
 * follow. The ID token goes through standard input: arguments can be read by everybody. Each command stands by itself,
 * so that one that fails ends the job.
 */
export function readingJob(
  settings: Reading,
  { roleName, audience }: LoginRole,
  account: string,
): string {
  const { authPath, mount } = settings;
  const read = (field: string) =>
    `"$(vault kv get -mount=${mount} -field=${field} ${tokenKey(account)})"`;
  return [
    ...loginJob("read-token", settings, audience, [
      "  # An image with Vault's command line, such as hashicorp/vault. GitLab does not mask the token it reads.",
    ]),
    `    - VAULT_TOKEN="$(printf %s "$VAULT_ID_TOKEN" | vault write -field=token auth/${authPath}/login role=${roleName} jwt=-)"`,
    "    - export VAULT_TOKEN",
    `    - APISEC_TOKEN=${read("token")}`,
    `    - APISEC_HOST=${read("host")}`,
    "    - vault token revoke -self",
    "    - unset VAULT_TOKEN VAULT_ID_TOKEN",
    "    - export APISEC_TOKEN APISEC_HOST",
    "",
  ].join("\n");
}

/** Where a consumer's project has the scan, dist/scan.mjs. */
const scanFile = ".gitlab/apisec-scan.mjs";

/**
 * The job that scans the project's API: `scan.mjs` reads the token itself, so that no command and no other process of
 * the job has it.
 */
export function scanningJob(
  settings: Reading,
  { roleName, audience }: LoginRole,
  account: string,
): string {
  return [
    ...loginJob("apisec-scan", settings, audience, [`  image: ${defaultImage}`]),
    `    - export VAULT_AUTH_PATH="${settings.authPath}" VAULT_AUTH_ROLE="${roleName}"`,
    `    - export APISEC_MOUNT="${settings.mount}" APISEC_ACCOUNT="${account}"`,
    `    - node ${scanFile} --project "$CI_PROJECT_NAME" --spec openapi.yaml --fail-on high`,
    "  artifacts:",
    "    when: always",
    "    paths: [apisec.sarif, apisec-scan.xml]",
    "    reports: { junit: apisec-scan.xml }",
    "",
  ].join("\n");
}
