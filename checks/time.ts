import { formatDuration } from "../core/duration";

/** How long before its end an access token is spoken of. */
export const soonMs = 14 * 24 * 3_600_000;

/** How long something is, whichever way: `90 days`, `17h30m`, `4m`. */
export function span(ms: number): string {
  const minutes = Math.round(Math.abs(ms) / 60_000);
  if (minutes >= 2 * 24 * 60) return `${Math.floor(minutes / (24 * 60))} days`;
  return minutes === 0 ? "less than a minute" : formatDuration(minutes * 60).replace(/0s$/, "");
}

/** A time in milliseconds since 1970 as text, RFC 3339 without fractions. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** A time of Vault or of a mark in milliseconds since 1970; undefined where it is none. */
export function timeOf(text: unknown): number | undefined {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
