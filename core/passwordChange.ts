import type { Apisec, ChangeAnswer, Identity, LoginAnswer } from "../clients/apisec";
import type { Clock } from "../net/http";
import { isAdminToken, readToken, sameUser } from "./jwt";
import { parseRecord, passwordKey, recordData, tokenKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import { foreignText } from "./redact";
import type { SecretStore } from "../clients/vault";

/** What is wanted of one account. */
export interface PasswordWish {
  name: string;
  username: string;
  host: string;
  organization?: string | undefined;
  /** The wanted generation, 1 or more. */
  generation: number;
  /** APIsec's first password, as long as it stands in config. */
  firstPassword?: string | undefined;
  /** Whether developers will read this account's token. */
  published: boolean;
  acceptAdminToken: boolean;
  /** Another account of the same organisation and host, whose token makes the change. */
  changedBy?: { name: string; username: string } | undefined;
  /** The host that the record may still name: an explicit move of the account to `host`. */
  previousHost?: string | undefined;
  /** The name this account had in this stack before: its record is copied if the new name has none. */
  renamedFrom?: string | undefined;
}

/** The world of one run, as parameters. `apisec` gives the API of a host. */
export interface PasswordWorld {
  store: SecretStore;
  mount: string;
  apisec: (host: string) => Apisec;
  newPassword: () => string;
  clock: Clock;
}

/** `superseded`: another run changed the password after ours, and its value is the live one. */
export interface PasswordResult {
  outcome: "verified" | "changed" | "superseded";
  generation: number;
  version: number;
}

/** Each way in which a run stops; the messages begin alike and stand in the README's table. */
export type StopCode =
  | "deleted"
  | "unreadable-record"
  | "other-identity"
  | "changed-outside"
  | "first-password-missing"
  | "first-password-refused"
  | "nothing-works"
  | "admin-token"
  | "changer"
  | "not-proven"
  | "refused"
  | "unknown-answer"
  | "contended";

const mostRounds = 12;
const mostOlderValues = 4;
const mostPromotions = 5;
const versionsKept = 10;
/** Waits before each proof after an unknown answer: four tries in 30 s. */
const proofWaitsMs = [0, 4_000, 10_000, 16_000];

/** A login that worked: the password where one was used, the token, and who it belongs to. */
interface Proof {
  password?: string;
  token: string;
  who: Identity;
}

interface Run {
  wish: PasswordWish;
  world: PasswordWorld;
  api: Apisec;
  /** Current passwords that this run was told *no* for: none is tried twice. */
  refused: Set<string>;
  /** Likewise older versions' values; apart, since another run may promote one of them to current. */
  refusedOlder: Set<string>;
  /** Likewise the passwords of the account that makes the change. */
  refusedChanger: Set<string>;
  /** How often a found pending was refused: at most twice, since a late change may land in between. */
  pendingRefused: Map<string, number>;
  /** All that this run sent or drew, to be cut out of foreign texts. */
  secrets: Set<string>;
  /** Drawn once: a lost race does not spend another. */
  drawn?: string;
  /** The last token of this run that passed who-am-I. */
  proof?: Proof;
}

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

/** Step 1: value and version in one call. */
async function readRecord(run: Run): Promise<PasswordRecord | undefined> {
  return readNamed(run, run.wish.name);
}

async function readNamed(run: Run, name: string): Promise<PasswordRecord | undefined> {
  const read = await run.world.store.read(passwordKey(name));
  if (read.state === "absent") return undefined;
  const path = `${run.world.mount}/${passwordKey(name)}`;
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

/** A renamed account: the old record, open change and all, is written under the new name first. */
async function copyRenamed(run: Run): Promise<boolean> {
  const { renamedFrom, name } = run.wish;
  if (renamedFrom === undefined) return false;
  const old = await readNamed(run, renamedFrom);
  if (old === undefined) return false;
  checkIdentity(run, old);
  await run.world.store.write(passwordKey(name), recordData(old), 0);
  return true;
}

function checkIdentity(run: Run, record: PasswordRecord): void {
  const { wish } = run;
  const differing = [
    sameUser(record.username, wish.username)
      ? undefined
      : `username is ${record.username}, config says ${wish.username}`,
    record.host === wish.host ? undefined : `host is ${record.host}, config says ${wish.host}`,
    wish.organization === undefined || record.organization === wish.organization
      ? undefined
      : `organization is ${record.organization}, config says ${wish.organization}`,
  ].filter((text) => text !== undefined);
  if (differing.length === 0) return;
  throw stop(
    run,
    "other-identity",
    `has a record of another account at ${pathOf(run)}: ${differing.join("; ")}`,
    "Give the new account a name of its own, or set the config back.",
  );
}

function movesHost(run: Run, record: PasswordRecord): boolean {
  return record.host === run.wish.previousHost && record.host !== run.wish.host;
}

/** An explicit move to another host: the same account must answer there with the current password. */
async function moveHost(run: Run, record: PasswordRecord): Promise<"again"> {
  const { wish } = run;
  checkIdentity(run, { ...record, host: wish.host });
  if (record.pending !== undefined) {
    throw stop(
      run,
      "other-identity",
      `has an open password change at its old host ${record.host}`,
      "Set `host` back, run `pulumi up` until the change is done, then move the account.",
    );
  }
  const answer = await login(run, record.password);
  if (answer.kind === "no") {
    run.refused.add(record.password);
    if (await hasMoved(run, record)) return "again";
    throw stop(
      run,
      "other-identity",
      `cannot move from ${record.host} to ${wish.host}: the new host refuses its password`,
      "Nothing was written. Check `host`.",
    );
  }
  await proved(run, answer, record);
  await run.world.store.write(
    passwordKey(wish.name),
    recordData({ ...record, host: wish.host }),
    record.version,
  );
  return "again";
}

/** Promoted, nothing open, nothing asked: one login shows that the record is true. */
async function verify(run: Run, record: PasswordRecord): Promise<PasswordResult | "again"> {
  const answer = await login(run, record.password);
  if (answer.kind === "unknown") throw unknownAnswer(run, "the login", answer.why);
  if (answer.kind === "no") {
    run.refused.add(record.password);
    if (await hasMoved(run, record)) return "again";
    throw stop(
      run,
      "changed-outside",
      `was changed outside: the password in ${pathOf(run)}, version ${record.version}, no longer logs in`,
      "Nothing was touched: it may be incident response. To take the account back, raise its passwordGeneration and run `pulumi up`.",
    );
  }
  refuseAdminToken(run, answer.token);
  return { outcome: "verified", generation: record.generation, version: record.version };
}

/** Step 2, and the one repetition of step 3. */
async function pendingWorks(run: Run, record: PasswordRecord, pending: string): Promise<boolean> {
  const refusals = run.pendingRefused.get(pending) ?? 0;
  if (refusals === 2) return false;
  const answer = await login(run, pending);
  if (answer.kind === "no") {
    run.pendingRefused.set(pending, refusals + 1);
    return false;
  }
  await proved(run, answer, record);
  return true;
}

/** A pending of an earlier generation may be found at work: then the wanted one is still to come. */
async function promoteFound(run: Run, record: PasswordRecord): Promise<PasswordResult | "again"> {
  const result = await promote(run, record);
  const isBehind = result.outcome === "changed" && result.generation < run.wish.generation;
  return isBehind ? "again" : result;
}

/** Step 3: undefined after a *no* for every candidate. */
async function loginWithCurrent(
  run: Run,
  record: PasswordRecord | undefined,
): Promise<Proof | undefined> {
  const { firstPassword } = run.wish;
  const isFirst = record === undefined || record.generation === 0;
  const candidates = new Set<string>();
  if (isFirst && firstPassword !== undefined) candidates.add(firstPassword);
  if (record !== undefined) candidates.add(record.password);
  if (candidates.size === 0) {
    throw stop(
      run,
      "first-password-missing",
      `has no record at ${pathOf(run)} and no first password in config`,
      `Set it with \`pulumi config set --secret --path 'firstPasswords.${run.wish.name}'\`.`,
    );
  }
  for (const password of candidates) {
    if (run.refused.has(password)) continue;
    const answer = await login(run, password);
    if (answer.kind === "no") {
      run.refused.add(password);
      continue;
    }
    return { ...(await proved(run, answer, record)), password };
  }
  return undefined;
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

async function hasMoved(run: Run, record: PasswordRecord | undefined): Promise<boolean> {
  return (await readRecord(run))?.version !== record?.version;
}

function nothingWorks(run: Run, record: PasswordRecord | undefined): Error {
  if (record === undefined) {
    return stop(
      run,
      "first-password-refused",
      `was refused with its first password at ${run.wish.host}`,
      `Nothing was written. Correct it with \`pulumi config set --secret --path 'firstPasswords.${run.wish.name}'\`.`,
    );
  }
  const pending = record.pending === undefined ? "" : " nor its pending one";
  return stop(
    run,
    "nothing-works",
    `cannot log in with the password${pending} in ${pathOf(run)}, version ${record.version}, nor with an older version's`,
    "Nothing was deleted. If another `pulumi up` of this account is at work, let it end and run this one again. If not, have APIsec's support reset the account, put the password they give you into firstPasswords, and run `pulumi up` again.",
  );
}

/** Where a change of ours is open or asked for: older versions' values, newest first, at most 4. */
async function loginWithOlder(run: Run, record: PasswordRecord): Promise<Proof | undefined> {
  for (const password of await olderPasswords(run, record)) {
    const answer = await login(run, password);
    if (answer.kind === "no") {
      run.refusedOlder.add(password);
      continue;
    }
    return { ...(await proved(run, answer, record)), password };
  }
  return undefined;
}

async function olderPasswords(run: Run, record: PasswordRecord): Promise<string[]> {
  const known = new Set([
    record.password,
    record.pending?.password,
    ...run.refused,
    ...run.refusedOlder,
  ]);
  const older: string[] = [];
  const oldest = Math.max(1, record.version - versionsKept);
  for (let version = record.version - 1; version >= oldest; version -= 1) {
    const read = await run.world.store.read(passwordKey(run.wish.name), version);
    const values = read.state === "found" ? parseRecord(read) : undefined;
    for (const password of [values?.pending?.password, values?.password]) {
      if (password === undefined || known.has(password)) continue;
      known.add(password);
      older.push(password);
      if (older.length === mostOlderValues) return older;
    }
  }
  return older;
}

/** Step 8: a token that passes who-am-I, from this run, from the vault, or for the first password. */
async function anyToken(run: Run, record: PasswordRecord | undefined): Promise<Proof | undefined> {
  if (run.proof !== undefined) return { token: run.proof.token, who: run.proof.who };
  const stored = await storedToken(run);
  if (stored !== undefined) {
    const answer = await run.api.whoAmI(stored);
    if (answer.kind === "unknown") throw unknownAnswer(run, "who-am-I", answer.why);
    if (answer.kind === "yes" && isOurs(run, answer.who, record)) {
      return { token: stored, who: answer.who };
    }
  }
  const { firstPassword } = run.wish;
  if (firstPassword === undefined) return undefined;
  if (run.refused.has(firstPassword) || run.refusedOlder.has(firstPassword)) return undefined;
  const answer = await login(run, firstPassword);
  if (answer.kind === "no") {
    run.refused.add(firstPassword);
    return undefined;
  }
  return { ...(await proved(run, answer, record)), password: firstPassword };
}

async function storedToken(run: Run): Promise<string | undefined> {
  const read = await run.world.store.read(tokenKey(run.wish.name));
  const token = read.state === "found" ? read.data["token"] : undefined;
  if (typeof token !== "string") return undefined;
  const claims = readToken(token);
  return claims !== undefined && sameUser(claims.username, run.wish.username) ? token : undefined;
}

/** Steps 4 to 7 with a proof of who we are: stage, change, prove, promote. */
async function stageAndChange(
  run: Run,
  record: PasswordRecord | undefined,
  proof: Proof,
): Promise<PasswordResult | "again"> {
  refuseAdminToken(run, proof.token);
  const changer = await changerToken(run, proof);
  const staged = await stage(run, record, proof);
  if (staged === "again") return "again";
  const pending = staged.pending?.password ?? "";
  run.secrets.add(pending);
  const answer = await run.api.changePassword(changer ?? proof.token, proof.who, pending);
  const waits = answer.kind === "unknown" ? proofWaitsMs : [0];
  if (await prove(run, staged, pending, waits)) return promote(run, staged);
  throw notProven(run, staged, proof, answer);
}

/** Step 4: the password that has just logged in and the one to come, with check-and-set. */
async function stage(
  run: Run,
  record: PasswordRecord | undefined,
  proof: Proof,
): Promise<PasswordRecord | "again"> {
  const { wish, world } = run;
  if (record?.pending !== undefined && record.pending.generation >= wish.generation) return record;
  run.drawn ??= world.newPassword();
  const staged: PasswordRecord = {
    version: record?.version ?? 0,
    username: record?.username ?? wish.username,
    password: proof.password ?? record?.password ?? wish.firstPassword ?? "",
    host: wish.host,
    organization: record?.organization ?? wish.organization ?? proof.who.orgName,
    generation: record?.generation ?? 0,
    changedAt: record?.changedAt ?? "",
    pending: { password: run.drawn, generation: wish.generation },
  };
  const write = await world.store.write(
    passwordKey(wish.name),
    recordData(staged),
    record?.version ?? 0,
  );
  return write.state === "lost" ? "again" : { ...staged, version: write.version };
}

/** Step 5's other token: `changedBy` logs in with its own record and must be of the same organisation. */
async function changerToken(run: Run, target: Proof): Promise<string | undefined> {
  const { changedBy } = run.wish;
  if (changedBy === undefined) return undefined;
  const fail = (what: string) =>
    stop(
      run,
      "changer",
      `is changed by ${changedBy.name}, ${what}`,
      `Nothing was changed. See to ${changedBy.name} first, then run \`pulumi up\` again.`,
    );
  const record = await readNamed(run, changedBy.name);
  if (record === undefined) {
    throw fail(`which has no record at ${run.world.mount}/${passwordKey(changedBy.name)}`);
  }
  if (record.host !== run.wish.host || !sameUser(record.username, changedBy.username)) {
    throw fail(`whose record is of ${record.username} at ${record.host}`);
  }
  for (const password of [record.password, record.pending?.password]) {
    if (password === undefined || run.refusedChanger.has(password)) continue;
    run.secrets.add(password);
    const answer = await run.api.login(record.username, password);
    if (answer.kind === "unknown") throw unknownAnswer(run, "the changer's login", answer.why);
    if (answer.kind === "no") {
      run.refusedChanger.add(password);
      continue;
    }
    const who = await run.api.whoAmI(answer.token);
    if (who.kind !== "yes") throw unknownAnswer(run, "the changer's who-am-I", whyOf(who));
    if (who.who.orgId !== target.who.orgId) throw fail("which is of another organisation");
    return answer.token;
  }
  const moved = (await readNamed(run, changedBy.name))?.version !== record.version;
  if (moved) return changerToken(run, target);
  throw fail("which cannot log in with the password in its record");
}

/** Step 6: whatever APIsec answered, a login with pending and its who-am-I decide. */
async function prove(
  run: Run,
  record: PasswordRecord,
  pending: string,
  waitsMs: readonly number[],
): Promise<boolean> {
  for (const wait of waitsMs) {
    if (wait > 0) await run.world.clock.sleep(wait);
    const answer = await login(run, pending);
    if (answer.kind !== "yes") continue;
    const who = await run.api.whoAmI(answer.token);
    if (who.kind !== "yes") continue;
    if (!isOurs(run, who.who, record)) throw otherUser(run, who.who);
    return true;
  }
  return false;
}

/** Step 7: the proven pending becomes the password. A proven password never yields to an unproven one. */
async function promote(run: Run, proven: PasswordRecord): Promise<PasswordResult> {
  const { store, clock } = run.world;
  const key = passwordKey(run.wish.name);
  const ours = proven.pending;
  if (ours === undefined) throw new Error("promote needs a pending password");
  let newest = proven;
  for (let count = 0; count < mostPromotions; count += 1) {
    const others = newest.pending?.password === ours.password ? undefined : newest.pending;
    const promoted: PasswordRecord = {
      ...newest,
      password: ours.password,
      generation: ours.generation,
      changedAt: new Date(clock.now()).toISOString(),
      pending: others,
    };
    const write = await store.write(key, recordData(promoted), newest.version);
    if (write.state === "written") {
      return { outcome: "changed", generation: ours.generation, version: write.version };
    }
    const reread = await readRecord(run);
    if (reread === undefined) break;
    newest = reread;
    if (newest.password === ours.password && newest.generation >= 1) {
      return { outcome: "changed", generation: newest.generation, version: newest.version };
    }
    const answer = await login(run, ours.password);
    if (answer.kind === "no") {
      return { outcome: "superseded", generation: newest.generation, version: newest.version };
    }
    if (answer.kind === "unknown") throw unknownAnswer(run, "the login", answer.why);
  }
  throw stop(
    run,
    "contended",
    `has a proven password that others' writes kept from being promoted at ${pathOf(run)}`,
    "It stands as pending in an older version. Wait for the other run to end and run `pulumi up` again.",
  );
}

function notProven(run: Run, staged: PasswordRecord, proof: Proof, answer: ChangeAnswer): Error {
  const where = `The pending password is kept in ${pathOf(run)}, version ${staged.version}.`;
  if (answer.kind === "refused") {
    const needsAdmin = run.wish.changedBy === undefined && !isAdminToken(proof.token);
    const next = needsAdmin
      ? "Its token has no ROLE_ADMIN: name an account that has one in `changedBy` and run `pulumi up`."
      : "To draw another, raise its passwordGeneration and run `pulumi up`.";
    return stop(
      run,
      "refused",
      `was refused its new password: ${clean(run, answer.text)}`,
      `${where} The old password is untouched. ${next}`,
    );
  }
  const said = answer.kind === "unknown" ? clean(run, answer.why) : "APIsec reported success";
  return stop(
    run,
    "not-proven",
    `did not prove its new password: ${said}, and the login with it does not work yet`,
    `${where} Run \`pulumi up\` again: it goes on with the same value.`,
  );
}

async function login(run: Run, password: string): Promise<LoginAnswer> {
  run.secrets.add(password);
  const answer = await run.api.login(run.wish.username, password);
  if (answer.kind === "yes") run.secrets.add(answer.token);
  return answer;
}

/** Goes on from a login: who-am-I must give the configured user and organisation. */
async function proved(
  run: Run,
  answer: LoginAnswer,
  record: PasswordRecord | undefined,
): Promise<Proof> {
  if (answer.kind !== "yes") throw unknownAnswer(run, "the login", whyOf(answer));
  const who = await run.api.whoAmI(answer.token);
  if (who.kind !== "yes") throw unknownAnswer(run, "who-am-I", whyOf(who));
  if (!isOurs(run, who.who, record)) throw otherUser(run, who.who);
  run.proof = { token: answer.token, who: who.who };
  return run.proof;
}

function isOurs(run: Run, who: Identity, record: PasswordRecord | undefined): boolean {
  const organization = run.wish.organization ?? record?.organization;
  const sameOrganization =
    organization === undefined || organization === who.orgName || organization === who.orgId;
  return sameUser(who.username, run.wish.username) && sameOrganization;
}

function otherUser(run: Run, who: Identity): Error {
  return stop(
    run,
    "other-identity",
    `logs in as ${clean(run, who.username)} of ${clean(run, who.orgName)}, not as the configured user and organization`,
    "Nothing was changed. Correct `username` or `organization`.",
  );
}

function refuseAdminToken(run: Run, token: string): void {
  const { published, changedBy, acceptAdminToken, name } = run.wish;
  if (!published || changedBy !== undefined || acceptAdminToken || !isAdminToken(token)) return;
  throw stop(
    run,
    "admin-token",
    "has a token with ROLE_ADMIN, and developers would read it: any of them could reset the password",
    `Nothing was written. Let another account change it (changedBy), do not publish its token (publishToken: false), or accept the risk (acceptAdminToken: true for ${name}).`,
  );
}

function whyOf(answer: { kind: string; why?: string; text?: string }): string {
  return answer.why ?? answer.text ?? "";
}

function unknownAnswer(run: Run, call: string, why: string): Error {
  return stop(
    run,
    "unknown-answer",
    `got no usable answer to ${call} from ${run.wish.host}: ${clean(run, why)}`,
    "That proves nothing about any password, so nothing was decided. Run `pulumi up` again when APIsec answers.",
  );
}

function clean(run: Run, text: string): string {
  return foreignText(text, [...run.secrets]);
}

function pathOf(run: Run): string {
  return `${run.world.mount}/${passwordKey(run.wish.name)}`;
}

/** An error that says which account, what, and what to do next; never a secret. */
function stop(run: Run, code: StopCode, what: string, next: string): Error & { code: StopCode } {
  return Object.assign(new Error(`Account ${run.wish.name} ${what}. ${next}`), {
    name: "PasswordChangeStopped",
    code,
  });
}
