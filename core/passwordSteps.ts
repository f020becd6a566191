import { isAdminToken, readToken, sameUser } from "./jwt";
import { leftToProve, maySend } from "./logins";
import type { Changer, Proof } from "./logins";
import { parseMark } from "./mark";
import {
  checkPause,
  isOurs,
  logIn,
  noteSettled,
  noticeMark,
  proven,
  tryLogin,
} from "./passwordLogin";
import { parseRecord, passwordKey, recordData, standbyLagMs, tokenKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import { runOf } from "./passwordRun";
import type { Candidate, PasswordResult, Run, Staged } from "./passwordRun";
import {
  adminToken,
  changedOutside,
  endsInVault,
  firstPasswordCommand,
  loginsSpent,
  nobodysRecord,
  notProven,
  observed,
  othersRecord,
  otherUser,
  pathOf,
  stop,
  unknownAnswer,
  whyOf,
} from "./passwordStops";
import { publishFrom } from "./passwordToken";
import type { SecretRead, SecretWrite } from "../clients/vault";

const mostOlderValues = 4;
const mostPromotions = 5;
const mostTriesOfPending = 2;
const versionsKept = 10;
/** Waits before each proof after an unknown answer: three tries in 28 s. */
const proofWaitsMs = [0, 10_000, 18_000];

/** Step 1: value, version and mark in one call. */
export async function readRecord(run: Run): Promise<PasswordRecord | undefined> {
  const key = passwordKey(run.wish.name);
  const read = await run.world.store.read(key);
  if (read.state !== "absent") {
    noticeMark(run, parseMark(read.custom));
  } else if (run.seen === undefined && !run.hasAskedMark) {
    run.hasAskedMark = true;
    noticeMark(run, parseMark(await run.world.keys.mark(key)));
  }
  const record = checkRead(run, run.wish.name, read);
  if (record !== undefined) run.seen = record;
  return record;
}

/** The record of another account, or of this one under another name. */
async function readOther(run: Run, name: string): Promise<PasswordRecord | undefined> {
  return checkRead(run, name, await run.world.store.read(passwordKey(name)));
}

function checkRead(run: Run, name: string, read: SecretRead): PasswordRecord | undefined {
  if (read.state === "absent") return undefined;
  const path = `${run.world.mount}/${passwordKey(name)}`;
  checkOwner(run, path, parseMark(read.custom).owner);
  if (read.state === "deleted") {
    throw stop(
      run,
      "deleted",
      `has a deleted password record: ${path}, version ${read.version}`,
      `Bring it back with \`vault kv undelete -mount=${run.world.mount} -versions=${read.version} ${passwordKey(name)}\` (a destroyed version: with an older one by \`vault kv rollback\`) and run \`pulumi up\` again.`,
    );
  }
  const record = parseRecord(read);
  if (record === undefined) {
    throw stop(
      run,
      "unreadable-record",
      `has a record that is not one of this program: ${path}, version ${read.version}`,
      "Expected are username, password, host, organization, generation, changed_at. Look at the older versions, or choose another account name.",
    );
  }
  return record;
}

function checkOwner(run: Run, path: string, found: string | undefined): void {
  const use = run.wish.useOf?.(found);
  if (use === "another's") throw othersRecord(run, path, found);
  if (use === "nobody's") throw nobodysRecord(run, path);
}

/** A key that somebody deleted with its metadata while this run held the password that logs in. */
export async function restoreLost(run: Run): Promise<boolean> {
  const { seen, proof, wish, world } = run;
  if (seen === undefined || proof?.password === undefined) return false;
  await world.keys.prepare(passwordKey(wish.name));
  await write(run, { ...seen, password: proof.password }, 0);
  return true;
}

/** A renamed account: the old record, open change and all, is written under the new name first. */
export async function copyRenamed(run: Run): Promise<boolean> {
  const { renamedFrom } = run.wish;
  if (renamedFrom === undefined) return false;
  const old = await readOther(run, renamedFrom);
  if (old === undefined) return false;
  checkIdentity(run, old);
  await write(run, old, 0);
  return true;
}

export function checkIdentity(run: Run, record: PasswordRecord): void {
  const differing = differencesOf(run, record);
  if (differing.length === 0) return;
  throw stop(
    run,
    "other-identity",
    `has a record of another account at ${pathOf(run)}: ${differing.join("; ")}`,
    "Give the new account a name of its own, or set the config back.",
  );
}

function differencesOf({ wish }: Run, record: PasswordRecord): string[] {
  return [
    sameUser(record.username, wish.username)
      ? undefined
      : `username is ${record.username}, config says ${wish.username}`,
    record.host === wish.host ? undefined : `host is ${record.host}, config says ${wish.host}`,
    wish.organization === undefined || ["", wish.organization].includes(record.organization)
      ? undefined
      : `organization is ${record.organization}, config says ${wish.organization}`,
  ].filter((text) => text !== undefined);
}

export function movesHost(run: Run, record: PasswordRecord): boolean {
  return record.host === run.wish.previousHost && record.host !== run.wish.host;
}

/** An explicit move to another host: the same account must answer there with the current password. */
export async function moveHost(run: Run, record: PasswordRecord): Promise<"again"> {
  const { wish } = run;
  checkIdentity(run, { ...record, host: wish.host });
  if (record.pending !== undefined) {
    throw stop(
      run,
      "host-change-open",
      `has an open password change at its old host ${record.host}`,
      "Set `host` back, run `pulumi up` until the change is done, then move the account.",
    );
  }
  if ((await tryLogin(run, record, currentOf(record))) === undefined) {
    if (await hasMoved(run, record)) return "again";
    throw stop(
      run,
      "host-refuses",
      `cannot move from ${record.host} to ${wish.host}: the new host refuses its password`,
      `${observed(run)}Check \`host\`.`,
    );
  }
  await write(run, { ...record, host: wish.host }, record.version);
  return "again";
}

/** Promoted, nothing open, nothing asked: one login shows that the record is true. */
export async function verify(run: Run, record: PasswordRecord): Promise<PasswordResult | "again"> {
  const answer = await logIn(run, currentOf(record));
  if (answer === "spent") throw loginsSpent(run);
  if (answer.kind === "unknown") throw unknownAnswer(run, "the login", answer.why);
  if (answer.kind === "no") {
    if (await hasMoved(run, record)) return "again";
    if (await adoptFormer(run, record)) return "again";
    throw changedOutside(run, record);
  }
  if ((record.deletionTime ?? "") !== "") {
    const lasting = await write(run, record, record.version);
    if (lasting.state === "lost") return "again";
    return finish(run, "verified", { ...record, version: lasting.version }, answer);
  }
  return finish(run, "verified", record, answer);
}

/** Steps 2 and 3: the pending of an earlier run, and the current password; what was refused before, last. */
export function candidatesOf(run: Run, record: PasswordRecord | undefined): Candidate[] {
  const { firstPassword } = run.wish;
  if (record === undefined && firstPassword === undefined) {
    throw stop(
      run,
      "first-password",
      `has no record at ${pathOf(run)} and no first password in config`,
      `Set it with ${firstPasswordCommand(run)}.`,
    );
  }
  const isFirst = record === undefined || record.generation === 0;
  const current = record === undefined ? undefined : currentOf(record);
  const first = isFirst && firstPassword !== current?.password ? firstOf(run) : undefined;
  const all = [foundPending(run, record), first, current].filter((one) => one !== undefined);
  return refusedLast(
    run,
    all.filter(({ password, isPending }) => isPending || !run.refused.has(password)),
  );
}

/** A pending that this run drew was not sent to APIsec yet, or its answer has been judged. */
function foundPending(run: Run, record: PasswordRecord | undefined): Candidate | undefined {
  if (record?.pending === undefined || record.pending.password === run.drawn) return undefined;
  const { pending } = record;
  const times = run.pendingRefused.get(pending.password) ?? 0;
  return times < mostTriesOfPending ? pendingOf({ ...record, pending }) : undefined;
}

/** Step 8: a pending that this run drew and could not use yet: another run that read it may have changed to it. */
export function ownPending(run: Run, record: PasswordRecord): Candidate | undefined {
  const { pending } = record;
  const isUntried =
    pending !== undefined &&
    pending.password === run.drawn &&
    !run.pendingRefused.has(pending.password);
  return isUntried ? pendingOf({ ...record, pending }) : undefined;
}

/**
 * Step 3, the pending once more: where it was refused before the current password was, its change may have come
 * to effect between the two.
 */
export function pendingOnceMore(
  run: Run,
  record: PasswordRecord | undefined,
  tried: readonly Candidate[],
): Candidate | undefined {
  const isFirstTried = tried.length > 1 && tried[0]?.isPending === true;
  return isFirstTried ? foundPending(run, record) : undefined;
}

export function wasTried(run: Run, { password, isPending }: Candidate): boolean {
  return isPending === true ? run.pendingRefused.has(password) : run.refused.has(password);
}

export function isRemembered({ mark }: Run, { label }: Candidate): boolean {
  return mark.refused.includes(label);
}

/** Of those that were refused before, the one that was tried longest ago comes first: each has its turn. */
function refusedLast(run: Run, candidates: readonly Candidate[]): Candidate[] {
  const rank = ({ label }: Candidate) => run.mark.refused.lastIndexOf(label);
  return [...candidates].sort((a, b) => rank(a) - rank(b));
}

const currentOf = ({ password, version }: PasswordRecord): Candidate => ({
  password,
  label: `${version}`,
});

const pendingOf = ({ pending, version }: Staged): Candidate => ({
  password: pending.password,
  label: `${version}p`,
  isPending: true,
});

function firstOf({ wish }: Run): Candidate | undefined {
  const { firstPassword: password } = wish;
  return password === undefined ? undefined : { password, label: "0" };
}

/** A pending of an earlier generation may be found at work: then the wanted one is still to come. */
export async function promoteFound(
  run: Run,
  record: Staged,
  proof: Proof,
): Promise<PasswordResult | "again"> {
  const changedAt = await stagedAt(run, record);
  const result = await promote(run, record, changedAt, proof);
  const isBehind = result.outcome === "changed" && result.generation < run.wish.generation;
  return isBehind ? "again" : result;
}

/** When the version was written that staged a found pending. */
async function stagedAt(run: Run, { version, pending, createdTime }: Staged): Promise<string> {
  let since = createdTime ?? "";
  for (let older = version - 1; older >= Math.max(1, version - versionsKept); older -= 1) {
    const read = await run.world.store.read(passwordKey(run.wish.name), older);
    const record = read.state === "found" ? parseRecord(read) : undefined;
    if (record?.pending?.password !== pending.password) break;
    since = record.createdTime ?? since;
  }
  return since;
}

export async function hasMoved(run: Run, record: PasswordRecord | undefined): Promise<boolean> {
  await run.world.clock.sleep(standbyLagMs);
  return (await readRecord(run))?.version !== record?.version;
}

/** Step 8: a token that passes who-am-I: this run's, or the vault's. */
export async function anyToken(
  run: Run,
  record: PasswordRecord | undefined,
): Promise<Proof | undefined> {
  const { proof, world } = run;
  if (proof !== undefined) return { token: proof.token, who: proof.who, at: proof.at };
  const stored = await storedToken(run);
  if (stored === undefined) return undefined;
  const at = new Date(world.clock.now()).toISOString();
  const answer = await run.api.whoAmI(stored);
  if (answer.kind === "unknown") throw unknownAnswer(run, "who-am-I", answer.why);
  const isUsable = answer.kind === "yes" && isOurs(run, answer.who, record);
  return isUsable ? { token: stored, who: answer.who, at } : undefined;
}

async function storedToken(run: Run): Promise<string | undefined> {
  const read = await run.world.store.read(tokenKey(run.wish.name));
  const token = read.state === "found" ? read.data["token"] : undefined;
  if (typeof token !== "string") return undefined;
  const claims = readToken(token);
  return claims !== undefined && sameUser(claims.username, run.wish.username) ? token : undefined;
}

/** A password that step 8 tries, and what its record says of it where that is another one's. */
type LastResort = Candidate & { adopted?: Pick<PasswordRecord, "generation" | "changedAt"> };

/**
 * Step 8: config's first password, such as APIsec's support gives after a reset; the record under the account's
 * former name; values of older versions, newest first, at most 4. What was refused before comes last.
 */
export async function lastResorts(run: Run, record: PasswordRecord): Promise<LastResort[]> {
  const known = new Set([record.password, record.pending?.password, ...run.refused]);
  const first = firstOf(run);
  const all: LastResort[] = first === undefined || known.has(first.password) ? [] : [first];
  const former = await formerValues(run);
  const older = await olderValues(run, record, new Set([...known, first?.password]));
  for (const candidate of [...former, ...older.slice(0, mostOlderValues)]) {
    if (known.has(candidate.password)) continue;
    if (all.some(({ password }) => password === candidate.password)) continue;
    all.push(candidate);
  }
  return refusedLast(run, all);
}

/** Renamed, changed there and renamed back, the password that logs in stands under the other name. */
async function formerValues(run: Run): Promise<LastResort[]> {
  const { renamedFrom } = run.wish;
  if (renamedFrom === undefined) return [];
  const read = await run.world.store.read(passwordKey(renamedFrom));
  const former = read.state === "found" ? checkRead(run, renamedFrom, read) : undefined;
  if (former === undefined || differencesOf(run, former).length > 0) return [];
  const { pending, version, password, generation, changedAt, createdTime = "" } = former;
  const current = { password, label: `r${version}`, adopted: { generation, changedAt } };
  if (pending === undefined) return [current];
  const adopted = { generation: pending.generation, changedAt: createdTime };
  return [{ password: pending.password, label: `r${version}p`, adopted }, current];
}

async function olderValues(
  run: Run,
  record: PasswordRecord,
  known: Set<string | undefined>,
): Promise<Candidate[]> {
  const older: Candidate[] = [];
  const oldest = Math.max(1, record.version - versionsKept);
  for (let version = record.version - 1; version >= oldest; version -= 1) {
    const read = await run.world.store.read(passwordKey(run.wish.name), version);
    const values = read.state === "found" ? parseRecord(read) : undefined;
    for (const [password, label] of [
      [values?.pending?.password, `${version}p`],
      [values?.password, `${version}`],
    ] as const) {
      if (password === undefined || known.has(password)) continue;
      known.add(password);
      older.push({ password, label });
    }
  }
  return older;
}

/** A former name's password that logs in and is new enough is written into this record: there is nothing to change. */
export async function adopt(
  run: Run,
  record: PasswordRecord,
  { password, adopted }: LastResort,
): Promise<boolean> {
  if (adopted === undefined || adopted.generation < run.wish.generation) return false;
  if (adopted.generation <= record.generation) return false;
  const { pending, ...rest } = record;
  const kept = pending !== undefined && pending.generation > adopted.generation ? { pending } : {};
  await write(run, { ...rest, ...kept, password, ...adopted }, record.version);
  return true;
}

/** A change that was made under the former name is ours, and none from outside. */
async function adoptFormer(run: Run, record: PasswordRecord): Promise<boolean> {
  const former = (await formerValues(run)).find(
    ({ password, adopted }) =>
      password !== record.password && (adopted?.generation ?? 0) > record.generation,
  );
  if (former === undefined || (await tryLogin(run, record, former)) === undefined) return false;
  return adopt(run, record, former);
}

/** Steps 4 to 7 with a proof of who we are: stage, change, prove, promote. */
export async function stageAndChange(
  run: Run,
  record: PasswordRecord | undefined,
  proof: Proof,
): Promise<PasswordResult | "again"> {
  const { logins } = run;
  if (isForbidden(run, proof.token)) throw adminToken(run);
  const changer = await changerToken(run, proof);
  checkPause(run);
  if (leftToProve(logins, run.row.count) === 0) throw loginsSpent(run);
  const staged = await stage(run, record, proof);
  if (staged === "again") return "again";
  run.secrets.add(staged.pending.password);
  logins.changeSent = true;
  const answer = await run.api.changePassword(
    changer ?? proof.token,
    proof.who,
    staged.pending.password,
  );
  const proved = await prove(run, staged, answer.kind === "unknown" ? proofWaitsMs : [0]);
  if (proved === undefined) throw notProven(run, staged, proof, answer);
  return promote(run, staged, staged.createdTime ?? "", proved);
}

/** Whether a published token could reset passwords. */
function isForbidden({ wish }: Run, token: string): boolean {
  return wish.published && !wish.acceptAdminToken && isAdminToken(token);
}

/** Step 4: the password that has just logged in and the one to come, with check-and-set. */
async function stage(
  run: Run,
  record: PasswordRecord | undefined,
  proof: Proof,
): Promise<Staged | "again"> {
  const { wish, world } = run;
  const { pending } = record ?? {};
  if (record !== undefined && pending !== undefined && pending.generation >= wish.generation) {
    const changedAt = await stagedAt(run, { ...record, pending });
    return { ...record, pending, createdTime: changedAt };
  }
  const password = proof.password ?? record?.password;
  if (password === undefined) throw new Error("a record needs a password to be staged");
  run.drawn ??= world.newPassword();
  const staged: Staged = {
    ...record,
    version: record?.version ?? 0,
    username: record?.username ?? wish.username,
    password,
    host: wish.host,
    organization: (record?.organization || wish.organization) ?? proof.who.orgName,
    generation: record?.generation ?? 0,
    changedAt: record?.changedAt ?? "",
    pending: { password: run.drawn, generation: wish.generation },
  };
  const written = await write(run, staged, staged.version);
  if (written.state === "lost") return "again";
  return { ...staged, version: written.version, createdTime: written.createdTime };
}

/** Writes the record, so that Vault does not delete it later: a key that does is set right first. */
async function write(run: Run, record: PasswordRecord, cas: number): Promise<SecretWrite> {
  const { store, keys } = run.world;
  const key = passwordKey(run.wish.name);
  const once = await store.write(key, recordData(record), cas);
  if (once.state === "lost") return once;
  run.hasWritten = true;
  if (once.deletionTime === "") return once;
  await keys.prepare(key);
  const again = await store.write(key, recordData(record), once.version);
  if (again.state === "written" && again.deletionTime !== "") {
    throw endsInVault(run, again.version, again.deletionTime);
  }
  return again;
}

/** Step 5's other token: `changedBy` logs in with its own record and must be of the same organisation. */
async function changerToken(run: Run, target: Proof): Promise<string | undefined> {
  const { changedBy } = run.wish;
  if (changedBy === undefined) return undefined;
  const changer = runOf(
    { ...run.wish, ...changedBy, organization: undefined, changedBy: undefined },
    run.world,
  );
  // One login a process: whoever asks next is given the same token.
  changer.logins.asChanger ??= loginOfChanger(changer);
  const answer = await changer.logins.asChanger;
  const fail = (what: string) =>
    stop(
      run,
      "changer",
      `is changed by ${changedBy.name}, ${what}`,
      `${observed(run)}See to ${changedBy.name} first, then run \`pulumi up\` again.`,
    );
  if ("unknown" in answer) throw unknownAnswer(run, answer.call, answer.unknown);
  if ("what" in answer) throw fail(answer.what);
  const { token, who } = answer.proof;
  run.secrets.add(token);
  if (who.orgId !== target.who.orgId) throw fail("which is of another organisation");
  return token;
}

async function loginOfChanger(changer: Run): Promise<Changer> {
  const { wish, logins, api } = changer;
  // Its own password was proven in this process, by its own resource.
  const { newest } = logins;
  if (newest !== undefined) {
    if (logins.proof?.token === newest.token) return { proof: logins.proof };
    const who = await api.whoAmI(newest.token);
    if (who.kind === "unknown") return { unknown: who.why, call: "the changer's who-am-I" };
    if (who.kind === "yes") {
      return { proof: proven(changer, newest.password, newest.token, who.who, newest.at) };
    }
  }
  for (;;) {
    const record = await readRecord(changer);
    if (record === undefined) return { what: `which has no record at ${pathOf(changer)}` };
    if (record.host !== wish.host || !sameUser(record.username, wish.username)) {
      return { what: `whose record is of ${record.username} at ${record.host}` };
    }
    const { pending } = record;
    const candidates = [
      currentOf(record),
      ...(pending === undefined ? [] : [pendingOf({ ...record, pending })]),
    ].filter(({ password }) => !changer.refused.has(password));
    for (const candidate of refusedLast(changer, candidates)) {
      const answer = await logIn(changer, candidate);
      if (answer === "spent") break;
      if (answer.kind === "no") continue;
      if (answer.kind === "unknown") {
        return { unknown: answer.why, call: "the changer's login" };
      }
      const who = await api.whoAmI(answer.token);
      if (who.kind !== "yes") return { unknown: whyOf(who), call: "the changer's who-am-I" };
      return { proof: proven(changer, candidate.password, answer.token, who.who, answer.at) };
    }
    if (maySend(logins) && (await hasMoved(changer, record))) continue;
    return { what: "which cannot log in with the password in its record" };
  }
}

/** Step 6: whatever APIsec answered, a login with pending and its who-am-I decide. */
async function prove(
  run: Run,
  record: Staged,
  waitsMs: readonly number[],
): Promise<Proof | undefined> {
  const most = leftToProve(run.logins, run.row.count);
  for (const wait of waitsMs.slice(0, most)) {
    if (wait > 0) await run.world.clock.sleep(wait);
    const answer = await logIn(run, pendingOf(record));
    if (answer === "spent") return undefined;
    if (answer.kind !== "yes") continue;
    const who = await run.api.whoAmI(answer.token);
    if (who.kind !== "yes") continue;
    if (!isOurs(run, who.who, record)) throw otherUser(run, who.who);
    return proven(run, record.pending.password, answer.token, who.who, answer.at);
  }
  return undefined;
}

/** Step 7: the proven pending becomes the password. A proven password never yields to an unproven one. */
async function promote(
  run: Run,
  proven: Staged,
  changedAt: string,
  proof: Proof,
): Promise<PasswordResult> {
  const { store, keys } = run.world;
  const key = passwordKey(run.wish.name);
  const ours = proven.pending;
  let newest: PasswordRecord = proven;
  for (let count = 0; count < mostPromotions; count += 1) {
    const others = newest.pending?.password === ours.password ? undefined : newest.pending;
    const { password, generation } = ours;
    const promoted = { ...newest, password, generation, changedAt, pending: others };
    const written = await write(run, promoted, newest.version);
    if (written.state === "written") {
      return finish(run, "changed", { ...promoted, version: written.version }, proof);
    }
    const reread = await store.read(key);
    if (reread.state !== "found") {
      // Deleted meanwhile: it is written anew, over what is left of the key.
      if (reread.state === "absent") await keys.prepare(key);
      newest = { ...newest, version: reread.state === "absent" ? 0 : reread.version };
      continue;
    }
    noticeMark(run, parseMark(reread.custom));
    const record = checkRead(run, run.wish.name, reread);
    if (record === undefined) continue;
    newest = record;
    if (newest.password === password && newest.generation >= 1) {
      return finish(run, "changed", newest, proof);
    }
    const answer = await logIn(run, pendingOf(proven));
    if (answer === "spent") break;
    if (answer.kind === "no") {
      const { version } = newest;
      const result = { outcome: "superseded", generation: newest.generation, version } as const;
      return { ...result, changeOpen: true, warnings: run.warnings };
    }
    if (answer.kind === "unknown") throw unknownAnswer(run, "the login", answer.why);
  }
  throw stop(
    run,
    "contended",
    `has a proven password that others' writes kept from being promoted at ${pathOf(run)}`,
    "Wait for the other run to end and run `pulumi up` again.",
  );
}

/** The end of a run that has proved the record: its mark, and step 9. */
async function finish(
  run: Run,
  outcome: "verified" | "changed",
  record: PasswordRecord,
  proof: { token: string; at: string },
): Promise<PasswordResult> {
  const isSettled = await noteSettled(run, record, proof.at);
  const tokenFailure = isForbidden(run, proof.token)
    ? adminToken(run)
    : await publishFrom(run, record, proof.token, outcome === "changed");
  return {
    outcome,
    generation: record.generation,
    version: record.version,
    changeOpen: !isSettled,
    warnings: run.warnings,
    tokenFailure,
  };
}
