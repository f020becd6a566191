import type { Identity, LoginAnswer } from "../clients/apisec";
import { sameUser } from "./jwt";
import { maySend, pausedUntil, recentRow } from "./logins";
import type { Proof } from "./logins";
import { markTexts } from "./mark";
import type { Mark } from "./mark";
import { withCode } from "./messageCode";
import { passwordKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import type { Candidate, Run } from "./passwordRun";
import { loginsPaused, otherUser, unknownAnswer, whyOf } from "./passwordStops";

type Sent = LoginAnswer & { at: string };

/** Remembers what the key's mark says, of a record that was just read. */
export function noticeMark(run: Run, mark: Mark): void {
  run.mark = mark;
  if (run.hasLoggedIn) return;
  const count = recentRow(mark, run.world.clock.now());
  if (count <= run.row.count) return;
  run.row = { count, lastMs: Date.parse(mark.refusedAt ?? "") };
}

/** Throws where a login has to wait. */
export function checkPause(run: Run): void {
  const until = pausedUntil(run.row.count, run.row.lastMs, run.world.clock.now());
  if (until !== undefined) throw loginsPaused(run, until);
}

/**
 * The only place where this account's logins are sent, within its budget: "spent" where none is left in this
 * run. A refusal is noted in the mark before anything else happens. Throws where a login has to wait, or where
 * an earlier answer proved nothing.
 */
export async function logIn(run: Run, candidate: Candidate): Promise<Sent | "spent"> {
  const { logins, world, wish } = run;
  const { password } = candidate;
  checkPause(run);
  if (logins.unsure !== undefined && logins.unsure.password !== password) {
    throw unknownAnswer(run, "the login", logins.unsure.why);
  }
  if (!maySend(logins)) return "spent";
  run.secrets.add(password);
  const at = new Date(world.clock.now()).toISOString();
  // Counted before it is sent: another account's run in this process may log in meanwhile.
  logins.refused += 1;
  const answer = await run.api.login(wish.username, password);
  logins.unsure = answer.kind === "unknown" ? { password, why: answer.why } : undefined;
  if (answer.kind === "yes" || (answer.kind === "unknown" && answer.notSent)) logins.refused -= 1;
  if (answer.kind === "yes") {
    run.secrets.add(answer.token);
    logins.newest = { password, token: answer.token, at };
    run.hasLoggedIn = true;
    run.row = { count: 0, lastMs: 0 };
  }
  if (answer.kind === "no") await noteRefusal(run, candidate);
  return { ...answer, at };
}

/** A login whose user must be the configured one; undefined for a *no*, and where none is left. */
export async function tryLogin(
  run: Run,
  record: PasswordRecord | undefined,
  candidate: Candidate,
): Promise<Proof | undefined> {
  const answer = await logIn(run, candidate);
  if (answer === "spent" || answer.kind === "no") return undefined;
  if (answer.kind === "unknown") throw unknownAnswer(run, "the login", answer.why);
  const who = await run.api.whoAmI(answer.token);
  if (who.kind !== "yes") throw unknownAnswer(run, "who-am-I", whyOf(who));
  if (!isOurs(run, who.who, record)) throw otherUser(run, who.who);
  return proven(run, candidate.password, answer.token, who.who, answer.at);
}

export function proven(
  run: Run,
  password: string,
  token: string,
  who: Identity,
  at: string,
): Proof {
  const proof: Proof = { password, token, who, at };
  run.proof = run.logins.proof = proof;
  return proof;
}

export function isOurs(run: Run, who: Identity, record: PasswordRecord | undefined): boolean {
  // A record that was handed over may not know it yet.
  const organization = run.wish.organization ?? (record?.organization || undefined);
  const sameOrganization =
    organization === undefined || organization === who.orgName || organization === who.orgId;
  return sameUser(who.username, run.wish.username) && sameOrganization;
}

async function noteRefusal(run: Run, candidate: Candidate): Promise<void> {
  const { password, label, isPending = false } = candidate;
  const now = run.world.clock.now();
  const { pendingRefused } = run;
  if (isPending) pendingRefused.set(password, (pendingRefused.get(password) ?? 0) + 1);
  else run.refused.add(password);
  run.row = { count: run.row.count + 1, lastMs: now };
  await note(run, {
    ...run.mark,
    refused: [...run.mark.refused.filter((other) => other !== label), label],
    refusedCount: run.row.count,
    refusedAt: new Date(now).toISOString(),
  });
}

/** Writes the mark; where Vault does not take it, that is a warning. */
export async function note(run: Run, mark: Mark): Promise<boolean> {
  const { wish, world } = run;
  run.mark = { ...mark, owner: wish.owner ?? mark.owner };
  try {
    await world.keys.note(passwordKey(wish.name), markTexts(run.mark));
    return true;
  } catch (error) {
    run.warnings.push(
      withCode(
        `The mark of its password in Vault could not be written: ${(error as Error).message}. The next \`pulumi up\` writes it.`,
        "mark-not-written",
      ),
    );
    return false;
  }
}

/** Says in the mark that this version was seen whole, which a login begun `at` has proved. */
export async function noteSettled(run: Run, record: PasswordRecord, at: string): Promise<boolean> {
  if (record.pending !== undefined) return false;
  return note(run, {
    ...run.mark,
    version: record.version,
    generation: record.generation,
    changedAt: record.changedAt,
    verifiedAt: at,
    by: run.world.by,
    refused: [],
    refusedCount: 0,
    refusedAt: undefined,
  });
}
