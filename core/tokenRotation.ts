import { readEndpoint } from "../net/endpoint";
import { adminScope, readToken, sameUser } from "./jwt";
import { passwordKey, tokenKey } from "./passwordRecord";
import { foreignText } from "./redact";
import type { Apisec, Unknown } from "../clients/apisec";
import type { Clock } from "../net/http";
import type { TokenClaims } from "./jwt";
import type { SecretRead, SecretStore } from "../clients/vault";

/** What the rotation works with. `apisec` gives the APIsec at an origin, or throws. */
export interface RotationTools {
  store: SecretStore;
  apisec(host: string): Apisec;
  clock: Clock;
}

export interface RotationRules {
  /** A token with a shorter life (`exp - iat`, seconds) is not stored. */
  minLifetimeSeconds: number;
  /** The only APIsec host that is accepted in a record; undefined = any. */
  apisecUrl?: string | undefined;
  /** Who writes: the pipeline's URL. */
  source: string;
}

/** `news`: it harms readers or is new, so that somebody should be told; else the log is enough. */
export interface Warning {
  text: string;
  news: boolean;
}

/** `kept`: the stored token works and expires later than the new one. `expiresAt`: seconds since 1970. */
export interface Rotation {
  state: "rotated" | "kept";
  expiresAt: number;
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
  secrets.push(token);
  const claims = checkClaims(token, account.username, rules, tools.clock, secrets);
  const probe = await apisec.probe(token);
  if (probe.kind !== "yes") throw new Error(`the new token does not work: ${why(probe, secrets)}`);

  const record = {
    token,
    expires_at: rfc3339(claims.expiresAt),
    issued_at: rfc3339(claims.issuedAt),
    username: account.username,
    host: account.host,
    source: rules.source,
  };
  const outcome = await storeToken(name, record, claims, stored, tools.store, apisec, met);
  return { ...outcome, warnings: [...outcome.warnings, ...scopeWarnings(claims, stored)] };
}

/**
 * Until when readers get a token that has not expired, in seconds since 1970; undefined: they get none
 * at `now`.
 */
export function readableUntil(stored: SecretRead, now: number): number | undefined {
  const claims = tokenIn(stored)?.claims;
  if (stored.state !== "found" || claims === undefined) return undefined;
  const deletedAt = Date.parse(stored.deletionTime) / 1000;
  const until = Math.min(claims.expiresAt, Number.isNaN(deletedAt) ? Infinity : deletedAt);
  return until > now ? until : undefined;
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
    throw new Error(`${name}/password does not exist in Vault: has the deployment run?`);
  }
  if (read.state === "deleted") {
    throw new Error(`${name}/password is deleted in Vault: undelete its version ${read.version}`);
  }
  const { username, password, host, pending_password: pending } = read.data;
  for (const secret of [password, pending]) if (typeof secret === "string") secrets.push(secret);
  if (typeof username !== "string" || typeof password !== "string" || typeof host !== "string") {
    throw new Error(`${name}/password in Vault lacks username, password or host`);
  }
  const endpoint = readEndpoint(host, "origin");
  if ("problem" in endpoint) {
    throw new Error(`host "${foreignText(host, secrets)}" in ${name}/password ${endpoint.problem}`);
  }
  if (rules.apisecUrl !== undefined && rules.apisecUrl !== endpoint.address) {
    throw new Error(
      `APISEC_URL is ${rules.apisecUrl}, but ${name}/password belongs to ${endpoint.address}: nothing was sent`,
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
  if (answer.kind === "unknown") throw new Error(`login failed: ${why(answer, secrets)}`);

  const account = readAccount(await tools.store.read(passwordKey(name)), name, rules, secrets);
  const untried = [account.password, account.pending].find(
    (password) => password !== undefined && password !== first.password,
  );
  if (untried === undefined) {
    throw new Error(`APIsec refuses the stored password: ${why(answer, secrets)}`);
  }
  const other = tools.apisec(account.host);
  const second = await other.login(account.username, untried);
  if (second.kind !== "yes") {
    throw new Error(
      `APIsec refuses the stored password, and the one being changed to: ${why(second, secrets)}`,
    );
  }
  return { account, apisec: other, token: second.token };
}

function checkClaims(
  token: string,
  username: string,
  rules: RotationRules,
  clock: Clock,
  secrets: readonly string[],
): TokenClaims {
  const claims = readToken(token);
  if (claims === undefined) throw new Error("APIsec's login gave something that is not its token");
  if (!sameUser(claims.username, username)) {
    const other = foreignText(claims.username, secrets);
    throw new Error(`APIsec's login gave a token of another user, "${other}"`);
  }
  // Both from one clock, APIsec's: the comparison holds whatever this machine's clock says.
  const lifetime = claims.expiresAt - claims.issuedAt;
  if (lifetime < rules.minLifetimeSeconds) {
    throw new Error(
      `the new token lives ${lifetime} s, less than the ${rules.minLifetimeSeconds} s of APISEC_MIN_LIFETIME`,
    );
  }
  if (claims.expiresAt - clock.now() / 1000 <= expiryMarginSeconds) {
    throw new Error(`the new token expires too soon, at ${rfc3339(claims.expiresAt)}`);
  }
  return claims;
}

async function storeToken(
  name: string,
  record: Record<string, string> & { token: string; username: string },
  claims: TokenClaims,
  first: SecretRead,
  store: SecretStore,
  apisec: Apisec,
  met: Met,
): Promise<Rotation> {
  const { secrets } = met;
  let stored = first;
  for (let attempt = 1; attempt <= maxWrites; attempt += 1) {
    const later = laterToken(stored, claims, record.username);
    if (later !== undefined) {
      secrets.push(later.token);
      // The record could be planted: only a token that works may stand in the way.
      const probe = await apisec.probe(later.token);
      if (probe.kind === "yes") {
        return { state: "kept", expiresAt: later.expiresAt, warnings: [] };
      }
      if (probe.kind === "unknown") {
        throw new Error(
          `the stored token expires later, and it stays because trying it proved nothing: ${why(probe, secrets)}`,
        );
      }
    }
    const cas = stored.state === "absent" ? 0 : stored.version;
    const write = await store.write(tokenKey(name), record, cas);
    if (write.state === "written") return rotated(claims, write.deletionTime);
    stored = met.stored = await store.read(tokenKey(name));
    // Our own write, whose answer was lost on the way.
    if (stored.state === "found" && stored.data["token"] === record.token) {
      return rotated(claims, stored.deletionTime);
    }
  }
  throw new Error(`${name}/token was written by others ${maxWrites} times in a row`);
}

/** The stored token, if it is one of this user and expires later. `expires_at` beside it is not asked. */
function laterToken(
  stored: SecretRead,
  fresh: TokenClaims,
  username: string,
): { token: string; expiresAt: number } | undefined {
  const found = tokenIn(stored);
  if (found === undefined || !sameUser(found.claims.username, username)) return undefined;
  const { expiresAt } = found.claims;
  return expiresAt > fresh.expiresAt ? { token: found.token, expiresAt } : undefined;
}

function tokenIn(stored: SecretRead): { token: string; claims: TokenClaims } | undefined {
  const token = stored.state === "found" ? stored.data["token"] : undefined;
  const claims = typeof token === "string" ? readToken(token) : undefined;
  return typeof token === "string" && claims !== undefined ? { token, claims } : undefined;
}

function rotated(claims: TokenClaims, deletionTime: string): Rotation {
  const deletedAt = Date.parse(deletionTime);
  const inTime = deletedAt <= claims.expiresAt * 1000;
  const when = Number.isNaN(deletedAt) ? "never" : `only at ${rfc3339(deletedAt / 1000)}`;
  const text = `Vault deletes the token ${when}: after its expiry it will still be read as good (delete_version_after of the key)`;
  const warnings = inTime ? [] : [{ text, news: true }];
  return { state: "rotated", expiresAt: claims.expiresAt, warnings };
}

/** An admin's token that is published on purpose was one before, too. */
function scopeWarnings(claims: TokenClaims, before: SecretRead): Warning[] {
  if (!claims.scopes.includes(adminScope)) return [];
  const news = tokenIn(before)?.claims.scopes.includes(adminScope) !== true;
  return [{ text: `the token carries ${adminScope}: whoever reads it can reset passwords`, news }];
}

function why(answer: { kind: "no"; text: string } | Unknown, secrets: readonly string[]): string {
  return foreignText(answer.kind === "no" ? answer.text : answer.why, secrets);
}
