import { CronExpressionParser } from "cron-parser";
import type { CronDate } from "cron-parser";

const hourMs = 3_600_000;
const windowMs = 8 * 24 * hourMs;

/** The next `count` runs of a five-field cron after `from`, as times in milliseconds since 1970. Throws on a bad cron or zone. */
export function nextRuns(cron: string, timeZone: string, from: number, count: number): number[] {
  const runs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(from) });
  return Array.from({ length: count }, () => runs.next().getTime());
}

/** The last `count` runs up to `until`, the oldest first, and the one after them. Throws on a bad cron or zone. */
export function lastRuns(cron: string, timeZone: string, until: number, count: number): number[] {
  const { largest } = scheduleGaps(cron, timeZone, until);
  // An hour more where the clocks change.
  const from = until - (count + 1) * (largest + 1) * hourMs;
  const runs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(from) });
  const found: number[] = [];
  do found.push(runs.next().getTime());
  while ((found.at(-1) ?? until) <= until);
  return found.slice(-count - 1);
}

/** How far a schedule's runs lie apart, in hours. */
export interface Gaps {
  /** The longest time from one run to the next. */
  largest: number;
  /** The longest time from one run to the one after the next: what readers wait if one is missed. */
  largestWithOneMissed: number;
}

/**
 * Measures a cron over the eight days from `from`. Where the clocks change, the gap counts as it is
 * written or as it passes, whichever is shorter: otherwise `0 *\/12 * * *` would be refused in the one
 * week with a 13-hour gap, and `30 2,14 * * *` in the one with no half past two. Throws on a bad cron
 * or zone.
 */
export function scheduleGaps(cron: string, timeZone: string, from: number): Gaps {
  const times: { real: number; wall: number }[] = [];
  const runs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(from) });
  const end = from + windowMs;
  for (;;) {
    const run = runs.next();
    const real = run.getTime();
    times.push({ real, wall: wallClock(run) });
    if (real > end && times.length >= 3) break;
  }
  const apart = (step: number) =>
    times.slice(step).reduce((longest, { real, wall }, index) => {
      const before = times[index] ?? { real, wall };
      return Math.max(longest, Math.min(real - before.real, wall - before.wall));
    }, 0) / hourMs;
  return { largest: apart(1), largestWithOneMissed: apart(2) };
}

/** What the clock in the run's zone shows, as if it were UTC, in milliseconds. */
function wallClock(run: CronDate): number {
  const date = [run.getFullYear(), run.getMonth(), run.getDate()] as const;
  return Date.UTC(...date, run.getHours(), run.getMinutes());
}
