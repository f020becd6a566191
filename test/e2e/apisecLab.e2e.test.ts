import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { FaultInput } from "../../lab/faults";
import { type ProxyOptions, startProxy } from "../support/proxy";

const ACME = { id: "org-1", name: "Acme" };
const FIRST = "first-Pa55word";
const ACCOUNTS = [
  account("admin", ["ROLE_USER", "ROLE_PROJECT_MANAGER", "ROLE_ADMIN"]),
  account("scanner", ["ROLE_USER"]),
  { ...account("twin", ["ROLE_USER"]), duplicated: true },
  { ...account("other", ["ROLE_USER"]), org: { id: "org-2", name: "Other" } },
];

function account(name: string, roles: string[]) {
  const username = `${name}@acme.example`;
  return { username, password: FIRST, org: ACME, userId: `u-${name}`, name, roles };
}

let server: ChildProcess | undefined;
let url = "";
let controlUrl = "";
let dir = "";
const cleanups: (() => unknown)[] = [];

async function start(): Promise<void> {
  const args = ["-r", "./build/typescript.js", "lab/apisec/main.ts", "--dir", dir];
  const child = spawn(process.execPath, [...args, "--accounts", "-"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  server = child;
  child.stdin.end(JSON.stringify(ACCOUNTS));
  for await (const line of createInterface(child.stdout)) {
    ({ url, controlUrl } = JSON.parse(line) as { url: string; controlUrl: string });
    return;
  }
  throw new Error("The lab's APIsec did not start");
}

async function stop(): Promise<void> {
  if (server?.exitCode !== null) return;
  const ended = new Promise((resolve) => server?.once("exit", resolve));
  server?.kill("SIGTERM");
  await ended;
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "apisec-"));
  await start();
});

afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
  await stop();
  rmSync(dir, { recursive: true });
});

type Json = Record<string, unknown>;
interface Envelope {
  errors: boolean;
  data: unknown;
  messages: { type: string; value: string }[];
}

async function call(method: string, address: string, body?: unknown, token?: string) {
  const response = await fetch(address, {
    method,
    redirect: "manual",
    signal: AbortSignal.timeout(2000),
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  const json = type.includes("json") ? (JSON.parse(text) as unknown) : undefined;
  return { status: response.status, headers: response.headers, text, json };
}

const control = async (method: string, path: string, body?: unknown) =>
  (await call(method, `${controlUrl}/-/lab/${path}`, body)).json;

const login = (name: string, password = FIRST, path = "/login") =>
  call("POST", url + path, { username: `${name}@acme.example`, password });

async function tokenOf(name: string, password = FIRST): Promise<string> {
  return ((await login(name, password)).json as { token: string }).token;
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
    iat: number;
    exp: number;
  };

const probe = (token?: string) =>
  call("GET", `${url}/api/v1/projects?page=0&pageSize=1`, undefined, token);

async function change(token: string, password: string, { org = "org-1", user = "u-scanner" } = {}) {
  const body = { password, confirmPassword: password };
  const path = `/api/v1/orgs/${org}/users/${user}/reset-password`;
  const { status, json } = await call("POST", url + path, body, token);
  const { errors, data, messages } = json as Envelope;
  return { status, errors, data, message: messages.map((m) => `${m.type} ${m.value}`).join() };
}

const isLive = async (name: string, password: string) =>
  ((await control("POST", `accounts/${name}@acme.example/check`, { password })) as Json).live;

const fault = (...faults: FaultInput[]) => control("POST", "faults", faults);

const requests = async () =>
  (await control("GET", "requests")) as { counts: Record<string, number>; requests: Json[] };

/** How a call ended for the client: its status, "timeout", or the connection's error code. */
const ending = (answer: Promise<{ status: number }>) =>
  answer.then(
    ({ status }) => status,
    (error: Error) =>
      error.name === "TimeoutError" ? "timeout" : (error.cause as { code?: string }).code,
  );

async function until(condition: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < 50 && !(await condition()); i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await condition()).toBeTruthy();
}

describe("login", () => {
  test("gives a token with the documented claims, on both paths", async () => {
    for (const path of ["/login", "/auth/login"]) {
      const { status, json } = await login("admin", FIRST, path);
      expect(status).toBe(200);
      const claims = claimsOf((json as { token: string }).token);
      expect(claims).toMatchObject({
        sub: "Acme//admin@acme.example",
        scopes: "ROLE_USER,ROLE_PROJECT_MANAGER,ROLE_ADMIN",
      });
      expect(claims.exp - claims.iat).toBe(24 * 3600);
      expect(Math.abs(claims.iat - Date.now() / 1000)).toBeLessThan(60);
    }
  });

  test("refuses with a message, and a duplicated account with Service Unavailable", async () => {
    expect(await login("admin", "wrong")).toMatchObject({
      status: 401,
      json: { message: "Invalid username or password" },
    });
    expect((await login("nobody")).status).toBe(401);
    expect((await call("POST", `${url}/login`, { username: "admin" })).json).toEqual({
      message: "Malformed login request",
    });
    expect(await login("twin")).toMatchObject({ status: 503, text: "Service Unavailable" });
    await control("PATCH", "accounts/twin@acme.example", { duplicated: false });
    expect((await login("twin")).status).toBe(200);
  });

  test("lifetime and clock can be moved", async () => {
    await control("PATCH", "settings", { tokenLifetimeSeconds: 60 });
    const token = await tokenOf("scanner");
    expect(claimsOf(token).exp - claimsOf(token).iat).toBe(60);
    expect((await probe(token)).status).toBe(200);
    await control("PATCH", "settings", { clockOffsetMs: 61_000 });
    const expired = await probe(token);
    expect(expired.status).toBe(401);
    expect(expired.json).toMatchObject({ errors: true, messages: [{ value: "Token expired" }] });
  });
});

describe("calls with a token", () => {
  test("login-status and projects answer in the envelope", async () => {
    const token = await tokenOf("scanner");
    const whoami = await call("GET", `${url}/api/v1/orgs/login-status`, undefined, token);
    expect(whoami.json).toMatchObject({
      requestId: expect.any(String) as string,
      requestTime: expect.stringMatching(/T.*\+0000$/) as string,
      errors: false,
      data: {
        org: ACME,
        users: { id: "u-scanner", username: "scanner@acme.example", company: "Acme" },
        orgRole: "USER",
        status: "ACTIVE",
      },
    });
    expect((await probe(token)).json).toMatchObject({ errors: false, totalElements: 1 });
  });

  test("need a token that this server signed", async () => {
    const [header, claims] = (await tokenOf("scanner")).split(".");
    const forged = createHmac("sha256", "guess").update(`${header}.${claims}`).digest("base64url");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    for (const token of [undefined, "x", `${header}.${claims}.${forged}`, `${none}.${claims}.`]) {
      expect(await probe(token)).toMatchObject({ status: 401, json: { errors: true } });
    }
  });
});

describe("reset-password", () => {
  test("changes the password without asking for the old one", async () => {
    const admin = await tokenOf("admin");
    expect(await change(admin, "second-Pa55word")).toMatchObject({ errors: false, data: true });
    expect((await login("scanner")).status).toBe(401);
    expect((await login("scanner", "second-Pa55word")).status).toBe(200);
    expect(await isLive("scanner", "second-Pa55word")).toBe(true);
    expect(await isLive("scanner", FIRST)).toBe(false);
  });

  test("refuses in every documented way and changes nothing", async () => {
    const admin = await tokenOf("admin");
    const scanner = await tokenOf("scanner");
    await control("PATCH", "settings", { rejectPasswords: "[~]" });
    const denied = { status: 403, errors: true, message: "ERROR Access is denied" };
    expect(await change(scanner, "second-Pa55word")).toMatchObject(denied);
    expect(await change(admin, "second-Pa55word", { org: "org-2" })).toMatchObject(denied);
    expect(await change(admin, "short")).toMatchObject({
      status: 200,
      errors: true,
      message: "ERROR Password should be minimum [8] chars",
    });
    expect(await change(admin, "second~Pa55word")).toMatchObject({ status: 200, errors: true });
    for (const user of ["nobody", "u-other"]) {
      expect(await change(admin, "second-Pa55word", { user })).toEqual({
        status: 200,
        errors: false,
        data: false,
        message: "ERROR User not found",
      });
    }
    const path = "/api/v1/orgs/org-1/users/u-scanner/reset-password";
    const unequal = { password: "second-Pa55word", confirmPassword: "third-Pa55word" };
    expect((await call("POST", url + path, unequal, admin)).json).toMatchObject({
      errors: true,
      messages: [{ value: "Passwords do not match" }],
    });
    expect(await isLive("scanner", FIRST)).toBe(true);
  });

  test("ends earlier tokens, or not", async () => {
    const admin = await tokenOf("admin");
    const kept = await tokenOf("scanner");
    await change(admin, "second-Pa55word");
    expect((await probe(kept)).status).toBe(200);
    await control("PATCH", "accounts/scanner@acme.example", { resetEndsTokens: true });
    await change(admin, "third-Pa55word");
    expect((await probe(kept)).status).toBe(401);
    expect((await probe(await tokenOf("scanner", "third-Pa55word"))).status).toBe(200);
    expect((await probe(admin)).status).toBe(200);
  });
});

test("an outside change and a new account by control; state survives a restart", async () => {
  const token = await tokenOf("scanner");
  await control("POST", "accounts", [account("late", ["ROLE_USER"])]);
  await control("POST", "accounts/scanner@acme.example/password", { password: "outside-Pa55" });
  await stop();
  const file = join(dir, "apisec.json");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, "utf8")).not.toMatch(/outside-Pa55|first-Pa55word/);
  await start();
  expect((await login("scanner")).status).toBe(401);
  expect((await login("scanner", "outside-Pa55")).status).toBe(200);
  expect((await login("late")).status).toBe(200);
  expect((await probe(token)).status).toBe(200);
});

test("the log counts calls and keeps no secret", async () => {
  const admin = await tokenOf("admin");
  await login("scanner", "wrong-Pa55word");
  await change(admin, "second-Pa55word");
  await probe(admin);
  await call("GET", `${url}/elsewhere`);
  const { counts, requests: log } = await requests();
  expect(counts).toEqual({
    ...{ login: 2, loginSucceeded: 1, loginFailed: 1 },
    ...{ whoami: 0, change: 1, changed: 1, probe: 1, other: 1 },
  });
  expect(log[2]).toMatchObject({
    n: 3,
    kind: "change",
    username: "admin@acme.example",
    target: "scanner@acme.example",
    outcome: "changed",
  });
  const known = JSON.stringify([log, await control("GET", "accounts")]);
  for (const secret of [admin, FIRST, "wrong-Pa55word", "second-Pa55word"]) {
    expect(known).not.toContain(secret);
  }
  await control("DELETE", "requests");
  expect((await requests()).requests).toEqual([]);
});

describe("faults", () => {
  const onChange = { kind: "change" as const };
  const NEXT = "second-Pa55word";

  test.each<[FaultInput["action"], number | string]>([
    ["reset", "ECONNRESET"],
    ["refuse", "UND_ERR_SOCKET"],
    ["truncate", "UND_ERR_SOCKET"],
    ["hang", "timeout"],
    ["html", 200],
    ["redirect", 307],
    ["errorsTrue", 200],
    ["dataFalse", 200],
    ["empty", 200],
    ["slowBody", "timeout"],
    [{ status: 429, headers: { "retry-after": "7" }, body: "slow down" }, 429],
  ])("%j strikes once, with the effect it is told", async (action, seen) => {
    const admin = await tokenOf("admin");
    const attempt = async () => {
      const body = { password: NEXT, confirmPassword: NEXT };
      const path = "/api/v1/orgs/org-1/users/u-scanner/reset-password";
      return call("POST", url + path, body, admin);
    };
    await fault({ match: onChange, action });
    expect(await ending(attempt())).toBe(seen);
    expect(await isLive("scanner", NEXT)).toBe(false);
    if (action !== "refuse") {
      await control("DELETE", "faults");
      await fault({ match: onChange, action, when: "after" });
      expect(await ending(attempt())).toBe(seen);
      expect(await isLive("scanner", NEXT)).toBe(true);
    }
    expect(await ending(attempt())).toBe(200);
  });

  test("bodies are what their names say", async () => {
    const answers: Awaited<ReturnType<typeof probe>>[] = [];
    const token = await tokenOf("scanner");
    for (const action of ["html", "redirect", "errorsTrue", "dataFalse", "empty"] as const) {
      await fault({ match: { kind: "probe" }, action });
      answers.push(await probe(token));
      await control("DELETE", "faults");
    }
    const [html, redirect, errorsTrue, dataFalse, empty] = answers;
    expect(html?.text).toContain("<html>");
    expect(redirect?.headers.get("location")).toBe("/api/v1/projects?page=0&pageSize=1&redirected");
    expect(errorsTrue?.json).toMatchObject({ errors: true, messages: [{ type: "ERROR" }] });
    expect(dataFalse?.json).toMatchObject({ errors: false, data: false });
    expect(empty?.text).toBe("");
  });

  test("a late effect comes after the answer", async () => {
    const admin = await tokenOf("admin");
    await fault({ match: onChange, when: "late", lateMs: 600, action: { status: 504 } });
    const path = "/api/v1/orgs/org-1/users/u-scanner/reset-password";
    const body = { password: NEXT, confirmPassword: NEXT };
    expect((await call("POST", url + path, body, admin)).status).toBe(504);
    const answered = Date.now();
    await until(() => isLive("scanner", NEXT));
    expect(Date.now() - answered).toBeGreaterThan(400);
    expect((await requests()).requests[1]).toMatchObject({ outcome: "changed", fault: "late 504" });
  });

  test("delay and huge body", async () => {
    const token = await tokenOf("scanner");
    await fault({ match: { kind: "probe" }, action: { delayMs: 300 } });
    const before = Date.now();
    expect((await probe(token)).status).toBe(200);
    expect(Date.now() - before).toBeGreaterThanOrEqual(290);
    await fault({ match: { path: "^/huge" }, action: { hugeBytes: 300_000_000 } });
    const response = await fetch(`${url}/huge`);
    let bytes = 0;
    for await (const chunk of response.body ?? []) bytes += (chunk as Uint8Array).length;
    expect(bytes).toBe(300_000_000);
  });

  test("nth, times and username choose the requests", async () => {
    const username = "scanner@acme.example";
    await fault({ match: { username }, nth: 2, times: 2, action: { status: 500 } });
    const seen: number[] = [];
    for (const name of ["scanner", "admin", "scanner", "scanner", "admin", "scanner"]) {
      seen.push((await login(name)).status);
    }
    expect(seen).toEqual([200, 200, 500, 500, 200, 200]);
    expect(await control("GET", "faults")).toMatchObject([{ seen: 4, struck: 2 }]);
    expect((await requests()).counts).toMatchObject({ login: 6, loginSucceeded: 4 });
  });

  test("what is no fault is refused as a whole", async () => {
    const bad = { action: "refuse", when: "after" };
    const answer = await call("POST", `${controlUrl}/-/lab/faults`, [{ action: "reset" }, bad]);
    expect(answer.status).toBe(400);
    expect(await control("GET", "faults")).toEqual([]);
  });

  test("down refuses connections for a while; control stays", async () => {
    await control("POST", "down", { ms: 800 });
    expect(await ending(login("admin"))).toBe("ECONNREFUSED");
    expect(await isLive("admin", FIRST)).toBe(true);
    await until(async () => (await ending(login("admin"))) === 200);
  });
});

describe("proxy", () => {
  async function proxied(options: ProxyOptions) {
    const proxy = await startProxy(options);
    cleanups.push(() => proxy.close());
    return proxy;
  }

  test("passes headers and body on, and counts", async () => {
    const upstream = createServer((request, response) => {
      response.writeHead(201, { "x-vault-index": "7" });
      response.write(`${String(request.headers["x-vault-token"])} `);
      request.pipe(response);
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => upstream.close().closeAllConnections());
    const target = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    const proxy = await proxied({ target });
    const headers = { "x-vault-token": "hvs.secret" };
    const big = "x".repeat(3_000_000);
    const answer = await fetch(`${proxy.url}/v1/a?version=2`, {
      method: "POST",
      headers,
      body: big,
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("x-vault-index")).toBe("7");
    expect(await answer.text()).toBe(`hvs.secret ${big}`);
    expect(proxy.requests()).toMatchObject([
      { n: 1, method: "POST", path: "/v1/a?version=2", outcome: "201" },
    ]);
    expect(JSON.stringify(proxy.requests())).not.toContain("hvs.secret");
  });

  test("gates hold a call before and after its effect", async () => {
    const seen: string[] = [];
    const proxy = await proxied({
      target: url,
      async onRequest({ n, path }) {
        seen.push(`${n} ${path} ${(await requests()).counts.login}`);
        return n === 2 ? { when: "before", action: "reset" } : "pass";
      },
      async onResponse({ n }, { status }) {
        seen.push(`${n} ${status} ${(await requests()).counts.login}`);
      },
    });
    const attempt = () =>
      ending(call("POST", `${proxy.url}/login`, { username: "x", password: "y" }));
    expect([await attempt(), await attempt(), await attempt()]).toEqual([401, "ECONNRESET", 401]);
    expect(seen).toEqual(["1 /login 0", "1 401 1", "2 /login 1", "3 /login 1", "3 401 2"]);
  });

  test("down in a gate refuses the very next call", async () => {
    const proxy = await proxied({
      target: url,
      async onResponse({ n }) {
        if (n === 1) proxy.down(500);
      },
    });
    const attempt = () =>
      ending(call("POST", `${proxy.url}/login`, { username: "x", password: "y" }));
    expect([await attempt(), await attempt()]).toEqual([401, "ECONNREFUSED"]);
    await until(async () => (await attempt()) === 401);
  });

  test("a target that is away breaks the connection", async () => {
    const proxy = await proxied({ target: "http://127.0.0.1:1" });
    expect(await ending(call("GET", proxy.url))).toBe("ECONNRESET");
    expect(proxy.requests()).toMatchObject([{ outcome: "none" }]);
  });
});
