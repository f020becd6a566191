import { sameUser } from "./jwt";
import { pausedUntil } from "./logins";
import { parseMark } from "./mark";
import type { Mark } from "./mark";
import { logIn, noteSettled, noticeMark } from "./passwordLogin";
import { parseRecord, passwordKey, standbyLagMs } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import { runOf } from "./passwordRun";
import type { PasswordWish, PasswordWorld, Run } from "./passwordRun";
import { clean } from "./passwordStops";

/**
 * Whether APIsec takes the password that Vault has. `unknown`: its answer proves nothing. `skipped`: it was not
 * tried, and `why` says why not.
 */
export type Verification =
  | { kind: "verified"; warnings: readonly string[] }
  | { kind: "refused"; why: string }
  | { kind: "unknown"; why: string }
  | { kind: "skipped"; why: string };

/** One login a day: a job that starts a little earlier than the day before has its own, too. */
const restMs = 20 * 3_600_000;

/**
 * One login with the password of an account's record. Writes nothing but the key's mark: that it was taken, or
 * refused. An account that was tried within the last 20 hours is left alone, unless `isForced`. Throws as the store
 * does.
 */
export async function verifyPassword(
  wish: Pick<PasswordWish, "name" | "username" | "host">,
  world: PasswordWorld,
  isForced = false,
): Promise<Verification> {
  const asked = { ...wish, generation: 1, published: false, acceptAdminToken: false };
  const read = await world.store.read(passwordKey(wish.name));
  if (read.state === "absent") return skipped("it has no record yet");
  if (read.state === "deleted") return skipped("its record is deleted");
  const record = parseRecord(read);
  if (record === undefined) return skipped("its record is not one of this program");
  const mark = parseMark(read.custom);
  // Who had it changed stays: this is no change.
  const run = runOf(asked, { ...world, by: mark.by });
  noticeMark(run, mark);
  const reason = reasonToWait(run, record, mark, isForced);
  if (reason !== undefined) return skipped(reason);
  const answer = await logIn(run, { password: record.password, label: `${record.version}` });
  if (answer === "spent") return skipped("its user was refused too many logins in this run");
  if (answer.kind === "unknown") return { kind: "unknown", why: clean(run, answer.why) };
  // A change may have been made meanwhile: its own run says what became of it.
  if (answer.kind === "no") await world.clock.sleep(standbyLagMs);
  const again = await world.store.read(passwordKey(wish.name));
  if (again.state !== "found" || again.version !== record.version) {
    return skipped("its password is being changed");
  }
  if (answer.kind === "no") return { kind: "refused", why: clean(run, answer.text) };
  await noteSettled(run, record, answer.at);
  return { kind: "verified", warnings: run.warnings };
}

function reasonToWait(
  { row, wish, world }: Run,
  record: PasswordRecord,
  mark: Mark,
  isForced: boolean,
): string | undefined {
  const now = world.clock.now();
  if (record.host !== wish.host || !sameUser(record.username, wish.username)) {
    return `its record is of ${record.username} at ${record.host}`;
  }
  if (record.pending !== undefined) return "a change is open: `pulumi up` finishes it";
  const until = pausedUntil(row.count, row.lastMs, now);
  if (until !== undefined) return `after ${row.count} refused logins none is sent before ${until}`;
  const times = [mark.verifiedAt, mark.refusedAt].map((time) => Date.parse(time ?? ""));
  const last = Math.max(...times.filter((time) => time <= now), 0);
  if (isForced || now - last > restMs) return undefined;
  return `it was tried at ${new Date(last).toISOString().slice(0, 19)}Z: once a day is enough, or say --now`;
}

function skipped(why: string): Verification {
  return { kind: "skipped", why };
}
