import { readMetadata } from "../../checks/keys";
import { verificationFinding } from "../../checks/passwords";
import type { Apisec } from "../../clients/apisec";
import { parseMark } from "../../core/mark";
import { printed } from "../../core/printed";
import { verifyPassword } from "../../core/verifyPassword";
import { account, memoryApisec, withPassword } from "../support/memoryApisec";
import type { ApisecData } from "../support/memoryApisec";
import { kvDelete, kvNote, kvWrite, memoryStore } from "../support/memoryVault";
import type { Kv } from "../support/memoryVault";

const hour = 3_600_000;
const start = Date.UTC(2026, 10, 24, 12);
const wish = { name: "scanner", username: "scanner@acme.example", host: "https://a.example" };
const key = "scanner/password";
const print = printed("prod", "npm");
const live = "Zq7-live-Vx2m-Kp9w";

/** A Vault with one record, an APIsec that knows its password, and what was done to both. */
function worldWith(data: Record<string, unknown> = {}, mark: Record<string, string> = {}) {
  const state = {
    now: start,
    logins: 0,
    notes: 0,
    kv: {} as Kv,
    apisec: {
      accounts: [account(wish.username, live, ["ROLE_USER"])],
      resetEndsTokens: false,
    } as ApisecData,
  };
  const clock = { now: () => state.now, sleep: () => Promise.resolve() };
  const record = {
    ...{ username: wish.username, password: live, host: wish.host, organization: "Acme" },
    ...{ generation: 2, changed_at: "2026-11-01T00:00:00Z", ...data },
  };
  state.kv = kvNote(kvWrite({}, key, record, 0, start - 30 * 24 * hour).kv, key, mark);
  const api = memoryApisec(state, clock);
  const apisec: Apisec = {
    ...api,
    login: (username, password) => {
      state.logins += 1;
      return api.login(username, password);
    },
  };
  const world = {
    store: memoryStore(state, clock),
    keys: {
      mark: () => Promise.resolve(undefined),
      note: (name: string, texts: Record<string, string>) => {
        state.notes += 1;
        state.kv = kvNote(state.kv, name, texts);
        return Promise.resolve();
      },
      prepare: () => Promise.reject(new Error("verify sets no key")),
    },
    mount: "apisec",
    apisec: () => apisec,
    newPassword: () => {
      throw new Error("verify draws no password");
    },
    clock,
  };
  return {
    state,
    apisec,
    run: (isForced = false) => verifyPassword(wish, { ...world, book: new Map() }, isForced),
    finding: () =>
      verificationFinding({ print, now: state.now }, "scanner", {
        mark: parseMark(state.kv[key]?.custom),
      }),
  };
}

test("a password that APIsec takes is marked: version, generation, when; who had it changed stays", async () => {
  const { state, run, finding } = worldWith({}, { version: "1", by: "up of Monday", note: "x" });
  expect(finding()).toMatchObject({ state: "warning", found: "taken by APIsec last: never" });
  expect(await run()).toEqual({ kind: "verified", warnings: [] });
  expect(state.kv[key]?.custom).toEqual({
    ...{ version: "1", generation: "2", changed_at: "2026-11-01T00:00:00Z" },
    ...{ verified_at: "2026-11-24T12:00:00.000Z", by: "up of Monday", note: "x" },
  });
  expect(state.kv[key]?.versions).toHaveLength(1);
  state.now += 40 * hour;
  expect(finding()).toMatchObject({ state: "ok", values: { verified: "2026-11-24T12:00:00Z" } });
  state.now += 9 * hour;
  expect(finding()).toMatchObject({
    state: "warning",
    fix: "npm run verify -- --stack prod --account scanner",
  });
});

test("one that was changed outside is refused, noted, and a problem until it is taken again", async () => {
  const { state, run, finding } = worldWith();
  await run();
  state.apisec = withPassword(state.apisec, wish.username, "another-password");
  state.now += 24 * hour;
  expect(finding().state).toBe("ok");
  expect(await run()).toEqual({ kind: "refused", why: "Invalid username or password" });
  expect(finding()).toMatchObject({
    state: "problem",
    found: "APIsec refused it at 2026-11-25T12:00:00Z; taken last: 24h0m ago",
  });
  expect(JSON.stringify(state.kv[key]?.custom)).not.toContain(live);
  state.apisec = withPassword(state.apisec, wish.username, live);
  expect(await run(true)).toMatchObject({ kind: "verified" });
  expect(finding().state).toBe("ok");
});

test("an account is tried once a day, refused or not, unless that is asked for", async () => {
  for (const password of [live, "another-password"]) {
    const { state, run } = worldWith();
    state.apisec = withPassword(state.apisec, wish.username, password);
    await run();
    state.now += 19 * hour;
    expect(await run()).toMatchObject({ kind: "skipped" });
    expect(state.logins).toBe(1);
    await run(true);
    expect(state.logins).toBe(2);
    state.now += 23 * hour;
    await run();
    expect(state.logins).toBe(3);
  }
});

test("after four refused logins in a row none is sent for 15 minutes, whatever is asked", async () => {
  const { state, run } = worldWith();
  state.apisec = withPassword(state.apisec, wish.username, "another-password");
  for (let login = 0; login < 4; login += 1) await run(true);
  expect(await run(true)).toEqual({
    kind: "skipped",
    why: "after 4 refused logins none is sent before 2026-11-24T12:15:00Z",
  });
  expect(state.logins).toBe(4);
  state.now += hour / 4;
  expect(await run(true)).toMatchObject({ kind: "refused" });
});

test("an answer that proves nothing is no refusal, and nothing is noted", async () => {
  const { state, apisec, run, finding } = worldWith();
  apisec.login = () => Promise.resolve({ kind: "unknown", why: `HTTP 503 ${live}` });
  expect(await run()).toEqual({ kind: "unknown", why: "HTTP 503 [secret]" });
  expect(state.notes).toBe(0);
  expect(finding()).toMatchObject({ state: "warning" });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ["of an open change", { pending_password: "p", pending_generation: 3 }, /^a change is open/],
  ["of another host", { host: "https://b.example" }, /^its record is of scanner.* at https:\/\/b/],
  ["of another user", { username: "jo" }, /^its record is of jo/],
  ["that is none", { generation: "x" }, /^its record is not one of this program/],
])("a record %s is not tried, and its password is sent nowhere", async (_, data, why) => {
  const { state, run } = worldWith(data);
  expect(await run(true)).toEqual({ kind: "skipped", why: expect.stringMatching(why) as string });
  expect([state.logins, state.notes]).toEqual([0, 0]);
});

test("a record that is deleted, or not there, is not tried", async () => {
  const { state, run } = worldWith();
  state.kv = kvDelete(state.kv, key, start - 1);
  expect(await run()).toEqual({ kind: "skipped", why: "its record is deleted" });
  state.kv = {};
  expect(await run()).toEqual({ kind: "skipped", why: "it has no record yet" });
});

test("what changes while the login is under way is not marked as seen", async () => {
  const { state, apisec, run } = worldWith();
  const login = apisec.login.bind(apisec);
  apisec.login = async (username, password) => {
    const answer = await login(username, password);
    const old = state.kv[key]?.versions[0]?.data ?? {};
    state.kv = kvWrite(state.kv, key, { ...old, pending_password: "p" }, 1, state.now).kv;
    return answer;
  };
  expect(await run()).toEqual({ kind: "skipped", why: "its password is being changed" });
  expect(state.notes).toBe(0);
});

test.each<[string, Record<string, string>, string]>([
  ["the pending one", { version: "3", refused: "4p" }, "warning"],
  ["one of an older version", { version: "3", refused: "2" }, "warning"],
  ["one of a former name", { version: "3", refused: "r7" }, "warning"],
  ["the one in force", { version: "3", refused: "2 3" }, "problem"],
  ["that of a newer version", { version: "3", refused: "4" }, "problem"],
  ["one before any was seen whole", { refused: "1" }, "problem"],
  ["none, and a time to come", { verified_at: "2030-01-01T00:00:00Z" }, "warning"],
])("refused: %s", (_, mark, state) => {
  const { mark: read } = readMetadata({ custom_metadata: mark });
  expect(verificationFinding({ print, now: start }, "scanner", { mark: read }).state).toBe(state);
});
