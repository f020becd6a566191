import fc from "../support/fastCheck";
import { apisecAt, defaultApisecPaths } from "../../clients/apisec";
import type { Apisec as ApisecClient, Identity } from "../../clients/apisec";
import { systemClock as clock, transportError } from "../../net/http";
import type { Send } from "../../net/http";
import { readToken } from "../../core/jwt";
import { passwordKeys } from "../../clients/keySettings";
import type { PasswordKeys } from "../../core/passwordRun";
import { passwordKeySettings } from "../../desired/keySettings";
import { kvStore } from "../../clients/vault";
import type { KvStore } from "../../clients/vault";
import { startApisec } from "../../lab/apisec/server";
import type { Apisec as ApisecServer } from "../../lab/apisec/server";
import { nodeSend } from "../../net/transport";
import { startFaultLab } from "../support/faultLab";
import type { FaultLab } from "../support/faultLab";
import {
  account,
  identityOf,
  livePassword,
  memoryApisec,
  withPassword,
} from "../support/memoryApisec";
import type { ApisecData } from "../support/memoryApisec";
import {
  kvConfigure,
  kvDelete,
  kvDestroy,
  kvForget,
  kvUndelete,
  memoryStore,
} from "../support/memoryVault";
import type { Kv } from "../support/memoryVault";
import { events, playEvents } from "../support/randomSchedules";
import { realBackend } from "../support/realBackend";
import { seed } from "../support/seed";
import { faultyWays, land } from "../support/world";
import type { World } from "../support/world";

/**
 * The in-memory doubles of the unit tests against what they stand for: the same operations on both
 * give the same answers.
 */

const send = nodeSend();

let lab: FaultLab;
let apisecServer: ApisecServer | undefined;

beforeAll(async () => {
  lab = await startFaultLab();
}, 600_000);

afterAll(() => lab.stop());

afterEach(async () => {
  await apisecServer?.close();
  apisecServer = undefined;
});

function realStore(through: Send = send): KvStore {
  const { address } = lab.vault;
  return kvStore({ send: through, clock, address, token: lab.vaultToken }, "apisec");
}

function realKeys(): PasswordKeys {
  const vault = { send, clock, address: lab.vault.address, token: lab.vaultToken };
  return passwordKeys(vault, "apisec", passwordKeySettings);
}

/** What is done to a key, on either side. */
interface KeyOperations {
  store: KvStore;
  configure: (settings: { maxVersions?: number; deleteAfterMs?: number }) => Promise<void>;
  deleteNewest: () => Promise<void>;
  undelete: (version: number) => Promise<void>;
  destroy: (version: number) => Promise<void>;
  forget: () => Promise<void>;
}

function inMemory(key: string): KeyOperations {
  const world: { kv: Kv } = { kv: {} };
  const change = async (kv: Kv) => void (world.kv = kv);
  return {
    store: memoryStore(world, clock),
    configure: (settings) => change(kvConfigure(world.kv, key, settings)),
    deleteNewest: () => change(kvDelete(world.kv, key, clock.now())),
    undelete: (version) => change(kvUndelete(world.kv, key, version)),
    destroy: (version) => change(kvDestroy(world.kv, key, version)),
    forget: () => change(kvForget(world.kv, key)),
  };
}

function inOpenBao(key: string): KeyOperations {
  async function must(method: string, path: string, body?: object): Promise<void> {
    const { status } = await lab.asRoot(method, path, body);
    if (status >= 400) throw new Error(`${method} ${path}: ${status}`);
  }
  return {
    store: realStore(),
    configure: ({ maxVersions, deleteAfterMs }) =>
      must("POST", `apisec/metadata/${key}`, {
        cas_required: true,
        ...(maxVersions === undefined ? {} : { max_versions: maxVersions }),
        ...(deleteAfterMs === undefined ? {} : { delete_version_after: `${deleteAfterMs}ms` }),
      }),
    deleteNewest: () => must("DELETE", `apisec/data/${key}`),
    undelete: (version) => must("POST", `apisec/undelete/${key}`, { versions: [version] }),
    destroy: (version) => must("PUT", `apisec/destroy/${key}`, { versions: [version] }),
    forget: () => must("DELETE", `apisec/metadata/${key}`),
  };
}

/** Each story is told on both sides; its answers are compared, times by whether there is one. */
const keyStories: [string, (key: KeyOperations, name: string) => AsyncGenerator<unknown>][] = [
  [
    "a key that never was",
    async function* ({ store }, name) {
      yield store.read(name);
      yield store.read(name, 3);
      yield store.write(name, { a: 1 }, 1);
      yield store.write(name, { a: 1 }, 0);
      yield store.read(name);
    },
  ],
  [
    "settings without a value",
    async function* ({ store, configure }, name) {
      await configure({ maxVersions: 10 });
      yield store.read(name);
      yield store.write(name, { a: 1 }, 1);
      yield store.write(name, { a: 1 }, 0);
      yield store.write(name, { a: 2 }, 0);
    },
  ],
  [
    "check-and-set and versions",
    async function* ({ store }, name) {
      for (const cas of [0, 0, 1, 1, 3, 2]) yield store.write(name, { cas }, cas);
      for (const version of [undefined, 0, 1, 2, 3, 4]) yield store.read(name, version);
    },
  ],
  [
    "soft-deleted and brought back",
    async function* ({ store, deleteNewest, undelete }, name) {
      yield store.write(name, { a: 1 }, 0);
      yield store.write(name, { a: 2 }, 1);
      await deleteNewest();
      yield store.read(name);
      yield store.read(name, 2);
      yield store.read(name, 1);
      yield store.write(name, { a: 3 }, 0);
      yield store.write(name, { a: 3 }, 1);
      await undelete(2);
      yield store.read(name);
      await deleteNewest();
      yield store.write(name, { a: 3 }, 2);
      yield store.read(name);
      yield store.read(name, 2);
    },
  ],
  [
    "destroyed",
    async function* ({ store, destroy, undelete }, name) {
      yield store.write(name, { a: 1 }, 0);
      yield store.write(name, { a: 2 }, 1);
      await destroy(2);
      yield store.read(name);
      await undelete(2);
      yield store.read(name);
      yield store.read(name, 1);
      yield store.write(name, { a: 3 }, 2);
      yield store.read(name);
    },
  ],
  [
    "metadata deleted",
    async function* ({ store, forget }, name) {
      yield store.write(name, { a: 1 }, 0);
      yield store.write(name, { a: 2 }, 1);
      await forget();
      yield store.read(name);
      yield store.write(name, { a: 3 }, 2);
      yield store.write(name, { a: 3 }, 0);
      yield store.read(name);
    },
  ],
  [
    "ten versions are kept",
    async function* ({ store, configure }, name) {
      await configure({ maxVersions: 10 });
      for (let cas = 0; cas < 13; cas += 1) yield store.write(name, { cas }, cas);
      for (let version = 1; version <= 14; version += 1) yield store.read(name, version);
    },
  ],
  [
    "deleted by its age",
    async function* ({ store, configure }, name) {
      await configure({ deleteAfterMs: 1500 });
      yield store.write(name, { a: 1 }, 0);
      yield store.read(name);
      await clock.sleep(1800);
      yield store.read(name);
      yield store.write(name, { a: 2 }, 0);
      yield store.write(name, { a: 2 }, 1);
      yield store.read(name);
      yield store.read(name, 1);
    },
  ],
];

async function told(answers: AsyncGenerator<unknown>): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const answer of answers) {
    const { deletionTime, createdTime, ...rest } = answer as {
      deletionTime?: string;
      createdTime?: string;
    };
    list.push({
      ...rest,
      deletionTime: deletionTime === undefined ? undefined : timeOf(deletionTime),
      createdTime: createdTime === undefined ? undefined : timeOf(createdTime),
    });
  }
  return list;
}

function timeOf(deletionTime: string): string {
  const seconds = (Date.parse(deletionTime) - Date.now()) / 1000;
  if (deletionTime === "") return "never";
  return seconds < -60 || seconds > 60 ? deletionTime : "about now";
}

describe("Vault's KV version 2", () => {
  test.each(keyStories)("%s", async (title, story) => {
    const name = `doubles/${title.replaceAll(" ", "-")}`;
    const [memory, real] = await Promise.all([
      told(story(inMemory(name), name)),
      told(story(inOpenBao(name), name)),
    ]);
    expect(memory).toEqual(real);
    expect(real.length).toBeGreaterThan(3);
  });

  test("a write whose answer was lost is repeated by the client and then lost against itself", async () => {
    let isFirst = true;
    const store = realStore(async (request) => {
      const answer = await send(request);
      if (!isFirst || request.method !== "POST") return answer;
      isFirst = false;
      throw transportError("reset", request.url);
    });
    const world: World = { kv: {}, apisec: { accounts: [], resetEndsTokens: false }, inFlight: [] };
    const call = { to: "write", key: "doubles/twice", data: { a: 1 }, cas: 0 } as const;
    const way = faultyWays(world, call, clock.now()).find(({ fault }) => fault === "written twice");

    const answer = await store.write(call.key, call.data, call.cas);

    expect(way?.answer).toEqual({ value: answer });
    const memory = memoryStore(way?.world ?? world, clock);
    async function* newest(from: KvStore) {
      yield from.read(call.key);
    }
    expect(await told(newest(memory))).toEqual(await told(newest(store)));
  });
});

const names = { admin: "admin@acme.example", user: "user@acme.example" };
const roles = { admin: ["ROLE_USER", "ROLE_ADMIN"], user: ["ROLE_USER"] };

interface ApisecOperations {
  apisec: ApisecClient;
  setPassword: (password: string) => Promise<void>;
}

const accounts = [
  account(names.admin, "first-password", roles.admin),
  account(names.user, "first-password", roles.user),
];

function apisecInMemory(resetEndsTokens: boolean): ApisecOperations {
  const world: { apisec: ApisecData } = { apisec: { accounts, resetEndsTokens } };
  return {
    apisec: memoryApisec(world, clock),
    async setPassword(password) {
      world.apisec = withPassword(world.apisec, names.user, password);
    },
  };
}

async function control(method: string, path: string, body: unknown): Promise<void> {
  const answer = await fetch(`${apisecServer?.controlUrl}/-/lab/${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
}

/** The same accounts at a lab's APIsec of their own. */
async function apisecInLab(resetEndsTokens: boolean): Promise<ApisecOperations> {
  apisecServer = await startApisec({
    accounts: accounts.map(({ username, password, scopes, orgId, orgName, userId }) => ({
      ...{ username, password, userId, name: username, roles: [...scopes] },
      org: { id: orgId, name: orgName },
    })),
  });
  await control("PATCH", "settings", { resetEndsTokens });
  return {
    apisec: apisecAt(send, apisecServer.url, defaultApisecPaths, clock, 1),
    setPassword: (password) => control("POST", `accounts/${names.user}/password`, { password }),
  };
}

type ApisecStory = (operations: ApisecOperations) => AsyncGenerator<unknown>;

const apisecStories: [string, ApisecStory][] = [
  [
    "who may log in",
    async function* ({ apisec }) {
      yield apisec.login(names.user, "first-password");
      yield apisec.login(names.user.toUpperCase(), "first-password");
      yield apisec.login(names.user, "another-password");
      yield apisec.login("nobody@acme.example", "first-password");
      yield apisec.login(names.user, "");
    },
  ],
  [
    "what a token says and opens",
    async function* ({ apisec }) {
      const token = await tokenOf(apisec, names.user, "first-password");
      const { organization, scopes, issuedAt, expiresAt } = readToken(token) ?? neverRead();
      yield { organization, scopes, lifetime: expiresAt - issuedAt };
      for (const given of [token, `${token}x`, "none", ""]) {
        yield apisec.whoAmI(given);
        yield apisec.probe(given);
      }
    },
  ],
  [
    "who may change what",
    async function* ({ apisec }) {
      const admin = await tokenOf(apisec, names.admin, "first-password");
      const user = await tokenOf(apisec, names.user, "first-password");
      const target = identity(names.user);
      yield apisec.changePassword(user, target, "second-password");
      yield apisec.changePassword("none", target, "second-password");
      yield apisec.changePassword(admin, { ...target, orgId: "org-2" }, "second-password");
      yield apisec.changePassword(admin, { ...target, userId: "nobody" }, "second-password");
      yield apisec.changePassword(admin, target, "short");
      yield apisec.login(names.user, "first-password");
      yield apisec.changePassword(admin, target, "second-password");
      yield apisec.login(names.user, "first-password");
      yield apisec.login(names.user, "second-password");
      yield apisec.whoAmI(user);
      yield apisec.whoAmI(admin);
      yield apisec.changePassword(admin, identity(names.admin), "second-password");
      yield apisec.login(names.admin, "second-password");
      yield apisec.whoAmI(admin);
      yield apisec.changePassword(admin, target, "third-password");
      yield apisec.login(names.user, "third-password");
    },
  ],
  [
    "a password set from outside",
    async function* ({ apisec, setPassword }) {
      const token = await tokenOf(apisec, names.user, "first-password");
      await setPassword("outside-password");
      yield apisec.login(names.user, "first-password");
      yield apisec.login(names.user, "outside-password");
      yield apisec.whoAmI(token);
      yield apisec.probe(token);
    },
  ],
];

function identity(username: string): Identity {
  const found = accounts.find((one) => one.username === username);
  return found === undefined ? neverRead() : identityOf(found);
}

async function tokenOf(apisec: ApisecClient, username: string, password: string): Promise<string> {
  const answer = await apisec.login(username, password);
  return answer.kind === "yes" ? answer.token : neverRead();
}

function neverRead(): never {
  throw new Error("no token");
}

/** Texts are each side's own; kinds and identities are compared. */
async function heard(answers: AsyncGenerator<unknown>): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const answer of answers) {
    const own = Object.entries(answer as object).filter(
      ([name]) => !["token", "text", "why"].includes(name),
    );
    list.push(Object.fromEntries(own));
  }
  return list;
}

describe("APIsec", () => {
  const cases = apisecStories.flatMap(([title, story]) =>
    [false, true].map((ends) => ({ title, story, ends })),
  );
  test.each(cases)("$title (a change ends tokens: $ends)", async ({ story, ends }) => {
    const memory = await heard(story(apisecInMemory(ends)));
    const real = await heard(story(await apisecInLab(ends)));
    expect(memory).toEqual(real);
    expect(real.length).toBeGreaterThan(3);
  });

  /** What the lab is told to do to a change call so that it goes the double's way. */
  const labFaults: Record<string, object> = {
    lost: { when: "before", action: "html" },
    "taken, answer lost, comes later": { when: "late", lateMs: 700, action: "html" },
    "done, answer unreadable": { when: "after", action: "truncate" },
    refused: { when: "before", action: "errorsTrue" },
    "done, but answered as refused": { when: "after", action: "errorsTrue" },
  };

  test.each(Object.entries(labFaults))("a change that is %s", async (name, fault) => {
    const { apisec } = await apisecInLab(false);
    const token = await tokenOf(apisec, names.admin, "first-password");
    await control("POST", "faults", [{ match: { kind: "change" }, ...fault }]);
    const isSecond = async () =>
      (await apisec.login(names.admin, "second-password")).kind === "yes";

    const answer = await apisec.changePassword(token, identity(names.admin), "second-password");
    const soon = await isSecond();
    await clock.sleep(1000);
    const later = await isSecond();

    const start: World = { kv: {}, apisec: { accounts, resetEndsTokens: false }, inFlight: [] };
    const mine = await tokenOf(memoryApisec(start, clock), names.admin, "first-password");
    const call = {
      to: "change",
      token: mine,
      user: identity(names.admin),
      password: "second-password",
    } as const;
    const way = faultyWays(start, call, clock.now()).find((one) => one.fault === name);
    const end = way && way.world.inFlight.length > 0 ? land(way.world, 0) : way?.world;
    const isDone = (world: World | undefined) =>
      world !== undefined && livePassword(world.apisec, names.admin) === "second-password";
    expect(way?.answer).toMatchObject({ value: { kind: answer.kind } });
    expect([isDone(way?.world), isDone(end)]).toEqual([soon, later]);
  });
});

test("20 random sequences against the real ones", async () => {
  const apisec = apisecAt(send, lab.apisecUrl, defaultApisecPaths, clock, 1);
  let calls = 0;
  let faults = 0;
  process.stdout.write(`random schedules against OpenBao and the lab's APIsec: SEED=${seed}\n`);
  await fc.assert(
    fc.asyncProperty(events(40), async (sequence) => {
      const fresh = await lab.account("first-password");
      const played = await playEvents(
        sequence,
        realBackend(lab, fresh, realStore(), realKeys(), apisec),
      );
      calls += played.calls;
      faults += played.faults;
    }),
    { seed, numRuns: 20 },
  );
  process.stdout.write(`20 sequences of ${calls} calls, ${faults} faults, violations 0\n`);
}, 600_000);
