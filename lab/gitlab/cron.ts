/** Cron expressions as GitLab takes them: five fields, in a named zone. */
import { CronExpressionParser } from "cron-parser";

/** ActiveSupport's names for a few zones; GitLab takes these and the IANA names. */
const railsZones: Record<string, string> = {
  "Eastern Time (US & Canada)": "America/New_York",
  "Central Time (US & Canada)": "America/Chicago",
  "Mountain Time (US & Canada)": "America/Denver",
  "Pacific Time (US & Canada)": "America/Los_Angeles",
  London: "Europe/London",
  Berlin: "Europe/Berlin",
  Paris: "Europe/Paris",
  Kyiv: "Europe/Kiev",
  Tokyo: "Asia/Tokyo",
  Sydney: "Australia/Sydney",
};

/** The IANA name of a zone, or undefined. */
export function zone(name: string): string | undefined {
  const iana = railsZones[name] ?? name;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: iana }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}

/** The next time after `after` (milliseconds), or undefined if the expression or zone is invalid. */
export function nextRun(cron: string, zoneName: string, after: number): string | undefined {
  const tz = zone(zoneName);
  if (!tz || cron.trim().split(/\s+/).length !== 5) return undefined;
  try {
    return CronExpressionParser.parse(cron, { tz, currentDate: new Date(after) })
      .next()
      .toDate()
      .toISOString();
  } catch {
    return undefined;
  }
}
