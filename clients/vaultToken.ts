import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where `vault login` leaves the token. */
export const vaultTokenFile = () => join(homedir(), ".vault-token");

/** The caller's Vault token, as the Vault CLI finds it: VAULT_TOKEN, else the file; undefined for neither. */
export function findVaultToken(): string | undefined {
  const fromEnvironment = process.env["VAULT_TOKEN"];
  if (fromEnvironment) return fromEnvironment;
  const file = vaultTokenFile();
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}
