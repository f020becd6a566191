import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApisec } from "../../lab/apisec/server";
import type { Apisec } from "../../lab/apisec/server";
import type { FaultInput } from "../../lab/faults";
import { defaultApisecPaths } from "../../clients/apisec";
import { startProviderHost } from "../support/providerHost";
import type { ProviderHost } from "../support/providerHost";
import { startVault } from "../support/rotationServers";
import type { TestVault } from "../support/rotationServers";

const root = join(__dirname, "..", "..");
const project = "apisec-credentials";
const vaultToken = "hvs.given-token";
const first = "Canary-first-pass-1";

let text: string;
let containsSecrets: boolean;
let apisec: Apisec;
let vault: TestVault;
let host: ProviderHost;
let home: string;
let accounts = 0;
/** Everything that must never be shown: first passwords, Vault's token, what was drawn, access tokens. */
const secrets = new Set<string>();

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "provider-"));
  // As in a run of the program: the secrets are in reach, and must not be captured.
  const environment = {
    ...process.env,
    VAULT_TOKEN: vaultToken,
    PULUMI_CONFIG: JSON.stringify({ [`${project}:firstPasswords`]: JSON.stringify({ a: first }) }),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify([`${project}:firstPasswords`]),
  };
  const args = ["-r", "ts-node/register", "test/support/serializeProvider.ts"];
  const output = execFileSync(process.execPath, args, { cwd: root, env: environment });
  const serialized = JSON.parse(output.toString()) as { text: string; containsSecrets: boolean };
  ({ text, containsSecrets } = serialized);
  apisec = await startApisec({ accounts: [] });
  vault = await startVault();
  host = await startHost();
}, 60_000);

afterAll(async () => {
  host?.stop();
  vault?.close();
  await apisec?.close();
  rmSync(home, { recursive: true, force: true });
});

beforeEach(async () => {
  secrets.add(vaultToken).add(first);
  vault.fault = () => undefined;
  await control("DELETE", "faults");
  await control("DELETE", "requests");
});

afterEach(() => {
  for (const secret of secrets) expect(host.printed()).not.toContain(secret);
});

async function startHost(env: Record<string, string> = {}, cwd = root): Promise<ProviderHost> {
  const started = await startProviderHost(text, cwd, {
    HOME: home,
    VAULT_TOKEN: vaultToken,
    ...env,
  });
  const all = Array.from({ length: 99 }, (_, index) => [`a${index}`, `${first}-${index}`]);
  await started.configure({
    [`${project}:firstPasswords`]: JSON.stringify(Object.fromEntries(all)),
  });
  return started;
}

async function control(method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(`${apisec.controlUrl}/-/lab/${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const faults = (...list: FaultInput[]) => control("POST", "faults", list);

async function requestCounts(): Promise<Record<string, number>> {
  const { counts } = (await control("GET", "requests")) as { counts: Record<string, number> };
  return counts;
}

/** A new account at APIsec with its first password, and what the program would ask for it. */
async function newAccount(changed: object = {}) {
  const name = `a${(accounts += 1)}`;
  const username = `${name}@acme.example`;
  const password = `${first}-${name.slice(1)}`;
  secrets.add(password);
  const org = { id: "org-1", name: "Acme" };
  const roles = ["ROLE_USER", "ROLE_ADMIN"];
  await control("POST", "accounts", [
    { name, username, password, org, roles, userId: `u-${name}` },
  ]);
  return {
    name,
    username,
    host: apisec.url,
    organization: "Acme",
    generation: 1,
    acceptAdminToken: true,
    published: true,
    mount: "apisec",
    vaultAddress: vault.url,
    apisecPaths: defaultApisecPaths,
    ...changed,
  };
}

async function isLive(username: string, password: unknown): Promise<boolean> {
  const answer = await control("POST", `accounts/${username}/check`, { password });
  return (answer as { live: boolean }).live;
}

function record(name: string): { version: number; data: Record<string, unknown> } {
  const found = vault.keys.get(`${name}/password`);
  if (found === undefined) throw new Error(`No record of ${name}`);
  for (const value of [found.data["password"], found.data["pending_password"]]) {
    if (typeof value === "string") secrets.add(value);
  }
  return found;
}

/** The text that the engine would show for a call that must fail; no secret is in it. */
async function failure(call: Promise<unknown>, name: string): Promise<string> {
  const error = await call.then(
    () => Promise.reject(new Error("It did not fail")),
    (thrown: Error & { details?: string; metadata?: unknown }) => thrown,
  );
  if (vault.keys.has(`${name}/password`)) record(name);
  const shown = JSON.stringify([error, error.message, error.metadata, host.printed()]);
  for (const secret of secrets) expect(shown).not.toContain(secret);
  expect(shown).not.toMatch(/Bearer|eyJ/);
  // An error that lost its text on the way out would read "undefined" or "[object Object]".
  expect(error.details).toMatch(/^\S.* /);
  expect(error.details).not.toMatch(/undefined|\[object/);
  return error.details ?? "";
}

describe("the code in the state", () => {
  test("is small, needs nothing but node, and holds no secret", () => {
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1280);
    expect(containsSecrets).toBe(false);
    expect(text).not.toContain(first);
    expect(text).not.toContain(vaultToken);
    expect(text).not.toContain("require(");
  });
});

describe("create", () => {
  test("changes the first password and says so without showing one", async () => {
    const inputs = await newAccount();
    const { id, outs } = await host.create(inputs);
    expect(id).toBe(`${inputs.name}/password`);
    expect(outs).toEqual({
      ...inputs,
      currentGeneration: 1,
      recordVersion: 2,
      changeOpen: false,
      recordDeleted: false,
      tokenStale: false,
    });
    const { data, version } = record(inputs.name);
    expect(version).toBe(2);
    expect(data).toMatchObject({ username: inputs.username, host: apisec.url, generation: 1 });
    expect(await isLive(inputs.username, data["password"])).toBe(true);
    expect(await isLive(inputs.username, `${first}-${inputs.name.slice(1)}`)).toBe(false);
    for (const secret of secrets) expect(JSON.stringify(outs)).not.toContain(secret);
  });

  test("sets the key before its first value, where an up of this account alone left it out", async () => {
    const inputs = await newAccount();
    const key = `${inputs.name}/password`;
    await host.create(inputs);
    const writes = () =>
      vault.seen
        .filter(({ method, path }) => method === "POST" && path.endsWith(key))
        .map(({ path }) => path);
    const [value, settings] = [`/v1/apisec/data/${key}`, `/v1/apisec/metadata/${key}`];
    // The value is staged and promoted, and the mark says so.
    expect(writes()).toEqual([settings, value, value, settings]);
    expect(vault.settings.get(key)).toMatchObject({ cas_required: true, max_versions: 10 });
    // Usually the whole stack's keys have been set by then.
    await host.create(inputs);
    expect(writes()).toEqual([settings, value, value, settings, settings]);
  });

  test("of one account after another takes the same connections", async () => {
    await host.create(await newAccount());
    const before = vault.connections();
    for (let more = 0; more < 5; more += 1) await host.create(await newAccount());
    // The keys of one account are read two at a time.
    expect(vault.connections() - before).toBeLessThanOrEqual(1);
  });

  test("of an account without a first password: the printed command names the stack", async () => {
    const owner = { project: "p", stack: "prod", instance: "gitlab.com/42" };
    const { name, ...others } = await newAccount({ owner });
    const inputs = { ...others, name: `${name}-unknown` };
    expect(await failure(host.create(inputs), inputs.name)).toContain(
      `Set it with \`pulumi config set --secret --path 'firstPasswords.${inputs.name}' --stack prod\`.`,
    );
  });

  test("again, as after a lost state, changes nothing", async () => {
    const inputs = await newAccount();
    const once = await host.create(inputs);
    const before = record(inputs.name);
    expect(await host.create(inputs)).toEqual(once);
    expect(record(inputs.name)).toEqual(before);
    expect(await requestCounts()).toMatchObject({ changed: 1, loginFailed: 0 });
  });

  test("knows the first passwords in every call, the first two at once included", async () => {
    host.stop();
    host = await startHost();
    const both = [await newAccount(), await newAccount()] as const;
    const made = await Promise.all(both.map((inputs) => host.create(inputs)));
    expect(made.map(({ outs }) => outs["currentGeneration"])).toEqual([1, 1]);
  });
});

describe("update", () => {
  test("draws another password for a raised generation", async () => {
    const inputs = await newAccount();
    const { outs } = await host.create(inputs);
    const old = record(inputs.name).data["password"];
    const news = { ...inputs, generation: 2 };
    expect(await host.update(outs, news)).toMatchObject({ generation: 2, currentGeneration: 2 });
    expect(await isLive(inputs.username, old)).toBe(false);
    expect(await isLive(inputs.username, record(inputs.name).data["password"])).toBe(true);
  });

  test("moves an account to another host with the same user, and writes it down", async () => {
    const inputs = await newAccount();
    const { outs } = await host.create(inputs);
    const moved = { ...inputs, host: apisec.url.replace("127.0.0.1", "localhost") };
    expect(await host.update(outs, moved)).toMatchObject({
      host: moved.host,
      currentGeneration: 1,
    });
    expect(record(inputs.name).data["host"]).toBe(moved.host);
    expect(await requestCounts()).toMatchObject({ changed: 1 });
  });
});

describe("diff", () => {
  const ready = { currentGeneration: 1, recordVersion: 2, changeOpen: false, recordDeleted: false };

  test("sees nothing to do where the record is as wanted", async () => {
    const inputs = await newAccount();
    const olds = { ...inputs, ...ready, currentGeneration: 3, recordVersion: 99 };
    expect(await host.diff(olds, inputs)).toEqual({ changes: false, replaces: [] });
  });

  test("sees every input that changed, and never replaces", async () => {
    const inputs = await newAccount();
    const changes = {
      name: "b",
      username: "b@acme.example",
      host: "https://other.example",
      organization: undefined,
      generation: 2,
      changedBy: { name: "admin", username: "admin@acme.example" },
      acceptAdminToken: false,
      published: false,
      mount: "other",
      vaultAddress: "https://vault.example.com",
      vaultNamespace: "teams/a",
      apisecPaths: { ...defaultApisecPaths, login: "/auth/login" },
    };
    for (const [key, value] of Object.entries(changes)) {
      const answer = await host.diff({ ...inputs, ...ready }, { ...inputs, [key]: value });
      expect({ key, ...answer }).toEqual({ key, changes: true, replaces: [] });
    }
  });

  test("sees what a refresh found in the record", async () => {
    const inputs = await newAccount();
    for (const seen of [{ currentGeneration: 0 }, { changeOpen: true }, { recordDeleted: true }]) {
      const { changes } = await host.diff({ ...inputs, ...ready, ...seen }, inputs);
      expect(changes).toBe(true);
    }
  });
});

describe("read", () => {
  test("says what the record says, by one look and without a login", async () => {
    const inputs = await newAccount();
    const { outs } = await host.create(inputs);
    await control("DELETE", "requests");
    vault.seen.length = 0;
    expect(await host.read(outs)).toEqual({ id: "id", outs });
    expect(vault.seen.map(({ method }) => method)).toEqual(["GET"]);
    expect((await requestCounts())["login"]).toBe(0);

    const { data } = record(inputs.name);
    const pending = { pending_password: "Canary-pending-1", pending_generation: 2 };
    secrets.add(pending.pending_password);
    vault.put(`${inputs.name}/password`, { ...data, ...pending });
    const open = await host.read(outs);
    expect(open.outs).toEqual({ ...outs, recordVersion: 3, changeOpen: true });
  });

  test("tells a deleted record from a Vault that does not answer", async () => {
    const inputs = await newAccount();
    const { outs } = await host.create(inputs);
    const gone = { data: null, metadata: { version: 2, deletion_time: "2026-01-01T00:00:00Z" } };
    vault.fault = () => ({ status: 404, body: { data: gone } });
    expect((await host.read(outs)).outs).toEqual({ ...outs, recordDeleted: true });
    vault.fault = () => ({ status: 502, body: "<html>" });
    expect(await failure(host.read(outs), inputs.name)).toContain("with 502 for 20 s");
    vault.fault = () => "reset";
    expect(await failure(host.read(outs), inputs.name)).toContain("closed the connection");
  });
});

describe("delete", () => {
  test("leaves the account and its secret alone, and says so", async () => {
    const inputs = await newAccount();
    const { outs } = await host.create(inputs);
    const before = record(inputs.name);
    vault.seen.length = 0;
    await control("DELETE", "requests");
    await host.remove(outs);
    expect(host.printed()).toContain(
      `Account ${inputs.name}: its password stays as it is, at APIsec and in Vault at apisec/${inputs.name}/password.`,
    );
    expect(vault.seen).toEqual([]);
    expect((await requestCounts())["login"]).toBe(0);
    expect(await isLive(inputs.username, before.data["password"])).toBe(true);
  });
});

describe("an error keeps its text and tells no secret", () => {
  const cases: [string, (inputs: { name: string; username: string }) => unknown, RegExp][] = [
    [
      "a first password that is wrong",
      ({ username }) => control("POST", `accounts/${username}/password`, { password: "Another-1" }),
      /^Account a\d+ was refused with its first password at http/,
    ],
    [
      "a login that answers with an error page",
      () => faults({ match: { kind: "login" }, times: 9, action: { status: 500, body: first } }),
      /^Account a\d+ got no usable answer to the login from http.*: HTTP 500/,
    ],
    [
      "a login that repeats the password",
      () =>
        faults({
          match: { kind: "whoami" },
          times: 9,
          action: {
            status: 403,
            body: { errors: true, messages: [{ type: "ERROR", value: `${first}-${accounts}` }] },
          },
        }),
      /got no usable answer to who-am-I from http.*: \[secret\]/,
    ],
    [
      "a change that is refused",
      () =>
        faults({
          match: { kind: "change" },
          action: {
            status: 200,
            body: { errors: true, messages: [{ type: "ERROR", value: "Too weak" }], data: null },
          },
        }),
      /^Account a\d+ was refused its new password: Too weak\. The pending password is kept in apisec\/a\d+\/password, version 1\./,
    ],
    [
      "a Vault that denies",
      () => (vault.fault = denied("/data/")),
      /^Vault denies GET apisec\/data\/a\d+\/password \(403\)/,
    ],
    [
      "a Vault that denies the settings of a key",
      () => (vault.fault = denied("/metadata/")),
      /^Vault denies GET apisec\/metadata\/a\d+\/password \(403\)/,
    ],
    [
      "a record that is none of ours",
      ({ name }) => vault.put(`${name}/password`, { password: `${first}-x` }),
      /^Account a\d+ has a record that is not one of this program: apisec\/a\d+\/password, version 1\./,
    ],
  ];

  function denied(part: string): TestVault["fault"] {
    return ({ path }) =>
      path.includes(part) ? { status: 403, body: { errors: ["permission denied"] } } : undefined;
  }

  test.each(cases)("%s", async (_, arrange, expected) => {
    const inputs = await newAccount();
    await arrange(inputs);
    expect(await failure(host.create(inputs), inputs.name)).toMatch(expected);
  });

  test("a password that was changed outside", async () => {
    const inputs = await newAccount();
    const { outs } = await host.create(inputs);
    await control("POST", `accounts/${inputs.username}/password`, { password: "Outside-1" });
    expect(await failure(host.update(outs, { ...inputs, published: false }), inputs.name)).toMatch(
      /^Account a\d+ was changed outside: the password in apisec\/a\d+\/password, version 2, no longer logs in\./,
    );
  });

  test("no token, no CA file, no package", async () => {
    const inputs = await newAccount();
    const usual = host;
    const failing = async (env: Record<string, string>, cwd?: string) => {
      host = await startHost(env, cwd);
      const answer = await failure(host.create(inputs), inputs.name);
      host.stop();
      return answer;
    };
    expect(await failing({ VAULT_TOKEN: "" })).toBe(
      "No Vault token: set VAULT_TOKEN or log in with `vault login`. [APC-NO-VAULT-TOKEN]",
    );
    expect(await failing({ VAULT_CACERT: "/no/such/ca.pem" })).toContain("/no/such/ca.pem");
    expect(await failing({}, home)).toContain("apisec-credentials/passwordProvider");
    host = usual;
  });
});
