import type { LoginAnswer } from "../../clients/apisec";
import type { PasswordResult, PasswordWish } from "../../core/passwordRun";
import type { StopCode } from "../../core/passwordStops";
import { parseMark } from "../../core/mark";
import { parseRecord, passwordKey } from "../../core/passwordRecord";
import type { PasswordRecord } from "../../core/passwordRecord";
import type { Rotation } from "../../core/tokenRotation";
import type { Alone } from "./explore";
import { livePassword } from "./memoryApisec";
import { kvRead } from "./memoryVault";
import type { Answer, Call } from "./stepped";
import type { World } from "./world";

/** What one run has heard so far, as far as the checks ask for it. */
export interface Facts {
  /** Passwords that logged in for this run. */
  proven: ReadonlySet<string>;
  /** *no* answers: for a value before this run changed to it, and after that. */
  refusals: ReadonlyMap<string, { asFound: number; asSent: number }>;
  /** Values that this run read as pending: they get a second look. */
  pendings: ReadonlySet<string>;
  /** The pending in the record as it was read last, if it was not tried yet. */
  untried?: string | undefined;
  /** Whether a value that logged in for this run was refused after that. */
  isSuperseded: boolean;
  /** Values that this run sent to APIsec, and whether the answer was unknown. */
  sent: ReadonlyMap<string, "answered" | "unknown">;
  /** Whether this run tried older versions' values: one that was pending is another candidate there. */
  triedOlder: boolean;
  /** Logins that were sent and not answered with yes, by user; and how many there were before a change. */
  spent: ReadonlyMap<string, { all: number; beforeChange: number }>;
  changeSent: boolean;
  /** A refusal that has not been noted yet. */
  isUnnoted: boolean;
  /** The most refusals in a row that this run has read or noted. */
  mostNoted: number;
  /** The last login, if its answer proved nothing. */
  unsure?: { username: string; password: string } | undefined;
  /** Kinds of answers that allow this run to stop. */
  heard: ReadonlySet<"unknown" | "refused" | "vault error">;
}

export const noFacts: Facts = {
  proven: new Set(),
  refusals: new Map(),
  pendings: new Set(),
  isSuperseded: false,
  sent: new Map(),
  triedOlder: false,
  spent: new Map(),
  changeSent: false,
  isUnnoted: false,
  mostNoted: 0,
  heard: new Set(),
};

/** The newest version of the account's record, under its new or its old name. */
export function newestRecord(world: World, wish: PasswordWish): PasswordRecord | undefined {
  return recordAt(world, wish.name, 0) ?? recordAt(world, wish.renamedFrom ?? wish.name, 0);
}

function recordAt(world: World, name: string, version: number): PasswordRecord | undefined {
  const read = kvRead(world.kv, passwordKey(name), 0, version);
  return read.state === "found" ? parseRecord(read) : undefined;
}

/** All kept versions, newest first. */
export function versionsOf(world: World, wish: PasswordWish): PasswordRecord[] {
  const current = world.kv[passwordKey(wish.name)]?.current ?? 0;
  const records: PasswordRecord[] = [];
  for (let version = current; version > 0; version -= 1) {
    const record = recordAt(world, wish.name, version);
    if (record !== undefined) records.push(record);
  }
  return records;
}

/**
 * Where the live password stands. "older": only in an older version, which is right where a later
 * generation than its own was staged since. With three runs there is one more way: a run changes to
 * the pending it read while two others close that change and put an older one in its place.
 */
export function whereLive(
  world: World,
  wish: PasswordWish,
  isCrowd = false,
): "newest" | "older" | "nowhere" {
  const live = livePassword(world.apisec, wish.username);
  const newest = newestRecord(world, wish);
  if (newest === undefined) return live === wish.firstPassword ? "newest" : "nowhere";
  if (live === newest.password || live === newest.pending?.password) return "newest";
  const staged = newest.pending?.generation ?? newest.generation;
  const isSuperseded = versionsOf(world, wish).some(
    ({ pending }) => pending?.password === live && (isCrowd || pending.generation < staged),
  );
  return isSuperseded ? "older" : "nowhere";
}

export function codeOf(error: Error): StopCode | undefined {
  // Vault's errors have a code, too.
  return error.name === "PasswordChangeStopped"
    ? (error as Error & { code: StopCode }).code
    : undefined;
}

export function learn(before: Facts, call: Call, answer: Answer): Facts {
  const facts = spend(before, call, answer);
  if ("error" in answer) return { ...facts, heard: new Set([...facts.heard, "vault error"]) };
  const { kind } = (answer.value ?? {}) as { kind?: string };
  // Another run's change may end the token between a login and its who-am-I.
  const isTokenEnded = kind === "no" && (call.to === "whoAmI" || call.to === "probe");
  if (isTokenEnded) return { ...facts, heard: new Set([...facts.heard, "unknown"]) };
  const known: Facts =
    kind === "unknown" || (kind === "refused" && call.to === "change")
      ? { ...facts, heard: new Set([...facts.heard, kind]) }
      : facts;
  if (call.to === "read") {
    const pending = pendingOf(answer.value);
    const isOlder = call.version !== undefined;
    const isUntried =
      pending !== undefined && !known.refusals.has(pending) && !isNoted(answer.value);
    return {
      ...known,
      pendings: new Set([...known.pendings, ...(pending === undefined ? [] : [pending])]),
      untried: isOlder ? known.untried : isUntried ? pending : undefined,
      triedOlder: known.triedOlder || isOlder,
    };
  }
  if (call.to === "change") {
    const how = kind === "unknown" ? "unknown" : "answered";
    return { ...known, sent: new Map([...known.sent, [call.password, how]]) };
  }
  if (call.to !== "login") return known;
  const { password } = call;
  if (password === known.untried) return learnLogin({ ...known, untried: undefined }, call, answer);
  return learnLogin(known, call, answer);
}

function learnLogin(known: Facts, call: Call & { to: "login" }, answer: { value: unknown }): Facts {
  const { password } = call;
  const { kind } = (answer.value ?? {}) as { kind?: string };
  if ((answer.value as LoginAnswer).kind === "yes") {
    return { ...known, proven: new Set([...known.proven, password]) };
  }
  if (kind !== "no") return known;
  const counts = known.refusals.get(password) ?? { asFound: 0, asSent: 0 };
  const which = known.sent.has(password) ? "asSent" : "asFound";
  const counted = { ...counts, [which]: counts[which] + 1 };
  return {
    ...known,
    isSuperseded: known.isSuperseded || known.proven.has(password),
    refusals: new Map([...known.refusals, [password, counted]]),
  };
}

function pendingOf(read: unknown): string | undefined {
  const { data } = read as { data?: Record<string, unknown> };
  const pending = data?.["pending_password"];
  return typeof pending === "string" ? pending : undefined;
}

/** What a login costs the user's budget, and what must come next. */
function spend(facts: Facts, call: Call, answer: Answer): Facts {
  if (call.to === "note") {
    const { refusedCount } = parseMark(call.texts);
    const mostNoted = Math.max(facts.mostNoted, refusedCount);
    return { ...facts, isUnnoted: false, mostNoted };
  }
  if (call.to === "read" && "value" in answer) {
    const { custom } = answer.value as { custom?: unknown };
    return { ...facts, mostNoted: Math.max(facts.mostNoted, parseMark(custom).refusedCount) };
  }
  if (call.to === "change") return { ...facts, changeSent: true };
  if (call.to !== "login" || "error" in answer) return facts;
  const { username, password } = call;
  const { kind } = answer.value as LoginAnswer;
  const unsure = kind === "unknown" ? { username, password } : undefined;
  if (kind === "yes") return { ...facts, unsure };
  const { all, beforeChange } = facts.spent.get(username) ?? { all: 0, beforeChange: 0 };
  const counted = { all: all + 1, beforeChange: beforeChange + (facts.changeSent ? 0 : 1) };
  const spent = new Map([...facts.spent, [username, counted]]);
  return { ...facts, unsure, spent, isUnnoted: kind === "no" };
}

/** Whether the mark says that the pending of this very version was refused. */
function isNoted(read: unknown): boolean {
  const { version, custom } = read as { version?: number; custom?: Record<string, string> | null };
  return (custom?.["refused"] ?? "").split(" ").includes(`${version}p`);
}

/** What a run may not send with what it knows. */
export function wrongLogin({ unsure, isUnnoted }: Facts, call: Call): string | undefined {
  if (call.to !== "login") return undefined;
  if (isUnnoted) return `${call.password} was tried before the refusal of another was noted`;
  const isOther = unsure?.username === call.username && unsure.password !== call.password;
  return isOther ? `${call.password} was tried after a login that proved nothing` : undefined;
}

/** Three refused logins a user before a change, four in all. */
export function overspent({ spent }: Facts): string | undefined {
  for (const [username, { all, beforeChange }] of spent) {
    if (all > 4 || beforeChange > 3) {
      return `sent ${all} refused logins of ${username}, ${beforeChange} of them before a change`;
    }
  }
  return undefined;
}

/**
 * What readers of metadata are told is never better than the truth: a mark that speaks of the newest version
 * speaks of one with nothing open, whose password logs in or yields to an older change of ours.
 */
export function wrongMark(world: World, wish: PasswordWish, isCrowd: boolean): string | undefined {
  const key = world.kv[passwordKey(wish.name)];
  const mark = parseMark(key?.custom);
  if (key === undefined || mark.version !== key.current) return undefined;
  const record = recordAt(world, wish.name, 0);
  if (record === undefined) return undefined;
  if (record.pending !== undefined) return "the mark hides an open change";
  if (record.generation !== mark.generation) return "the mark names another generation";
  if (record.changedAt !== mark.changedAt && record.changedAt !== "") {
    return "the mark names another time of the change";
  }
  const live = livePassword(world.apisec, wish.username);
  if (live === record.password || whereLive(world, wish, isCrowd) === "older") return undefined;
  return `the mark says that ${record.password} is settled, and ${live} logs in`;
}

/**
 * One a candidate, one more for a pending, and one more for it as an older version's value; after the change one, or three if its answer was unknown,
 * and one more where the proven value lost a race.
 */
export function tooManyRefusals({
  refusals,
  pendings,
  sent,
  triedOlder,
}: Facts): string | undefined {
  for (const [password, { asFound, asSent }] of refusals) {
    const mostFound = pendings.has(password) ? (triedOlder ? 3 : 2) : 1;
    const mostSent = (sent.get(password) === "unknown" ? 3 : 1) + 1;
    if (asFound > mostFound || asSent > mostSent) {
      return `was refused too often with ${password}: ${asFound} times, then ${asSent} times`;
    }
  }
  return undefined;
}

/** A pending goes only by being promoted, or where a raised generation stages another. */
export function droppedPending(versions: readonly PasswordRecord[]): string | undefined {
  for (const [at, { pending, version }] of versions.entries()) {
    const next = versions[at - 1];
    if (pending === undefined || next === undefined) continue;
    const isThere = [next.password, next.pending?.password].includes(pending.password);
    const isReplaced = (next.pending?.generation ?? 0) > pending.generation;
    if (!isThere && !isReplaced) return `version ${version + 1} drops ${pending.password}`;
  }
  return undefined;
}

/**
 * The record's password is replaced only by one that has logged in for the run that writes, and
 * staged beside a pending only so: unless nothing logs in (any more) and a token makes the change.
 */
export function unprovenWrite(
  facts: Facts,
  call: Call,
  before: World,
  after: World,
): string | undefined {
  if (call.to !== "write" || after.kv === before.kv || !call.key.endsWith("/password")) {
    return undefined;
  }
  const read = kvRead(before.kv, call.key, 0);
  const old = read.state === "found" ? parseRecord(read) : undefined;
  const { password, generation, pending_password: pending } = call.data;
  if (typeof password !== "string" || facts.proven.has(password)) return undefined;
  const isCopy = old === undefined && facts.proven.size === 0;
  const isSame = old?.password === password && old.generation === generation;
  const isStaged = pending !== old?.pending?.password;
  const isProofLeft = facts.proven.size > 0 && !facts.isSuperseded;
  if (isCopy || (isSame && !(isStaged && isProofLeft))) return undefined;
  return `${password} was written as the password without having logged in`;
}

/** How the passwords are named that a run draws. */
export function drawnBy(title: string, count: number): string {
  return `${title}-drew-${count}`;
}

/** A pending that another run drew is tried before anything else: if it works, nothing is refused. */
export function wrongOrder(
  title: string,
  { untried, proven }: Facts,
  call: Call,
): string | undefined {
  if (call.to !== "login" || proven.size > 0 || untried === undefined) return undefined;
  if (untried === call.password || untried === drawnBy(title, 1)) return undefined;
  return `${call.password} was tried before the pending ${untried}`;
}

export function wrongResult(
  ended: unknown,
  wish: PasswordWish,
  facts: Facts,
  world: World,
): string | undefined {
  const result = ended as PasswordResult | Rotation;
  if ("state" in result) return undefined;
  if (result.outcome === "superseded") {
    return facts.isSuperseded ? undefined : "says superseded, but nothing proven was refused";
  }
  const record = recordAt(world, wish.name, result.version);
  if (record === undefined) return `names version ${result.version}, which does not exist`;
  if (!facts.proven.has(record.password))
    return `reports ${record.password} without having proven it`;
  if (result.generation < wish.generation) return `ended with generation ${result.generation}`;
  return undefined;
}

/** A run may stop for what it heard, or because its own pending does not log in; never otherwise. */
export function wrongStop(
  error: Error,
  wish: PasswordWish,
  facts: Facts,
  world: World,
  isCrowd: boolean,
): string | undefined {
  const alarm = `raised a false alarm: ${error.message}`;
  const live = livePassword(world.apisec, wish.username);
  // A change that comes to effect between the refused proof and the run's end is not seen.
  const isProvable = facts.sent.has(live) && !facts.refusals.get(live)?.asSent;
  switch (codeOf(error)) {
    case undefined:
      return facts.heard.size > 0 ? undefined : alarm;
    case "unknown-answer":
      return facts.heard.has("unknown") ? undefined : alarm;
    case "not-proven":
      return facts.heard.has("unknown") || !isProvable ? undefined : alarm;
    case "change-refused":
      return facts.heard.has("refused") && (facts.heard.has("unknown") || !isProvable)
        ? undefined
        : alarm;
    case "nothing-works":
      // A pending is not checked again and again: its change may come to effect after the last look.
      return isPending(world, wish, live) && facts.refusals.has(live)
        ? undefined
        : whereLive(world, wish, isCrowd) === "older"
          ? undefined
          : alarm;
    case "logins-spent":
      return [...facts.spent.values()].some(({ all }) => all >= 3) ? undefined : alarm;
    case "logins-paused":
      return facts.mostNoted >= 4 ? undefined : alarm;
    case "changed-outside":
      return whereLive(world, wish, isCrowd) === "older" ? undefined : alarm;
    default:
      return alarm;
  }
}

function isPending(world: World, wish: PasswordWish, password: string): boolean {
  return newestRecord(world, wish)?.pending?.password === password;
}

/**
 * An older change that landed over a promoted one looks like a change from outside: it is left
 * alone until the generation is raised.
 */
export function mustBeRaised(world: World, wish: PasswordWish, isCrowd: boolean): boolean {
  const newest = newestRecord(world, wish);
  return (
    whereLive(world, wish, isCrowd) === "older" &&
    newest?.pending === undefined &&
    newest?.generation === wish.generation
  );
}

/** One plain `up` brings everything to the wanted generation, and the next one finds nothing to do. */
export function notConverged(last: Alone, wish: PasswordWish, another: Alone): string | undefined {
  if ("error" in last.ended) return `a plain run afterwards fails: ${last.ended.error.message}`;
  const record = newestRecord(last.world, wish);
  const live = livePassword(last.world.apisec, wish.username);
  if (record?.password !== live || record.pending !== undefined) {
    return `after a plain run the record does not simply hold the live password ${live}`;
  }
  if (record.generation < wish.generation) return "a plain run afterwards ends too early";
  const calls = another.calls.map(({ to }) => to).join(" ");
  const most = wish.published ? "read login note read" : "read login note";
  if (calls !== most) return `a second plain run still does: ${calls}`;
  return droppedPending(versionsOf(last.world, wish));
}
