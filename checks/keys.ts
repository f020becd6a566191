import { isObject } from "../net/http";
import { metadataPath } from "../clients/keySettings";
import type { World } from "./world";

/** What Vault says of a key without showing a value. Times in milliseconds since 1970. */
export interface KeyState {
  settings: Record<string, unknown>;
  /** How many versions are kept. */
  versions: number;
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
export async function keyState({ look, settings }: World, key: string): Promise<KeyState> {
  return readMetadata((await look(metadataPath(settings.mount, key))) ?? {});
}

export function readMetadata(metadata: Record<string, unknown>): KeyState {
  const { versions: kept, current_version: version, ...settings } = metadata;
  const versions = isObject(kept) ? Object.keys(kept).length : 0;
  const current = isObject(kept) ? kept[String(version)] : undefined;
  if (!isObject(current)) return { settings, versions };
  const endsAt = timeOf(current["deletion_time"]);
  const createdAt = timeOf(current["created_time"]) ?? 0;
  const destroyed = current["destroyed"] === true;
  return { settings, versions, newest: { version: Number(version), createdAt, endsAt, destroyed } };
}

function timeOf(text: unknown): number | undefined {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
