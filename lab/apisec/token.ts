import { createHmac, timingSafeEqual } from "node:crypto";

export interface Claims {
  /** Organisation, two slashes, user. */
  sub: string;
  /** Comma-separated roles. */
  scopes: string;
  /** Seconds since 1970. */
  iat: number;
  exp: number;
}

/** A JWT, HS256. */
export function signToken(claims: Claims, key: Buffer): string {
  const content = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${content}.${mac(content, key)}`;
}

/** True if the token was signed with this key; says nothing about its expiry. */
export function isSignedWith(token: string, key: Buffer): boolean {
  const end = token.lastIndexOf(".");
  const expected = Buffer.from(mac(token.slice(0, end), key));
  const found = Buffer.from(token.slice(end + 1));
  return found.length === expected.length && timingSafeEqual(found, expected);
}

/** The claims, unverified; undefined if it is no JWT. */
export function claimsOf(token: string): Claims | undefined {
  try {
    const json = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
    const claims = JSON.parse(json) as Partial<Claims>;
    return typeof claims.sub === "string" ? (claims as Claims) : undefined;
  } catch {
    return undefined;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function mac(content: string, key: Buffer): string {
  return createHmac("sha256", key).update(content).digest("base64url");
}
