import { CronExpressionParser } from "cron-parser";

const hourMs = 3_600_000;
const windowMs = 8 * 24 * hourMs;

/** The next `count` runs of a five-field cron after `from`, as times in milliseconds since 1970. Throws on a bad cron or zone. */
export function nextRuns(cron: string, timeZone: string, from: number, count: number): number[] {
  const runs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(from) });
  return Array.from({ length: count }, () => runs.next().getTime());
}

/** How far a schedule's runs lie apart, in hours of its own wall clock. */
export interface Gaps {
  /** The longest time from one run to the next. */
  largest: number;
  /** The longest time from one run to the one after the next: what readers wait if one is missed. */
  largestWithOneMissed: number;
}

/**
 * Measures a cron over the eight days from `from`. Gaps are counted on the zone's wall clock, as a
 * cron is written: otherwise `0 *\/12 * * *` would be refused in the one week with a 13-hour gap.
 */
export function scheduleGaps(cron: string, timeZone: string, from: number): Gaps {
  const walls: number[] = [];
  const runs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(from) });
  const end = from + windowMs;
  for (;;) {
    const run = runs.next();
    walls.push(run.getTime() + wallOffsetMs(run.getTime(), timeZone));
    if (run.getTime() > end && walls.length >= 3) break;
  }
  const apart = (step: number) =>
    Math.max(...walls.slice(step).map((wall, index) => wall - (walls[index] ?? wall))) / hourMs;
  return { largest: apart(1), largestWithOneMissed: apart(2) };
}

/** What the zone's clock is ahead of UTC, in milliseconds. */
function wallOffsetMs(time: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(time);
  const part = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  const wall = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return wall - Math.floor(time / 1000) * 1000;
}
