import { isAdminToken, readToken, sameUser } from "../../core/jwt";
import { accessToken } from "../support/accessToken";

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (claims: object, header: object = { alg: "HS256" }) =>
  `${part(header)}.${part(claims)}.c2lnbmF0dXJl`;
const claims = { sub: "Acme//scanner@acme.example", iat: 1_000, exp: 2_000 };

test("an access token is read", () => {
  const scopes = "ROLE_USER, ROLE_ADMIN";
  expect(readToken(token({ ...claims, scopes, sub: "Ac/me//s//x" }))).toEqual({
    organization: "Ac/me",
    username: "s//x",
    scopes: ["ROLE_USER", "ROLE_ADMIN"],
    issuedAt: 1_000,
    expiresAt: 2_000,
  });
  expect(readToken(token(claims))?.scopes).toEqual([]);
  expect(readToken(accessToken({ sub: claims.sub, iat: 1, exp: 2 }))).toBeDefined();
});

test.each([
  ["nothing", ""],
  ["a text", "hello"],
  ["two parts", token(claims).split(".").slice(0, 2).join(".")],
  ["an empty signature", token(claims).replace(/[^.]*$/, "")],
  ["another alphabet", `${token(claims)}=`],
  ["a line break", `${token(claims)}\n`],
  ["no JSON", `${part({ alg: "HS256" })}.aGVsbG8.x`],
  ["a list", `${part({ alg: "HS256" })}.${part([claims])}.x`],
  ["no algorithm", token(claims, {})],
  ["no user", token({ ...claims, sub: undefined })],
  ["a user without an organization", token({ ...claims, sub: "scanner@acme.example" })],
  ["a user that is no text", token({ ...claims, sub: 7 })],
  ["no expiry", token({ ...claims, exp: undefined })],
  ["an expiry as text", token({ ...claims, exp: "2000" })],
  ["an expiry that no date can hold", token({ ...claims, exp: 1e13 })],
  ["a time before 1970", token({ ...claims, iat: -1 })],
])("%s is none", (_, text) => {
  expect(readToken(text)).toBeUndefined();
});

test("an admin's token is known by its scope, no other is taken for one", () => {
  expect(isAdminToken(token({ ...claims, scopes: "ROLE_USER,ROLE_ADMIN" }))).toBe(true);
  expect(isAdminToken(token({ ...claims, scopes: "ROLE_ADMINISTRATOR" }))).toBe(false);
  expect(isAdminToken("x")).toBe(false);
});

test("a user is the same in upper and lower case", () => {
  expect(sameUser("A@acme.example", "a@ACME.example")).toBe(true);
  expect(sameUser("a@acme.example", "b@acme.example")).toBe(false);
});
