// Logs a GitLab job in to Vault with its ID token and leaves the Vault token in ~/.vault-token, where the
// program and the Vault CLI look for it. Environment: VAULT_ADDR, VAULT_ID_TOKEN, VAULT_ROLE, and
// VAULT_AUTH_PATH (gitlab), VAULT_NAMESPACE, VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY as needed.
import { readFileSync, writeFileSync } from "node:fs";
import { readEndpoint } from "../net/endpoint";
import { systemClock } from "../net/http";
import { jwtLogin } from "../clients/vault";
import { vaultTls } from "../net/vaultTls";
import { vaultTokenFile } from "../clients/vaultToken";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { shown, withCode } from "../core/messageCode";

const { VAULT_ADDR, VAULT_ID_TOKEN, VAULT_ROLE, VAULT_AUTH_PATH, VAULT_NAMESPACE } = process.env;
if (!VAULT_ADDR || !VAULT_ID_TOKEN || !VAULT_ROLE) {
  console.error(
    withCode(
      "VAULT_ADDR, VAULT_ID_TOKEN and VAULT_ROLE must be set for this environment.",
      "vault-variables",
    ),
  );
  process.exit(2);
}
const endpoint = readEndpoint(VAULT_ADDR, "path");
if ("problem" in endpoint) {
  console.error(
    withCode(
      `VAULT_ADDR ${endpoint.problem}: the ID token is sent to no such address.`,
      "vault-variables",
    ),
  );
  process.exit(2);
}
login(endpoint.address, VAULT_ROLE, VAULT_ID_TOKEN).catch((error: Error) => {
  console.error(shown(error));
  process.exit(1);
});

async function login(address: string, role: string, idToken: string): Promise<void> {
  const vault = {
    send: nodeSend({
      ...vaultTls(process.env, (path) => readFileSync(path, "utf8")),
      proxyFor: proxyTo,
    }),
    clock: systemClock,
    address,
    namespace: VAULT_NAMESPACE || undefined,
  };
  const { token } = await jwtLogin(vault, VAULT_AUTH_PATH || "gitlab", role, idToken);
  writeFileSync(vaultTokenFile(), token, { mode: 0o600 });
}
