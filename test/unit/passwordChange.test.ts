import { changePassword } from "../../core/passwordChange";
import type { PasswordResult, PasswordWish } from "../../core/passwordRun";
import type { LoginBook } from "../../core/logins";
import { readToken } from "../../core/jwt";
import { account, apisecProbe, livePassword, withPassword } from "../support/memoryApisec";
import { kvConfigure, kvDelete, kvForget, kvRead, kvWrite } from "../support/memoryVault";
import { codeOf } from "../support/passwordPromises";
import { adminScopes, firstPassword, host, username, wishFor } from "../support/passwordScenarios";
import { startStepped } from "../support/stepped";
import type { Answer, Call } from "../support/stepped";
import { faultyWays, plainWay } from "../support/world";
import type { World } from "../support/world";

const startMs = Date.UTC(2026, 10, 24, 6);
const minutes = (count: number) => count * 60_000;

/** What happens at a call: another answer than the plain one, or a change of the world before it. */
type AtCall = (call: Call, world: World) => { answer?: Answer; world?: World } | undefined;

/** One account, one Vault, and `up` after `up` on them. */
class Stage {
  world: World;
  nowMs = startMs;
  calls: Call[] = [];
  private drawn = 0;

  constructor(
    kv: World["kv"] = {},
    scopes: readonly string[] = adminScopes,
    others: string[] = [],
  ) {
    const accounts = [account(username, firstPassword, scopes)];
    for (const other of others) accounts.push(account(other, firstPassword, ["ROLE_USER"]));
    this.world = { kv, apisec: { accounts, resetEndsTokens: false }, inFlight: [] };
  }

  /** Runs one account's `up`; `book` is that of its provider process. */
  async up(
    wish: PasswordWish,
    at: AtCall = () => undefined,
    book: LoginBook = new Map(),
  ): Promise<PasswordResult> {
    const newPassword = () => `drawn-password-${(this.drawn += 1)}`;
    const stepped = await startStepped(
      (outside) => changePassword(wish, { ...outside, mount: "apisec", book, newPassword }),
      () => this.nowMs,
    );
    while (stepped.ended === undefined) {
      const call = stepped.calls[0];
      if (call === undefined) throw new Error("the run waits for nothing");
      const changed = at(call, this.world);
      this.world = changed?.world ?? this.world;
      const way = plainWay(this.world, call, this.nowMs);
      if (changed?.answer === undefined) this.world = way.world;
      this.calls.push(call);
      await stepped.answer(0, changed?.answer ?? way.answer);
    }
    if ("error" in stepped.ended) throw stepped.ended.error;
    return stepped.ended.result as PasswordResult;
  }

  record(name = "scanner"): Record<string, unknown> {
    const read = kvRead(this.world.kv, `${name}/password`, this.nowMs);
    return read.state === "found" ? { ...read.data } : { state: read.state };
  }

  mark(name = "scanner") {
    return this.world.kv[`${name}/password`]?.custom;
  }

  logins(user = username): number {
    return this.calls.filter((call) => call.to === "login" && call.username === user).length;
  }
}

async function stopOf(run: Promise<unknown>): Promise<string | undefined> {
  const error = await run.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  return error && (codeOf(error) ?? error.message);
}

const once = (
  isIt: (call: Call) => boolean,
  then: (world: World) => ReturnType<AtCall>,
): AtCall => {
  let happened = false;
  return (call, world) => {
    if (happened || !isIt(call)) return undefined;
    happened = true;
    return then(world);
  };
};

const promotes = (call: Call) =>
  call.to === "write" && call.data["generation"] === 1 && !("pending_password" in call.data);

describe("refused logins", () => {
  test("four in a row over runs: none is sent for 15 minutes, then they go on", async () => {
    const stage = new Stage();
    const wrong = wishFor(1, { firstPassword: "mistyped" });
    for (let run = 1; run <= 4; run += 1) {
      expect(await stopOf(stage.up(wrong))).toBe("first-password-refused");
    }
    expect(stage.mark()).toMatchObject({ refused: "0", refused_count: "4" });
    stage.nowMs += minutes(14);
    expect(await stopOf(stage.up(wishFor(1)))).toBe("logins-paused");
    expect(stage.logins()).toBe(4);

    stage.nowMs += minutes(2);
    expect(await stage.up(wishFor(1))).toMatchObject({ outcome: "changed" });
    expect(stage.mark()).not.toHaveProperty("refused_count");
  });

  test("a login that works ends the row", async () => {
    const stage = new Stage();
    const wrong = wishFor(1, { firstPassword: "mistyped" });
    for (let run = 1; run <= 3; run += 1) await stopOf(stage.up(wrong));
    await stage.up(wishFor(1));
    stage.world = {
      ...stage.world,
      apisec: withPassword(stage.world.apisec, username, "outside-password"),
    };
    for (let run = 1; run <= 4; run += 1) {
      expect(await stopOf(stage.up(wishFor(1)))).toBe("changed-outside");
    }
    expect(await stopOf(stage.up(wishFor(1)))).toBe("logins-paused");
  });
});

describe("an account that changes others", () => {
  const others = ["one@acme.example", "two@acme.example", "three@acme.example"];
  const changed = (name: string) =>
    wishFor(1, {
      name: name.split("@")[0] ?? "",
      username: name,
      changedBy: { name: "scanner", username },
    });

  test("logs in once in a process, however many there are", async () => {
    const stage = new Stage({}, adminScopes, others);
    await stage.up(wishFor(1));
    const before = stage.logins();
    const book: LoginBook = new Map();
    for (const other of others) {
      expect(await stage.up(changed(other), undefined, book)).toMatchObject({ outcome: "changed" });
    }
    expect(stage.logins() - before).toBe(1);
  });

  test("does not log in at all where its own password was proven in that process", async () => {
    const stage = new Stage({}, adminScopes, others);
    const book: LoginBook = new Map();
    await stage.up(wishFor(1), undefined, book);
    const before = stage.logins();
    for (const other of others) await stage.up(changed(other), undefined, book);
    expect(stage.logins() - before).toBe(0);
  });

  test("refused: each of the others stops, and it is asked once", async () => {
    const stage = new Stage({}, adminScopes, others);
    await stage.up(wishFor(1));
    stage.world = {
      ...stage.world,
      apisec: withPassword(stage.world.apisec, username, "outside-password"),
    };
    const before = stage.logins();
    const book: LoginBook = new Map();
    for (const other of others) {
      expect(await stopOf(stage.up(changed(other), undefined, book))).toBe("changer");
    }
    expect(stage.logins() - before).toBe(1);
    expect(stage.record("one")).toEqual({ state: "absent" });
  });
});

describe("the key between the change and its record", () => {
  test("deleted with its metadata: it gets its settings first, then the proven password", async () => {
    const stage = new Stage();
    const at = once(promotes, (world) => ({
      world: { ...world, kv: kvForget(world.kv, "scanner/password") },
    }));
    expect(await stage.up(wishFor(1), at)).toMatchObject({ outcome: "changed", version: 1 });
    expect(stage.record()).toMatchObject({ password: "drawn-password-1", generation: 1 });
    expect(livePassword(stage.world.apisec, username)).toBe("drawn-password-1");
    const kinds = stage.calls.map(({ to }) => to);
    expect(kinds.lastIndexOf("prepare")).toBeLessThan(kinds.lastIndexOf("write"));
    expect(kinds).toContain("prepare");
  });

  test("soft-deleted: the proven password is written over it", async () => {
    const stage = new Stage();
    const at = once(promotes, (world) => ({
      world: { ...world, kv: kvDelete(world.kv, "scanner/password", startMs - 1) },
    }));
    expect(await stage.up(wishFor(1), at)).toMatchObject({ outcome: "changed", version: 2 });
    expect(stage.record()).toMatchObject({ password: "drawn-password-1", generation: 1 });
  });
});

test("the key written and soft-deleted by others between the change and its record: it is written over", async () => {
  const stage = new Stage();
  const at = once(promotes, (world) => {
    const { kv } = kvWrite(world.kv, "scanner/password", { note: "gone" }, 1, startMs);
    return { world: { ...world, kv: kvDelete(kv, "scanner/password", startMs - 1) } };
  });
  expect(await stage.up(wishFor(1), at)).toMatchObject({ outcome: "changed", version: 3 });
  expect(stage.record()).toMatchObject({ password: "drawn-password-1", generation: 1 });
});

test("what a person has added to the record and to its metadata stays", async () => {
  const stage = new Stage();
  await stage.up(wishFor(1));
  const { kv } = kvWrite(
    stage.world.kv,
    "scanner/password",
    { ...stage.record(), ticket: "OPS-1" },
    2,
    startMs,
  );
  const old = kv["scanner/password"];
  if (old === undefined) throw new Error("no key");
  const custom = { ...old.custom, team: "security" };
  stage.world = { ...stage.world, kv: { ...kv, "scanner/password": { ...old, custom } } };

  await stage.up(wishFor(2));
  expect(stage.record()).toMatchObject({ ticket: "OPS-1", generation: 2 });
  expect(stage.mark()).toMatchObject({ team: "security", generation: "2" });
});

test("a found change is as old as the version that staged it, not as its promotion", async () => {
  const stage = new Stage();
  const lost: Answer = { value: { kind: "unknown", why: "fault" } };
  const neverProven: AtCall = (call, world) => {
    if (call.to === "change") {
      const way = faultyWays(world, call, startMs).find(({ fault }) => fault.startsWith("taken"));
      return { world: way?.world ?? world, answer: lost };
    }
    return undefined;
  };
  expect(await stopOf(stage.up(wishFor(1), neverProven))).toBe("not-proven");
  const pending = stage.record()["pending_password"];
  stage.world = {
    ...stage.world,
    apisec: withPassword(stage.world.apisec, username, String(pending)),
  };
  stage.nowMs += minutes(30);
  const edited = { ...stage.record(), ticket: "OPS-1" };
  const { kv } = kvWrite(stage.world.kv, "scanner/password", edited, 1, stage.nowMs);
  stage.world = { ...stage.world, kv };
  stage.nowMs += minutes(60);
  expect(await stage.up(wishFor(1))).toMatchObject({ outcome: "changed" });
  expect(stage.record()).toMatchObject({
    password: pending,
    changed_at: new Date(startMs).toISOString(),
  });
});

describe("a token for its readers", () => {
  const published = (generation: number, more: Partial<PasswordWish> = {}) =>
    wishFor(generation, { published: true, acceptAdminToken: true, ...more });

  function readersToken(stage: Stage): string | undefined {
    const read = kvRead(stage.world.kv, "scanner/token", stage.nowMs);
    return read.state === "found" ? String(read.data["token"]) : undefined;
  }

  test("is bought by the login that proves a change; by a verification only where it is missing or old", async () => {
    const stage = new Stage();
    await stage.up(published(1));
    const first = readersToken(stage);
    expect(readToken(first ?? "")?.issuedAt).toBe(startMs / 1000);
    stage.nowMs += minutes(60);
    await stage.up(published(1));
    expect(readersToken(stage)).toBe(first);
    await stage.up(published(2));
    expect(readToken(readersToken(stage) ?? "")?.issuedAt).toBe(stage.nowMs / 1000);
    stage.nowMs += minutes(25 * 60);
    await stage.up(published(2));
    expect(readToken(readersToken(stage) ?? "")?.issuedAt).toBe(stage.nowMs / 1000);
  });

  test("is replaced by a change in the same second, too: the change may have ended it", async () => {
    const stage = new Stage();
    stage.world = { ...stage.world, apisec: { ...stage.world.apisec, resetEndsTokens: true } };
    await stage.up(published(1));
    await stage.up(published(2));
    const probe = apisecProbe(stage.world.apisec, readersToken(stage) ?? "", stage.nowMs);
    expect(probe).toEqual({ kind: "yes" });
  });

  test("that Vault keeps for ever is worth a warning, but for a stack that wants it so", async () => {
    const { warnings } = await new Stage().up(published(1));
    expect(warnings).toContainEqual(
      expect.stringMatching(/^Vault deletes the token never: .* \[APC-ENDS-LATE\]$/),
    );
    const kept = await new Stage().up(published(1, { tokenEndsInVault: false }));
    expect(kept.warnings.join()).not.toContain("Vault deletes");
  });

  test("that cannot be stored: the password is promoted, and the result says what readers lack", async () => {
    const stage = new Stage();
    const at: AtCall = (call) =>
      call.to === "write" && call.key === "scanner/token"
        ? { answer: { error: new Error("Vault: fault") } }
        : undefined;
    const result = await stage.up(published(1), at);
    expect(result).toMatchObject({ outcome: "changed", generation: 1 });
    expect(result.tokenFailure?.message).toMatch(
      /^Account scanner has no new token for its readers: Vault: fault\. Its password is well/,
    );
    expect(stage.record()).toMatchObject({ generation: 1 });
    expect((await stage.up(published(1))).tokenFailure).toBeUndefined();
    expect(readersToken(stage)).toBeDefined();
  });

  test("with ROLE_ADMIN is not published, and nothing is staged for it", async () => {
    const stage = new Stage();
    const wish = published(1, { acceptAdminToken: false });
    expect(await stopOf(stage.up(wish))).toBe("admin-token");
    expect(stage.record()).toEqual({ state: "absent" });
    expect(livePassword(stage.world.apisec, username)).toBe(firstPassword);
  });

  test("with ROLE_ADMIN of a pending that is at work: promoted, then an error; readers get none", async () => {
    const stage = new Stage();
    const killed: AtCall = (call) => {
      if (promotes(call)) throw new Error("killed");
      return undefined;
    };
    expect(await stopOf(stage.up(wishFor(1), killed))).toBe("killed");
    const result = await stage.up(published(1, { acceptAdminToken: false }));
    expect(result).toMatchObject({ outcome: "changed", generation: 1 });
    expect(result.tokenFailure && codeOf(result.tokenFailure)).toBe("admin-token");
    expect(readersToken(stage)).toBeUndefined();
  });
});

describe("a key that deletes its values", () => {
  test("is set right before the first change", async () => {
    const stage = new Stage(kvConfigure({}, "scanner/password", { deleteAfterMs: 1000 }));
    await stage.up(wishFor(1));
    const read = kvRead(stage.world.kv, "scanner/password", Infinity);
    expect(read).toMatchObject({ state: "found", deletionTime: "" });
  });

  test("because its mount does: nothing is changed", async () => {
    const stage = new Stage(kvConfigure({}, "scanner/password", { deleteAfterMs: 1000 }));
    const at: AtCall = (call) =>
      call.to === "prepare" ? { answer: { value: undefined } } : undefined;
    expect(await stopOf(stage.up(wishFor(1), at))).toBe("ends-in-vault");
    expect(stage.calls.some(({ to }) => to === "change")).toBe(false);
    expect(livePassword(stage.world.apisec, username)).toBe(firstPassword);
  });
});

test("a mark that cannot be written: a warning, an open change in metadata, and the next run writes it", async () => {
  const stage = new Stage();
  const at: AtCall = (call) =>
    call.to === "note" ? { answer: { error: new Error("Vault: fault") } } : undefined;
  const result = await stage.up(wishFor(1), at);
  expect(result).toMatchObject({ outcome: "changed", changeOpen: true });
  expect(result.warnings).toEqual([expect.stringContaining("Vault: fault")]);
  expect(stage.mark()).toBeUndefined();
  expect(await stage.up(wishFor(1))).toMatchObject({ outcome: "verified", changeOpen: false });
  expect(stage.mark()).toMatchObject({ version: "2", generation: "1" });
});

test("renamed, changed there, renamed back: the password is found under the other name", async () => {
  const stage = new Stage();
  await stage.up(wishFor(1));
  await stage.up(wishFor(2, { name: "renamed", renamedFrom: "scanner" }));
  expect(stage.record("renamed")).toMatchObject({ generation: 2 });
  const live = livePassword(stage.world.apisec, username);
  expect(stage.record()["password"]).not.toBe(live);

  const back = await stage.up(wishFor(2, { renamedFrom: "renamed" }));
  expect(back).toMatchObject({ outcome: "verified", generation: 2 });
  expect(stage.record()).toMatchObject({ password: live, generation: 2, host });
  expect(livePassword(stage.world.apisec, username)).toBe(live);
});

test("renamed, changed there, and the merge request reverted: it is no change from outside", async () => {
  const stage = new Stage();
  await stage.up(wishFor(1));
  await stage.up(wishFor(2, { name: "renamed", renamedFrom: "scanner" }));
  const live = livePassword(stage.world.apisec, username);

  const back = await stage.up(wishFor(1, { renamedFrom: "renamed" }));
  expect(back).toMatchObject({ outcome: "verified", generation: 2 });
  expect(stage.record()).toMatchObject({ password: live, generation: 2 });
});
