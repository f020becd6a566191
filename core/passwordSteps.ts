import type { Identity, LoginAnswer } from "../clients/apisec";
import { isAdminToken, readToken, sameUser } from "./jwt";
import { parseRecord, passwordKey, recordData, tokenKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import type { PasswordResult, Proof, Run } from "./passwordRun";
import { notProven, otherUser, pathOf, stop, unknownAnswer, whyOf } from "./passwordStops";

const mostOlderValues = 4;
const mostPromotions = 5;
const versionsKept = 10;
/** Waits before each proof after an unknown answer: four tries in 30 s. */
const proofWaitsMs = [0, 4_000, 10_000, 16_000];

/** Step 1: value and version in one call. */
export async function readRecord(run: Run): Promise<PasswordRecord | undefined> {
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

export async function hasMoved(run: Run, record: PasswordRecord | undefined): Promise<boolean> {
  return (await readRecord(run))?.version !== record?.version;
}

/** A renamed account: the old record, open change and all, is written under the new name first. */
export async function copyRenamed(run: Run): Promise<boolean> {
  const { renamedFrom, name } = run.wish;
  if (renamedFrom === undefined) return false;
  const old = await readNamed(run, renamedFrom);
  if (old === undefined) return false;
  checkIdentity(run, old);
  await run.world.store.write(passwordKey(name), recordData(old), 0);
  return true;
}

export function checkIdentity(run: Run, record: PasswordRecord): void {
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
export async function verify(run: Run, record: PasswordRecord): Promise<PasswordResult | "again"> {
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
export async function pendingWorks(
  run: Run,
  record: PasswordRecord,
  pending: string,
): Promise<boolean> {
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
export async function promoteFound(
  run: Run,
  record: PasswordRecord,
): Promise<PasswordResult | "again"> {
  const result = await promote(run, record);
  const isBehind = result.outcome === "changed" && result.generation < run.wish.generation;
  return isBehind ? "again" : result;
}

/** Step 3: undefined after a *no* for every candidate. */
export async function loginWithCurrent(
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

/** Where a change of ours is open or asked for: older versions' values, newest first, at most 4. */
export async function loginWithOlder(run: Run, record: PasswordRecord): Promise<Proof | undefined> {
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
export async function anyToken(
  run: Run,
  record: PasswordRecord | undefined,
): Promise<Proof | undefined> {
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
export async function stageAndChange(
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
