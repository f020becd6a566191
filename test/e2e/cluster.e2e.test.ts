import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apisecAt, defaultApisecPaths } from "../../clients/apisec";
import { kvStore } from "../../clients/vault";
import type { KvStore } from "../../clients/vault";
import { newPassword } from "../../core/newPassword";
import { mountReady, passwordKeys } from "../../clients/keySettings";
import type { PasswordKeys } from "../../core/passwordRun";
import { passwordKeySettings } from "../../desired/keySettings";
import { changePassword } from "../../core/passwordChange";
import { startApisec } from "../../lab/apisec/server";
import type { OpenBao } from "../../lab/openbao";
import { run, waitFor } from "../../lab/process";
import { systemClock as clock } from "../../net/http";
import { nodeSend } from "../../net/transport";
import { startCluster } from "../support/cluster";
import type { Cluster } from "../support/cluster";

/*
 * Three OpenBao nodes with raft; the client knows one of them, a standby. The leader is killed or steps down at
 * each of Vault's calls of a password change, and while the job rotates 50 accounts; for 10 s nobody leads.
 * Nothing may be lost, and what was begun ends by itself. A sample here, all of it in `make test-long`.
 */

const isLong = process.env["TEST_LONG"] !== undefined;
const root = join(__dirname, "..", "..");
const send = nodeSend();
const username = (name: string) => `${name}@acme.example`;
const rows: string[] = [];

let cluster: Cluster;
let apisec: Awaited<ReturnType<typeof startApisec>>;
let dir: string;
let accounts = 0;
/** How long nobody led, of the last time without a quorum. */
let outageMs = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "apisec-cluster-test-"));
  [cluster, apisec] = await Promise.all([startCluster(), startApisec({ accounts: [] })]);
  await cluster.asRoot("POST", "sys/mounts/apisec", { type: "kv", options: { version: "2" } });
  // As the program does before the first key: a standby knows a new mount a little later.
  await Promise.all(cluster.nodes.map((node) => mountReady(connectionTo(node), "apisec")));
}, 600_000);

afterAll(async () => {
  process.stdout.write(`fault | moment | outcome | seconds\n${rows.join("\n")}\n`);
  await Promise.all([cluster?.stop(), apisec?.close()]);
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

async function control(path: string, body: unknown): Promise<unknown> {
  const answer = await fetch(`${apisec.controlUrl}/-/lab/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** A fresh account at APIsec, with this password; one with ROLE_ADMIN changes it itself. */
async function account(password: string, roles = ["ROLE_USER"]): Promise<string> {
  const name = `a${(accounts += 1)}`;
  const org = { id: "org-1", name: "Acme" };
  const one = { username: username(name), userId: name, name, org, password, roles };
  await control("accounts", [one]);
  return name;
}

async function isLive(name: string, password: unknown): Promise<boolean> {
  const answer = await control(`accounts/${username(name)}/check`, { password });
  return (answer as { live: boolean }).live;
}

async function recordOf(key: string): Promise<Record<string, unknown>> {
  const { body } = await cluster.asRoot("GET", `apisec/data/${key}`);
  return (body as { data: { data: Record<string, unknown> } }).data.data;
}

/** What a password change has of Vault. */
interface Outside {
  store: KvStore;
  keys: PasswordKeys;
}

function connectionTo({ address }: OpenBao) {
  return { send, clock, address, token: cluster.rootToken, met: {} };
}

function outsideAt(node: OpenBao): Outside {
  const vault = connectionTo(node);
  return {
    store: kvStore(vault, "apisec"),
    keys: passwordKeys(vault, "apisec", passwordKeySettings),
  };
}

/** The same, with something done to the cluster directly before its n-th call. */
function disturbed({ store, keys }: Outside, nth: number, fault: () => Promise<unknown>) {
  let calls = 0;
  const before = async () => {
    if ((calls += 1) === nth) await fault();
  };
  const wrapped: Outside = {
    store: {
      read: async (...args) => (await before(), store.read(...args)),
      write: async (...args) => (await before(), store.write(...args)),
    },
    keys: {
      mark: async (...args) => (await before(), keys.mark(...args)),
      note: async (...args) => (await before(), keys.note(...args)),
      prepare: async (...args) => (await before(), keys.prepare(...args)),
    },
  };
  return { outside: wrapped, calls: () => calls };
}

function change(name: string, outside: Outside, firstPassword: string) {
  return changePassword(
    {
      name,
      username: username(name),
      host: apisec.url,
      organization: "Acme",
      generation: 1,
      firstPassword,
      published: false,
      acceptAdminToken: false,
    },
    {
      ...outside,
      mount: "apisec",
      apisec: (host) => apisecAt(send, host, defaultApisecPaths, clock, 3),
      book: new Map(),
      newPassword,
      clock,
    },
  );
}

/** A node that has just been started again does not know at once what was written meanwhile. */
async function caughtUp(node: OpenBao, names: readonly string[]): Promise<void> {
  const { store } = outsideAt(node);
  for (const name of names) {
    await waitFor(`${name} on the standby`, 60_000, async () => {
      const { state } = await store.read(`${name}/password`);
      return state === "found" ? true : undefined;
    });
  }
}

/** All nodes are up again, and one leads. */
async function heal(killed?: OpenBao): Promise<void> {
  await killed?.restart();
  await cluster.leader();
}

type Fault = "leader killed" | "leader steps down" | "no quorum for 10 s";

/** Does it, and returns what makes it good again. */
async function strike(fault: Fault): Promise<() => Promise<void>> {
  if (fault === "leader steps down") {
    await cluster.stepDown();
    return () => heal();
  }
  if (fault === "leader killed") {
    const killed = await cluster.killLeader();
    return () => heal(killed);
  }
  const { back } = await cluster.withoutQuorum(10_000);
  const begun = Date.now();
  const over = back.then(async () => {
    await cluster.leader();
    outageMs = Date.now() - begun;
  });
  return async () => {
    await over;
    await heal();
  };
}

async function timed<T>(fault: Fault, moment: string, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  const row = (outcome: string) =>
    rows.push(`${fault} | ${moment} | ${outcome} | ${((Date.now() - started) / 1000).toFixed(1)}`);
  try {
    const result = await work();
    row("done");
    return result;
  } catch (error) {
    row((error as Error).message.slice(0, 100));
    throw error;
  }
}

test("without a fault, a client that knows a standby only changes a password", async () => {
  const first = newPassword();
  const name = await account(first, ["ROLE_USER", "ROLE_ADMIN"]);
  const standby = outsideAt(await cluster.standby());
  const { outside, calls } = disturbed(standby, 0, async () => undefined);
  await change(name, outside, first);
  const { password, generation } = await recordOf(`${name}/password`);
  expect([generation, await isLive(name, password)]).toEqual([1, true]);
  expect(calls()).toBeGreaterThanOrEqual(3);
});

const moments: [Fault, number][] = isLong
  ? (["leader killed", "leader steps down", "no quorum for 10 s"] as const).flatMap((fault) =>
      [1, 2, 3].map((nth): [Fault, number] => [fault, nth]),
    )
  : [
      ["leader killed", 3],
      ["leader steps down", 2],
    ];

test.each(moments)(
  "%s before Vault's call %d of a password change: nothing is lost",
  async (fault, nth) => {
    const first = newPassword();
    const name = await account(first, ["ROLE_USER", "ROLE_ADMIN"]);
    let repair: (() => Promise<void>) | undefined;
    const { outside } = disturbed(outsideAt(await cluster.standby()), nth, async () => {
      repair = await strike(fault);
    });
    await timed(fault, `call ${nth} of a password change`, () => change(name, outside, first));
    await repair?.();
    const { password, generation } = await recordOf(`${name}/password`);
    expect([generation, await isLive(name, password)]).toEqual([1, true]);
  },
  300_000,
);

const concurrency = 4;
const rotations: Fault[] = isLong
  ? ["leader killed", "leader steps down", "no quorum for 10 s"]
  : ["leader killed", "no quorum for 10 s"];

test.each(rotations)(
  "%s while the job rotates 50 accounts: all of them are rotated",
  async (fault) => {
    const names = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const password = newPassword();
        const name = await account(password);
        const record = { username: username(name), password, host: apisec.url, generation: 1 };
        const data = { ...record, organization: "Acme", changed_at: "2026-11-01T00:00:00Z" };
        await cluster.asRoot("POST", `apisec/data/${name}/password`, { data });
        return name;
      }),
    );
    writeFileSync(join(dir, "accounts"), `${names.join("\n")}\n`);
    const standby = await cluster.standby();
    await caughtUp(standby, names);
    const { address } = standby;
    const env = {
      PATH: process.env["PATH"],
      VAULT_ADDR: address,
      VAULT_TOKEN: cluster.rootToken,
      APISEC_MOUNT: "apisec",
      APISEC_ACCOUNTS_FILE: join(dir, "accounts"),
      APISEC_CONCURRENCY: `${concurrency}`,
    };
    const child = spawn(process.execPath, [join(root, "dist/rotate.mjs")], { cwd: dir, env });
    let printed = "";
    let struck: Promise<() => Promise<void>> | undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (part: Buffer) => {
        printed += part.toString();
        if (printed.includes("rotated")) struck ??= strike(fault);
      });
    }
    const code = await timed(
      fault,
      "rotation of 50 accounts",
      () => new Promise<number | null>((resolve) => child.once("close", resolve)),
    );
    await (
      await struck
    )?.();
    const rotated = printed.match(/^a\d+ +rotated/gm)?.length ?? 0;
    const failed = printed.match(/^a\d+ +failed .*/gm) ?? [];
    // A busy machine may take longer to elect a leader than the job waits: then those in flight fail, and say so.
    const mayFail = fault === "no quorum for 10 s" && outageMs > 15_000 ? concurrency : 0;
    expect(failed.slice(mayFail)).toEqual([]);
    expect([code, rotated]).toEqual([failed.length === 0 ? 0 : 1, 50 - failed.length]);
    rows.push(`  rotated ${rotated}, failed ${failed.length}`);
    const again = await run(process.execPath, [join(root, "dist/rotate.mjs")], { cwd: dir, env });
    expect([again.code, again.code === 0 ? "" : again.stdout]).toEqual([0, ""]);
    expect(struck).toBeDefined();
    for (const name of names) {
      expect((await recordOf(`${name}/token`))["username"]).toBe(username(name));
    }
  },
  300_000,
);
