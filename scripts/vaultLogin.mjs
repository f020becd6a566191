// Logs a GitLab job in to Vault with its ID token and leaves the Vault token in ~/.vault-token, where the
// program and the Vault CLI look for it. Environment: VAULT_ADDR, VAULT_ID_TOKEN, VAULT_ROLE, and
// VAULT_AUTH_PATH (gitlab), VAULT_NAMESPACE as needed.
import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const { VAULT_ADDR, VAULT_ID_TOKEN, VAULT_ROLE, VAULT_AUTH_PATH, VAULT_NAMESPACE } = process.env;
if (!VAULT_ADDR || !VAULT_ID_TOKEN || !VAULT_ROLE) {
  console.error("VAULT_ADDR, VAULT_ID_TOKEN and VAULT_ROLE must be set for this environment.");
  process.exit(2);
}
const answer = await fetch(`${VAULT_ADDR}/v1/auth/${VAULT_AUTH_PATH || "gitlab"}/login`, {
  method: "POST",
  redirect: "error",
  signal: AbortSignal.timeout(15_000),
  headers: VAULT_NAMESPACE ? { "x-vault-namespace": VAULT_NAMESPACE } : {},
  body: JSON.stringify({ role: VAULT_ROLE, jwt: VAULT_ID_TOKEN }),
});
const body = await answer.json().catch(() => ({}));
const token = body.auth?.client_token;
if (answer.status !== 200 || typeof token !== "string") {
  console.error(
    `Vault refuses the login (${answer.status}): ${(body.errors ?? []).join("; ").slice(0, 200)}`,
  );
  process.exit(1);
}
await writeFile(join(homedir(), ".vault-token"), token, { mode: 0o600 });
