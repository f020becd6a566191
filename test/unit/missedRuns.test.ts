import { readMetadata } from "../../checks/keys";
import { checkMissedRuns, runsFinding, runsSeen, runsUntil } from "../../checks/missedRuns";
import type { ScheduledRun } from "../../checks/missedRuns";
import { worldOf } from "../../checks/world";
import { readConfig } from "../../config/readConfig";
import { printed } from "../../core/printed";
import { sourceOf } from "../support/configSource";
import fc from "../support/fastCheck";
import { isLong } from "../support/sampled";
import { scripted } from "../support/scripted";

const minute = 60_000;
const hour = 60 * minute;
const now = Date.UTC(2026, 10, 24, 12);
const settings = readConfig(sourceOf());
const print = printed("prod", "npm");
const text = (time: number) => new Date(time).toISOString();

test("the runs are the last ten, one before them and one that may be under way, with what comes after", () => {
  const runs = runsUntil(settings, Date.UTC(2026, 10, 24, 6, 20));
  expect(runs).toHaveLength(12);
  expect(runs.at(-1)).toEqual({
    at: Date.UTC(2026, 10, 24, 6, 17),
    end: Date.UTC(2026, 10, 24, 7, 17),
  });
  const often = runsUntil({ cron: "*/20 * * * *", cronTimezone: "UTC" }, now);
  expect(often.slice(0, -1).map(({ end }) => end)).toEqual(often.slice(1).map(({ at }) => at));
});

/** Runs at 0:17, 6:17 and so on: what each wrote, by how many hours after it; none where it was missed. */
function seenOf(wrote: (number | undefined)[], others: number[] = [], since = 0) {
  const runs = runsUntil(settings, now).slice(-wrote.length);
  const writes = runs.flatMap(({ at }, index) => {
    const after = wrote[index];
    return after === undefined ? [] : [at + after * hour];
  });
  const all = [...writes, ...others.map((hours) => now - hours * hour)];
  const seen = runsSeen(runsUntil(settings, now), all, since, now);
  return { ...seen, newest: Math.max(...all) };
}

test.each<[string, ReturnType<typeof seenOf>, number, number, string]>([
  ["all wrote", seenOf(Array<number>(11).fill(0.1)), 10, 0, "ok"],
  ["one did not, long ago", seenOf([0.1, undefined, 0.1, 0.1]), 4, 1, "warning"],
  ["the last one did not", seenOf([0.1, 0.1, undefined]), 3, 1, "warning"],
  ["the last two did not", seenOf([0.1, undefined, undefined]), 3, 2, "problem"],
  [
    "the last two did not, and somebody did",
    seenOf([0.1, undefined, undefined], [1]),
    3,
    2,
    "warning",
  ],
  ["up wrote before it: it could keep that", seenOf([0.1, undefined], [9]), 2, 0, "ok"],
  ["up wrote before the run before it", seenOf([0.1, undefined, undefined], [15]), 3, 1, "warning"],
  [
    "before the schedule was changed",
    seenOf([0.1, undefined, 0.1], [], now - 7 * hour),
    1,
    0,
    "ok",
  ],
  ["only up has written", seenOf([], [1]), 0, 0, "ok"],
])("%s", (_, seen, known, missed, state) => {
  expect([seen.known.length, seen.missed.length]).toEqual([known, missed]);
  expect(runsFinding({ print }, "scanner", seen, seen.newest)).toMatchObject({
    ...{ id: "token-runs", account: "scanner", state },
    values: { runs_known: known, runs_missed: missed },
  });
});

test("a run that may still write is not missed yet", () => {
  const runs = runsUntil(settings, Date.UTC(2026, 10, 24, 12, 40));
  const [before, last] = runs.slice(-2);
  const writes = [(before?.at ?? 0) + minute];
  const at = (hours: number) => runsSeen(runs, writes, 0, (last?.at ?? 0) + hours * hour);
  expect(at(0.9).missed).toEqual([]);
  expect(at(1).missed).toEqual([last]);
});

test("where GitLab does not say when the schedule was changed, more than a warning would be a guess", () => {
  const seen = seenOf([0.1, undefined, undefined]);
  expect(runsFinding({ print }, "scanner", seen, seen.newest, false)).toMatchObject({
    state: "warning",
    found:
      "2 of the 3 that Vault remembers wrote none, the last of them at 2026-11-24T06:17:00Z; whether the schedule was changed meanwhile is not known",
  });
});

// The clocks of four zones are read for every run.
const numRuns = isLong ? 200 : 20;
const crons = ["17 */6 * * *", "0 */12 * * *", "5 1,4,13 * * *", "30 * * * *", "*/20 * * * *"];
const zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"];

test("no miss is hidden and none is invented, whatever the schedule, the outages and the writes by hand", () => {
  const schedule = fc.record({
    cron: fc.constantFrom(...crons),
    cronTimezone: fc.constantFrom(...zones),
    // Over both changes of the clocks.
    now: fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 11, 31) }),
  });
  const outcomes = fc.array(
    fc.record({
      works: fc.boolean(),
      // How far into its time it writes, and where a person does in the time after it.
      delay: fc.double({ min: 0, max: 0.99, noNaN: true }),
      byHand: fc.option(fc.double({ min: 0, max: 0.99, noNaN: true })),
    }),
    { minLength: 12, maxLength: 12 },
  );
  fc.assert(
    fc.property(schedule, outcomes, fc.integer({ min: 0, max: 12 }), (given, all, first) => {
      const runs = runsUntil(given, given.now);
      const world = happened(runs, all, given.now).filter(
        ({ time }) => time >= (runs[first]?.at ?? 0),
      );
      // What Vault keeps.
      const kept = world.sort((one, other) => one.time - other.time).slice(-10);
      if (kept.length === 0) return;
      const oldest = kept[0]?.time ?? 0;
      const { known, missed } = runsSeen(
        runs,
        kept.map(({ time }) => time),
        0,
        given.now,
      );
      const truth = runs.flatMap((run, index) => {
        const wrote = kept.some(({ by }) => by === index);
        const mayKeep = kept.some(({ by, after }) => by === "hand" && after === index - 1);
        const isOver = run.end <= given.now || wrote;
        return index > 0 && run.end > oldest && isOver ? [{ run, isMiss: !wrote && !mayKeep }] : [];
      });
      const last = truth.slice(-10);
      expect(known).toEqual(last.map(({ run }) => run));
      expect(missed).toEqual(last.filter(({ isMiss }) => isMiss).map(({ run }) => run));
    }),
    { numRuns },
  );
});

type Write = { time: number; by: number | "hand"; after: number };

/** Every write until now: by which run, or by hand after which. */
function happened(
  runs: readonly ScheduledRun[],
  outcomes: readonly { works: boolean; delay: number; byHand: number | null }[],
  until: number,
): Write[] {
  const writes = runs.flatMap(({ at, end }, index): Write[] => {
    const { works = false, delay = 0, byHand = null } = outcomes[index] ?? {};
    const next = runs[index + 1]?.at ?? until;
    const time = Math.floor(at + delay * (end - at));
    const own = works ? [{ time, by: index, after: index }] : [];
    // Where the runs' times touch, nobody can tell a person's from theirs.
    if (byHand === null || next <= end) return own;
    return [...own, { time: Math.floor(end + byHand * (next - end)), by: "hand", after: index }];
  });
  return writes.filter(({ time }) => time < until);
}

test("Vault's metadata and GitLab's schedule are what it is counted from", async () => {
  const runs = runsUntil(settings, now);
  const times = runs.slice(-5, -2).map(({ at }) => at + minute);
  const versions = Object.fromEntries(
    times.map((time, index) => [
      String(index + 1),
      { created_time: text(time), deletion_time: text(time + 23 * hour), destroyed: false },
    ]),
  );
  const data = { current_version: 3, versions };
  expect(readMetadata(data).versions.map(({ createdAt }) => createdAt)).toEqual(times);
  const schedule = {
    id: 7,
    description: "Rotate the APIsec tokens of apisec-credentials/prod into Vault",
    updated_at: text(0),
  };
  const gitlab = (path: string) =>
    Promise.resolve(
      path.endsWith("per_page=100")
        ? [schedule]
        : path.includes("schedules/7")
          ? schedule
          : { id: 3 },
    );
  const vault = { ...scripted({ status: 200, body: { data } }), address: "https://v.example.com" };
  const world = worldOf({ time: "after", settings, vault, gitlab, now });
  expect(await checkMissedRuns(world)).toMatchObject([
    {
      state: "problem",
      found: "2 of the 5 that Vault remembers wrote none, the last of them at 2026-11-24T06:17:00Z",
      values: {
        ...{ runs_known: 5, runs_missed: 2 },
        ...{ missed_1: "2026-11-24T00:17:00Z", missed_2: "2026-11-24T06:17:00Z" },
      },
    },
  ]);
});
