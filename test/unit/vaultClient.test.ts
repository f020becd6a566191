import { systemClock, transportError } from "../../net/http";
import type { Send } from "../../net/http";
import { capabilities, list } from "../../clients/look";
import { encodePath, jwtLogin, kvStore, revokeSelf, vaultCall } from "../../clients/vault";
import { scripted } from "../support/scripted";
import type { Scripted } from "../support/scripted";

const address = "https://vault.example.com:8200/behind/a/path";
const token = "hvs.canary-token";

function vaultWith(...answers: Scripted[]) {
  const script = scripted(...answers);
  const { send, clock } = script;
  const vault = { send, clock, address, token };
  return { script, vault, store: kvStore(vault, "team/apisec") };
}

const created = "2026-01-01T00:00:00.123456789Z";
const metadata = (version: number, deletion_time = "") => ({
  version,
  deletion_time,
  created_time: created,
  custom_metadata: { version: "3" },
});
const value = (version: number) => ({
  status: 200,
  body: { data: { data: { password: "p" }, metadata: metadata(version) } },
});
const refused = transportError("refused", address);
const reset = transportError("reset", address);

/** The error of a call that must fail. */
async function errorOf(call: Promise<unknown>): Promise<Error & { problem?: string }> {
  return call.then(
    () => Promise.reject(new Error("It did not fail")),
    (error: Error) => error,
  );
}

describe("a read", () => {
  test("asks for the key's newest value and its version in one call", async () => {
    const { script, store } = vaultWith(value(7));
    await expect(store.read("scanner/password")).resolves.toEqual({
      state: "found",
      version: 7,
      data: { password: "p" },
      deletionTime: "",
      createdTime: created,
      custom: { version: "3" },
    });
    expect(script.sent).toEqual([
      {
        method: "GET",
        url: `${address}/v1/team/apisec/data/scanner/password`,
        headers: { "x-vault-request": "true", "x-vault-token": token },
        timeoutMs: 15_000,
        maxBytes: 4 * 1024 * 1024,
      },
    ]);
  });

  test("may ask for an older version", async () => {
    const { script, store } = vaultWith(value(2));
    await store.read("scanner/password", 2);
    expect(script.sent[0]?.url).toBe(`${address}/v1/team/apisec/data/scanner/password?version=2`);
  });

  test("tells a deleted value from one that never was", async () => {
    const time = "2026-01-01T00:00:00Z";
    const gone = { data: null, metadata: metadata(3, time) };
    const deleted = vaultWith({ status: 404, body: { data: gone } });
    await expect(deleted.store.read("a/token")).resolves.toEqual({
      state: "deleted",
      version: 3,
      deletionTime: time,
      createdTime: created,
      custom: { version: "3" },
    });
    const absent = vaultWith({ status: 404, body: { errors: [] } });
    await expect(absent.store.read("a/token")).resolves.toEqual({ state: "absent" });
  });

  const unusable: [string, Scripted, string][] = [
    [
      "no such mount",
      { status: 404, body: { errors: ["no handler for route"] } },
      "Vault answers GET team/apisec/data/a/token with 404, not with a KV version 2 value: no handler for route",
    ],
    [
      "a namespace that is not there",
      { status: 404, body: { errors: ["namespace not found"] } },
      "with 404, not with a KV version 2 value: namespace not found",
    ],
    [
      "a mount of KV version 1",
      { status: 200, body: { data: { password: "canary" } } },
      "Vault answers GET team/apisec/data/a/token with 200, not with a KV version 2 value",
    ],
    [
      "HTML",
      { status: 200, body: "<html>canary</html>" },
      "with 200, not with a KV version 2 value",
    ],
    [
      "a body that was cut off",
      { status: 200, body: '{"data":{"data":{"password":"canary' },
      "with 200, not with a KV version 2 value",
    ],
    [
      "a list as data",
      { status: 200, body: { data: { data: ["canary"], metadata: metadata(1) } } },
      "with 200, not with a KV version 2 value",
    ],
  ];
  test.each(unusable)("fails on %s", async (_, answer, text) => {
    const error = await errorOf(vaultWith(answer).store.read("a/token"));
    expect(error.message).toContain(text);
    expect(error.message).not.toContain("canary");
    expect(error.problem).toBe("refused");
  });
});

describe("a write", () => {
  const written = { status: 200, body: { data: metadata(8, "2026-01-02T00:00:00Z") } };

  test("carries check-and-set", async () => {
    const { script, store } = vaultWith(written);
    const result = await store.write("scanner/token", { token: "t" }, 7);
    expect(result).toEqual({
      state: "written",
      version: 8,
      deletionTime: "2026-01-02T00:00:00Z",
      createdTime: created,
    });
    const [request] = script.sent;
    expect(request).toMatchObject({
      method: "POST",
      url: `${address}/v1/team/apisec/data/scanner/token`,
      headers: { "content-type": "application/json" },
    });
    expect(JSON.parse(request?.body ?? "")).toEqual({ options: { cas: 7 }, data: { token: "t" } });
  });

  test("knows that it lost against another", async () => {
    const errors = ["check-and-set parameter did not match the current version"];
    const { store, script } = vaultWith({ status: 400, body: { errors } });
    await expect(store.write("a/token", {}, 0)).resolves.toEqual({ state: "lost" });
    expect(script.sent).toHaveLength(1);
  });

  test("that Vault refuses is an error with its text", async () => {
    const errors = ["check-and-set parameter required for this call", "\u001b[31mx"];
    const { store } = vaultWith({ status: 400, body: { errors } });
    const error = await errorOf(store.write("a/token", { token: "canary" }, 0));
    expect(error).toMatchObject({ name: "VaultError", problem: "refused" });
    expect(error.message).toBe(
      "Vault answers POST team/apisec/data/a/token with 400: check-and-set parameter required for this call;  [31mx",
    );
  });

  test("without a version in the answer is no success", async () => {
    for (const answer of [{ status: 200, body: "<html>" }, { status: 204 }]) {
      const error = await errorOf(vaultWith(answer).store.write("a/token", {}, 0));
      expect(error.problem).toBe("refused");
    }
  });
});

describe("a standby that is behind", () => {
  const lost = {
    status: 400,
    body: { errors: ["check-and-set parameter did not match the current version"] },
  };
  const written = (version: number) => ({ status: 200, body: { data: metadata(version) } });
  const absent = { status: 404, body: { errors: [] } };

  test.each<[string, Scripted, number, Scripted]>([
    ["what was written", written(8), 8, value(7)],
    ["what won the race", lost, 8, value(7)],
    ["a first version", written(1), 1, absent],
  ])("is asked again until it shows %s", async (_, answer, version, stale) => {
    const { script, store } = vaultWith(answer, stale, stale, value(version));
    await store.write("a/token", {}, version - 1);
    await expect(store.read("a/token")).resolves.toMatchObject({ version });
    expect(script.waits).toEqual([100, 100]);
  });

  test("is believed after 2 s: somebody may have deleted the key for good", async () => {
    const { script, store } = vaultWith(lost, absent);
    await store.write("a/token", {}, 7);
    await expect(store.read("a/token")).resolves.toEqual({ state: "absent" });
    expect(script.sent).toHaveLength(1 + 21);
    await store.read("a/token");
    expect(script.sent).toHaveLength(1 + 21 + 1);
  });

  test("is not asked again of another key, or of an older version", async () => {
    const { script, store } = vaultWith(written(8), value(3));
    await store.write("a/token", {}, 7);
    await store.read("b/token");
    await store.read("a/token", 3);
    expect(script.waits).toEqual([]);
  });
});

describe("a call", () => {
  test.each([
    ["a replica that lags", { status: 412, body: { errors: ["x"] } }],
    ["too many requests", { status: 429 }],
    ["a leader change", { status: 307, headers: { location: "https://dead.example" } }],
    ["a server error", { status: 500 }],
    ["a bad gateway", { status: 502, body: "<html>" }],
    [
      "a mount that is being upgraded",
      {
        status: 400,
        body: {
          errors: [
            "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period",
          ],
        },
      },
    ],
    [
      "a standby that waits for that",
      {
        status: 400,
        body: {
          errors: ["Waiting for the primary to upgrade from non-versioned to versioned data."],
        },
      },
    ],
    ["a refused connection", refused],
    ["a connection that was reset", reset],
  ] as [string, Scripted][])("is repeated on %s", async (_, answer) => {
    const { script, store } = vaultWith(answer, answer, answer, value(1));
    await expect(store.read("a/token")).resolves.toMatchObject({ state: "found" });
    expect(script.sent).toHaveLength(4);
    expect(new Set(script.sent.map((request) => JSON.stringify(request))).size).toBe(1);
    expect(script.waits).toEqual([500, 1000, 2000]);
  });

  test("waits as long as it is asked to, within bounds", async () => {
    const asked = ["3", "0", "86400", "Thu, 01 Jan 2026 00:00:26 GMT", "soon"];
    for (const [index, wait] of [3_000, 500, 20_000, 20_000, 500].entries()) {
      const headers = { "retry-after": asked[index] ?? "" };
      const { script, store } = vaultWith({ status: 429, headers }, value(1));
      await store.read("a/token");
      expect(script.waits).toEqual([wait]);
    }
  });

  const endings: [string, Scripted, string, string, number][] = [
    [
      "denied",
      { status: 403, body: { errors: ["permission denied"] } },
      "denied",
      "Vault denies GET apisec/config (403): the token",
      1,
    ],
    [
      "at a sealed Vault",
      { status: 503, body: { errors: ["Vault is sealed"] } },
      "sealed",
      `Vault at ${address} is sealed (503)`,
      10,
    ],
    [
      "redirected, and no node leads",
      { status: 307, headers: { location: "https://evil.example" } },
      "redirect",
      `Vault at ${address} redirects GET apisec/config (307), as a standby node does`,
      10,
    ],
    [
      "sent to another address for good",
      { status: 301, headers: { location: "https://evil.example" } },
      "redirect",
      `Vault at ${address} redirects GET apisec/config (301), as a standby node does`,
      1,
    ],
    [
      "always too many",
      { status: 429 },
      "unreachable",
      "Vault answers GET apisec/config with 429 for 20 s",
      10,
    ],
    [
      "at a broken server, whose reason is shown without the secrets that it quotes",
      { status: 500, body: { errors: [`no space left: ${token} hunter2-canary`] } },
      "unreachable",
      "Vault answers GET apisec/config with 500 for 20 s: no space left: [secret] [secret]",
      10,
    ],
    [
      "behind something that is down",
      { status: 503, body: { errors: ["no healthy upstream"] } },
      "unreachable",
      "Vault answers GET apisec/config with 503 for 20 s: no healthy upstream",
      10,
    ],
    [
      "without an answer",
      refused,
      "unreachable",
      `Vault: ${new URL(address).origin} refused the connection`,
      4,
    ],
  ];
  test.each(endings)("ends when it is %s", async (_, answer, problem, text, times) => {
    const { script, vault } = vaultWith(answer);
    const error = await errorOf(
      vaultCall(vault, "GET", "apisec/config", undefined, ["hunter2-canary"]),
    );
    expect(error).toBeInstanceOf(Error);
    expect(error.problem).toBe(problem);
    expect(error.message).toContain(text);
    expect(JSON.stringify(error) + error.message + error.stack).not.toContain("canary");
    expect(script.sent).toHaveLength(times);
    expect(script.sent.every(({ url }) => url.startsWith(address))).toBe(true);
  });

  test("that was answered before is asked for 20 s, the 4 tries are for an address that never answers", async () => {
    const { script, vault } = vaultWith({ status: 200, body: {} }, refused);
    const connection = { ...vault, met: {} };
    await vaultCall(connection, "GET", "sys/x");
    await errorOf(vaultCall(connection, "GET", "sys/x"));
    expect(script.sent).toHaveLength(1 + 10);
    expect(script.waits.reduce((sum, wait) => sum + wait, 0)).toBe(20_000);
  });

  test("after a write names that write, so that no older standby answers", async () => {
    const indexOf = (value: string) =>
      Buffer.from(JSON.stringify({ cluster: "c", value })).toString("base64");
    const answer = (value?: string): Scripted => ({
      status: 200,
      body: {},
      headers: value === undefined ? {} : { "x-vault-index": indexOf(value) },
    });
    // Answers to calls that are made at once come in any order; 9 is less than 10.
    const { script, vault } = vaultWith(answer("10"), answer("9"), answer());
    const connection = { ...vault, met: {} };
    for (const method of ["POST", "POST", "GET"] as const) {
      await vaultCall(connection, method, "apisec/metadata/a/token", {});
    }
    const sent = script.sent.map(({ headers }) => headers);
    expect(sent[0]).not.toHaveProperty("x-vault-inconsistent");
    for (const headers of sent.slice(1)) {
      expect(headers).toMatchObject({
        "x-vault-index": indexOf("10"),
        "x-vault-inconsistent": "forward-active-node",
      });
    }
  });

  test("carries the namespace, and a token only where there is one", async () => {
    const { script, vault } = vaultWith({ status: 200, body: {} });
    await vaultCall({ ...vault, namespace: "teams/a", token: undefined }, "POST", "sys/x", {});
    expect(script.sent[0]?.headers).toEqual({
      "x-vault-request": "true",
      "x-vault-namespace": "teams/a",
      "content-type": "application/json",
    });
  });
});

test("a path is encoded segment by segment", async () => {
  expect(encodePath("team/a b/ä?#%/..")).toBe("team/a%20b/%C3%A4%3F%23%25/..");
  const script = scripted(value(1));
  const store = kvStore({ ...script, address }, "kv 1/x");
  await store.read("a?version=1#/token");
  expect(script.sent[0]?.url).toBe(`${address}/v1/kv%201/x/data/a%3Fversion%3D1%23/token`);
});

describe("a login with GitLab's ID token", () => {
  const jwt = "header.canary-claims.signature";

  test("gives a Vault token and its life", async () => {
    const auth = { client_token: "hvs.new", lease_duration: 900 };
    const { script, vault } = vaultWith({ status: 200, body: { auth } });
    await expect(
      jwtLogin({ ...vault, token: undefined }, "jwt/git lab", "r", jwt),
    ).resolves.toEqual({
      token: "hvs.new",
      leaseSeconds: 900,
    });
    const [request] = script.sent;
    expect(request?.url).toBe(`${address}/v1/auth/jwt/git%20lab/login`);
    expect(JSON.parse(request?.body ?? "")).toEqual({ role: "r", jwt });
    expect(request?.headers).not.toHaveProperty("x-vault-token");
  });

  test("that is refused says why, without the ID token", async () => {
    const errors = [`error validating claims: claim "ref" does not match; ${jwt}`];
    const { vault } = vaultWith({ status: 400, body: { errors } });
    const error = await errorOf(jwtLogin(vault, "gitlab", "rotator", jwt));
    expect(error.message).toBe(
      'Vault refuses the login with role "rotator" at auth/gitlab (400): error validating claims: claim "ref" does not match; [secret]',
    );
    expect(error.problem).toBe("denied");
  });

  test("without a token in the answer is none", async () => {
    const answers = [{ auth: null }, { auth: { lease_duration: 1 } }, "<html>"];
    for (const body of answers) {
      const { vault } = vaultWith({ status: 200, body });
      expect((await errorOf(jwtLogin(vault, "gitlab", "r", jwt))).problem).toBe("denied");
    }
  });
});

test("a token can end itself", async () => {
  const { script, vault } = vaultWith({ status: 204 });
  await revokeSelf(vault);
  expect(script.sent[0]).toMatchObject({
    method: "POST",
    url: `${address}/v1/auth/token/revoke-self`,
    headers: { "x-vault-token": token },
  });
});

describe("what a token may do", () => {
  const paths = Array.from({ length: 950 }, (_, index) => `team/data/a${index}/token`);

  /** Answers each request for its own paths, the first ones last; `refuses` the nth. */
  function asked(refuses?: number) {
    const sizes: number[] = [];
    const flying = { now: 0, most: 0 };
    const send: Send = async ({ body = "" }) => {
      const { paths: some } = JSON.parse(body) as { paths: string[] };
      const number = sizes.push(some.length);
      flying.now += 1;
      flying.most = Math.max(flying.most, flying.now);
      await new Promise((resolve) => setTimeout(resolve, 20 - number));
      flying.now -= 1;
      if (number === refuses) return { status: 403, headers: {}, body: '{"errors":["no"]}' };
      const data = Object.fromEntries(some.map((path) => [path, [path.slice(10)]]));
      return { status: 200, headers: {}, body: JSON.stringify({ data }) };
    };
    return { sizes, flying, vault: { send, clock: systemClock, address, token } };
  }

  test("is asked in requests of a hundred paths, four at once, and is known of each path", async () => {
    const { sizes, flying, vault } = asked();
    const found = await capabilities(vault, paths);
    expect([...found.keys()].sort()).toEqual([...paths].sort());
    for (const [path, rights] of found) expect(rights).toEqual([path.slice(10)]);
    expect(sizes).toEqual([...Array<number>(9).fill(100), 50]);
    expect(flying.most).toBe(4);
  });

  test("is unknown where one of the requests is refused", async () => {
    const { vault } = asked(7);
    await expect(capabilities(vault, paths)).rejects.toMatchObject({ problem: "denied" });
  });
});

test("names are listed by a GET, which every gateway lets pass", async () => {
  const { script, vault } = vaultWith({ status: 200, body: { data: { keys: ["a", "b/"] } } });
  await expect(list(vault, "team/metadata")).resolves.toEqual(["a", "b/"]);
  expect(script.sent).toMatchObject([
    { method: "GET", url: `${address}/v1/team/metadata?list=true` },
  ]);
});
