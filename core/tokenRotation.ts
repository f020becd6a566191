import { readEndpoint } from "../net/endpoint";
import { adminScope, readToken, sameUser } from "./jwt";
import { coded } from "./messageCode";
import { passwordKey, standbyLagMs, tokenKey } from "./passwordRecord";
import { foreignText } from "./redact";
import type { Apisec as WholeApisec, Unknown } from "../clients/apisec";
import type { Clock } from "../net/http";
import type { TokenClaims } from "./jwt";
import type { SecretRead, KvStore } from "../clients/vault";

type Apisec = Pick<WholeApisec, "login" | "probe">;

/** What the rotation works with. `apisec` gives the APIsec at an origin, or throws. */
export interface RotationTools {
  store: KvStore;
  apisec(host: string): Apisec;
  clock: Clock;
}

export interface PublishRules {
  /** A token with a shorter life (`exp - iat`, seconds) is not stored. */
  minLifetimeSeconds: number;
  /** Who writes: the pipeline's URL. */
  source: string;
  /** Whether Vault deletes a token before it expires (the default); else its own expiry says when it ends. */
  tokenEndsInVault?: boolean | undefined;
  /** When the password was changed, in seconds since 1970: a token issued before may have ended. */
  changedAt?: number | undefined;
}

export interface RotationRules extends PublishRules {
  /** The longest time from one run to the next, in seconds; undefined = nobody knows. */
  largestGapSeconds?: number | undefined;
  /** The only APIsec host that is accepted in a record; undefined = any. */
  apisecUrl?: string | undefined;
}

/** `news`: it harms readers or is new, so that somebody should be told; else the log is enough. */
export interface Warning {
  text: string;
  code: string;
  news: boolean;
}

/**
 * `kept`: the stored token works, expires later than the new one and stays readable as long. Times are seconds
 * since 1970.
 */
export interface Rotation {
  state: "rotated" | "kept";
  /** Until when readers get it: its expiry, or the moment at which Vault deletes it, whichever is earlier. */
  until: number;
  /** When the token that readers have was issued. */
  issuedAt: number;
  /** Whether readers have it for as long as they should. */
  isFresh: boolean;
  /** How old the version was that this one replaced, in seconds, where that was longer than between two runs. */
  recoveredAfter?: number | undefined;
  warnings: Warning[];
}

/** What a rotation has met so far: also there when it fails. */
export interface Met {
  /** Every secret, so that the caller can redact what it shows. */
  secrets: string[];
  /** The token record as readers have it; undefined: it could not be read. */
  stored?: SecretRead;
}

const expiryMarginSeconds = 300;
const maxWrites = 5;
/** Two good clocks. */
const clockSlackSeconds = 60;
/** The run before may have written at its beginning, and this one at its end. */
const longestRunSeconds = 15 * 60;

/**
 * Buys a new access token for the account `name` and stores it: read both records, log in, check the
 * token's claims, try it, write it with check-and-set. Throws on any failure, and then nothing was
 * written. What it meets on the way is noted in `met`.
 */
export async function rotateToken(
  name: string,
  tools: RotationTools,
  rules: RotationRules,
  met: Met,
): Promise<Rotation> {
  const { secrets } = met;
  const [passwordRead, tokenRead] = await Promise.allSettled([
    tools.store.read(passwordKey(name)),
    tools.store.read(tokenKey(name)),
  ]);
  if (tokenRead.status === "fulfilled") met.stored = tokenRead.value;
  const first = readAccount(valueOf(passwordRead), name, rules, secrets);
  const stored = valueOf(tokenRead);
  const { account, apisec, token } = await logIn(name, first, tools, rules, secrets);
  const bought = { token, username: account.username, host: account.host };
  const done = await publishToken(name, bought, stored, tools, apisec, rules, met);
  const age = tools.clock.now() / 1000 - secondsOf(createdTimeOf(stored));
  const isLate = age > (rules.largestGapSeconds ?? Infinity) + longestRunSeconds;
  return done.state === "rotated" && isLate ? { ...done, recoveredAfter: age } : done;
}

/** When a version was written, as Vault says; "" where there is none. */
function createdTimeOf(read: SecretRead): string {
  return read.state === "absent" ? "" : (read.createdTime ?? "");
}

/** An RFC 3339 time in seconds since 1970; NaN for anything else. */
const secondsOf = (time: string) => Date.parse(time) / 1000;

/** A token that a login has just given. */
export interface BoughtToken {
  token: string;
  username: string;
  host: string;
}

/**
 * Stores a token that a login has just given, if it is one that readers can use. `stored`: their record as it was
 * read before that login. Throws on any failure, and then nothing was written.
 */
export async function publishToken(
  name: string,
  bought: BoughtToken,
  stored: SecretRead,
  tools: Pick<RotationTools, "store" | "clock">,
  apisec: Apisec,
  rules: PublishRules,
  met: Met,
): Promise<Rotation> {
  const { secrets } = met;
  const { token, username, host } = bought;
  secrets.push(token);
  const claims = checkClaims(token, username, rules, tools.clock, secrets);
  const probe = await apisec.probe(token);
  if (probe.kind !== "yes")
    throw coded(`the new token does not work: ${why(probe, secrets)}`, "token-fails");

  const record = {
    token,
    expires_at: rfc3339(claims.expiresAt),
    issued_at: rfc3339(claims.issuedAt),
    username,
    host,
    source: rules.source,
  };
  const outcome = await storeToken(name, record, claims, stored, tools, apisec, rules, met);
  return { ...outcome, warnings: [...outcome.warnings, ...scopeWarnings(claims, stored)] };
}

/**
 * Until when readers get a token that has not expired, in seconds since 1970; undefined: they get none
 * at `now`.
 */
export function readableUntil(stored: SecretRead, now: number): number | undefined {
  const claims = tokenIn(stored)?.claims;
  if (stored.state !== "found" || claims === undefined) return undefined;
  const until = endOf(claims, stored.deletionTime);
  return until > now ? until : undefined;
}

/** The earlier of a token's expiry and its deletion in Vault ("" = none). */
function endOf({ expiresAt }: TokenClaims, deletionTime: string): number {
  const deletedAt = secondsOf(deletionTime);
  return Number.isNaN(deletedAt) ? expiresAt : Math.min(expiresAt, deletedAt);
}

function valueOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

/** Seconds since 1970 as RFC 3339 in UTC, without fractions. */
export function rfc3339(seconds: number): string {
  return new Date(Math.floor(seconds) * 1000).toISOString().replace(".000Z", "Z");
}

interface Account {
  username: string;
  host: string;
  password: string;
  pending: string | undefined;
}

function readAccount(
  read: SecretRead,
  name: string,
  rules: RotationRules,
  secrets: string[],
): Account {
  if (read.state === "absent") {
    throw coded(`${name}/password does not exist in Vault: has the deployment run?`, "no-record");
  }
  if (read.state === "deleted") {
    throw coded(
      `${name}/password is deleted in Vault: undelete its version ${read.version}`,
      "deleted",
    );
  }
  const { username, password, host, pending_password: pending } = read.data;
  for (const secret of [password, pending]) if (typeof secret === "string") secrets.push(secret);
  if (typeof username !== "string" || typeof password !== "string" || typeof host !== "string") {
    throw coded(`${name}/password in Vault lacks username, password or host`, "bad-record");
  }
  const endpoint = readEndpoint(host, "origin");
  if ("problem" in endpoint) {
    throw coded(
      `host "${foreignText(host, secrets)}" in ${name}/password ${endpoint.problem}`,
      "bad-record",
    );
  }
  if (rules.apisecUrl !== undefined && rules.apisecUrl !== endpoint.address) {
    throw coded(
      `APISEC_URL is ${rules.apisecUrl}, but ${name}/password belongs to ${endpoint.address}: nothing was sent`,
      "other-host",
    );
  }
  return {
    username,
    host: endpoint.address,
    password,
    pending: typeof pending === "string" ? pending : undefined,
  };
}

/**
 * Logs in with the stored password. A *no* may mean that the password is being changed just now: the
 * record is read once more, and a password in it that was not tried yet is tried, one in all.
 */
async function logIn(
  name: string,
  first: Account,
  tools: RotationTools,
  rules: RotationRules,
  secrets: string[],
): Promise<{ account: Account; apisec: Apisec; token: string }> {
  const apisec = tools.apisec(first.host);
  const answer = await apisec.login(first.username, first.password);
  if (answer.kind === "yes") return { account: first, apisec, token: answer.token };
  if (answer.kind === "unknown")
    throw coded(`login failed: ${why(answer, secrets)}`, "login-failed");

  await tools.clock.sleep(standbyLagMs);
  const account = readAccount(await tools.store.read(passwordKey(name)), name, rules, secrets);
  const untried = [account.password, account.pending].find(
    (password) => password !== undefined && password !== first.password,
  );
  if (untried === undefined) {
    throw coded(`APIsec refuses the stored password: ${why(answer, secrets)}`, "login-refused");
  }
  const other = tools.apisec(account.host);
  const second = await other.login(account.username, untried);
  if (second.kind !== "yes") {
    throw coded(
      `APIsec refuses the stored password, and the one being changed to: ${why(second, secrets)}`,
      "login-refused",
    );
  }
  return { account, apisec: other, token: second.token };
}

function checkClaims(
  token: string,
  username: string,
  rules: PublishRules,
  clock: Clock,
  secrets: readonly string[],
): TokenClaims {
  const claims = readToken(token);
  if (claims === undefined)
    throw coded("APIsec's login gave something that is not its token", "not-apisec");
  if (!sameUser(claims.username, username)) {
    const other = foreignText(claims.username, secrets);
    throw coded(`APIsec's login gave a token of another user, "${other}"`, "not-apisec");
  }
  // Both from one clock, APIsec's: the comparison holds whatever this machine's clock says.
  const lifetime = claims.expiresAt - claims.issuedAt;
  if (lifetime < rules.minLifetimeSeconds) {
    throw coded(
      `the new token lives ${lifetime} s, less than the ${rules.minLifetimeSeconds} s of APISEC_MIN_LIFETIME`,
      "short-token",
    );
  }
  if (claims.expiresAt - clock.now() / 1000 <= expiryMarginSeconds) {
    throw coded(`the new token expires too soon, at ${rfc3339(claims.expiresAt)}`, "old-token");
  }
  return claims;
}

async function storeToken(
  name: string,
  record: Record<string, string> & { token: string; username: string },
  claims: TokenClaims,
  first: SecretRead,
  { store, clock }: Pick<RotationTools, "store" | "clock">,
  apisec: Apisec,
  rules: PublishRules,
  met: Met,
): Promise<Rotation> {
  const { secrets } = met;
  let stored = first;
  for (let attempt = 1; attempt <= maxWrites; attempt += 1) {
    const later = laterToken(stored, claims, record.username);
    if (later !== undefined && staysAsLong(later.until, stored, claims, clock, rules)) {
      secrets.push(later.token);
      // The record could be planted: only a token that works may stand in the way.
      const probe = await apisec.probe(later.token);
      if (probe.kind === "yes") {
        const { until, issuedAt } = later;
        return { state: "kept", until, issuedAt, isFresh: true, warnings: [] };
      }
      if (probe.kind === "unknown" && later.issuedAt >= (rules.changedAt ?? -Infinity)) {
        throw coded(
          `the stored token expires later, and it stays because trying it proved nothing: ${why(probe, secrets)}`,
          "token-stays",
        );
      }
    }
    const cas = stored.state === "absent" ? 0 : stored.version;
    const write = await store.write(tokenKey(name), record, cas);
    if (write.state === "written") return rotated(claims, write, clock, rules);
    stored = met.stored = await store.read(tokenKey(name));
    // Our own write, whose answer was lost on the way.
    if (stored.state === "found" && stored.data["token"] === record.token) {
      return rotated(claims, stored, clock, rules);
    }
  }
  throw coded(`${name}/token was written by others ${maxWrites} times in a row`, "token-race");
}

/** The stored token, if it is one of this user and expires later. `expires_at` beside it is not asked. */
function laterToken(
  stored: SecretRead,
  fresh: TokenClaims,
  username: string,
): { token: string; until: number; issuedAt: number } | undefined {
  const found = tokenIn(stored);
  if (stored.state !== "found" || found === undefined) return undefined;
  const { token, claims } = found;
  if (!sameUser(claims.username, username) || claims.expiresAt <= fresh.expiresAt) return undefined;
  return { token, until: endOf(claims, stored.deletionTime), issuedAt: claims.issuedAt };
}

/**
 * Whether readers get the stored token as long as they would get the new one, but for five minutes: two runs at
 * once are no reason to replace it.
 */
function staysAsLong(
  until: number,
  stored: SecretRead,
  fresh: TokenClaims,
  clock: Clock,
  { minLifetimeSeconds }: PublishRules,
): boolean {
  if (stored.state !== "found" || stored.deletionTime === "") return true;
  const kept = secondsOf(stored.deletionTime) - secondsOf(createdTimeOf(stored));
  // What Vault did with the stored one it will do with the new one, unless that was less than it should be.
  const newOnes = Math.max(minLifetimeSeconds, Number.isNaN(kept) ? 0 : kept);
  const newUntil = Math.min(fresh.expiresAt, clock.now() / 1000 + newOnes);
  return until >= newUntil - expiryMarginSeconds;
}

function tokenIn(stored: SecretRead): { token: string; claims: TokenClaims } | undefined {
  const token = stored.state === "found" ? stored.data["token"] : undefined;
  const claims = typeof token === "string" ? readToken(token) : undefined;
  return typeof token === "string" && claims !== undefined ? { token, claims } : undefined;
}

/** What becomes of a token that is stored: `write` is what Vault says of that version. */
function rotated(
  claims: TokenClaims,
  write: { deletionTime: string; createdTime?: string | undefined },
  clock: Clock,
  { minLifetimeSeconds, tokenEndsInVault = true }: PublishRules,
): Rotation {
  const { expiresAt, issuedAt } = claims;
  const deletedAt = secondsOf(write.deletionTime);
  // Both from one clock, Vault's, where it says when it wrote.
  const writtenAt = secondsOf(write.createdTime ?? "") || clock.now() / 1000;
  const isEarly = deletedAt < writtenAt + minLifetimeSeconds - clockSlackSeconds;
  const warnings: Warning[] = [];
  if (isEarly) {
    const text = `Vault deletes the token too early, at ${rfc3339(deletedAt)}: from then on readers have none (delete_version_after of the key, or of the mount)`;
    warnings.push({ text, code: "ends-early", news: true });
  } else if (tokenEndsInVault && !(deletedAt <= expiresAt)) {
    const when = Number.isNaN(deletedAt) ? "never" : `only at ${rfc3339(deletedAt)}`;
    const text = `Vault deletes the token ${when}: after its expiry it will still be read as good (delete_version_after of the key)`;
    warnings.push({ text, code: "ends-late", news: true });
  }
  return {
    state: "rotated",
    until: endOf(claims, write.deletionTime),
    issuedAt,
    isFresh: !isEarly,
    warnings,
  };
}

/** An admin's token that is published on purpose was one before, too. */
function scopeWarnings(claims: TokenClaims, before: SecretRead): Warning[] {
  if (!claims.scopes.includes(adminScope)) return [];
  const news = tokenIn(before)?.claims.scopes.includes(adminScope) !== true;
  const text = `the token carries ${adminScope}: whoever reads it can reset passwords`;
  return [{ text, code: "admin-token", news }];
}

function why(answer: { kind: "no"; text: string } | Unknown, secrets: readonly string[]): string {
  return foreignText(answer.kind === "no" ? answer.text : answer.why, secrets);
}
