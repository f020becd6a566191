import type { Clock } from "../../net/http";
import type { SecretRead, KvStore, SecretWrite } from "../../clients/vault";

/** A KV v2 mount as plain data that is never changed in place: a copy of the reference is a snapshot. */
export type Kv = Readonly<Record<string, KvKey>>;

export interface KvKey extends KvSettings {
  /** Number of the newest version; 0 = settings, but no value yet. */
  readonly current: number;
  /** The versions that are kept, oldest first; the last one is `current`. */
  readonly versions: readonly KvVersion[];
  /** The key's `custom_metadata`. */
  readonly custom?: Readonly<Record<string, string>>;
}

export interface KvSettings {
  readonly maxVersions: number;
  /** Milliseconds after which a version counts as deleted; 0 = never. */
  readonly deleteAfterMs: number;
}

interface KvVersion {
  readonly data: Readonly<Record<string, unknown>>;
  /** RFC 3339, or "". */
  readonly deletionTime: string;
  readonly createdTime?: string;
  readonly destroyed: boolean;
}

const noKey: KvKey = { maxVersions: 10, deleteAfterMs: 0, current: 0, versions: [] };

/** `version` undefined or 0: the newest one. */
export function kvRead(kv: Kv, key: string, nowMs: number, version = 0): SecretRead {
  const { current, versions, custom = null } = kv[key] ?? noKey;
  const number = version === 0 ? current : version;
  const found = versions[number - current + versions.length - 1];
  if (found === undefined) return { state: "absent" };
  const { data, deletionTime, createdTime, destroyed } = found;
  const facts = { deletionTime, createdTime, custom };
  const isDeleted = destroyed || (deletionTime !== "" && Date.parse(deletionTime) <= nowMs);
  if (isDeleted) return { state: "deleted", version: number, ...facts };
  return { state: "found", version: number, data, ...facts };
}

/** A write with check-and-set: the mount after it, and Vault's answer. */
export function kvWrite(
  kv: Kv,
  key: string,
  data: Record<string, unknown>,
  cas: number,
  nowMs: number,
): { kv: Kv; answer: SecretWrite } {
  const old = kv[key] ?? noKey;
  if (cas !== old.current) return { kv, answer: { state: "lost" } };
  const version = old.current + 1;
  const deletionTime =
    old.deleteAfterMs === 0 ? "" : new Date(nowMs + old.deleteAfterMs).toISOString();
  const createdTime = new Date(nowMs).toISOString();
  const versions = [...old.versions, { data, deletionTime, createdTime, destroyed: false }];
  const kept = versions.slice(-old.maxVersions);
  return {
    kv: { ...kv, [key]: { ...old, current: version, versions: kept } },
    answer: { state: "written", version, deletionTime, createdTime },
  };
}

/** What Pulumi sets on a key before its first value. */
export function kvConfigure(kv: Kv, key: string, settings: Partial<KvSettings>): Kv {
  return { ...kv, [key]: { ...(kv[key] ?? noKey), ...settings } };
}

/** Writes `custom_metadata`, whole; a key comes to be by it. */
export function kvNote(kv: Kv, key: string, custom: Readonly<Record<string, string>>): Kv {
  return { ...kv, [key]: { ...(kv[key] ?? noKey), custom } };
}

/** `vault kv delete` of the newest version. */
export function kvDelete(kv: Kv, key: string, nowMs: number): Kv {
  return mapVersions(kv, key, (version, number, current) =>
    number === current ? { ...version, deletionTime: new Date(nowMs).toISOString() } : version,
  );
}

/** `vault kv undelete` of one version. */
export function kvUndelete(kv: Kv, key: string, undeleted: number): Kv {
  return mapVersions(kv, key, (version, number) =>
    number === undeleted ? { ...version, deletionTime: "" } : version,
  );
}

/** `vault kv destroy` of one version. */
export function kvDestroy(kv: Kv, key: string, destroyed: number): Kv {
  return mapVersions(kv, key, (version, number) =>
    number === destroyed ? { ...version, data: {}, destroyed: true } : version,
  );
}

/** `vault kv metadata delete`: nothing is left, not even the version number. */
export function kvForget(kv: Kv, key: string): Kv {
  return Object.fromEntries(Object.entries(kv).filter(([name]) => name !== key));
}

function mapVersions(
  kv: Kv,
  key: string,
  change: (version: KvVersion, number: number, current: number) => KvVersion,
): Kv {
  const old = kv[key];
  if (old === undefined) return kv;
  const oldest = old.current - old.versions.length + 1;
  const versions = old.versions.map((one, index) => change(one, oldest + index, old.current));
  return { ...kv, [key]: { ...old, versions } };
}

/** The mount in `world.kv` as the program sees it. */
export function memoryStore(world: { kv: Kv }, clock: Clock): KvStore {
  return {
    async read(key, version) {
      return kvRead(world.kv, key, clock.now(), version);
    },
    async write(key, data, cas) {
      const { kv, answer } = kvWrite(world.kv, key, data, cas, clock.now());
      world.kv = kv;
      return answer;
    },
  };
}
