import type {
  Apisec,
  ChangeAnswer,
  Identity,
  LoginAnswer,
  ProbeAnswer,
  WhoAnswer,
} from "../../clients/apisec";
import type { Clock } from "../../net/http";
import { readToken, sameUser } from "../../core/jwt";

/** An APIsec as plain data that is never changed in place: a copy of the reference is a snapshot. */
export interface ApisecData {
  readonly accounts: readonly Account[];
  /** Whether a new password ends the tokens issued before it: not known of the real one. */
  readonly resetEndsTokens: boolean;
}

export interface Account {
  readonly username: string;
  readonly password: string;
  readonly userId: string;
  readonly orgId: string;
  readonly orgName: string;
  readonly scopes: readonly string[];
  /** Part of this account's tokens: another epoch ends them all. */
  readonly epoch: number;
}

const lifetimeSeconds = 24 * 3600;
const minLength = 8;
const tokens = new Map<string, string>();

export function account(username: string, password: string, scopes: readonly string[]): Account {
  const userId = `u-${username.split("@")[0]}`;
  return { username, password, userId, orgId: "org-1", orgName: "Acme", scopes, epoch: 0 };
}

export function apisecLogin(
  apisec: ApisecData,
  username: string,
  password: string,
  nowMs: number,
): LoginAnswer {
  const found = find(apisec, username);
  if (found?.password !== password) return { kind: "no", text: "Invalid username or password" };
  return { kind: "yes", token: tokenOf(found, nowMs) };
}

export function apisecWhoAmI(apisec: ApisecData, token: string, nowMs: number): WhoAnswer {
  const caller = callerOf(apisec, token, nowMs);
  return typeof caller === "string"
    ? { kind: "no", text: caller }
    : { kind: "yes", who: identityOf(caller) };
}

/** The accounts after the change, and the answer. */
export function apisecChange(
  apisec: ApisecData,
  token: string,
  user: Identity,
  password: string,
  nowMs: number,
): { apisec: ApisecData; answer: ChangeAnswer } {
  const refused = (text: string) => ({ apisec, answer: { kind: "refused", text } as const });
  const caller = callerOf(apisec, token, nowMs);
  if (typeof caller === "string") return refused(caller);
  const isAdmin = caller.scopes.includes("ROLE_ADMIN");
  if (!isAdmin || caller.orgId !== user.orgId) return refused("Access is denied");
  if (password.length < minLength) {
    return refused(`Password should be minimum [${minLength}] chars`);
  }
  const target = apisec.accounts.find(
    ({ orgId, userId }) => orgId === user.orgId && userId === user.userId,
  );
  if (target === undefined) return { apisec, answer: { kind: "unknown", why: "no such user" } };
  return {
    apisec: withPassword(apisec, target.username, password),
    answer: { kind: "changed" },
  };
}

export function apisecProbe(apisec: ApisecData, token: string, nowMs: number): ProbeAnswer {
  const caller = callerOf(apisec, token, nowMs);
  return typeof caller === "string" ? { kind: "no", text: caller } : { kind: "yes" };
}

/** The accounts after somebody gave `username` a password: an outside change, or a late one. */
export function withPassword(apisec: ApisecData, username: string, password: string): ApisecData {
  const ended = apisec.resetEndsTokens ? 1 : 0;
  const accounts = apisec.accounts.map((one) =>
    sameUser(one.username, username) ? { ...one, password, epoch: one.epoch + ended } : one,
  );
  return { ...apisec, accounts };
}

export function livePassword(apisec: ApisecData, username: string): string {
  return find(apisec, username)?.password ?? "";
}

export function identityOf({ username, userId, orgId, orgName }: Account): Identity {
  return { username, userId, orgId, orgName };
}

function find(apisec: ApisecData, username: string): Account | undefined {
  return apisec.accounts.find((one) => sameUser(one.username, username));
}

/** The lab's token in shape and claims; its last part is no signature but the epoch. */
export function tokenOf({ username, orgName, scopes, epoch }: Account, nowMs: number): string {
  const iat = Math.floor(nowMs / 1000);
  const claims = {
    sub: `${orgName}//${username}`,
    scopes: scopes.join(","),
    iat,
    exp: iat + lifetimeSeconds,
  };
  const key = `${claims.sub} ${claims.scopes} ${iat} ${epoch}`;
  const known = tokens.get(key);
  if (known !== undefined) return known;
  const token = [{ alg: "HS256", typ: "JWT" }, claims, { epoch }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  tokens.set(key, token);
  return token;
}

function callerOf(apisec: ApisecData, token: string, nowMs: number): Account | string {
  const claims = readToken(token);
  const found = claims === undefined ? undefined : find(apisec, claims.username);
  if (claims === undefined || found === undefined) return "Unauthorized";
  if (token !== tokenOf(found, claims.issuedAt * 1000)) return "Unauthorized";
  return claims.expiresAt * 1000 <= nowMs ? "Token expired" : found;
}

/** The accounts in `world.apisec` as the program sees them. */
export function memoryApisec(world: { apisec: ApisecData }, clock: Clock): Apisec {
  return {
    async login(username, password) {
      return apisecLogin(world.apisec, username, password, clock.now());
    },
    async whoAmI(token) {
      return apisecWhoAmI(world.apisec, token, clock.now());
    },
    async changePassword(token, user, password) {
      const changed = apisecChange(world.apisec, token, user, password, clock.now());
      world.apisec = changed.apisec;
      return changed.answer;
    },
    async probe(token) {
      return apisecProbe(world.apisec, token, clock.now());
    },
  };
}
