import { formatDuration } from "../core/duration";

/** Settings of a KV version 2 key, as its metadata names them. */
export type KeySettings = Readonly<Record<string, boolean | number | string>>;

/** Ten versions of a password: an older change that lands late is found among them. None of them ends. */
export const passwordKeySettings: KeySettings = {
  cas_required: true,
  max_versions: 10,
  delete_version_after: "0s",
};

/** A token leaves Vault some seconds after it was written; undefined = never, `expires_at` alone says its end. */
export function tokenKeySettings(keptSeconds: number | undefined): KeySettings {
  return { cas_required: true, delete_version_after: formatDuration(keptSeconds ?? 0) };
}
