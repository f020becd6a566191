import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApisec } from "../../lab/apisec/server";
import type { Apisec } from "../../lab/apisec/server";
import type { FaultInput } from "../../lab/faults";
import { nodeSend } from "../../net/transport";
import { scanApiAt } from "../../scan/apisec";
import { exitCodes, scan } from "../../scan/run";
import { readScanSettings, severities } from "../../scan/settings";

const project = join(__dirname, "../..");
const password = "scanner-password-1";
let apisec: Apisec;
let token = "";
let now = Date.now();
const clock = {
  now: () => now,
  sleep: async (ms: number) => {
    now += ms;
  },
};

beforeEach(async () => {
  apisec = await startApisec({
    accounts: [
      {
        username: "scanner@acme.example",
        password,
        org: { id: "o1", name: "Acme" },
        userId: "u1",
        name: "Scanner",
        roles: ["ROLE_USER"],
      },
    ],
  });
  const answer = await fetch(`${apisec.url}/login`, {
    method: "POST",
    body: JSON.stringify({ username: "scanner@acme.example", password }),
  });
  ({ token } = (await answer.json()) as { token: string });
});

afterEach(() => apisec.close());

async function control(method: string, path: string, body?: object): Promise<unknown> {
  const init = { method, headers: { "content-type": "application/json" } };
  const text = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`${apisec.controlUrl}/-/lab/${path}`, { ...init, ...text });
  expect(answer.status).toBe(200);
  return answer.json();
}

const faults = (...list: FaultInput[]) => control("POST", "faults", list);

interface Outcome {
  code: number | undefined;
  error: string;
  out: string[];
  files: Record<string, string>;
}

/** One scan in this process, its waits passing at once. */
async function run(...args: string[]): Promise<Outcome> {
  const out: string[] = [];
  const files: Record<string, string> = {};
  const env = { APISEC_TOKEN: token, APISEC_HOST: apisec.url };
  const settings = readScanSettings(args, env, () => "openapi: 3.1.0");
  const world = {
    api: scanApiAt(nodeSend(), apisec.url, token),
    ...{ host: apisec.url, clock, secrets: [token] },
    out: (line: string) => void out.push(line),
    write: (path: string, text: string) => void (files[path] = text),
  };
  const outcome = await scan(settings, world).then(
    (code) => ({ code, error: "" }),
    (error: Error) => ({ code: undefined, error: error.message }),
  );
  const all = JSON.stringify([outcome, out, files]);
  expect(all).not.toContain(token);
  return { ...outcome, out, files };
}

const registered = () => run("--project", "payments", "--spec", "openapi.yaml", "--no-scan");
const vulnerabilities = (...list: object[]) =>
  control("PATCH", "apis/payments", { vulnerabilities: list });

test("an API that is not there is registered from a file, from an address, and reloaded after that", async () => {
  expect(await registered()).toMatchObject({ code: 0, out: ["API registered: payments"] });
  expect(await registered()).toMatchObject({ code: 0, out: ["specification reloaded: payments"] });
  const url = "https://acme.example/openapi.json";
  expect(await run("--project", "orders/v2 ö", "--spec", url, "--no-scan")).toMatchObject({
    code: 0,
    out: ["API registered: orders/v2 ö"],
  });
  expect(await control("GET", "apis")).toMatchObject({
    apis: [
      { name: "payments", openText: "openapi: 3.1.0", openAPISpec: "none" },
      { name: "orders/v2 ö", openText: "", openAPISpec: url },
    ],
  });
});

test("a scan shows its way, the page's address, what was found, and writes both reports", async () => {
  await registered();
  await vulnerabilities(
    { id: "v1", severity: "Low", name: "Header <missing>", method: "GET", endpoint: "/a" },
    { id: "v2", severity: "Medium", category: "Rate limit" },
  );
  const { code, out, files } = await run(
    "--project",
    "payments",
    "--scanner",
    "eu",
    "--profile",
    "Nightly",
  );
  expect(code).toBe(exitCodes.passed);
  expect(out.map((line) => line.replace(/[0-9a-f-]{36}/, "ID"))).toEqual([
    "scan started: run ID, profile Nightly, scanner eu",
    "0:00  waiting  100 tests, 10 % passed",
    "0:05  processing  100 tests, 10 % passed",
    "scan completed: 100 tests, 2 failed, 98 % passed",
    `page: ${apisec.url}/#/app/projects/ID`,
    "severity  open",
    "Medium    1",
    "Low       1",
    "reports: apisec.sarif, apisec-scan.xml",
  ]);
  expect(JSON.parse(files["apisec.sarif"] ?? "")).toMatchObject({ version: "2.1.0" });
  expect(files["apisec-scan.xml"]).toContain('tests="2" failures="0"');
  expect(files["apisec-scan.xml"]).toContain("Low: Header &lt;missing&gt; (GET /a) [v1]");
  expect(await control("GET", "apis")).toMatchObject({
    runs: [{ name: "payments", query: { jobName: "Nightly", region: "eu" } }],
  });
});

test.each([
  ["High", "high", exitCodes.found],
  ["High", "critical", exitCodes.passed],
  ["Critical", "high", exitCodes.found],
  ["Trivial", "trivial", exitCodes.found],
  ["Trivial", "minor", exitCodes.passed],
  ["Critical", "never", exitCodes.passed],
  // What APIsec has not published may be the worst.
  ["Catastrophic", "critical", exitCodes.found],
])(
  "a finding of severity %s with --fail-on %s ends with %d",
  async (severity, failOn, expected) => {
    await registered();
    await vulnerabilities({ id: "v", severity });
    const { code, files } = await run("--project", "payments", "--fail-on", failOn);
    expect(code).toBe(expected);
    expect(files["apisec-scan.xml"]?.includes("<failure")).toBe(expected === exitCodes.found);
  },
);

test("a High on the last of several pages fails the job", async () => {
  await registered();
  const low = Array.from({ length: 45 }, (_, n) => ({ id: `v${n}`, severity: "Low" }));
  await vulnerabilities(...low, { id: "last", severity: "High" });
  const { code, out } = await run("--project", "payments");
  expect(code).toBe(exitCodes.found);
  expect(out.at(-1)).toBe("failed: 1 of 46 are High or worse");
});

test("the severities are in order, the worst first", () => {
  expect(severities).toEqual(["Critical", "High", "Major", "Medium", "Minor", "Low", "Trivial"]);
});

describe("answers that are no success", () => {
  test.each([
    ["an unknown API", [], ["--project", "nobody"], /knows no API "nobody".*--spec/],
    [
      "a profile that starts nothing",
      [],
      ["--project", "payments", "--profile", "none"],
      /no profile "none"/,
    ],
    [
      "a refusal of the token",
      [
        {
          match: { path: "find-by-name" },
          action: { status: 401, body: { message: "Unauthorized" } },
        },
      ],
      ["--project", "payments"],
      /looking for the API failed: APIsec refuses/,
    ],
    [
      "errors:true with status 200",
      [{ match: { path: "refresh-specs" }, action: "errorsTrue" }],
      ["--project", "payments", "--spec", "f"],
      /reloading the specification failed: APIsec refuses: Request was refused/,
    ],
    [
      "a sign-in page",
      [{ match: { path: "/vulnerabilities" }, action: "html" }],
      ["--project", "payments"],
      /reading the vulnerabilities failed: no usable answer/,
    ],
    [
      "a report that is missing",
      [{ match: { path: "/sarif" }, action: { status: 500 } }],
      ["--project", "payments"],
      /reading the SARIF report failed: no usable answer/,
    ],
  ] as [string, FaultInput[], string[], RegExp][])("%s", async (_, list, args, expected) => {
    await registered();
    if (list.length > 0) await faults(...list);
    const { code, error } = await run(...args);
    expect([code, error]).toEqual([undefined, expect.stringMatching(expected)]);
  });

  test("a token that is quoted in a refusal is cut out of it", async () => {
    await registered();
    const value = `no such grant: Bearer ${token}`;
    await faults({
      match: { path: "find-by-name" },
      action: { status: 403, body: { errors: true, messages: [{ type: "ERROR", value }] } },
    });
    expect((await run("--project", "payments")).error).toContain("no such grant: Bearer [secret]");
  });

  test.each(["TIMEOUT", "ABORTED"])("a run that ends with %s is no clean result", async (last) => {
    await registered();
    await control("PATCH", "apis/payments", { runStatuses: ["WAITING", last] });
    const { code, error, files } = await run("--project", "payments");
    expect([code, error, files]).toEqual([undefined, `the scan ended with ${last}`, {}]);
  });

  test("a run that never ends is given up after --timeout, with a line every 30 s", async () => {
    await registered();
    await control("PATCH", "apis/payments", { runStatuses: ["WAITING"] });
    const { error, out } = await run("--project", "payments", "--timeout", "2m");
    expect(error).toBe("the scan has not ended within --timeout; it goes on at APIsec");
    expect(out.filter((line) => line.includes("waiting"))).toHaveLength(5);
  });

  test("a reload that fails, and one that never ends", async () => {
    await registered();
    for (const [status, text] of [
      ["Failed", "reloading the specification: Failed"],
      ["In_progress", "reloading the specification: In_progress, still after 2 minutes"],
    ]) {
      await control("PATCH", "apis/payments", { reloadStatuses: [status] });
      expect((await run("--project", "payments", "--spec", "f")).error).toBe(text);
    }
  });

  test("a registration whose answer was lost is found, and not made twice", async () => {
    await faults({ match: { method: "POST", path: "/projects$" }, when: "after", action: "reset" });
    expect(await registered()).toMatchObject({ code: 0, out: ["API registered: payments"] });
    expect(((await control("GET", "apis")) as { apis: unknown[] }).apis).toHaveLength(1);
  });

  test("a start whose answer was lost is not repeated, and says so", async () => {
    await registered();
    await faults({ match: { path: "/runs/project" }, when: "after", action: "reset" });
    expect((await run("--project", "payments")).error).toMatch(/may have been started/);
    expect(((await control("GET", "apis")) as { runs: unknown[] }).runs).toHaveLength(1);
  });
});

describe("settings", () => {
  const good = { APISEC_TOKEN: "t".repeat(20), APISEC_HOST: "https://cloud.apisec.ai" };
  const problemsOf = (args: string[], env: Record<string, string>) => {
    try {
      readScanSettings(args, env, () => "");
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };

  test("come from the environment where no argument says otherwise", () => {
    const env = {
      ...good,
      APISEC_PROJECT: "payments",
      APISEC_FAIL_ON: "Critical",
      APISEC_TIMEOUT: "5m",
    };
    expect(readScanSettings(["--fail-on", "low"], env, () => "")).toMatchObject({
      project: "payments",
      failOn: "Low",
      timeoutMs: 300_000,
      profile: "Master",
    });
  });

  test.each([
    [["--project", "a", "--fail-on", "hihg"], good, "--fail-on"],
    [["--project", "a", "--timeout", "soon"], good, "--timeout"],
    [["--project", "a", "--no-scan"], good, "--no-scan"],
    [["--project", "a", "--spec", "https://me:secret-x@acme.example/"], good, "--spec"],
    [["--projekt", "a"], good, "arguments"],
    [[], good, "--project"],
    [["--project", "a"], { ...good, APISEC_HOST: "http://acme.example" }, "APISEC_HOST"],
    [["--project", "a"], { ...good, CI_DEBUG_TRACE: "true" }, "CI_DEBUG_TRACE"],
    [["--project", "a"], { VAULT_ID_TOKEN: "j" }, "VAULT_AUTH_ROLE"],
    [["--project", "a"], { VAULT_ID_TOKEN: "j" }, "APISEC_ACCOUNT"],
  ])("settings %#: refused by name", (args, env, named) => {
    const text = problemsOf(args, env);
    expect(text).toMatch(new RegExp(`^  ${named}: found `, "m"));
    expect(text).not.toMatch(/secret-x|tttt/);
  });
});

describe("the file dist/scan.mjs", () => {
  let folder = "";
  beforeAll(() => execFileSync(process.execPath, ["build/build.mjs"], { cwd: project }));
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "scan-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  async function start(args: string[], env: Record<string, string>) {
    const child = spawn(process.execPath, [join(project, "dist/scan.mjs"), ...args], {
      cwd: folder,
      env: { PATH: process.env["PATH"], ...env },
    });
    let text = "";
    child.stdout.on("data", (part: Buffer) => (text += part.toString()));
    child.stderr.on("data", (part: Buffer) => (text += part.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    expect(text).not.toContain(token);
    return { code, text };
  }

  test("registers, scans through a passing 503, and fails for a High", async () => {
    await registered();
    await vulnerabilities({ id: "v", severity: "High", name: "BOLA" });
    await faults({ match: { path: "/runs/", method: "GET" }, action: { status: 503 } });
    writeFileSync(join(folder, "openapi.yaml"), "openapi: 3.1.0");
    const env = { APISEC_TOKEN: token, APISEC_HOST: apisec.url };
    const { code, text } = await start(["--project", "payments", "--spec", "openapi.yaml"], env);
    expect([code, text]).toEqual([1, expect.stringContaining("failed: 1 of 1 are High or worse")]);
    expect(readFileSync(join(folder, "apisec-scan.xml"), "utf8")).toContain("High: BOLA");
  });

  test("says what is wrong with its settings, and what it takes", async () => {
    expect((await start([], {})).code).toBe(2);
    const { code, text } = await start(["--help"], {});
    expect([code, text]).toEqual([0, expect.stringContaining("Exit code: 0 no finding")]);
  });

  test("a token that has expired is not sent", async () => {
    const claims = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
    const old = claims.replace(/"exp":\d+/, '"exp":1600000000');
    const parts = token.split(".");
    const expired = [parts[0], Buffer.from(old).toString("base64url"), parts[2]].join(".");
    const env = { APISEC_TOKEN: expired, APISEC_HOST: apisec.url };
    const { code, text } = await start(["--project", "payments"], env);
    expect([code, text]).toEqual([3, expect.stringContaining("the token has expired")]);
    expect(((await control("GET", "requests")) as { counts: object }).counts).toMatchObject({
      other: 0,
    });
  });
});
