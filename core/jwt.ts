import { jsonObject } from "../net/http";

/** What APIsec writes into its access tokens. Times in seconds since 1970. */
export interface TokenClaims {
  organization: string;
  username: string;
  scopes: string[];
  issuedAt: number;
  expiresAt: number;
}

/**
 * Reads an APIsec access token without checking its signature (only APIsec holds the key).
 * `sub` is `Organisation//user`. Undefined for anything that is not such a JWT.
 */
export function readToken(token: string): TokenClaims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3 || parts.some((part) => !/^[A-Za-z0-9_-]+$/.test(part))) return undefined;
  const header = jsonObject(Buffer.from(parts[0] ?? "", "base64url").toString("utf8"));
  const claims = jsonObject(Buffer.from(parts[1] ?? "", "base64url").toString("utf8"));
  if (typeof header?.["alg"] !== "string" || claims === undefined) {
    return undefined;
  }
  const { sub, scopes, iat, exp } = claims;
  if (typeof sub !== "string" || !isTime(iat) || !isTime(exp)) return undefined;
  const slashes = sub.indexOf("//");
  if (slashes < 0) return undefined;
  return {
    organization: sub.slice(0, slashes),
    username: sub.slice(slashes + 2),
    scopes: typeof scopes === "string" ? scopes.split(",").map((scope) => scope.trim()) : [],
    issuedAt: iat,
    expiresAt: exp,
  };
}

/** Seconds that a Date can hold: a token made to last for ever is none of APIsec's. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 8.64e12;
}

/** APIsec's user names are e-mail addresses: upper and lower case name the same user. */
export function sameUser(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** The scope that lets a token reset any password of its organisation. */
export const adminScope = "ROLE_ADMIN";

/** Whether whoever reads this token could reset its owner's password. */
export function isAdminToken(token: string): boolean {
  return readToken(token)?.scopes.includes(adminScope) ?? false;
}
