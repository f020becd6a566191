import type { SecretRead } from "../clients/vault";

/**
 * What `<mount>/data/<name>/password` holds. `generation` 0: still APIsec's first password.
 * While a change is open, `pending` is the value it changes to. `version` 0: no record yet.
 */
export interface PasswordRecord {
  version: number;
  username: string;
  password: string;
  host: string;
  organization: string;
  generation: number;
  changedAt: string;
  pending?: { password: string; generation: number } | undefined;
  /** What a person has added to it. */
  added?: Readonly<Record<string, unknown>> | undefined;
  /** When Vault wrote this version, and when it will delete it: RFC 3339, or "". */
  createdTime?: string | undefined;
  deletionTime?: string | undefined;
}

/** The key of an account's password and of its token, below the mount. */
export const passwordKey = (name: string) => `${name}/password`;
export const tokenKey = (name: string) => `${name}/token`;

/** How old a standby's copy may be, and a little more. */
export const standbyLagMs = 200;

/** Reads the fields of a stored record; undefined where a field is missing or of another type. */
export function parseRecord(read: SecretRead & { state: "found" }): PasswordRecord | undefined {
  const { username, password, host, organization, generation, changed_at, ...rest } = read.data;
  const { pending_password, pending_generation, ...added } = rest;
  const texts = [username, password, host, organization];
  if (!texts.every((text) => typeof text === "string") || !isGeneration(generation)) {
    return undefined;
  }
  const hasPending = typeof pending_password === "string" && isGeneration(pending_generation);
  if (!hasPending && pending_password !== undefined) return undefined;
  return {
    version: read.version,
    username: username as string,
    password: password as string,
    host: host as string,
    organization: organization as string,
    generation,
    changedAt: typeof changed_at === "string" ? changed_at : "",
    pending: hasPending
      ? { password: pending_password, generation: pending_generation }
      : undefined,
    added,
    createdTime: read.createdTime,
    deletionTime: read.deletionTime,
  };
}

function isGeneration(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

/** The data of a record as it is written. */
export function recordData(record: PasswordRecord): Record<string, unknown> {
  return {
    ...record.added,
    username: record.username,
    password: record.password,
    host: record.host,
    organization: record.organization,
    generation: record.generation,
    changed_at: record.changedAt,
    ...(record.pending === undefined
      ? {}
      : {
          pending_password: record.pending.password,
          pending_generation: record.pending.generation,
        }),
  };
}
