import type { KeySettings } from "../desired/keySettings";
import { isObject, jsonObject } from "../net/http";
import { asSent, isDone, metadataPath } from "./keySettings";
import { encodePath, refused, vaultCall, vaultErrors } from "./vault";
import type { VaultConnection, VaultError } from "./vault";

/** What became of a first record: `exists`: the key has, or had, a version, and nothing was written. */
export type FirstRecord = "written" | "exists" | "no mount" | "not version 2";

/**
 * Writes the first version of a key, and before it the key's settings and `custom` metadata: as policies/handover.hcl
 * allows it, check-and-set 0 as text. Reads nothing. Throws as `vaultCall` does, `secrets` cut out.
 */
export async function writeFirstRecord(
  vault: VaultConnection,
  mount: string,
  key: string,
  { settings, custom }: { settings: KeySettings; custom: Record<string, string> },
  data: Record<string, unknown>,
  secrets: readonly string[],
): Promise<FirstRecord> {
  // A mount of version 1 would take the settings for a secret, and the record, too.
  const version = await versionOf(vault, mount);
  if (version !== undefined && version !== "2") return "not version 2";
  const place = metadataPath(mount, key);
  const prepared = await unlessDenied(
    vaultCall(vault, "POST", place, { ...asSent(settings), custom_metadata: custom }),
  );
  // Denied where the key, or no such mount, is there: which of them, the write below says.
  if (prepared !== undefined && prepared.status !== 404 && !isDone(prepared)) {
    throw refused(vault, "POST", place, prepared);
  }
  const path = `${encodePath(mount)}/data/${encodePath(key)}`;
  const body = { options: { cas: "0" }, data };
  const answer = await vaultCall(vault, "POST", path, body, secrets);
  const isTaken = vaultErrors(answer).includes("check-and-set parameter did not");
  if (answer.status === 400 && isTaken) return "exists";
  if (answer.status === 404 && vaultErrors(answer).startsWith("no handler for")) return "no mount";
  const written = jsonObject(answer.body)?.["data"];
  if (answer.status === 200 && isObject(written) && written["version"] === 1) return "written";
  throw refused(vault, "POST", path, answer, secrets);
}

/** As Vault tells whoever may use the mount; undefined where it does not, or there is none. */
async function versionOf(vault: VaultConnection, mount: string): Promise<string | undefined> {
  const path = `sys/internal/ui/mounts/${encodePath(mount)}`;
  const answer = await unlessDenied(vaultCall(vault, "GET", path));
  const found = answer && jsonObject(answer.body)?.["data"];
  if (answer?.status !== 200 || !isObject(found)) return undefined;
  const options = isObject(found["options"]) ? found["options"] : {};
  const { version } = options;
  return found["type"] === "kv" && typeof version === "string" ? version : "1";
}

async function unlessDenied<T>(answer: Promise<T>): Promise<T | undefined> {
  return answer.catch((error: VaultError) => {
    if (error.problem === "denied" && error.isTokenUnknown !== true) return undefined;
    throw error;
  });
}
