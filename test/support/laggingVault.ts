import { vaultError } from "../../clients/vault";
import type { VaultConnection } from "../../clients/vault";
import { isObject, jsonObject } from "../../net/http";
import type { Clock, HttpRequest, HttpResponse } from "../../net/http";
import { kvConfigure, kvNote, kvRead, kvWrite } from "./memoryVault";
import type { Kv } from "./memoryVault";

/** How a request is told to what happens beside it. */
export type Call = Pick<HttpRequest, "method"> & { key: string };

export interface LaggingVault {
  connection(): VaultConnection;
  clock: Clock;
  /** What the leader has. */
  kv(): Kv;
  /** Another client's write: the leader knows it at once. */
  set(change: (kv: Kv) => Kv): void;
}

const tripMs = 5;

/**
 * A KV mount `apisec` behind a standby of OpenBao, in memory: it hands writes to its leader and answers reads from
 * a copy that is `lagMs` old; unless they name a state that it does not have yet (`X-Vault-Index`) and let it
 * ask the leader (`X-Vault-Inconsistent`). Time passes by trips and sleeps alone.
 */
export function laggingVault(
  begun: Kv,
  lagMs: number,
  before: (call: Call) => void = () => undefined,
): LaggingVault {
  let now = Date.UTC(2026, 10, 24, 12);
  const clock: Clock = {
    now: () => now,
    sleep: async (ms) => {
      now += ms;
    },
  };
  const states = [{ at: -Infinity, kv: begun }];
  const leader = () => states[states.length - 1]!.kv;
  const set = (kv: Kv) => {
    if (kv !== leader()) states.push({ at: now, kv });
  };
  const copy = () => states.filter(({ at }) => at <= now - lagMs).length - 1;
  const indexAt = (value: number) =>
    Buffer.from(JSON.stringify({ cluster: "c", value: `${value}` })).toString("base64");
  const answer = (status: number, body: object, value?: number): HttpResponse => ({
    status,
    headers: value === undefined ? {} : { "x-vault-index": indexAt(value) },
    body: JSON.stringify(body),
  });

  function read(url: URL, isData: boolean, key: string, value: number): HttpResponse {
    const { kv } = states[value]!;
    const none = answer(404, { errors: [] }, value);
    const held = kv[key];
    if (held === undefined) return none;
    if (!isData) return answer(200, { data: { custom_metadata: held.custom ?? null } }, value);
    const found = kvRead(kv, key, now, Number(url.searchParams.get("version") ?? 0));
    if (found.state === "absent") return none;
    const metadata = {
      version: found.version,
      created_time: found.createdTime,
      deletion_time: found.deletionTime,
      custom_metadata: found.custom,
    };
    const data = found.state === "found" ? found.data : null;
    return answer(data === null ? 404 : 200, { data: { data, metadata } }, value);
  }

  function write(body: Record<string, unknown>, isData: boolean, key: string): HttpResponse {
    if (!isData) {
      const { custom_metadata: custom } = body;
      const noted = isObject(custom)
        ? kvNote(leader(), key, custom as Record<string, string>)
        : kvConfigure(leader(), key, { maxVersions: 10 });
      set(noted);
      return { ...answer(204, {}, states.length - 1), body: "" };
    }
    const { options, data } = body as { options: { cas: number }; data: Record<string, unknown> };
    const { kv, answer: written } = kvWrite(leader(), key, data, options.cas, now);
    if (written.state === "lost") {
      return answer(400, {
        errors: ["check-and-set parameter did not match the current version"],
      });
    }
    set(kv);
    const { version, deletionTime, createdTime } = written;
    const metadata = { version, deletion_time: deletionTime, created_time: createdTime };
    return answer(200, { data: metadata }, states.length - 1);
  }

  async function send({ method, url: text, headers, body }: HttpRequest): Promise<HttpResponse> {
    const url = new URL(text);
    const [, kind, key] = /^\/v1\/apisec\/(data|metadata)\/(.*)$/.exec(url.pathname) ?? [];
    if (key === undefined) throw vaultError("refused", `No such path: ${url.pathname}`);
    now += tripMs;
    before({ method, key });
    const isData = kind === "data";
    if (method === "POST") return write(jsonObject(body ?? "") ?? {}, isData, key);
    const asked = headers["x-vault-index"];
    const index = asked && jsonObject(Buffer.from(asked, "base64").toString())?.["value"];
    if (Number(index ?? 0) <= copy()) return read(url, isData, key, copy());
    const isForwarded = headers["x-vault-inconsistent"] === "forward-active-node";
    return isForwarded ? read(url, isData, key, states.length - 1) : answer(429, { errors: [] });
  }

  return {
    connection: () => ({ send, clock, address: "https://vault.example", token: "hvs.x", met: {} }),
    clock,
    kv: leader,
    set: (change) => set(change(leader())),
  };
}
