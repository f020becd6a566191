import { readableUntil, rfc3339 } from "../core/tokenRotation";
import type { SecretRead } from "../clients/vault";

/** What readers have left where no new token could be bought. */
export interface TokenLeft {
  /** In seconds since 1970; 0 = they have none, or nobody knows. */
  until: number;
  text: string;
}

/** `stored`: the token record, undefined where it could not be read. `nowMs`: milliseconds since 1970. */
export function tokenLeft(stored: SecretRead | undefined, nowMs: number): TokenLeft {
  if (stored === undefined) {
    return { until: 0, text: "whether readers still have a token is not known" };
  }
  const now = nowMs / 1000;
  const until = readableUntil(stored, now);
  if (until === undefined) return { until: 0, text: "no valid token is left" };
  const text = `readers have a token until ${rfc3339(until)} (${span(until - now)})`;
  return { until, text };
}

/** Seconds as hours and minutes. */
export function span(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
