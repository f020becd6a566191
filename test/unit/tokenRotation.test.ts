import fc from "../support/fastCheck";
import { readableUntil, rfc3339, rotateToken } from "../../core/tokenRotation";
import { accessToken } from "../support/accessToken";
import type { Apisec, LoginAnswer, ProbeAnswer } from "../../clients/apisec";
import type { Met, RotationRules, RotationTools } from "../../core/tokenRotation";
import type { SecretRead, SecretWrite } from "../../clients/vault";
import type { TokenParts } from "../support/accessToken";

const now = Date.parse("2026-11-24T06:00:00Z") / 1000;
const day = 24 * 3600;
const username = "svc@acme.example";
const host = "https://cloud.apisec.ai";
const rules: RotationRules = { minLifetimeSeconds: 3600, source: "https://gitlab.example/p/1" };

const token = (parts: TokenParts = {}, salt = "") =>
  accessToken({ sub: `Acme//${username}`, iat: now, exp: now + day, ...parts }, salt);

interface Key {
  version: number;
  data: Record<string, unknown> | undefined;
}

/** A KvStore in memory. `before` runs ahead of every call and may change the keys or throw. */
function memoryStore(records: Record<string, Record<string, unknown> | undefined>) {
  const keys = new Map<string, Key>();
  const calls: string[] = [];
  const set = (path: string, data: Record<string, unknown> | undefined) => {
    keys.set(path, { version: (keys.get(path)?.version ?? 0) + 1, data });
  };
  for (const [path, data] of Object.entries(records)) set(path, data);
  const store = {
    keys,
    calls,
    set,
    deletionTime: rfc3339(now + day - 1800),
    before: (() => undefined) as (call: string) => void,
    async read(path: string): Promise<SecretRead> {
      calls.push(`read ${path}`);
      store.before(`read ${path}`);
      await Promise.resolve();
      const key = keys.get(path);
      if (key === undefined) return { state: "absent" };
      const { version, data } = key;
      if (data === undefined) return { state: "deleted", version, deletionTime: "" };
      return { state: "found", version, data, deletionTime: store.deletionTime };
    },
    async write(path: string, data: Record<string, unknown>, cas: number): Promise<SecretWrite> {
      calls.push(`write ${path} cas=${cas}`);
      store.before(`write ${path}`);
      await Promise.resolve();
      if (cas !== (keys.get(path)?.version ?? 0)) return { state: "lost" };
      set(path, data);
      return { state: "written", version: cas + 1, deletionTime: store.deletionTime };
    },
  };
  return store;
}

interface Fakes {
  passwords?: string[];
  issued?: string;
  login?: (password: string) => LoginAnswer | undefined;
  probe?: (token: string) => ProbeAnswer | undefined;
}

function fakeApisec(fakes: Fakes, calls: string[]): Apisec {
  const issued = fakes.issued ?? token();
  return {
    async login(user, password) {
      calls.push(`login ${user} ${password}`);
      const answer = fakes.login?.(password);
      if (answer !== undefined) return answer;
      const good = (fakes.passwords ?? ["password-1"]).includes(password);
      return good ? { kind: "yes", token: issued } : { kind: "no", text: "Bad credentials" };
    },
    async probe(given) {
      calls.push(`probe ${given === issued ? "new" : "stored"}`);
      return fakes.probe?.(given) ?? { kind: "yes" };
    },
    whoAmI: () => Promise.reject(new Error("not a call of the rotation")),
    changePassword: () => Promise.reject(new Error("not a call of the rotation")),
  };
}

function setUp(records: Record<string, Record<string, unknown> | undefined>, fakes: Fakes = {}) {
  const store = memoryStore(records);
  const hosts: string[] = [];
  const tools: RotationTools = {
    store,
    clock: { now: () => now * 1000, sleep: () => Promise.resolve() },
    apisec: (at) => {
      hosts.push(at);
      return fakeApisec(fakes, store.calls);
    },
  };
  const met: Met = { secrets: [] };
  const rotate = (more: Partial<RotationRules> = {}) =>
    rotateToken("scanner", tools, { ...rules, ...more }, met);
  return { store, hosts, met, tools, rotate };
}

const passwordRecord = (more: Record<string, unknown> = {}) => ({
  username,
  password: "password-1",
  host,
  organization: "Acme",
  generation: 1,
  changed_at: "2026-11-01T00:00:00Z",
  ...more,
});
const tokenRecord = (stored: unknown, more: Record<string, unknown> = {}) => ({
  token: stored,
  expires_at: "2026-11-24T12:00:00Z",
  username,
  host,
  ...more,
});
const oldToken = token({ iat: now - 20 * 3600, exp: now + 4 * 3600 });

describe("a rotation", () => {
  test("reads both records, logs in, tries the token, writes with the version it read", async () => {
    const { store, hosts, rotate } = setUp({
      "scanner/password": passwordRecord(),
      "scanner/token": tokenRecord(oldToken),
    });
    expect(await rotate()).toEqual({
      state: "rotated",
      until: now + day - 1800,
      issuedAt: now,
      isFresh: true,
      warnings: [],
    });
    expect(store.calls).toEqual([
      "read scanner/password",
      "read scanner/token",
      `login ${username} password-1`,
      "probe new",
      "write scanner/token cas=1",
    ]);
    expect(hosts).toEqual([host]);
    expect(store.keys.get("scanner/token")?.data).toEqual({
      token: token(),
      expires_at: "2026-11-25T06:00:00Z",
      issued_at: "2026-11-24T06:00:00Z",
      username,
      host,
      source: "https://gitlab.example/p/1",
    });
  });

  test.each([
    ["no token record", undefined, "cas=0"],
    ["an expired token record", { "scanner/token": undefined }, "cas=1"],
  ])("%s is written with %s", async (_, records, cas) => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord(), ...records });
    expect((await rotate()).state).toBe("rotated");
    expect(store.calls.at(-1)).toBe(`write scanner/token ${cas}`);
  });

  test("every secret it meets is told", async () => {
    const later = token({ exp: now + 2 * day });
    const { met, rotate } = setUp({
      "scanner/password": passwordRecord({ pending_password: "pending-1" }),
      "scanner/token": tokenRecord(later),
    });
    await rotate();
    expect(met.secrets).toEqual(
      expect.arrayContaining(["password-1", "pending-1", token(), later]),
    );
  });
});

describe("nothing is written and the failure says why", () => {
  const untouched = tokenRecord(oldToken);

  test.each<[string, Fakes, string]>([
    ["login says no", { passwords: [] }, "refuses the stored password: Bad credentials"],
    ["login is unknown", { login: () => ({ kind: "unknown", why: "HTTP 503" }) }, "login failed"],
    ["token is no JWT", { issued: "opaque-token" }, "is not its token"],
    ["token has no sub", { issued: token({ sub: undefined }) }, "is not its token"],
    ["token has no exp", { issued: token({ exp: undefined }) }, "is not its token"],
    ["exp is text", { issued: token({ exp: "2026" }) }, "is not its token"],
    ["exp is beyond any date", { issued: token({ exp: 1e300 }) }, "is not its token"],
    ["another user", { issued: token({ sub: "Acme//root@acme.example" }) }, 'user, "root@acme'],
    ["short life", { issued: token({ exp: now + 3599 }) }, "lives 3599 s, less than the 3600 s"],
    ["expired", { issued: token({ iat: now - day, exp: now - 1 }) }, "expires too soon"],
    ["5 minutes left", { issued: token({ iat: now - day, exp: now + 300 }) }, "expires too soon"],
    ["probe says no", { probe: () => ({ kind: "no", text: "suspended" }) }, "work: suspended"],
    ["probe is unknown", { probe: () => ({ kind: "unknown", why: "HTTP 502" }) }, "work: HTTP 502"],
  ])("%s", async (_, fakes, message) => {
    const { store, rotate } = setUp(
      { "scanner/password": passwordRecord(), "scanner/token": untouched },
      fakes,
    );
    await expect(rotate()).rejects.toThrow(message);
    expect(store.calls.filter((call) => call.startsWith("write"))).toEqual([]);
    expect(store.keys.get("scanner/token")).toEqual({ version: 1, data: untouched });
  });

  test.each<[string, Record<string, unknown> | undefined, string]>([
    ["record deleted", undefined, "undelete its version 1"],
    ["no password in it", passwordRecord({ password: undefined }), "lacks username, password or"],
    ["http host", passwordRecord({ host: "http://cloud.apisec.ai" }), "is not https"],
    ["host with a user", passwordRecord({ host: "https://u:p@cloud.apisec.ai" }), "a user name"],
    ["host with a path", passwordRecord({ host: `${host}/api` }), "has a path"],
    ["host is no URL", passwordRecord({ host: "cloud.apisec.ai" }), "is not a URL"],
    ["host with a trick", passwordRecord({ host: `${host}@evil.example` }), "a user name"],
    ["host of another port", passwordRecord({ host: "javascript:alert(1)" }), "is not https"],
  ])("%s, and nothing is sent to any APIsec", async (_, record, message) => {
    const { store, hosts, rotate } = setUp({ "scanner/password": record });
    await expect(rotate()).rejects.toThrow(message);
    expect(hosts).toEqual([]);
    expect(store.calls).toHaveLength(2);
  });

  test("a record that does not exist", async () => {
    await expect(setUp({}).rotate()).rejects.toThrow("does not exist in Vault");
  });

  test("APISEC_URL names another host than the record", async () => {
    const { hosts, rotate } = setUp({ "scanner/password": passwordRecord() });
    await expect(rotate({ apisecUrl: "https://evil.example" })).rejects.toThrow("nothing was sent");
    expect(hosts).toEqual([]);
  });

  test("foreign text is cut, and the secrets in it are replaced", async () => {
    const text = `no password-1 ${"x".repeat(500)}\u001b[31m`;
    const { rotate } = setUp(
      { "scanner/password": passwordRecord() },
      { login: () => ({ kind: "no", text }) },
    );
    const error = await rotate().catch((reason: Error) => reason);
    const { message } = error as Error;
    expect(message).toContain("no [secret] xxx");
    expect(message).not.toContain("password-1");
    expect(message.length).toBeLessThan(260);
  });
});

describe("accepted", () => {
  test.each<[string, TokenParts]>([
    ["a user name in another case", { sub: "Acme//SVC@Acme.Example" }],
    ["an iat in the future", { iat: now + 600, exp: now + 600 + day }],
    ["exactly the least life", { exp: now + 3600 }],
    ["just over five minutes left", { iat: now - day, exp: now + 301 }],
    ["fractions of a second", { iat: now + 0.5, exp: now + day + 0.5 }],
  ])("%s", async (_, parts) => {
    const { rotate } = setUp({ "scanner/password": passwordRecord() }, { issued: token(parts) });
    expect((await rotate()).state).toBe("rotated");
  });

  test("a host on this machine over http, a slash at its end", async () => {
    const { hosts, rotate } = setUp({
      "scanner/password": passwordRecord({ host: "http://127.0.0.1:8443/" }),
    });
    await rotate({ apisecUrl: "http://127.0.0.1:8443" });
    expect(hosts).toEqual(["http://127.0.0.1:8443"]);
  });
});

describe("a password that is being changed", () => {
  const logins = (calls: string[]) => calls.filter((call) => call.startsWith("login"));

  test("the pending one is tried after a no, once", async () => {
    const { store, rotate } = setUp(
      { "scanner/password": passwordRecord({ pending_password: "pending-1" }) },
      { passwords: ["pending-1"] },
    );
    expect((await rotate()).state).toBe("rotated");
    expect(logins(store.calls)).toEqual([
      `login ${username} password-1`,
      `login ${username} pending-1`,
    ]);
  });

  test("a record that moved meanwhile is read again", async () => {
    const { store, rotate } = setUp(
      { "scanner/password": passwordRecord() },
      {
        login: (password) => {
          if (password !== "password-1") return undefined;
          const moved = { password: "password-2", pending_password: "pending-3" };
          store.set("scanner/password", passwordRecord(moved));
          return { kind: "no", text: "Bad credentials" };
        },
        passwords: ["password-2"],
      },
    );
    expect((await rotate()).state).toBe("rotated");
    expect(logins(store.calls)).toHaveLength(2);
  });

  test("two refusals are the end: no third login", async () => {
    const { store, rotate } = setUp(
      { "scanner/password": passwordRecord({ pending_password: "pending-1" }) },
      { passwords: [] },
    );
    await expect(rotate()).rejects.toThrow("and the one being changed to");
    expect(logins(store.calls)).toHaveLength(2);
  });

  test("an answer that proves nothing is not held against the password: no other is tried", async () => {
    const { store, rotate } = setUp(
      { "scanner/password": passwordRecord({ pending_password: "pending-1" }) },
      { login: () => ({ kind: "unknown", why: "HTTP 423" }) },
    );
    await expect(rotate()).rejects.toThrow("login failed: HTTP 423");
    expect(logins(store.calls)).toHaveLength(1);
  });

  test("a host that changed in between is checked again before anything is sent", async () => {
    const { store, hosts, rotate } = setUp(
      { "scanner/password": passwordRecord() },
      {
        login: () => {
          const moved = { password: "password-2", host: "https://evil.example" };
          store.set("scanner/password", passwordRecord(moved));
          return { kind: "no", text: "Bad credentials" };
        },
      },
    );
    await expect(rotate({ apisecUrl: host })).rejects.toThrow("nothing was sent");
    expect(hosts).toEqual([host]);
  });
});

describe("a stored token that expires later", () => {
  const later = token({ exp: now + 2 * day });
  const stored = (record: Record<string, unknown>, fakes: Fakes = {}) =>
    setUp({ "scanner/password": passwordRecord(), "scanner/token": record }, fakes);

  test("stays if it works", async () => {
    const { store, rotate } = stored(tokenRecord(later));
    expect(await rotate()).toEqual({
      state: "kept",
      until: now + day - 1800,
      issuedAt: now,
      isFresh: true,
      warnings: [],
    });
    expect(store.calls.slice(-2)).toEqual(["probe new", "probe stored"]);
    expect(store.keys.get("scanner/token")?.version).toBe(1);
  });

  const probed = (answer: ProbeAnswer) =>
    stored(tokenRecord(later), { probe: (given) => (given === later ? answer : undefined) });

  test("is replaced if it is refused", async () => {
    const { rotate } = probed({ kind: "no", text: "expired" });
    expect((await rotate()).state).toBe("rotated");
  });

  test("stays if an answer proves nothing, and the account fails", async () => {
    const { store, rotate } = probed({ kind: "unknown", why: `HTTP 503 for ${later}` });
    await expect(rotate()).rejects.toThrow("trying it proved nothing: HTTP 503 for [secret]");
    expect(store.keys.get("scanner/token")?.version).toBe(1);
  });

  test.each<[string, unknown]>([
    ["no JWT", "planted"],
    ["no text", 42],
    ["another user's", token({ sub: "Acme//root@acme.example", exp: now + 9 * day })],
    ["forever", token({ exp: 1e300 })],
    ["one of the same second", token({}, "other")],
    ["an earlier one", oldToken],
  ])("is replaced without a probe if it is %s, whatever expires_at says", async (_, value) => {
    const record = tokenRecord(value, { expires_at: "2099-01-01T00:00:00Z" });
    const { store, rotate } = stored(record);
    expect((await rotate()).state).toBe("rotated");
    expect(store.calls).not.toContain("probe stored");
    expect(store.keys.get("scanner/token")?.data).toMatchObject({ token: token() });
  });
});

describe("a lost race", () => {
  /** Another job writes `records`, one before each of our first writes. */
  function racing(records: (Record<string, unknown> | undefined)[]) {
    const world = setUp({
      "scanner/password": passwordRecord(),
      "scanner/token": tokenRecord(oldToken),
    });
    const queue = [...records];
    world.store.before = (call) => {
      if (call.startsWith("write") && queue.length > 0) {
        world.store.set("scanner/token", queue.shift());
      }
    };
    return world;
  }
  const storedToken = (world: ReturnType<typeof racing>) =>
    world.store.keys.get("scanner/token")?.data?.["token"];

  test("against an earlier token is written again", async () => {
    const world = racing([tokenRecord(token({ exp: now + day - 1 }))]);
    expect((await world.rotate()).state).toBe("rotated");
    expect(storedToken(world)).toBe(token());
  });

  test("against a later token keeps that", async () => {
    const later = token({ exp: now + day + 1 });
    const world = racing([tokenRecord(later)]);
    expect(await world.rotate()).toMatchObject({ state: "kept" });
    expect(storedToken(world)).toBe(later);
  });

  test("against our own write, whose answer was lost, is success", async () => {
    const world = racing([tokenRecord(token())]);
    expect((await world.rotate()).state).toBe("rotated");
    expect(world.store.keys.get("scanner/token")?.version).toBe(2);
  });

  test("against a deletion is written with the deleted version", async () => {
    const world = racing([undefined]);
    expect((await world.rotate()).state).toBe("rotated");
    expect(world.store.calls.at(-1)).toBe("write scanner/token cas=2");
  });

  test("does not go on for ever", async () => {
    const world = racing(Array.from({ length: 99 }, () => tokenRecord(oldToken)));
    await expect(world.rotate()).rejects.toThrow("5 times in a row");
    expect(world.store.calls.filter((call) => call.startsWith("write"))).toHaveLength(5);
  });

  test("any number of jobs in any order leave the latest working token", async () => {
    const job = fc.record({ life: fc.integer({ min: 3600, max: 3610 }), works: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(job, { minLength: 1, maxLength: 4 }),
        fc.scheduler(),
        async (jobs, s) => {
          const store = memoryStore({ "scanner/password": passwordRecord() });
          const working = new Set<string>();
          const tokens = jobs.map(({ life, works }, index) => {
            const issued = token({ exp: now + life }, String(index));
            if (works) working.add(issued);
            return issued;
          });
          const scheduled = {
            read: s.scheduleFunction((path: string) => store.read(path)),
            write: s.scheduleFunction((path: string, data: Record<string, unknown>, cas: number) =>
              store.write(path, data, cas),
            ),
          };
          const runs = tokens.map((issued) => {
            const probe = (given: string): ProbeAnswer =>
              working.has(given) ? { kind: "yes" } : { kind: "no", text: "dead" };
            const tools: RotationTools = {
              store: scheduled,
              clock: { now: () => now * 1000, sleep: () => Promise.resolve() },
              apisec: () => fakeApisec({ issued, probe }, []),
            };
            return rotateToken("scanner", tools, rules, { secrets: [] }).then(
              (done) => done.until,
              () => undefined,
            );
          });
          const settled = Promise.all(runs);
          await s.waitFor(settled);
          const expiries = jobs.filter((one) => one.works).map((one) => now + one.life);
          const stored = store.keys.get("scanner/token")?.data;
          if (expiries.length === 0) return expect(stored).toBeUndefined();
          expect(stored?.["expires_at"]).toBe(rfc3339(Math.max(...expiries)));
          expect(working).toContain(stored?.["token"]);
          for (const [index, told] of (await settled).entries()) {
            // Whoever reports success tells the expiry of a token that was good.
            expect(told === undefined).toBe(!jobs[index]?.works);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("what readers get", () => {
  const at = (seconds: number) => new Date(seconds * 1000).toISOString();

  test("a token that Vault deletes long before it should: that is told, and it is not fresh", async () => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord() });
    store.deletionTime = at(now + 60);
    const rotation = await rotate({ minLifetimeSeconds: 84_600 });
    expect(rotation).toMatchObject({ state: "rotated", until: now + 60, isFresh: false });
    expect(rotation.warnings).toEqual([
      {
        text: expect.stringContaining(`too early, at ${rfc3339(now + 60)}`) as string,
        code: "ends-early",
        news: true,
      },
    ]);
  });

  test("the same where Vault need not delete any, but does", async () => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord() });
    store.deletionTime = at(now + 60);
    const rotation = await rotate({ tokenEndsInVault: false });
    expect(rotation).toMatchObject({ until: now + 60, isFresh: false });
    expect(rotation.warnings).toHaveLength(1);
  });

  test("a token that no one deletes is right where its expiry alone says when it ends", async () => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord() });
    store.deletionTime = "";
    expect(await rotate({ tokenEndsInVault: false })).toMatchObject({
      ...{ until: now + day, isFresh: true, warnings: [] },
    });
  });

  test("its life in Vault is measured by Vault's clock, whatever this machine's says", async () => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord() });
    const hour = 3600;
    const write = store.write.bind(store);
    for (const [kept, warnings] of [
      [23.5 * hour, 0],
      [22 * hour, 1],
    ] as const) {
      store.write = async (...given) => {
        const written = await write(...given);
        // A Vault whose clock is two hours behind.
        const createdTime = at(now - 2 * hour);
        const deletionTime = at(now - 2 * hour + kept);
        return written.state === "written" ? { ...written, createdTime, deletionTime } : written;
      };
      const rotation = await rotate({ minLifetimeSeconds: 84_600 });
      expect(rotation.warnings).toHaveLength(warnings);
    }
  });

  const later = token({ exp: now + 2 * day });
  const kept = (deletedIn: number, writtenAgo: number, rules: Partial<RotationRules> = {}) => {
    const world = setUp({
      "scanner/password": passwordRecord(),
      "scanner/token": tokenRecord(later),
    });
    const read = world.store.read.bind(world.store);
    world.store.read = async (path) => {
      const found = await read(path);
      const times = { createdTime: at(now - writtenAgo), deletionTime: at(now + deletedIn) };
      return found.state === "found" ? { ...found, ...times } : found;
    };
    return world.rotate(rules);
  };

  test.each<[string, number, number, object, string]>([
    ["will be readable as long as a new one would", 23.4 * 3600, 60, {}, "kept"],
    ["leaves Vault in a minute, as the key was lowered for a time", 60, 10, {}, "rotated"],
    ["was stored hours ago", 17 * 3600, 6.5 * 3600, {}, "rotated"],
    [
      "was stored for longer than it is kept now",
      5 * 3600,
      3600,
      { minLifetimeSeconds: 84_600 },
      "rotated",
    ],
  ])("a stored token that %s", async (_, deletedIn, writtenAgo, rules, state) => {
    expect((await kept(deletedIn, writtenAgo, rules)).state).toBe(state);
  });

  test.each([
    ["found", 6.3 * 3600, true],
    ["found", 6.2 * 3600, false],
    ["deleted", 30 * 3600, true],
    ["absent", 30 * 3600, false],
  ] as const)(
    "a version that was %s and %i s old, six hours between two runs: recovered %s",
    async (state, age, isRecovered) => {
      const world = setUp({
        "scanner/password": passwordRecord(),
        ...(state === "absent"
          ? {}
          : { "scanner/token": state === "found" ? tokenRecord(oldToken) : undefined }),
      });
      const read = world.store.read.bind(world.store);
      world.store.read = async (path) => {
        const found = await read(path);
        return found.state === "absent" ? found : { ...found, createdTime: at(now - age) };
      };
      const { recoveredAfter } = await world.rotate({ largestGapSeconds: 6 * 3600 });
      expect(recoveredAfter).toBe(isRecovered ? age : undefined);
      expect((await world.rotate()).recoveredAfter).toBeUndefined();
    },
  );
});

describe("warnings", () => {
  test.each([
    ["", "never"],
    [rfc3339(now + day + 1), "only at 2026-11-25T06:00:01Z"],
  ])("deletion at '%s'", async (deletionTime, text) => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord() });
    store.deletionTime = deletionTime;
    const { state, warnings } = await rotate();
    expect(state).toBe("rotated");
    expect(warnings).toEqual([
      {
        text: expect.stringContaining(`Vault deletes the token ${text}`) as string,
        code: "ends-late",
        news: true,
      },
    ]);
  });

  test("none where Vault deletes the token with its expiry", async () => {
    const { store, rotate } = setUp({ "scanner/password": passwordRecord() });
    store.deletionTime = "2026-11-25T06:00:00.000000000Z";
    expect((await rotate()).warnings).toEqual([]);
  });

  const admin = { scopes: "ROLE_USER, ROLE_ADMIN" };
  test.each<[string, object | undefined, boolean]>([
    ["after none", undefined, true],
    ["after one without", tokenRecord(oldToken), true],
    ["after one with it", tokenRecord(token({ ...admin, exp: now + 60 })), false],
  ])("a token with ROLE_ADMIN %s", async (_, record, news) => {
    const { rotate } = setUp(
      { "scanner/password": passwordRecord(), "scanner/token": record as Record<string, unknown> },
      { issued: token(admin) },
    );
    const text = expect.stringContaining("carries ROLE_ADMIN") as string;
    expect((await rotate()).warnings).toEqual([{ text, code: "admin-token", news }]);
  });
});

describe("what readers have left", () => {
  const found = (value: unknown, deletionTime = "") =>
    ({ state: "found", version: 1, data: { token: value }, deletionTime }) as const;

  test.each<[string, SecretRead, number | undefined]>([
    ["a token until it expires", found(oldToken), now + 4 * 3600],
    ["a token until Vault deletes it", found(oldToken, rfc3339(now + 3600)), now + 3600],
    ["no longer than it works", found(oldToken, rfc3339(now + 9 * 3600)), now + 4 * 3600],
    ["none, as it has expired", found(token({ exp: now })), undefined],
    ["none, as Vault is about to delete it", found(oldToken, rfc3339(now)), undefined],
    ["none, as it is no token", found("planted"), undefined],
    ["none, as it is deleted", { state: "deleted", version: 1, deletionTime: "" }, undefined],
    ["none at all", { state: "absent" }, undefined],
  ])("%s", (_, stored, until) => expect(readableUntil(stored, now)).toBe(until));

  test("is told of a rotation that fails, even where the password cannot be read", async () => {
    const { store, met, rotate } = setUp({ "scanner/token": tokenRecord(oldToken) });
    store.before = (call) => {
      if (call === "read scanner/password") throw new Error("denied");
    };
    await expect(rotate()).rejects.toThrow("denied");
    expect(met.stored).toMatchObject({ state: "found", data: { token: oldToken } });
  });

  test("is the token that another job has written meanwhile", async () => {
    const { store, met, rotate } = setUp({
      "scanner/password": passwordRecord(),
      "scanner/token": tokenRecord(oldToken),
    });
    const other = tokenRecord(token({ exp: now + 5 * 3600 }));
    store.before = (call) => {
      if (call.startsWith("write")) store.set("scanner/token", other);
    };
    await expect(rotate()).rejects.toThrow("5 times in a row");
    expect(met.stored).toMatchObject({ data: other });
  });

  test("is not known where the token record cannot be read", async () => {
    const { store, met, rotate } = setUp({ "scanner/password": passwordRecord() });
    store.before = (call) => {
      if (call === "read scanner/token") throw new Error("denied");
    };
    await expect(rotate()).rejects.toThrow("denied");
    expect(met.stored).toBeUndefined();
  });
});
