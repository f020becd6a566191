import { nextRuns, scheduleGaps } from "../../desired/schedule";

const monday = Date.UTC(2026, 0, 5, 9, 30);

describe("the next runs", () => {
  test.each([
    ["17 */6 * * *", "UTC", ["2026-01-05T12:17:00.000Z", "2026-01-05T18:17:00.000Z"]],
    ["0 2 * * *", "Europe/Berlin", ["2026-01-06T01:00:00.000Z", "2026-01-07T01:00:00.000Z"]],
    ["30 9 * * *", "UTC", ["2026-01-06T09:30:00.000Z", "2026-01-07T09:30:00.000Z"]],
  ])("%s in %s", (cron, zone, expected) => {
    const runs = nextRuns(cron, zone, monday, 2);
    expect(runs.map((run) => new Date(run).toISOString())).toEqual(expected);
  });

  test("of none, or in no zone, are an error", () => {
    expect(() => nextRuns("0 0 31 2 *", "UTC", monday, 1)).toThrow();
    expect(() => nextRuns("0 0 * *  x", "UTC", monday, 1)).toThrow();
    expect(() => nextRuns("0 0 * * *", "Mars/Base", monday, 1)).toThrow();
  });
});

describe("the gaps", () => {
  test.each([
    ["17 */6 * * *", 6, 12],
    ["0 0,12 * * *", 12, 24],
    ["0 8,18 * * *", 14, 24],
    ["0 */6 * * 1-5", 54, 60],
    // Once in four years: seen although it lies beyond the eight days.
    ["0 0 29 2 *", 4 * 365.25 * 24, 8 * 365.25 * 24],
  ])("of %s", (cron, largest, largestWithOneMissed) => {
    expect(scheduleGaps(cron, "UTC", monday)).toEqual({ largest, largestWithOneMissed });
  });

  test("do not hang on where the week begins", () => {
    for (let hour = 0; hour < 7 * 24; hour += 5) {
      expect(scheduleGaps("0 0 * * 3", "UTC", monday + hour * 3_600_000).largest).toBe(168);
    }
  });

  const clockChanges = [
    ["Europe/Berlin", Date.UTC(2026, 2, 25), "an hour that does not exist"],
    ["Europe/Berlin", Date.UTC(2026, 9, 21), "an hour that comes twice"],
    ["America/New_York", Date.UTC(2026, 2, 5), "an hour that does not exist"],
    ["America/Santiago", Date.UTC(2026, 8, 3), "a midnight that does not exist"],
  ] as const;
  test.each(clockChanges)("are as written in %s in the week of %d: %s", (zone, from) => {
    for (const cron of ["0 */12 * * *", "30 2,14 * * *", "59 1,13 * * *"]) {
      const gaps = scheduleGaps(cron, zone, from);
      expect(gaps.largest).toBeLessThanOrEqual(12);
      expect(gaps.largest).toBeGreaterThan(11);
      expect(gaps.largestWithOneMissed).toBeLessThanOrEqual(24);
    }
  });
});
