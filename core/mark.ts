import { foreignText } from "./redact";

/**
 * What a password key's `custom_metadata` says, for whoever may read metadata: the last version of the record
 * that was seen whole, and the logins that APIsec has refused. It is foreign text: what is not well formed is
 * missing. Times are RFC 3339.
 */
export interface Mark {
  owner?: string | undefined;
  version?: number | undefined;
  generation?: number | undefined;
  changedAt?: string | undefined;
  verifiedAt?: string | undefined;
  /** Who wrote it: pipeline, commit or user. */
  by?: string | undefined;
  /**
   * Record versions whose password APIsec has refused; with `p`, whose pending one. `0` is config's first password,
   * `r` stands before versions of the record under the account's former name.
   */
  refused: readonly string[];
  /** Refused logins in a row, the last one at `refusedAt`. */
  refusedCount: number;
  refusedAt?: string | undefined;
  /** What others keep there: a write replaces all, so it is written back. */
  others: Readonly<Record<string, string>>;
}

/** Vault's own limits: so many keys, and values of 1 to so many characters. */
const mostKeys = 64;
const mostCharacters = 512;
const mostRefused = 40;

const keys: readonly string[] = [
  "owner",
  "version",
  "generation",
  "changed_at",
  "verified_at",
  "by",
  "refused",
  "refused_count",
  "refused_at",
];

/** Reads a key's `custom_metadata`, as Vault gives it: an object, or null. */
export function parseMark(custom: unknown): Mark {
  const entries = Object.entries((custom ?? {}) as Record<string, unknown>);
  const texts = Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
  const others = Object.entries(texts).filter(([key]) => !keys.includes(key));
  return {
    owner: texts["owner"],
    version: numberIn(texts["version"]),
    generation: numberIn(texts["generation"]),
    changedAt: timeIn(texts["changed_at"]),
    verifiedAt: timeIn(texts["verified_at"]),
    by: texts["by"] === undefined ? undefined : foreignText(texts["by"], []),
    refused: (texts["refused"] ?? "").split(" ").filter((label) => /^r?\d{1,9}p?$/.test(label)),
    refusedCount: numberIn(texts["refused_count"]) ?? 0,
    refusedAt: timeIn(texts["refused_at"]),
    others: Object.fromEntries(others),
  };
}

/** The `custom_metadata` to write: texts only, empty ones left out. */
export function markTexts(mark: Mark): Record<string, string> {
  const { refused, refusedCount } = mark;
  const own: Record<string, string | undefined> = {
    owner: mark.owner,
    version: mark.version?.toString(),
    generation: mark.generation?.toString(),
    changed_at: mark.changedAt,
    verified_at: mark.verifiedAt,
    by: mark.by === undefined ? undefined : foreignText(mark.by, []),
    refused: refused.slice(-mostRefused).join(" "),
    refused_count: refusedCount === 0 ? undefined : refusedCount.toString(),
    refused_at: mark.refusedAt,
  };
  const all = [...Object.entries(own), ...Object.entries(mark.others)].filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && entry[1] !== "" && entry[1].length <= mostCharacters,
  );
  return Object.fromEntries(all.slice(0, mostKeys));
}

/**
 * Since when a change is open, RFC 3339; undefined where the mark speaks of the newest version, so that nothing
 * is open, or where there is no mark. `versions`: Vault's metadata of a key's versions, by number.
 */
export function openSince(
  { version: seen }: Pick<Mark, "version">,
  newest: number,
  versions: Readonly<Record<string, { created_time: string }>>,
): string | undefined {
  if (seen === undefined || seen === newest) return undefined;
  const after = Object.keys(versions)
    .map(Number)
    .filter((version) => version > seen)
    .sort((a, b) => a - b)[0];
  return after === undefined ? undefined : versions[after]?.created_time;
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : undefined;
}

function timeIn(text: string | undefined): string | undefined {
  const shape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
  const isTime = text !== undefined && shape.test(text) && !Number.isNaN(Date.parse(text));
  return isTime ? text : undefined;
}

/** The command that names another owner in a record's mark, and keeps what else is in it. */
export function handOverRecord(mount: string, key: string, owner: string): string {
  return `vault kv metadata patch -mount=${mount} -custom-metadata="owner=${owner}" ${key}`;
}
