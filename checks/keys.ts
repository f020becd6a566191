import { isObject } from "../net/http";
import { metadataPath } from "../clients/keySettings";
import type { VaultConnection } from "../clients/vault";
import { look } from "./preflight";

/** What Vault says of a key without showing a value. Times in milliseconds since 1970. */
export interface KeyState {
  settings: Record<string, unknown>;
  /** Undefined: the key has no value yet. */
  newest?:
    | {
        version: number;
        createdAt: number;
        /** When it was deleted, or will be. */
        endsAt?: number | undefined;
        destroyed: boolean;
      }
    | undefined;
}

/** Reads a key's metadata. Throws as `vaultCall` does. */
export async function keyState(
  vault: VaultConnection,
  mount: string,
  key: string,
): Promise<KeyState> {
  return readMetadata((await look(vault, metadataPath(mount, key))) ?? {});
}

export function readMetadata(metadata: Record<string, unknown>): KeyState {
  const { versions, current_version: version, ...settings } = metadata;
  const current = isObject(versions) ? versions[String(version)] : undefined;
  if (!isObject(current)) return { settings };
  const endsAt = timeOf(current["deletion_time"]);
  const createdAt = timeOf(current["created_time"]) ?? 0;
  const destroyed = current["destroyed"] === true;
  return { settings, newest: { version: Number(version), createdAt, endsAt, destroyed } };
}

function timeOf(text: unknown): number | undefined {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
