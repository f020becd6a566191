import { isObject } from "../net/http";
import { metadataPath } from "../clients/keySettings";
import { openSince, parseMark } from "../core/mark";
import type { Mark } from "../core/mark";
import { timeOf } from "./time";
import type { World } from "./world";

/** A version that Vault keeps. Times in milliseconds since 1970. */
export interface Version {
  version: number;
  createdAt: number;
  /** When it was deleted, or will be. */
  endsAt?: number | undefined;
  destroyed: boolean;
}

/** What Vault says of a key without showing a value. */
export interface KeyState {
  settings: Record<string, unknown>;
  /** Those that are kept, the oldest first. */
  versions: readonly Version[];
  /** Undefined: the key has no value yet. */
  newest?: Version | undefined;
  /** What this program noted beside the values. */
  mark: Mark;
  /** Since when versions are there that the mark does not speak of, in milliseconds since 1970. */
  openSince?: number | undefined;
}

/** Reads a key's metadata. Throws as `vaultCall` does. */
export async function keyState({ lookForKey, settings }: World, key: string): Promise<KeyState> {
  return readMetadata((await lookForKey(metadataPath(settings.mount, key))) ?? {});
}

export function readMetadata(metadata: Record<string, unknown>): KeyState {
  const { versions: kept, current_version: current, custom_metadata: custom, ...rest } = metadata;
  const mark = parseMark(custom);
  const settings = { ...rest, custom_metadata: custom };
  const versions = Object.entries(isObject(kept) ? kept : {})
    .map(([number, version]) => versionOf(Number(number), version))
    .sort((one, other) => one.version - other.version);
  const newest = versions.find(({ version }) => version === Number(current));
  const times = versions.map(({ version, createdAt }): [number, { created_time: string }] => [
    version,
    { created_time: new Date(createdAt).toISOString() },
  ]);
  const since = newest && openSince(mark, newest.version, Object.fromEntries(times));
  return { settings, versions, newest, mark, openSince: timeOf(since) };
}

function versionOf(version: number, found: unknown): Version {
  const of = isObject(found) ? found : {};
  return {
    version,
    createdAt: timeOf(of["created_time"]) ?? 0,
    endsAt: timeOf(of["deletion_time"]),
    destroyed: of["destroyed"] === true,
  };
}
