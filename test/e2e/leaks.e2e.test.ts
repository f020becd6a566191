import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { FaultInput } from "../../lab/faults";
import type { Incoming } from "../../lab/faultyServer";
import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { defaultApisecPaths } from "../../clients/apisec";
import { engineLogs } from "../support/engineLogs";
import { idToken } from "../support/idTokens";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { startProvider, startRotation } from "../support/processes";
import type { Provider } from "../support/processes";
import { watchProcesses } from "../support/processWatch";
import { startRecorder } from "../support/recorder";
import type { Recorder } from "../support/recorder";
import { secretHunt } from "../support/secretHunt";
import { decrypted, filesBelow, stackKey } from "../support/stateFiles";
import { sampled } from "../support/sampled";

/** Characters that a shell, JSON, a URL or HTML would write otherwise. */
const firstPasswords = {
  admin: `First "of" <admin> & $(x) '\\ äö%`,
  scanner: `First "of" <scanner> & $(x) '\\ äö%`,
};
const passphrase = "passphrase of the state, canary";

let lab: TestLab;
let vault: Recorder;
let apisec: Recorder;
let watch: ReturnType<typeof watchProcesses>;
const hunt = secretHunt();
/** What passes while servers misbehave, apart: it is much, and makes every search slow. */
const manySecrets = secretHunt();
/** What each command printed. */
const printed: Record<string, { code: number; stdout: string; stderr: string }> = {};
/** What a request of either server gets instead of its answer. */
let fault: (request: Incoming) => FaultInput | undefined = () => undefined;

const stackFile = () => join(lab.program, "Pulumi.dev.yaml");

function keyOfStack(): Buffer {
  const { encryptionsalt } = parse(readFileSync(stackFile(), "utf8")) as { encryptionsalt: string };
  return stackKey(passphrase, encryptionsalt);
}

async function pulumi(name: string, args: string[]) {
  const result = await lab.pulumi([...args, "--stack", "dev", "--non-interactive"]);
  printed[name] = result;
  return result;
}

async function setFirstPassword(name: string, value: string) {
  const key = `apisec-credentials:firstPasswords.${name}`;
  const args = ["config", "set", "--stack", "dev", "--secret", "--path", key];
  const { code, stderr } = await run("pulumi", args, {
    cwd: lab.program,
    env: lab.env,
    input: value,
  });
  if (code !== 0) throw new Error(stderr);
}

function raiseGeneration() {
  const file = parse(readFileSync(stackFile(), "utf8")) as { config: Record<string, unknown> };
  const accounts = file.config["apisec-credentials:accounts"] as Record<string, unknown>[];
  for (const account of accounts) {
    account["passwordGeneration"] = Number(account["passwordGeneration"] ?? 1) + 1;
  }
  writeFileSync(stackFile(), stringify(file));
}

/** Ends the process that runs the password provider, as a fault in it would. */
function crashProvider() {
  const provider = watch.seen
    .filter(({ commandLine }) => commandLine.includes("cmd/dynamic-provider/index.js"))
    .pop();
  if (provider === undefined) throw new Error("no provider was seen");
  process.kill(provider.pid, "SIGSEGV");
}

/** Of the lines that the SDK has for its own debugging. */
const ofSdk =
  "debug: RegisterResource RPC finished: resource:scanner[pulumi-nodejs:dynamic/apisec:";

const isChange = ({ path }: Incoming) => path.endsWith("/reset-password");

beforeAll(async () => {
  lab = await startTestLab();
  watch = watchProcesses();
  const { world } = lab;
  vault = await startRecorder(world.vault.address, (request) => fault(request));
  apisec = await startRecorder(world.apisec.url, (request) => fault(request));
  lab.env["VAULT_ADDR"] = vault.url;
  lab.env["PULUMI_CONFIG_PASSPHRASE"] = passphrase;
  await lab.stack("dev", { ...devConfig(world), apisecUrl: apisec.url });
  for (const [name, password] of Object.entries(firstPasswords)) {
    await lab.apisec("POST", `accounts/${name}@acme.example/password`, { password });
    await setFirstPassword(name, password);
    hunt.add("first password", password);
  }
  hunt.add("passphrase", passphrase);
  hunt.add("deployer's Vault token", lab.env["VAULT_TOKEN"]);
  hunt.add("GitLab token", world.secrets.gitlabToken);
  hunt.add("root token", world.vault.rootToken);
  await pulumi("preview", ["preview"]);
  await pulumi("up at the highest log level", ["up", "--yes", "-v=9", "--logtostderr", "--debug"]);
  await pulumi("refresh", ["refresh", "--yes"]);
  await pulumi("export", ["stack", "export", "--show-secrets"]);
  await pulumi("output", ["stack", "output", "--show-secrets", "--json"]);
}, 300_000);

afterAll(async () => {
  watch?.stop();
  await Promise.all([vault?.close(), apisec?.close()]);
  await lab?.stop();
});

const passed = () => [...vault.exchanges.splice(0), ...apisec.exchanges.splice(0)];

/** The names of the secrets that a text holds; everything that passed so far is looked for. */
function secretsIn(text: string, except: string[] = []): string[] {
  hunt.addFrom(passed());
  return hunt.in(text, except);
}

async function runJob(): Promise<{ status: string; trace: string; report: string }> {
  const { scheduleId } = JSON.parse(printed["output"]?.stdout ?? "") as { scheduleId: number };
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const result = await lab.runSchedule(scheduleId);
  const jobs = (await (await lab.gitlab("GET", "jobs")).json()) as { id: number }[];
  const artifact = `jobs/${jobs[0]?.id}/artifacts/rotation-report.xml`;
  return { ...result, report: await (await lab.gitlab("GET", artifact)).text() };
}

test("the hunt has something to look for, and finds it in every form", () => {
  secretsIn("");
  for (const name of ["password", "access token", "Vault token of a login", "first password"]) {
    expect(hunt.valuesOf(name).length).toBeGreaterThan(1);
  }
  const [password = ""] = hunt.valuesOf("first password");
  const json = JSON.stringify({ in: JSON.stringify({ in: password }) });
  const html = password.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  for (const text of [json, json.replaceAll("<", "\\u003c"), encodeURIComponent(password)]) {
    expect(hunt.in(text)).toEqual(["first password"]);
  }
  expect(hunt.in(html.replaceAll('"', "&quot;").replaceAll("'", "&#39;"))).not.toEqual([]);
  expect(hunt.in(Buffer.from(password).toString("base64"))).toEqual(["first password"]);
});

test("preview, refresh and outputs print no secret", () => {
  for (const name of ["preview", "refresh", "output"]) {
    const { code, stdout, stderr } = printed[name] ?? { code: 1, stdout: "", stderr: "" };
    expect({ name, code, found: secretsIn(stdout + stderr) }).toEqual({ name, code: 0, found: [] });
  }
});

test("up at the highest log level: only the engine's own lines hold config, and nothing that is live", () => {
  const { code, stdout, stderr } = printed["up at the highest log level"] ?? {
    ...{ code: 1, stdout: "", stderr: "" },
  };
  expect(code).toBe(0);
  const [engine, ours]: [string[], string[]] = [[], []];
  for (const line of `${stdout}\n${stderr}`.split("\n")) {
    (/^\{"time":.*"msg":/.test(line) ? engine : ours).push(line);
  }
  expect(engine.length).toBeGreaterThan(1_000);
  expect(ours.join("\n")).toContain(ofSdk);
  expect(secretsIn(ours.join("\n"))).toEqual([]);
  expect(secretsIn(engine.join("\n"), ["first password"])).toEqual([]);
  const telling = engine.filter((line) => secretsIn(line).length > 0);
  for (const line of telling) expect(line).toMatch(/Provider\[.*\]\.Configure\(\)\.inputs/);
});

test("the state holds first passwords as long as config does, encrypted, and no other secret", () => {
  expect(secretsIn(printed["export"]?.stdout ?? "")).toEqual(["first password"]);
});

test("the job's log and report hold no secret", async () => {
  const { status, trace, report } = await runJob();
  expect(status).toBe("success");
  expect(report).toContain('name="scanner"');
  expect(secretsIn(trace + report)).toEqual([]);
});

/** Everything that a request holds, as careless servers put it into their answers. */
function echo({ path, headers, body }: Incoming): string {
  return `cannot handle ${path} ${String(body)} ${JSON.stringify(headers)}`;
}

const careless: Record<string, (text: string) => { status: number; body: unknown }> = {
  "500 with a message": (text) => ({ status: 500, body: { message: text, errors: [text] } }),
  "401 with a message": (text) => ({ status: 401, body: { message: text, errors: [text] } }),
  "400 with errors": (text) => ({ status: 400, body: { message: text, errors: [text] } }),
  "200 that refuses": (text) => ({
    status: 200,
    body: { errors: true, messages: [{ type: "ERROR", value: text }], data: null },
  }),
  "200 with a page": (text) => ({ status: 200, body: `<html><body>${text}</body></html>` }),
  "307 to elsewhere": (text) => ({ status: 307, body: text }),
  "200 in an odd shape": (text) => ({
    status: 200,
    body: {
      token: [text],
      auth: { client_token: { text }, lease_duration: text },
      data: { data: { password: { text }, username: [text], host: text }, metadata: text },
      ...{ errors: { text }, messages: text },
    },
  }),
};

/** Every kind of answer above, and a connection that breaks. */
const kinds = [...Object.keys(careless), "reset", "truncate"] as const;

/** Lets the requests of one kind go wrong; returns how many did. */
function faultAt(method: string, path: RegExp, kind: string): () => number {
  let struck = 0;
  fault = (request) => {
    if (request.method !== method || !path.test(request.path)) return undefined;
    struck += 1;
    if (kind === "reset" || kind === "truncate") return { action: kind };
    const answer = careless[kind]?.(echo(request)) ?? { status: 500, body: "" };
    const location = `http://127.0.0.1:9/${encodeURIComponent(echo(request)).slice(0, 4_000)}`;
    return { action: { ...answer, ...(answer.status === 307 && { headers: { location } }) } };
  };
  return () => struck;
}

describe("servers that put into their answers what they were sent", () => {
  afterEach(() => {
    fault = () => undefined;
  });

  const places = {
    login: ["POST", /^\/login$/],
    "who am I": ["GET", /login-status/],
    change: ["POST", /reset-password/],
    probe: ["GET", /\/projects/],
    "settings of Vault's key read": ["GET", /\/v1\/apisec\/metadata\//],
    "settings of Vault's key written": ["POST", /\/v1\/apisec\/metadata\//],
    "Vault's record read": ["GET", /\/v1\/apisec\/data\/.*password/],
    "Vault's record written": ["POST", /\/v1\/apisec\/data\//],
    "Vault's login": ["POST", /\/v1\/auth\/.*login/],
    revocation: ["POST", /revoke-self/],
  } as const;
  type Place = keyof typeof places;
  const everyKind = (names: Place[]) =>
    names.flatMap((place, row) => sampled(kinds, row).map((kind) => [place, kind] as const));

  let provider: Provider;

  beforeAll(async () => {
    const policy = ["data", "metadata"]
      .map((kind) => `path "apisec/${kind}/f-*" { capabilities = ["create", "read", "update"] }`)
      .join("\n");
    const vaultToken = await tokenWith(lab.world.vault, "faults", policy);
    manySecrets.add("provider's Vault token", vaultToken);
    hunt.addFrom(passed());
    provider = startProvider({
      env: { VAULT_TOKEN: vaultToken, HOME: lab.env["HOME"] ?? "" },
      hurried: true,
    });
  });
  afterAll(() => provider?.kill());

  function expectNoSecretIn(told: string) {
    manySecrets.addFrom(passed());
    expect([...hunt.in(told), ...manySecrets.in(told)]).toEqual([]);
    expect(told).not.toMatch(/AxiosError|Unhandled/);
  }

  let accounts = 0;
  test.each(
    everyKind([
      ...([
        "login",
        "who am I",
        "change",
        "Vault's record read",
        "Vault's record written",
      ] as const),
      ...(["settings of Vault's key read", "settings of Vault's key written"] as const),
    ]),
  )("the password provider, %s: %s", async (place, kind) => {
    accounts += 1;
    const name = `f-${accounts}`;
    const [password, username] = [`First "${name}" <&> '\\ %`, `${name}@acme.example`];
    manySecrets.add("first password", password);
    await lab.apisec("POST", "accounts", [
      {
        name,
        username,
        password,
        userId: name,
        org: { id: "o", name: "O" },
        roles: ["ROLE_ADMIN"],
      },
    ]);
    const struck = faultAt(places[place][0], places[place][1], kind);
    const answer = await provider.run({
      firstPasswords: { [name]: password },
      inputs: {
        ...{ name, username, host: apisec.url, generation: 1 },
        ...{ acceptAdminToken: true, published: true, mount: "apisec" },
        ...{ vaultAddress: vault.url, apisecPaths: defaultApisecPaths },
      },
    });
    expect(struck()).toBeGreaterThan(0);
    // Settings that are not as declared are set.
    const repaired = place === "settings of Vault's key read" && kind === "200 in an odd shape";
    expect(answer.error?.message ?? "").toMatch(repaired ? /^$/ : /./);
    expectNoSecretIn(JSON.stringify(answer));
  });

  const rotatorPlaces: Place[] = [
    "login",
    "probe",
    "Vault's record read",
    "Vault's record written",
  ];
  test.each(everyKind([...rotatorPlaces, "Vault's login", "revocation"]))(
    "the rotation job, %s: %s",
    async (place, kind) => {
      const struck = faultAt(places[place][0], places[place][1], kind);
      const cwd = lab.env["HOME"] ?? "";
      const env = {
        VAULT_ADDR: vault.url,
        VAULT_AUTH_PATH: "gitlab",
        VAULT_AUTH_ROLE: "apisec-dev-rotator",
        VAULT_ID_TOKEN: await idToken(lab, "dev"),
        ...{ APISEC_MOUNT: "apisec", APISEC_ACCOUNTS: "scanner" },
      };
      const { code, out, err } = await startRotation({ env, hurried: true }, cwd).ended;
      expect(struck()).toBeGreaterThan(0);
      // A token that could not be revoked is a warning; some of these answers are even taken as done.
      if (place !== "revocation") expect(code).not.toBe(0);
      const report = readFileSync(join(cwd, "rotation-report.xml"), "utf8");
      expectNoSecretIn([out, err, report].join("\n"));
      expect(err).not.toMatch(/node:internal|\n\s+at /);
    },
  );

  test("a real job that is refused with its own password in the text", async () => {
    faultAt("POST", /^\/login$/, "401 with a message");
    const { status, trace, report } = await runJob();
    expect(status).toBe("failed");
    expect(trace).toContain("cannot handle /login");
    expect(trace).toContain("[secret]");
    expect(secretsIn(trace + report)).toEqual([]);
  });

  test("a real up that is refused with the new password in the text", async () => {
    raiseGeneration();
    faultAt("POST", /reset-password/, "200 that refuses");
    const { code, stdout, stderr } = await pulumi("refused", ["up", "--yes", "--skip-preview"]);
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("cannot handle /api/v1/orgs");
    expect(secretsIn(stdout + stderr)).toEqual([]);
    expect(stdout + stderr).not.toMatch(/AxiosError/);
  });
});

test("a provider that crashes while it changes a password shows nothing of it", async () => {
  let crashed = false;
  fault = (request) => {
    if (isChange(request) && !crashed) crashProvider();
    crashed ||= isChange(request);
    return undefined;
  };
  const { code, stdout, stderr } = await pulumi("crash", ["up", "--yes", "--skip-preview"]);
  fault = () => undefined;
  expect(crashed).toBe(true);
  expect(code).not.toBe(0);
  expect(secretsIn(stdout + stderr)).toEqual([]);
});

test("once the first passwords are out of config, the state holds no secret at all", async () => {
  await pulumi("config rm", ["config", "rm", "firstPasswords"]);
  const up = await pulumi("up", ["up", "--yes", "--skip-preview"]);
  expect(up.code).toBe(0);
  const { stdout } = await pulumi("export", ["stack", "export", "--show-secrets"]);
  expect(stdout.length).toBeGreaterThan(10_000);
  expect(secretsIn(up.stdout + up.stderr + stdout)).toEqual([]);
});

test("destroy prints no secret", async () => {
  const { code, stdout, stderr } = await pulumi("destroy", ["destroy", "--yes"]);
  expect(code).toBe(0);
  expect(secretsIn(stdout + stderr)).toEqual([]);
});

test("history and backups of the state: no secret in clear; encrypted, first passwords and nothing else", () => {
  const key = keyOfStack();
  const state = filesBelow((lab.env["PULUMI_BACKEND_URL"] ?? "").replace("file://", ""));
  let values = 0;
  const holding = new Set<string>();
  for (const { path, text } of state) {
    expect({ path, found: secretsIn(text) }).toEqual({ path, found: [] });
    const plain = decrypted(text, key);
    values += plain.length;
    for (const name of secretsIn(plain.join("\n"))) holding.add(name);
  }
  expect(values).toBeGreaterThan(20);
  expect([...holding]).toEqual(["first password"]);
  expect(secretsIn(readFileSync(stackFile(), "utf8"))).toEqual([]);
});

test("the CLI's own logs: no secret in clear; encrypted, first passwords and nothing else", () => {
  const logs = engineLogs(lab.env["PULUMI_HOME"] ?? "", keyOfStack());
  const found = (isEncrypted: boolean) => {
    const some = logs.filter((log) => log.isEncrypted === isEncrypted);
    expect(some.length).toBeGreaterThan(3);
    for (const { text } of some) expect(text).toContain('"msg":"CLI Metadata"');
    return some.map(({ name, text, values }) => ({
      name,
      texts: secretsIn(text),
      values: secretsIn(values.join("\n")),
    }));
  };
  for (const { name, ...clear } of found(false)) {
    expect({ name, ...clear }).toEqual({ name, texts: [], values: [] });
  }
  const encrypted = found(true);
  expect(Math.max(...logs.map(({ values }) => values.length))).toBeGreaterThan(500);
  const inTexts = encrypted.flatMap(({ texts }) => texts);
  expect(inTexts.filter((secret) => secret !== "first password")).toEqual([]);
  expect([...new Set(encrypted.flatMap(({ values }) => values))]).toEqual(["first password"]);
});

test("process arguments hold no secret", () => {
  watch.stop();
  expect(watch.seen.length).toBeGreaterThan(100);
  for (const { commandLine } of watch.seen) {
    const found = [...secretsIn(commandLine), ...manySecrets.in(commandLine)];
    expect({ commandLine, found }).toEqual({ commandLine, found: [] });
  }
});

test("no environment holds what its process has no need of", () => {
  const ofThePulumi = ["passphrase", "deployer's Vault token", "GitLab token"];
  /** What a process may hold. */
  function allowed({ commandLine, ancestors }: (typeof watch.seen)[number]): string[] {
    const line = [commandLine, ...ancestors];
    if (line.some((one) => one.includes("lab/gitlab/main.ts"))) {
      return /^(bash( -c bash)?|(\S*\/)?node rotate\.mjs|env .*node rotate\.mjs)$/.test(commandLine)
        ? ["ID token"]
        : [];
    }
    if (line.some((one) => /lab\/apisec|^\S*bao /.test(one))) return [];
    if (/test\/support\/providerProcess/.test(commandLine)) return ["provider's Vault token"];
    if (/node .*\/dist\/rotate\.mjs$/.test(commandLine)) return ["ID token"];
    // The engine hands the whole config to the program in its environment.
    if (commandLine.includes("/@pulumi/pulumi/cmd/run")) return [...ofThePulumi, "first password"];
    return ofThePulumi;
  }
  const sorts = new Set<string>();
  for (const one of watch.seen) {
    const all = [...hunt.in(one.environment), ...manySecrets.in(one.environment)];
    const found = all.filter((name) => !allowed(one).includes(name));
    expect({ of: one.commandLine.slice(0, 200), found }).toEqual({
      of: one.commandLine.slice(0, 200),
      found: [],
    });
    sorts.add(allowed(one).join());
  }
  // Every sort of process was seen: servers, job, provider, what Pulumi starts, and the program.
  expect([...sorts].sort()).toEqual(
    [
      "",
      "ID token",
      "provider's Vault token",
      ofThePulumi.join(),
      [...ofThePulumi, "first password"].join(),
    ].sort(),
  );
  const job = watch.seen.find(({ commandLine }) => /node rotate\.mjs$/.test(commandLine));
  expect(secretsIn(job?.environment ?? "")).toEqual(["ID token"]);
});
