import type { Identity } from "../clients/apisec";
import type { Mark } from "./mark";

/** A login that worked: the password where one was used, the token, and who it belongs to. */
export interface Proof {
  password?: string;
  token: string;
  who: Identity;
  /** When the login was sent, RFC 3339. */
  at: string;
}

/** What one user of APIsec was asked for in this process: APIsec counts refused logins by user. */
export interface UserLogins {
  /** Logins that were sent and not answered with yes. */
  refused: number;
  /** A change was sent for this user. */
  changeSent: boolean;
  /** The last login, if its answer proved nothing: no other password is tried after it. */
  unsure?: { password: string; why: string } | undefined;
  /** The newest login that worked. */
  newest?: { password: string; token: string; at: string };
  /** The newest that passed who-am-I. */
  proof?: Proof;
  /** The one login of this user for those accounts that it changes. */
  asChanger?: Promise<Changer>;
}

/** The changer's token, or why there is none: a stop of whichever account asks. */
export type Changer = { proof: Proof } | { what: string } | { unknown: string; call: string };

/** All users of a provider process. */
export type LoginBook = Map<string, UserLogins>;

/** APIsec's own limit is not known; a like service locks at five. */
const mostBeforeChange = 3;
const mostInAll = 4;
const mostInRow = 4;
const rowMs = 15 * 60_000;

export function loginsOf(book: LoginBook, host: string, username: string): UserLogins {
  const key = `${host} ${username.toLowerCase()}`;
  const known = book.get(key) ?? { refused: 0, changeSent: false };
  book.set(key, known);
  return known;
}

/** Refused logins in a row as earlier runs have noted them, unless the last one is older than 15 minutes. */
export function recentRow({ refusedCount, refusedAt }: Mark, nowMs: number): number {
  const last = refusedAt === undefined ? NaN : Date.parse(refusedAt);
  return nowMs - last < rowMs ? refusedCount : 0;
}

/** Until when no login may be sent, RFC 3339; undefined: now. */
export function pausedUntil(row: number, lastMs: number, nowMs: number): string | undefined {
  const end = lastMs + rowMs;
  if (row < mostInRow || end <= nowMs) return undefined;
  return `${new Date(Math.ceil(end / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** Whether a login may still be tried: three refused before a change, four in all. */
export function maySend({ refused, changeSent }: UserLogins): boolean {
  return refused < (changeSent ? mostInAll : mostBeforeChange);
}

/** How many logins are left to prove a change that would be sent now. */
export function leftToProve({ refused }: UserLogins, row: number): number {
  return Math.max(0, mostInAll - Math.max(refused, row));
}
