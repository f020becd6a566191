import type { Settings } from "../config/settings";
import { tokenKey } from "../core/passwordRecord";
import { lastRuns } from "../desired/schedule";
import { about } from "./finding";
import type { Finding } from "./finding";
import { scheduleOf } from "./gitlabFacts";
import { inOrder } from "./inOrder";
import { keyState } from "./keys";
import { timeOf, timeText } from "./time";
import type { World } from "./world";

/** So many runs are looked at: Vault keeps ten versions of a token. */
const mostRuns = 10;
/** How long after its time a run may write: GitLab starts it late, it waits for a runner, and takes its time. */
const windowMs = 3_600_000;

/** A run of the schedule: what is written from `at` on and before `end` is its work. Milliseconds since 1970. */
export interface ScheduledRun {
  at: number;
  end: number;
}

/** Runs that Vault still remembers, and those of them that wrote nothing; the oldest first. */
export interface RunsSeen {
  known: readonly ScheduledRun[];
  missed: readonly ScheduledRun[];
}

/** The last runs of a stack's schedule until now: ten, one that may be under way, and one before them. */
export function runsUntil(
  { cron, cronTimezone }: Pick<Settings, "cron" | "cronTimezone">,
  now: number,
): ScheduledRun[] {
  const times = lastRuns(cron, cronTimezone, now, mostRuns + 2);
  return times
    .slice(0, -1)
    .map((at, index) => ({ at, end: Math.min(at + windowMs, times[index + 1] ?? now) }));
}

/**
 * Which of the last ten runs wrote nothing, from the times at which a token's versions were written. A run could
 * keep the token if `up`, or somebody by hand, wrote one since the run before it: a version outside of the runs'
 * own times. Not known is a run before the oldest version, before `since`, or one that may still write.
 */
export function runsSeen(
  runs: readonly ScheduledRun[],
  writes: readonly number[],
  since: number,
  now: number,
): RunsSeen {
  const oldest = Math.min(...writes);
  const isWritten = (from: number, to: number) => writes.some((time) => time >= from && time < to);
  const seen = runs.map((run, index) => {
    const { at, end } = run;
    const wrote = isWritten(at, end);
    const isKnown = index > 0 && end > oldest && at >= since && (wrote || end <= now);
    const couldKeep = isWritten(runs[index - 1]?.end ?? at, at);
    return { run, isKnown, isMissed: isKnown && !wrote && !couldKeep };
  });
  const known = seen.filter(({ isKnown }) => isKnown).slice(-mostRuns);
  return {
    known: known.map(({ run }) => run),
    missed: known.filter(({ isMissed }) => isMissed).map(({ run }) => run),
  };
}

/** How many of the last runs wrote no token for an account, also where their pipelines say success. */
export async function checkMissedRuns(world: World): Promise<Finding[]> {
  const { settings, now } = world;
  const published = settings.accounts.filter(({ publishToken }) => publishToken);
  const runs = runsUntil(settings, now);
  const schedule = await scheduleOf(world).catch(() => undefined);
  const changedAt = timeOf(schedule?.["updated_at"]);
  const rows = await inOrder(published, async ({ name }) => {
    // What cannot be read, and a token that is not there, is said where the tokens are.
    const state = await keyState(world, tokenKey(name)).catch(() => undefined);
    const writes = state?.versions.map(({ createdAt }) => createdAt) ?? [];
    if (writes.length === 0) return [];
    const seen = runsSeen(runs, writes, changedAt ?? 0, now);
    return [runsFinding(world, name, seen, Math.max(...writes), changedAt !== undefined)];
  });
  return rows.flat();
}

/** `lastWrite`: milliseconds since 1970. `isSure`: it is known when the schedule was changed. */
export function runsFinding(
  { print }: Pick<World, "print">,
  account: string,
  { known, missed }: RunsSeen,
  lastWrite: number,
  isSure = true,
): Finding {
  const it = about("token-runs", `runs for token ${account}`, account);
  const last = missed.at(-1);
  const counts = { runs_known: known.length, runs_missed: missed.length };
  const times = missed.map(({ at }, index): [string, string] => [
    `missed_${index + 1}`,
    timeText(at),
  ]);
  const values = { ...counts, ...Object.fromEntries(times) };
  const all = known.length < mostRuns ? `${known.length} that Vault remembers` : `last ${mostRuns}`;
  if (last === undefined) {
    return it.ok(
      known.length === 0 ? "none is known yet" : `none of the ${all} was missed`,
      values,
    );
  }
  const unsure = isSure ? "" : "; whether the schedule was changed meanwhile is not known";
  const found = `${missed.length} of the ${all} wrote none, the last of them at ${timeText(last.at)}${unsure}`;
  const rotate = print.own("rotate", { options: `--account ${account}` });
  const fix = `see the pipelines of that time in the rotation project; \`${rotate}\` buys a token now`;
  const [before, newest] = known.slice(-2);
  const isInRow = before !== undefined && missed.includes(before) && last === newest;
  return isSure && isInRow && lastWrite < last.at
    ? it.problem(found, fix, values)
    : it.warning(found, fix, values);
}
