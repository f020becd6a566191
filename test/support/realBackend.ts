import type { Apisec } from "../../clients/apisec";
import { passwordKey, tokenKey } from "../../core/passwordRecord";
import type { PasswordKeys } from "../../core/passwordRun";
import { vaultError } from "../../clients/vault";
import type { KvStore } from "../../clients/vault";
import type { FaultLab, TestAccount } from "./faultLab";
import { account as memoryAccount } from "./memoryApisec";
import type { KvKey } from "./memoryVault";
import type { Backend } from "./randomSchedules";
import type { Answer, Call } from "./stepped";
import type { LateChange, World } from "./world";

/**
 * A real OpenBao and the lab's APIsec as the outside of random schedules. Faults are made between
 * the runs and the servers; the servers' own faults are the kill matrix's business.
 */
export function realBackend(
  lab: FaultLab,
  account: TestAccount,
  store: KvStore,
  passwordKeys: PasswordKeys,
  apisec: Apisec,
): Backend {
  const passwords = new Set<string>(["first-password"]);
  const inFlight: (LateChange & { land: () => Promise<unknown> })[] = [];
  const values = new Map<string, Record<string, unknown>>();
  let snapshot: Promise<World> | undefined;
  let waitedMs = 0;
  const keys = [passwordKey(account.name), tokenKey(account.name)];
  const down: Answer = { error: vaultError("unreachable", "Vault: fault") };
  const unknown: Answer = { value: { kind: "unknown", why: "fault" } };
  const refused: Answer = { value: { kind: "refused", text: "fault" } };

  async function plain(call: Call): Promise<Answer> {
    switch (call.to) {
      case "read":
        return { value: await store.read(call.key, call.version) };
      case "write":
        for (const field of ["password", "pending_password"]) {
          const password = call.data[field];
          if (typeof password === "string") passwords.add(password);
        }
        return { value: await store.write(call.key, call.data, call.cas) };
      case "mark":
        return { value: await passwordKeys.mark(call.key) };
      case "note":
        return { value: await passwordKeys.note(call.key, call.texts) };
      case "prepare":
        return { value: await passwordKeys.prepare(call.key) };
      case "login":
        return { value: await apisec.login(call.username, call.password) };
      case "whoAmI":
        return { value: await apisec.whoAmI(call.token) };
      case "probe":
        return { value: await apisec.probe(call.token) };
      case "change":
        return { value: await apisec.changePassword(call.token, call.user, call.password) };
    }
  }

  function late(call: Call & { to: "change" }): Answer {
    const land = () => apisec.changePassword(call.token, call.user, call.password);
    inFlight.push({ username: account.username, password: call.password, land });
    return unknown;
  }

  /** The same faults as in memory, in one list a kind of call. */
  function faultsOf(call: Call): [string, () => Promise<Answer>][] {
    const answered = (answer: Answer) => async () => answer;
    const done = (answer: Answer) => async () => {
      await plain(call);
      return answer;
    };
    switch (call.to) {
      case "read":
      case "mark":
      case "prepare":
        return [["vault is down", answered(down)]];
      case "note":
        return [
          ["vault is down", answered(down)],
          ["written, then the answer is lost", done(down)],
        ];
      case "write":
        return [
          ["vault is down", answered(down)],
          ["written, then the answer is lost", done(down)],
          [
            "written twice",
            async () => {
              await plain(call);
              return plain(call);
            },
          ],
        ];
      case "change":
        return [
          ["lost", answered(unknown)],
          ["taken, answer lost, comes later", async () => late(call)],
          ["done, answer unreadable", done(unknown)],
          ["refused", answered(refused)],
          ["done, but answered as refused", done(refused)],
        ];
      default:
        return [["unreadable answer", answered(unknown)]];
    }
  }

  async function keyOf(key: string): Promise<KvKey | undefined> {
    const { status, body } = await lab.asRoot("GET", `apisec/metadata/${key}`);
    if (status === 404) return undefined;
    const { data } = body as { data: Metadata };
    const numbers = Object.keys(data.versions)
      .map(Number)
      .sort((a, b) => a - b);
    const versions: KvKey["versions"][number][] = [];
    for (const number of numbers) {
      const { deletion_time, destroyed } = data.versions[number] ?? {
        deletion_time: "",
        destroyed: true,
      };
      const name = `${key} ${number}`;
      if (!values.has(name)) values.set(name, (await lab.read(key, number))?.data ?? {});
      versions.push({ data: values.get(name) ?? {}, deletionTime: deletion_time, destroyed });
    }
    const custom = data.custom_metadata ?? {};
    return { maxVersions: 10, deleteAfterMs: 0, current: data.current_version, versions, custom };
  }

  async function look(): Promise<World> {
    const kv: Record<string, KvKey> = {};
    for (const key of keys) {
      const found = await keyOf(key);
      if (found !== undefined) kv[key] = found;
    }
    let live = "";
    for (const password of passwords) if (await lab.isLive(account, password)) live = password;
    const accounts = [memoryAccount(account.username, live, [])];
    const waiting = inFlight.map(({ username, password }) => ({ username, password }));
    return { kv, apisec: { accounts, resetEndsTokens: false }, inFlight: waiting };
  }

  async function changed<T>(what: Promise<T>): Promise<T> {
    const result = await what;
    snapshot = undefined;
    return result;
  }

  return {
    account,
    now: () => Date.now() + waitedMs,
    // Vault's clock is the machine's: schedules with another one are played in memory.
    shift: async () => undefined,
    outwait: async (minutes) => void (waitedMs += minutes * 60_000),
    world: () => (snapshot ??= look()),
    async perform(call, fault) {
      const faults = fault === undefined ? [] : faultsOf(call);
      const chosen = faults[(fault ?? 0) % Math.max(faults.length, 1)];
      const [name, perform] = chosen ?? ["", () => plain(call)];
      const answer = await perform();
      if (["write", "change", "note", "prepare"].includes(call.to)) snapshot = undefined;
      return { fault: name, answer };
    },
    async land(index) {
      const [change] = inFlight.splice(index, 1);
      await changed(change?.land() ?? Promise.resolve());
    },
    async deleteSecret(key) {
      await changed(lab.asRoot("DELETE", `apisec/data/${key}`));
    },
    async undeleteSecret(key, version) {
      await changed(lab.asRoot("POST", `apisec/undelete/${key}`, { versions: [version] }));
    },
    async setPassword(password) {
      passwords.add(password);
      await changed(lab.setPassword(account, password));
    },
  };
}

interface Metadata {
  current_version: number;
  custom_metadata: Record<string, string> | null;
  versions: Record<string, { deletion_time: string; destroyed: boolean }>;
}
