import type { PasswordRecord } from "./passwordRecord";
import { runOf } from "./passwordRun";
import type {
  Candidate,
  PasswordResult,
  PasswordWish,
  PasswordWorld,
  Run,
  Staged,
} from "./passwordRun";
import { tryLogin } from "./passwordLogin";
import type { Proof } from "./logins";
import {
  adopt,
  anyToken,
  candidatesOf,
  checkIdentity,
  copyRenamed,
  hasMoved,
  isRemembered,
  lastResorts,
  moveHost,
  movesHost,
  ownPending,
  pendingOnceMore,
  wasTried,
  promoteFound,
  readRecord,
  restoreLost,
  stageAndChange,
  verify,
} from "./passwordSteps";
import { loginsSpent, nothingWorks, stop } from "./passwordStops";

/*
 * The steps of a password change, each a function of passwordSteps.ts:
 *
 * 1 read      the record and its version in one call; a settled one is verified by one login
 * 2 found     a pending of an earlier run: if it logs in, it is promoted
 * 3 current   log in with the current password; who-am-I must give the configured user
 * 4 stage     write the current and a new pending with check-and-set
 * 5 change    with the token of this account, or of another one
 * 6 prove     log in with the pending, whatever APIsec answered
 * 7 promote   the proven pending becomes the password, and the key's mark says so
 * 8 recover   nothing logs in: a token, the first password, the former name's record, older versions' values
 * 9 publish   readers get a token of the login that proved the password (passwordToken.ts)
 *
 * Each login goes through passwordLogin.ts, which keeps the budget of logins.ts.
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
  const run = runOf(wish, world);
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

/** Steps 1 to 9 once; "again" where somebody else wrote the record in between. */
async function attempt(run: Run): Promise<PasswordResult | "again"> {
  const { wish } = run;
  const record = await readRecord(run);
  if (record === undefined && ((await restoreLost(run)) || (await copyRenamed(run)))) {
    return "again";
  }
  if (record !== undefined) {
    if (movesHost(run, record)) return moveHost(run, record);
    checkIdentity(run, record);
    if (isSettled(record, wish.generation)) return verify(run, record);
  }
  const candidates = candidatesOf(run, record);
  const isNews = candidates.some((one) => one.isPending === true && !isRemembered(run, one));
  for (const candidate of candidates) {
    const proof = await tryLogin(run, record, candidate);
    if (proof !== undefined) return goOn(run, record, candidate, proof);
  }
  if (await hasMoved(run, record)) return "again";
  const onceMore = isNews ? pendingOnceMore(run, record, candidates) : undefined;
  const proof = onceMore && (await tryLogin(run, record, onceMore));
  if (onceMore !== undefined && proof !== undefined) return goOn(run, record, onceMore, proof);
  return recover(run, record);
}

function goOn(run: Run, record: PasswordRecord | undefined, candidate: Candidate, proof: Proof) {
  return candidate.isPending === true
    ? promoteFound(run, record as Staged, proof)
    : stageAndChange(run, record, proof);
}

function isSettled(record: PasswordRecord, wanted: number): boolean {
  return record.generation >= 1 && record.pending === undefined && record.generation >= wanted;
}

/** Step 8, where a change of ours is open or asked for: a record without either was only verified. */
async function recover(
  run: Run,
  record: PasswordRecord | undefined,
): Promise<PasswordResult | "again"> {
  // Without a record there is nothing to go back to: which password a token would stage is not known.
  if (record === undefined) throw nothingWorks(run, record);
  const token = await anyToken(run, record);
  if (token !== undefined) return stageAndChange(run, record, token);
  const own = ownPending(run, record);
  const ownProof = own && (await tryLogin(run, record, own));
  if (own !== undefined && ownProof !== undefined) return goOn(run, record, own, ownProof);
  const resorts = await lastResorts(run, record);
  for (const candidate of resorts) {
    const proof = await tryLogin(run, record, candidate);
    if (proof === undefined) continue;
    if (await adopt(run, record, candidate)) return "again";
    return stageAndChange(run, record, proof);
  }
  // Another run may have ended meanwhile: no alarm over a record that is no longer the newest.
  if (await hasMoved(run, record)) return "again";
  const isLeft = [...candidatesOf(run, record), ...resorts].some((one) => !wasTried(run, one));
  throw isLeft ? loginsSpent(run) : nothingWorks(run, record);
}
