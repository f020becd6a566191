import type { PasswordRecord } from "./passwordRecord";
import type { PasswordResult, PasswordWish, PasswordWorld, Run } from "./passwordRun";
import {
  anyToken,
  checkIdentity,
  copyRenamed,
  hasMoved,
  loginWithCurrent,
  loginWithOlder,
  moveHost,
  movesHost,
  pendingWorks,
  promoteFound,
  readRecord,
  stageAndChange,
  verify,
} from "./passwordSteps";
import { nothingWorks, stop } from "./passwordStops";

/*
 * The steps of a password change, each a function of passwordSteps.ts:
 *
 * 1 read      the record and its version in one call; a settled one is verified by one login
 * 2 found     a pending of an earlier run: if it logs in, it is promoted
 * 3 current   log in with the current password; who-am-I must give the configured user
 * 4 stage     write the current and a new pending with check-and-set
 * 5 change    with the token of this account, or of another one
 * 6 prove     log in with the pending, whatever APIsec answered
 * 7 promote   the proven pending becomes the password
 * 8 recover   nothing logs in: older versions' values, a token, the first password
 */

const mostRounds = 12;

/**
 * Brings the account's password to the wanted generation and its record with it. Safe to run again
 * after a kill at any point, and beside other runs: at every instant the password that logs in is
 * in the newest version of the record (or, where an older change lands after a later one was
 * staged, in an older version). Throws an error made by `stop`, or Vault's.
 */
export async function changePassword(
  wish: PasswordWish,
  world: PasswordWorld,
): Promise<PasswordResult> {
  const run: Run = {
    wish,
    world,
    api: world.apisec(wish.host),
    refused: new Set(),
    refusedOlder: new Set(),
    refusedChanger: new Set(),
    pendingRefused: new Map(),
    secrets: new Set(),
  };
  for (let round = 0; round < mostRounds; round += 1) {
    const result = await attempt(run);
    if (result !== "again") return result;
  }
  throw stop(
    run,
    "contended",
    `was written by others ${mostRounds} times during this run`,
    "Wait for the other run to end and run `pulumi up` again.",
  );
}

/** Steps 1 to 8 once; "again" where somebody else wrote the record in between. */
async function attempt(run: Run): Promise<PasswordResult | "again"> {
  const { wish } = run;
  const record = await readRecord(run);
  if (record === undefined && (await copyRenamed(run))) return "again";
  if (record !== undefined) {
    if (movesHost(run, record)) return moveHost(run, record);
    checkIdentity(run, record);
    if (isSettled(record, wish.generation)) return verify(run, record);
    const { pending } = record;
    // A pending that this run drew was not sent to APIsec yet, or its answer is being judged below.
    if (pending !== undefined && pending.password !== run.drawn) {
      if (await pendingWorks(run, record, pending.password)) return promoteFound(run, record);
    }
  }
  const current = await loginWithCurrent(run, record);
  if (current !== undefined) return stageAndChange(run, record, current);
  return recover(run, record);
}

function isSettled(record: PasswordRecord, wanted: number): boolean {
  return record.generation >= 1 && record.pending === undefined && record.generation >= wanted;
}

/** The rest of step 3 and step 8: what else could log in, and what else could change the password. */
async function recover(
  run: Run,
  record: PasswordRecord | undefined,
): Promise<PasswordResult | "again"> {
  if (await hasMoved(run, record)) return "again";
  if (record?.pending !== undefined) {
    if (await pendingWorks(run, record, record.pending.password)) return promoteFound(run, record);
  }
  // A change of ours is open or asked for: a record without either was only verified.
  const older = record === undefined ? undefined : await loginWithOlder(run, record);
  const proof = older ?? (await anyToken(run, record));
  if (proof !== undefined) return stageAndChange(run, record, proof);
  // Another run may have ended meanwhile: no alarm over a record that is no longer the newest.
  if (await hasMoved(run, record)) return "again";
  throw nothingWorks(run, record);
}
