import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApisec, startVault, startWebhook } from "../support/rotationServers";
import type { Answer, Seen, TestServer, TestVault } from "../support/rotationServers";

const project = join(__dirname, "../..");
let bundle = "";
let folder = "";
let vault: TestVault;
let apisec: TestServer;

beforeAll(() => {
  execFileSync(process.execPath, ["build/build.mjs"], { cwd: project });
  bundle = join(project, "dist/rotate.mjs");
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "rotate-"));
  [vault, apisec] = await Promise.all([startVault(), startApisec()]);
});

afterEach(() => {
  vault.close();
  apisec.close();
  rmSync(folder, { recursive: true });
});

function addAccounts(...names: string[]): void {
  for (const name of names) {
    vault.put(`${name}/password`, {
      username: `${name}@acme.example`,
      password: `password-${name}`,
      host: apisec.url,
      organization: "Acme",
      generation: 1,
      changed_at: "2026-11-01T00:00:00Z",
    });
  }
}

const idToken = `eyJhbGciOiJSUzI1NiJ9.${Buffer.from('{"project_id":"42","ref":"main"}').toString("base64url")}.c2ln`;

interface Result {
  code: number | null;
  out: string[];
  err: string;
  report: string;
}

/** Runs the bundle as a job does: a process with exactly these variables. */
async function rotate(
  env: Record<string, string> = {},
  { hurried = false, until }: { hurried?: boolean; until?: () => boolean } = {},
): Promise<Result> {
  const args = hurried ? ["-r", join(project, "test/support/hurry.cjs"), bundle] : [bundle];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      VAULT_ADDR: vault.url,
      VAULT_ID_TOKEN: idToken,
      VAULT_AUTH_PATH: "gitlab",
      VAULT_AUTH_ROLE: "rotator",
      APISEC_MOUNT: "apisec",
      APISEC_ACCOUNTS: "scanner",
      CI_PIPELINE_URL: "https://gitlab.example.com/p/-/pipelines/7",
      ...env,
    },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  while (until?.() === false) await new Promise((resolve) => setTimeout(resolve, 20));
  if (until !== undefined) child.kill("SIGTERM");
  const code = await closed;
  let report = "";
  try {
    report = readFileSync(join(folder, "rotation-report.xml"), "utf8");
  } catch {
    // Some runs write none.
  }
  const told = out + err + report;
  for (const secret of [idToken, "password-", "hvs.", "eyJ"]) expect(told).not.toContain(secret);
  return { code, out: out.trimEnd().split("\n"), err, report };
}

const tokenOf = (name: string) => vault.keys.get(`${name}/token`)?.data;
const requests = (server: TestServer) => server.seen.map(({ method, path }) => `${method} ${path}`);
const whenever =
  (method: string, path: string, answer: (seen: Seen) => Answer | "reset" | undefined) =>
  (seen: Seen) => (seen.method === method && seen.path.endsWith(path) ? answer(seen) : undefined);

test("one account: five requests, one line, a token for its readers", async () => {
  addAccounts("scanner");
  const { code, out, err, report } = await rotate();
  expect(err).toBe("");
  expect(code).toBe(0);
  const record = tokenOf("scanner");
  expect(out).toEqual([
    // What readers get: this Vault deletes it after an hour, long before it expires.
    expect.stringMatching(/^scanner {2}rotated {2}expires \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    "1 account: 1 rotated, 0 kept, 0 failed",
  ]);
  const said = Date.parse(out[0]?.split("expires ")[1] ?? "");
  expect(Math.abs(said - Date.now() - 3_600_000)).toBeLessThan(60_000);
  expect(record).toMatchObject({
    token: expect.stringMatching(/^eyJ/) as string,
    expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
    username: "scanner@acme.example",
    host: apisec.url,
    source: "https://gitlab.example.com/p/-/pipelines/7",
  });
  expect(requests(vault)).toEqual([
    "POST /v1/auth/gitlab/login",
    "GET /v1/apisec/data/scanner/password",
    "GET /v1/apisec/data/scanner/token",
    "POST /v1/apisec/data/scanner/token",
    "POST /v1/auth/token/revoke-self",
  ]);
  expect(requests(apisec)).toEqual(["POST /login", "GET /api/v1/projects?page=0&pageSize=1"]);
  expect(vault.tokens).toEqual(new Set(["hvs.given-token"]));
  expect(report).toContain('<testcase classname="rotation" name="scanner"');
});

test("two rotations one after the other", async () => {
  addAccounts("scanner");
  await rotate();
  expect((await rotate()).code).toBe(0);
  expect(vault.keys.get("scanner/token")?.version).toBe(2);
});

test("1 of 50 accounts broken: 49 rotated, the report names the one, connections are reused", async () => {
  const names = Array.from({ length: 50 }, (_, i) => `account-${i}`);
  addAccounts(...names);
  vault.put("account-7/password", {
    username: "account-7@acme.example",
    password: "password-wrong",
    host: apisec.url,
  });
  writeFileSync(join(folder, "accounts"), names.join("\n"));
  const { code, out, err, report } = await rotate({
    APISEC_ACCOUNTS: "",
    APISEC_ACCOUNTS_FILE: "accounts",
    APISEC_CONCURRENCY: "4",
  });
  expect(code).toBe(1);
  expect(out).toHaveLength(50);
  expect(out.at(-1)).toBe("50 accounts: 49 rotated, 0 kept, 1 failed");
  expect(err).toBe(
    "account-7  failed  APIsec refuses the stored password: Bad credentials: [secret] [APC-LOGIN-REFUSED]; no valid token is left\n",
  );
  expect(report).toContain('tests="50" failures="1"');
  expect(report.match(/<failure/g)).toHaveLength(1);
  expect(tokenOf("account-7")).toBeUndefined();
  expect(vault.seen.filter(({ path }) => path.includes("login"))).toHaveLength(1);
  expect(vault.connections()).toBeLessThanOrEqual(8);
  expect(apisec.connections()).toBeLessThanOrEqual(4);
});

test("a given token is used as it is and not revoked; without a pipeline the source is pulumi up", async () => {
  addAccounts("scanner");
  const given = { VAULT_ID_TOKEN: "", VAULT_TOKEN: "hvs.given-token", CI_PIPELINE_URL: "" };
  expect((await rotate(given)).code).toBe(0);
  expect(requests(vault)).toHaveLength(3);
  expect(vault.tokens).toContain("hvs.given-token");
  expect(tokenOf("scanner")).toMatchObject({ source: "pulumi up" });
});

describe("settings", () => {
  test.each<[string, Record<string, string>, string]>([
    [
      "an ID token without a role",
      { VAULT_AUTH_ROLE: "", VAULT_TOKEN: "hvs.x" },
      "VAULT_AUTH_ROLE",
    ],
    ["tracing", { CI_DEBUG_TRACE: "true" }, "CI_DEBUG_TRACE"],
    ["a name that would be a wildcard", { APISEC_ACCOUNTS: "+" }, "APISEC_ACCOUNTS"],
  ])("%s: exit 2, nothing tried", async (_, env, variable) => {
    addAccounts("scanner");
    const { code, err } = await rotate(env);
    expect(code).toBe(2);
    expect(err).toContain(`${variable}: found`);
    expect([...vault.seen, ...apisec.seen]).toEqual([]);
  });

  test("an empty shard succeeds without a request", async () => {
    const { code, out } = await rotate({ CI_NODE_INDEX: "2", CI_NODE_TOTAL: "2" });
    expect(code).toBe(0);
    expect(out).toEqual(["0 accounts: 0 rotated, 0 kept, 0 failed"]);
    expect(vault.seen).toEqual([]);
  });

  test("APISEC_URL of another host: the account fails, nothing is sent there", async () => {
    addAccounts("scanner");
    const other = await startApisec();
    const { code, err } = await rotate({ APISEC_URL: other.url });
    expect(code).toBe(1);
    expect(err).toContain("nothing was sent");
    expect([...apisec.seen, ...other.seen]).toEqual([]);
    other.close();
  });

  test("other paths", async () => {
    addAccounts("scanner");
    apisec.fault = ({ path }) => (path === "/login" ? { status: 404 } : undefined);
    const { err } = await rotate({ APISEC_PATHS: "login=/auth/login" });
    expect(requests(apisec)[0]).toBe("POST /auth/login");
    expect(err).toContain("scanner  failed");
  });
});

describe("Vault", () => {
  test("refuses the login: exit 3, with its reason and the claims", async () => {
    addAccounts("scanner");
    const { code, err, report } = await rotate({ VAULT_AUTH_ROLE: "other" });
    expect(code).toBe(3);
    expect(err).toContain('role "other" at auth/gitlab (400): role not found');
    expect(err).toContain('the ID token says project_id="42" ref="main"');
    expect(report).toContain('name="scanner"');
    expect(apisec.seen).toEqual([]);
  });

  test("is not there: exit 3", async () => {
    const { code, err } = await rotate({ VAULT_ADDR: "http://127.0.0.1:1" });
    expect(code).toBe(3);
    expect(err).toContain("http://127.0.0.1:1 refused the connection");
  });

  test("denies every account: exit 3, and no endless logins", async () => {
    addAccounts("scanner", "build");
    vault.fault = whenever("GET", "/password", () => ({ status: 403, body: { errors: [] } }));
    const { code } = await rotate({ APISEC_ACCOUNTS: "scanner,build" });
    expect(code).toBe(3);
    expect(requests(vault).filter((one) => one.endsWith("login")).length).toBeLessThanOrEqual(2);
    expect(vault.tokens).toEqual(new Set(["hvs.given-token"]));
  });

  test("denies one account of three: that one fails, exit 1, at most one new login", async () => {
    addAccounts("one", "two", "three");
    vault.fault = whenever("GET", "/two/password", () => ({ status: 403, body: { errors: [] } }));
    const { code, out } = await rotate({
      APISEC_ACCOUNTS: "one,two,three",
      APISEC_CONCURRENCY: "1",
    });
    expect(code).toBe(1);
    expect(out.at(-1)).toBe("3 accounts: 2 rotated, 0 kept, 1 failed");
    expect(requests(vault).filter((one) => one.endsWith("login"))).toHaveLength(2);
    expect(vault.tokens).toEqual(new Set(["hvs.given-token"]));
  });

  test("ends the token in the middle: one new login for all accounts in flight", async () => {
    const names = Array.from({ length: 20 }, (_, i) => `account-${i}`);
    addAccounts(...names);
    let writes = 0;
    vault.fault = whenever("POST", "/token", () => {
      writes += 1;
      if (writes === 5) vault.tokens.delete("hvs.login-token-1");
      return undefined;
    });
    const { code } = await rotate({ APISEC_ACCOUNTS: names.join(",") });
    expect(code).toBe(0);
    expect(requests(vault).filter((one) => one.endsWith("login"))).toHaveLength(2);
    expect(vault.tokens).toEqual(new Set(["hvs.given-token"]));
  });

  test("ends a given token in the middle: the accounts left fail", async () => {
    addAccounts("one", "two");
    vault.fault = whenever("GET", "/two/password", () => {
      vault.tokens.delete("hvs.given-token");
      return undefined;
    });
    const { code } = await rotate({
      VAULT_ID_TOKEN: "",
      VAULT_TOKEN: "hvs.given-token",
      APISEC_ACCOUNTS: "one,two",
      APISEC_CONCURRENCY: "1",
    });
    expect(code).toBe(1);
    expect(requests(vault).filter((one) => one.endsWith("login"))).toEqual([]);
  });

  test("does not see that the branch is protected: one more try", async () => {
    addAccounts("scanner");
    let logins = 0;
    vault.fault = whenever("POST", "/login", () => {
      logins += 1;
      const text = 'error validating claims: claim "ref_protected" does not match';
      return logins === 1 ? { status: 400, body: { errors: [text] } } : undefined;
    });
    expect((await rotate()).code).toBe(0);
    expect(logins).toBe(2);
  });

  test("loses the answer of a write: it is repeated, and our own token is recognised", async () => {
    addAccounts("scanner");
    let writes = 0;
    vault.fault = whenever("POST", "/scanner/token", () => {
      writes += 1;
      return writes === 1 ? "reset" : undefined;
    });
    const { code, out } = await rotate();
    expect(code).toBe(0);
    expect(out[0]).toMatch(/^scanner {2}rotated/);
    expect(writes).toBe(2);
    expect(vault.keys.get("scanner/token")?.version).toBe(1);
  });

  test("is busy: Retry-After is honoured", async () => {
    addAccounts("scanner");
    let busy = 2;
    const times: number[] = [];
    vault.fault = whenever("GET", "/password", () => {
      times.push(Date.now());
      busy -= 1;
      return busy >= 0 ? { status: 429, headers: { "retry-after": "1" }, body: {} } : undefined;
    });
    expect((await rotate()).code).toBe(0);
    expect((times[2] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1900);
  });

  test("is a standby: the redirect is explained, not followed", async () => {
    const location = `${apisec.url}/v1/auth/gitlab/login`;
    vault.fault = () => ({ status: 307, headers: { location }, body: {} });
    const { code, err } = await rotate({}, { hurried: true });
    expect(code).toBe(3);
    expect(err).toContain("use the address of the active node");
    expect(apisec.seen).toEqual([]);
  });

  test("refuses the write: the old token stays, a later run succeeds", async () => {
    addAccounts("scanner");
    await rotate();
    const before = vault.keys.get("scanner/token");
    vault.fault = whenever("POST", "/scanner/token", () => ({ status: 403, body: { errors: [] } }));
    const { code, out } = await rotate();
    expect(code).toBe(3);
    expect(out.at(-1)).toContain("1 failed");
    expect(vault.keys.get("scanner/token")).toEqual(before);
    vault.fault = () => undefined;
    expect((await rotate()).code).toBe(0);
  });

  test("echoes the token in its refusal of a write: it is not shown", async () => {
    addAccounts("scanner");
    vault.fault = whenever("POST", "/scanner/token", ({ body }) => {
      const { token } = body["data"] as { token: string };
      return { status: 400, body: { errors: [`${"x".repeat(150)} ${token} ${token}`] } };
    });
    const { code, err } = await rotate();
    expect(code).toBe(3);
    expect(err).toContain("x [secret] [secret]");
  });

  test("does not revoke: a warning, and success all the same", async () => {
    addAccounts("scanner");
    vault.fault = whenever("POST", "/revoke-self", () => ({ status: 403, body: { errors: [] } }));
    const { code, err } = await rotate();
    expect(code).toBe(0);
    expect(err).toContain("the Vault token could not be revoked");
  });
});

describe("APIsec", () => {
  test.each<[string, Answer]>([
    ["an HTML page", { status: 200, body: "<html>welcome</html>" }],
    ["a cut-off body", { status: 200, body: '{"token":"ey' }],
    ["a redirect", { status: 302, headers: { location: "https://evil.example/login" } }],
    ["a locked account", { status: 423, body: { message: "locked" } }],
  ])("answers the login with %s: failed after one try", async (_, answer) => {
    addAccounts("scanner");
    apisec.fault = whenever("POST", "/login", () => answer);
    const { code, err } = await rotate();
    expect(code).toBe(1);
    expect(err).toContain("scanner  failed  login failed: HTTP");
    expect(apisec.seen).toHaveLength(1);
    expect(tokenOf("scanner")).toBeUndefined();
  });

  test.each([
    ["GET", "/api/v1/projects", 0],
    // Every login that was sent counts at APIsec: the next run has another.
    ["POST", "/login", 1],
  ] as const)("is busy for a moment at %s %s: ends with %d", async (method, path, expected) => {
    addAccounts("scanner");
    let busy = 1;
    apisec.fault = (seen) => {
      if (seen.method !== method || !seen.path.startsWith(path)) return undefined;
      busy -= 1;
      return busy >= 0 ? { status: 503, body: "Service Unavailable" } : undefined;
    };
    expect((await rotate()).code).toBe(expected);
  });

  test("echoes the token in the refusal of the probe: it is not shown", async () => {
    addAccounts("scanner");
    apisec.fault = ({ path, headers }) => {
      const value = `rejected ${String(headers["authorization"])}`;
      const messages = [{ type: "ERROR", key: null, value }];
      return path === "/login" ? undefined : { status: 200, body: { errors: true, messages } };
    };
    const { code, err } = await rotate();
    expect(code).toBe(1);
    expect(err).toContain("the new token does not work: rejected Bearer [secret]");
  });
});

describe("the webhook", () => {
  let webhook: TestServer;
  const told = () => webhook.seen.map(({ body }) => String(body["text"]));
  const withWebhook = (env: Record<string, string> = {}) =>
    rotate({
      APISEC_WEBHOOK: `${webhook.url}/services/canary`,
      CI_ENVIRONMENT_NAME: "apisec/prod",
      ...env,
    });

  beforeEach(async () => {
    webhook = await startWebhook();
    addAccounts("scanner");
  });

  afterEach(() => webhook.close());

  test("hears nothing of a good run", async () => {
    expect((await withWebhook()).code).toBe(0);
    expect(webhook.seen).toEqual([]);
  });

  test("hears of a failed account, and how long its readers have a token", async () => {
    await rotate();
    apisec.fault = whenever("POST", "/login", () => ({ status: 503, body: "down" }));
    const { code, err } = await withWebhook();
    expect(code).toBe(1);
    const life = /readers have a token until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \((1 h 0|59) min\)/;
    expect(err).toMatch(life);
    expect(webhook.seen).toMatchObject([
      {
        method: "POST",
        path: "/services/canary",
        headers: { "content-type": "application/json; charset=utf-8" },
      },
    ]);
    expect(told()[0]).toMatch(life);
    expect(told()[0]).toMatch(
      /^apisec\/prod: 1 of 1 tokens not rotated\nhttps:\/\/gitlab.example.com\/p\/-\/pipelines\/7\n• scanner: /,
    );
  });

  test("hears of wrong settings; its own address is not among what is shown", async () => {
    const { code, err } = await withWebhook({ APISEC_URL: `${webhook.url}/services/canary` });
    expect(code).toBe(2);
    expect(told()).toEqual([expect.stringContaining("APISEC_URL: found")]);
    expect(err + told().join()).not.toContain("canary");
  });

  test("hears that Vault lets nobody in", async () => {
    expect((await withWebhook({ VAULT_AUTH_ROLE: "other" })).code).toBe(3);
    expect(told()).toEqual([expect.stringContaining("role not found")]);
  });

  test.each<[string, Answer | "reset"]>([
    ["refuses", { status: 403, body: "no /services/canary" }],
    ["redirects", { status: 307, headers: { location: "/elsewhere" } }],
    ["hangs up", "reset"],
  ])("%s: a warning, the exit code stays, its address is not shown", async (_, answer) => {
    webhook.fault = () => answer;
    apisec.fault = whenever("POST", "/login", () => ({ status: 503, body: "down" }));
    const { code, err } = await withWebhook();
    expect(code).toBe(1);
    expect(err).toMatch(/^warning {2}nobody was told: the webhook /m);
    expect(err).not.toMatch(/canary|services/);
    expect(err).not.toContain(webhook.url);
    expect(webhook.seen).toHaveLength(1);
  });

  test("cannot be used: a warning, and the tokens are rotated", async () => {
    const { code, err } = await withWebhook({ APISEC_WEBHOOK: "http://hooks.example.com/canary" });
    expect(code).toBe(0);
    expect(err).toMatch(/^warning {2}APISEC_WEBHOOK is no https/);
    expect(err).not.toMatch(/canary|hooks/);
  });
});

describe("hosts that do not answer", () => {
  /** A host that takes every connection and says nothing. */
  async function silentHost() {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const close = () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    };
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, close };
  }
  const atHost = (host: string, ...names: string[]) => {
    for (const name of names) {
      vault.put(`${name}/password`, {
        ...{ username: `${name}@acme.example`, password: `password-${name}`, host },
      });
    }
  };

  test("500 accounts at one cost the healthy one at another nothing: the host is given up", async () => {
    const names = Array.from({ length: 500 }, (_, i) => `dead-${i}`);
    const silent = await silentHost();
    atHost(silent.url, ...names);
    addAccounts("scanner");
    writeFileSync(join(folder, "accounts"), [...names, "scanner"].join("\n"));
    const { code, out, err, report } = await rotate(
      { APISEC_ACCOUNTS: "", APISEC_ACCOUNTS_FILE: "accounts" },
      { hurried: true },
    );
    const connections = silent.sockets.length;
    silent.close();
    expect(code).toBe(1);
    expect(out.at(-1)).toBe("501 accounts: 1 rotated, 0 kept, 500 failed");
    expect(tokenOf("scanner")).toBeDefined();
    expect(report).toContain('tests="501" failures="500"');
    expect(
      err.match(/gave no answer to 3 accounts: it is not asked again/g)?.length,
    ).toBeGreaterThan(480);
    // Those that were under way when the third had failed.
    expect(connections).toBeLessThanOrEqual(3 * 16 + 16);
  });

  test("one that answers some is asked for all", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `account-${i}`);
    addAccounts(...names);
    let logins = 0;
    apisec.fault = ({ path }) => {
      if (path !== "/login") return undefined;
      logins += 1;
      return logins % 3 === 0 ? undefined : "reset";
    };
    const { out } = await rotate(
      { APISEC_ACCOUNTS: names.join(","), APISEC_CONCURRENCY: "1" },
      { hurried: true },
    );
    expect(out.at(-1)).toMatch(/^12 accounts: ([4-9]|1\d) rotated/);
  });

  test("the job ends by itself: those left are failed, the report and the webhook go out", async () => {
    const webhook = await startWebhook();
    const silent = await silentHost();
    atHost(silent.url, "one", "two", "three");
    vault.put("one/token", { token: "x" });
    const { code, err, report } = await rotate(
      {
        ...{ APISEC_ACCOUNTS: "one,two,three", APISEC_CONCURRENCY: "1", APISEC_DEADLINE: "1s" },
        ...{ APISEC_WEBHOOK: webhook.url, APISEC_METRICS: "metrics.txt" },
        ...{ APISEC_HEARTBEAT: `${webhook.url}/ping/{shard}` },
      },
      { hurried: true },
    );
    silent.close();
    webhook.close();
    expect(code).toBe(1);
    expect(err).toContain("one  failed  ");
    expect(err).toMatch(
      /^three {2}failed {2}the job's time was over after 0 min: it was not begun \[APC-STOPPED\]; /m,
    );
    expect(report).toContain('tests="3" failures="3"');
    expect(webhook.seen.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      "GET /ping/1/fail",
      "POST /",
    ]);
    expect(JSON.stringify(webhook.seen)).toContain("3 of 3 tokens not rotated");
    expect(readFileSync(join(folder, "metrics.txt"), "utf8")).toMatch(/# EOF\n$/);
  });

  test("SIGTERM is such an end", async () => {
    const silent = await silentHost();
    atHost(silent.url, "one", "two");
    const { code, err, report } = await rotate(
      { APISEC_ACCOUNTS: "one,two", APISEC_CONCURRENCY: "1" },
      { until: () => silent.sockets.length > 0 },
    );
    silent.close();
    expect(code).toBe(1);
    expect(err).toMatch(/^one {2}failed {2}the job was stopped by SIGTERM: it was under way/m);
    expect(err).toMatch(/^two {2}failed {2}the job was stopped by SIGTERM: it was not begun/m);
    expect(report).toContain('failures="2"');
    // Its Vault token is revoked, and no new one bought.
    expect(vault.tokens).toEqual(new Set(["hvs.given-token"]));
    expect(requests(vault).filter((one) => one.endsWith("login"))).toHaveLength(1);
  });
});

describe("the heartbeat", () => {
  let monitor: TestServer;
  beforeEach(async () => {
    monitor = await startWebhook();
    addAccounts("scanner");
  });
  afterEach(() => monitor.close());
  const beat = (env: Record<string, string> = {}) =>
    rotate({ APISEC_HEARTBEAT: `${monitor.url}/ping/canary-{shard}?a=b`, ...env });

  test("of a run in which every account is fresh", async () => {
    const { err } = await beat({
      CI_NODE_INDEX: "2",
      CI_NODE_TOTAL: "3",
      APISEC_ACCOUNTS: "a,scanner,b",
    });
    expect(err).toBe("");
    expect(requests(monitor)).toEqual(["GET /ping/canary-2?a=b"]);
  });

  test.each<[string, Record<string, string>]>([
    ["an account failed", { APISEC_ACCOUNTS: "scanner,nobody" }],
    ["Vault lets nobody in", { VAULT_AUTH_ROLE: "other" }],
    ["its settings are wrong", { APISEC_CONCURRENCY: "0" }],
    ["readers lose the token too early", { APISEC_MIN_LIFETIME: "23h30m" }],
  ])("where %s", async (_, env) => {
    await beat(env);
    expect(requests(monitor)).toEqual(["GET /ping/canary-1/fail?a=b"]);
  });

  test("that nobody takes is a warning without its address", async () => {
    monitor.fault = () => ({ status: 404, body: "" });
    const { code, err } = await beat();
    expect(code).toBe(0);
    expect(err).toBe(
      "warning  the monitor was not told of this run: the heartbeat's monitor answers with 404 [APC-HEARTBEAT]\n",
    );
    const wrong = await beat({ APISEC_HEARTBEAT: "http://hc.example.com/canary" });
    expect(wrong.code).toBe(0);
    expect(wrong.err).toMatch(/^warning {2}APISEC_HEARTBEAT is no https/);
    expect(wrong.err).not.toContain("canary");
  });
});

test("metrics say until when readers have a token, also of an account that failed", async () => {
  addAccounts("scanner", "build");
  await rotate({ APISEC_ACCOUNTS: "build" });
  vault.put("build/password", {
    username: "build@acme.example",
    password: "password-wrong",
    host: apisec.url,
  });
  await rotate({
    ...{ APISEC_ACCOUNTS: "scanner,build,nobody", APISEC_METRICS: "metrics.txt" },
    ...{ APISEC_STACK: "apisec-credentials/dev" },
  });
  const text = readFileSync(join(folder, "metrics.txt"), "utf8");
  const accountsOf = (name: string) =>
    [
      ...text.matchAll(
        new RegExp(`^apisec_${name}_timestamp_seconds\\{(.*)account="(.*)"\\} (\\d+)`, "gm"),
      ),
    ].map(([, labels, account, value]) => [
      labels,
      account,
      Math.round((Number(value) - Date.now() / 1000) / 3600),
    ]);
  const labels = 'project="apisec-credentials",stack="dev",';
  expect(accountsOf("token_readable_until")).toEqual([
    [labels, "scanner", 1],
    [labels, "build", 1],
    [labels, "nobody", expect.any(Number)],
  ]);
  expect(text).toMatch(/readable_until_timestamp_seconds\{.*account="nobody"\} 0$/m);
  expect(accountsOf("token_issued").map(([, account]) => account)).toEqual(["scanner", "build"]);
  expect(accountsOf("rotation_last_success").map(([, account]) => account)).toEqual([
    "scanner",
    "build",
  ]);
});

test("once.sh works, and shows no token, where the caller's shell has exported its own variables", async () => {
  addAccounts("scanner");
  for (const shell of ["dash", "bash"]) {
    vault.keys.delete("scanner/token");
    const child = spawn(shell, [join(project, "job/once.sh")], {
      cwd: folder,
      env: {
        ...{
          PATH: process.env["PATH"],
          HOME: folder,
          VAULT_ADDR: vault.url,
          APISEC_MOUNT: "apisec",
        },
        ...{ VAULT_TOKEN: "hvs.given-token", APISEC_REPORT: "/dev/null", IFS: "e", OPTIND: "7" },
        ...{
          SHELLOPTS: "xtrace:verbose",
          BASHOPTS: "extglob",
          UID: "1",
          NODE_OPTIONS: "--bad",
          name: "x",
        },
        ...{
          PS4: "$VAULT_TOKEN ",
          APISEC_DEADLINE: "1s",
          "not a name": "x",
          LINES: "a\nexport PATH='x'",
        },
      },
    });
    let told = "";
    child.stdout.on("data", (part: Buffer) => (told += part.toString()));
    child.stderr.on("data", (part: Buffer) => (told += part.toString()));
    child.stdin.end("scanner\n");
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([shell, code, told]).toEqual([shell, 0, expect.stringContaining("scanner  rotated")]);
    expect(told).not.toContain("hvs.given");
  }
});

test("a report that cannot be written is a warning", async () => {
  addAccounts("scanner");
  const { code, err } = await rotate({ APISEC_REPORT: "no/such/folder/report.xml" });
  expect(code).toBe(0);
  expect(err).toContain(
    "warning  the report no/such/folder/report.xml could not be written (ENOENT)",
  );
});

test("the bundle is small, readable and of our own", () => {
  const text = readFileSync(bundle, "utf8");
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(80 * 1024);
  expect(text).not.toContain("node_modules");
  const imports = [...text.matchAll(/(?:from |import\(|require\()"([^"]+)"/g)].map(
    ([, name]) => name,
  );
  for (const name of imports) expect(name).toMatch(/^node:(fs|http|https)$/);
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThan(200);
});
