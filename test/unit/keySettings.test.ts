import http from "node:http";
import type { AddressInfo } from "node:net";
import fc from "../support/fastCheck";
import { passwordKeySettings, tokenKeySettings } from "../../desired/keySettings";
import type { KeySettings } from "../../desired/keySettings";
import { keySettingsMethods } from "../../providers/keySettingsMethods";
import type { KeySettingsInputs, KeySettingsState } from "../../providers/keySettingsMethods";
import { passwordMethods } from "../../providers/passwordMethods";
import type { PasswordInputs } from "../../providers/passwordMethods";
import { asVaultKeeps } from "../support/rotationServers";

const token = "hvs.canary-deployer";
const upgrade = { errors: ["Upgrading from non-versioned to versioned data. This backend"] };

/** Metadata by path below /v1/; a mount's first answers may be those of an upgrade. */
let vault: Map<string, Record<string, unknown>>;
let upgrading: number;
let fault: (method: string) => { status: number; body?: object | string } | undefined;
let asked: string[];
let server: http.Server;
let vaultAddress: string;

beforeAll(async () => {
  server = http.createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => (text += part));
    request.on("end", () => {
      const { method = "", url = "" } = request;
      const path = url.replace("/v1/", "");
      asked.push(`${method} ${path}`);
      const { status, body } = answer(method, path, text);
      // No wait between the tries of a test.
      response.writeHead(status, { "retry-after": "0.001" });
      response.end(typeof body === "object" ? JSON.stringify(body) : body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  vaultAddress = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const before = process.env["VAULT_TOKEN"];
let printed: string[];
let written: (text: string) => void;
beforeEach(() => {
  printed = [];
  jest.spyOn(console, "log").mockImplementation((text: string) => void printed.push(text));
  process.env["VAULT_TOKEN"] = token;
  vault = new Map();
  upgrading = 0;
  written = () => undefined;
  fault = () => undefined;
  asked = [];
});
afterEach(() => {
  jest.restoreAllMocks();
  if (before === undefined) delete process.env["VAULT_TOKEN"];
  else process.env["VAULT_TOKEN"] = before;
});

function answer(
  method: string,
  path: string,
  text: string,
): { status: number; body?: object | string } {
  if (upgrading-- > 0) return { status: 400, body: upgrade };
  const wrong = fault(method);
  if (wrong !== undefined) return wrong;
  if (path.endsWith("/config")) return { status: 200, body: { data: {} } };
  const found = vault.get(path);
  if (method === "POST") {
    written(text);
    vault.set(path, { ...found, ...asVaultKeeps(JSON.parse(text) as object) });
    return { status: 204 };
  }
  return found ? { status: 200, body: { data: found } } : { status: 404, body: { errors: [] } };
}

const settings = { password: passwordKeySettings, token: tokenKeySettings(84_600) };

function inputsOf(more: Partial<KeySettingsInputs> = {}): KeySettingsInputs {
  const accounts: KeySettingsInputs["accounts"] = {
    admin: ["password"],
    scanner: ["password", "token"],
  };
  return { mount: "team/apisec", vaultAddress, settings, accounts, ...more };
}

/** As the engine has them after an `up`. */
const made = (inputs = inputsOf()): KeySettingsState => ({ ...inputs, differing: {} });
const writes = () => asked.filter((one) => one.startsWith("POST ")).sort();
const update = (olds: KeySettingsState, news: KeySettingsInputs) =>
  keySettingsMethods.update("", olds, news);

test("numbers are written as text, which the deployer's policy can hold to its value", async () => {
  const bodies: string[] = [];
  fault = () => undefined;
  written = (text) => bodies.push(text);
  await keySettingsMethods.create(inputsOf({ accounts: { scanner: ["password"] } }));
  expect(bodies.map((text) => JSON.parse(text) as object)).toEqual([
    { cas_required: true, max_versions: "10", delete_version_after: "0s" },
  ]);
});

test("every key is set before its first value, and what is not named stays", async () => {
  vault.set("team/apisec/metadata/scanner/token", { custom_metadata: { owner: "a" } });
  const { outs } = await keySettingsMethods.create(inputsOf());
  expect(outs).toEqual(made());
  const password = { cas_required: true, max_versions: 10, delete_version_after: "0s" };
  expect(Object.fromEntries(vault)).toEqual({
    "team/apisec/metadata/admin/password": password,
    "team/apisec/metadata/scanner/password": password,
    "team/apisec/metadata/scanner/token": {
      ...{ cas_required: true, delete_version_after: "23h30m0s" },
      custom_metadata: { owner: "a" },
    },
  });
});

describe("a mount", () => {
  test.each([
    ["that was just made is waited for", 11, "set", 12],
    ["that never comes is given up", 1_000, "Upgrading from non-versioned", 16],
  ])("%s", async (_, answersOfUpgrade, ends, tries) => {
    upgrading = answersOfUpgrade;
    const ended = await keySettingsMethods.create(inputsOf()).then(
      () => "set",
      (error: Error) => error.message,
    );
    expect(ended).toContain(ends);
    expect(asked.filter((one) => one.startsWith("GET "))).toHaveLength(tries);
  });

  test.each([
    [500, "disk full", "Vault answers GET team/apisec/config with 500 for 20 s: disk full"],
    [404, "no handler for route", "with 404: no handler for route"],
    [404, "namespace not found", "with 404: namespace not found"],
    [403, "permission denied", "Vault denies GET team/apisec/config (403)"],
  ])("that answers %i, %s, is an error, and nothing is set", async (status, text, expected) => {
    fault = () => ({ status, body: { errors: [text] } });
    const error: Error = await keySettingsMethods.create(inputsOf()).then(
      () => new Error("It was set."),
      (thrown: Error) => thrown,
    );
    expect(error.message).toContain(expected);
    expect(`${error.message} ${error.stack}`).not.toContain(token);
    expect(writes()).toEqual([]);
  });
});

test.each([
  [200, "<html>welcome</html>", false],
  [200, { errors: ["no"] }, false],
  [202, {}, false],
  [200, { request_id: "1", warnings: ["beyond the mount's limit"] }, true],
])("an answer to a write, %i %j, is taken as done: %s", async (status, body, done) => {
  fault = (method) => (method === "POST" ? { status, body } : undefined);
  const ended = keySettingsMethods.create(inputsOf()).then(
    () => "done",
    (error: Error) => error.message,
  );
  expect(await ended).toMatch(done ? /^done$/ : `with ${status}`);
});

test.each([
  ["create", () => keySettingsMethods.create(inputsOf())],
  ["read", () => keySettingsMethods.read("", made())],
])("a %s whose answer quotes the request shows no token", async (_, call) => {
  fault = () => ({ status: 400, body: { errors: [`blocked: header x-vault-token: ${token}`] } });
  await expect(call()).rejects.toThrow("with 400: blocked: header x-vault-token: [secret]");
});

describe("before the first value of a key", () => {
  const reads = () => asked.filter((one) => one.startsWith("GET team/apisec/metadata/"));
  /** Of a key without a value, whatever its settings are. */
  const mark = "GET team/apisec/metadata/scanner/password";
  const password = {
    ...{ name: "scanner", username: "scanner@acme.example", host: "https://apisec.example" },
    ...{ generation: 1, published: true, mount: "team/apisec", minLifetimeSeconds: 84_600 },
  };
  /** Ends where the account has no first password. */
  const create = (more: Partial<PasswordInputs> = {}) =>
    expect(passwordMethods.create({ ...password, vaultAddress, ...more })).rejects.toThrow(
      "first password",
    );

  test("what this up has set is not read again", async () => {
    await keySettingsMethods.create(inputsOf());
    await create();
    expect(reads()).toEqual([mark]);
  });

  test("what it has set otherwise, or elsewhere, is", async () => {
    const token = tokenKeySettings(7_200);
    await keySettingsMethods.create(inputsOf({ settings: { ...settings, token } }));
    await create();
    expect(reads()).toEqual(["GET team/apisec/metadata/scanner/token", mark]);
    expect(vault.get("team/apisec/metadata/scanner/token")).toMatchObject(settings.token);
  });

  test("a token's key is set as the stack's settings say", async () => {
    await create({ name: "other", tokenEndsInVault: false });
    expect(vault.get("team/apisec/metadata/other/token")).toMatchObject(
      tokenKeySettings(undefined),
    );
    await create({ name: "own", published: false });
    expect(vault.has("team/apisec/metadata/own/token")).toBe(false);
  });
});

describe("an up writes no more than it has to", () => {
  const named = (names: string[]) => names.map((key) => `POST team/apisec/metadata/${key}`);
  const all = ["admin/password", "scanner/password", "scanner/token"];

  test.each<[string, Partial<KeySettingsInputs>, Record<string, string>, string[]]>([
    ["nothing, where nothing changed", {}, {}, []],
    [
      "the keys of a new account",
      { accounts: { ...inputsOf().accounts, zap: ["password", "token"] } },
      {},
      ["zap/password", "zap/token"],
    ],
    ["no key of an account that left", { accounts: { admin: ["password"] } }, {}, []],
    [
      "the token's key of an account that is published now",
      { accounts: { admin: ["password", "token"], scanner: ["password", "token"] } },
      {},
      ["admin/token"],
    ],
    [
      "the tokens' keys, where tokens live otherwise",
      { settings: { ...settings, token: tokenKeySettings(7_200) } },
      {},
      ["scanner/token"],
    ],
    ["what a refresh found to differ", {}, { "scanner/token": "not there" }, ["scanner/token"]],
    ["all, in another namespace", { vaultNamespace: "apisec" }, {}, all],
    ["all, in another Vault", { vaultAddress: "" }, {}, all],
  ])("%s", async (_, change, differing, expected) => {
    const olds = { ...made(inputsOf()), differing };
    // The Vault of this test is the new one.
    if (change.vaultAddress === "") olds.vaultAddress = "http://127.0.0.1:1";
    const news = inputsOf(change.vaultAddress === "" ? {} : change);
    const { changes } = await keySettingsMethods.diff("", olds, news);
    const { outs } = await update(olds, news);
    expect(writes()).toEqual(named(expected));
    expect(outs).toEqual(made(news));
    const isSame = Object.keys(change).length === 0 && Object.keys(differing).length === 0;
    expect(changes).toBe(!isSame);
  });

  test("all, in another mount", async () => {
    await update(made(), inputsOf({ mount: "other" }));
    expect(writes()).toEqual(all.map((key) => `POST other/metadata/${key}`));
  });
});

describe("a refresh", () => {
  test("names each key that differs and in what; the next up says so and fixes it", async () => {
    await keySettingsMethods.create(inputsOf());
    const path = (key: string) => `team/apisec/metadata/${key}`;
    vault.delete(path("admin/password"));
    vault.set(path("scanner/password"), { cas_required: false, max_versions: 0 });
    const { props } = await keySettingsMethods.read("", made());
    expect(props.differing).toEqual({
      "admin/password": "not there",
      "scanner/password":
        "cas_required is false, declared true, max_versions is not set, declared 10",
    });
    expect(await keySettingsMethods.diff("", props, inputsOf())).toEqual({ changes: true });
    expect(printed).toContain(
      "Settings of key admin/password in Vault: not there: `pulumi up` sees to it.",
    );
    const { outs } = await update(props, inputsOf());
    expect((await keySettingsMethods.read("", outs)).props).toEqual(made());
    expect(await keySettingsMethods.diff("", outs, inputsOf())).toEqual({ changes: false });
  });

  test.each([403, 500, 400])(
    "that is answered with %i is an error, never a drift",
    async (status) => {
      fault = () => ({ status });
      await expect(keySettingsMethods.read("", made())).rejects.toThrow(String(status));
    },
  );

  test("whatever was done by hand, refresh and up lead to what is declared", async () => {
    const accounts = fc.dictionary(
      fc.constantFrom("a", "b", "c", "1"),
      fc.constantFrom(["password"], ["password", "token"]),
    );
    const settingsOf = fc.record({
      password: fc.constant(passwordKeySettings),
      token: fc.constantFrom(tokenKeySettings(3_600), tokenKeySettings(84_600)),
    });
    const byHand = fc.record({
      key: fc.constantFrom("a/password", "a/token", "b/password", "c/token", "1/password"),
      found: fc.option(fc.constantFrom<KeySettings>({ cas_required: false }, { max_versions: 3 })),
    });
    const step = fc.record({ accounts, settings: settingsOf, byHand: fc.array(byHand) });
    const steps = fc.array(step, { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        vault = new Map();
        let state = (await keySettingsMethods.create(inputsOf({ accounts: {} }))).outs;
        for (const { byHand: edits, ...wanted } of all) {
          for (const { key, found } of edits) {
            const path = `team/apisec/metadata/${key}`;
            if (found === null) vault.delete(path);
            else vault.set(path, { ...vault.get(path), ...found });
          }
          const news = inputsOf(wanted);
          const seen = (await keySettingsMethods.read("", state)).props;
          const { changes } = await keySettingsMethods.diff("", seen, news);
          if (changes) state = (await update(seen, news)).outs;
          expect((await keySettingsMethods.read("", made(news))).props.differing).toEqual({});
        }
      }),
      { numRuns: 50 },
    );
  });
});
