import type { Answer, FaultInput } from "../../lab/faults";
import type { FaultyServer, Incoming } from "../../lab/faultyServer";
import { startProxy } from "./proxy";
import type { FaultLab } from "./faultLab";

export type Side = "vault" | "apisec";

/** One call of the process under test; `n` counts from 1 in each run. */
export interface Call extends Incoming {
  side: Side;
}

/** The way of a process to Vault and APIsec, on which every call can be stopped, killed or spoilt. */
export interface Gate {
  vaultUrl: string;
  apisecUrl: string;
  /** The calls since `reset`. */
  calls: Call[];
  /** Asked before a call takes effect. */
  before: (call: Call) => Promise<"pass" | FaultInput>;
  /** Told after a call took effect, before it is answered. */
  after: (call: Call, answer: Answer) => Promise<void>;
  /** Begins a run: no calls yet, none of them disturbed. */
  reset(): void;
  /** Nothing listens there for `ms`. */
  refuse(side: Side, ms: number): void;
  /** Sends a call that was held back, as it was, and gives APIsec's or Vault's status. */
  deliver(call: Call): Promise<number>;
  close: () => Promise<void>;
}

const letPass: Gate["before"] = async () => "pass";
const nothing = async () => undefined;
let gates = 0;

export async function openGate(lab: FaultLab): Promise<Gate> {
  // An address of its own for each: while nothing listens there, no other server can take the port.
  gates += 1;
  const host = `127.${1 + (process.pid % 250)}.${gates >> 8}.${gates & 255}`;
  const targets = { vault: lab.vault.address, apisec: lab.apisecUrl };
  const known = new WeakMap<Incoming, Call>();

  function start(side: Side): Promise<FaultyServer> {
    return startProxy({
      host,
      target: targets[side],
      onRequest(request) {
        const call = { ...request, side, n: gate.calls.length + 1 };
        known.set(request, call);
        gate.calls.push(call);
        return gate.before(call);
      },
      async onResponse(request, answer) {
        const call = known.get(request);
        if (call !== undefined) await gate.after(call, answer);
      },
    });
  }

  const [vault, apisec] = await Promise.all([start("vault"), start("apisec")]);
  const servers = { vault, apisec };
  const gate: Gate = {
    vaultUrl: vault.url,
    apisecUrl: apisec.url,
    calls: [],
    before: letPass,
    after: nothing,
    reset() {
      Object.assign(gate, { calls: [], before: letPass, after: nothing });
    },
    refuse: (side, ms) => servers[side].down(ms),
    async deliver({ side, method, path, headers, body }) {
      const { authorization, "x-vault-token": token } = headers;
      const answer = await fetch(targets[side] + path, {
        method,
        headers: {
          "content-type": "application/json",
          ...(authorization === undefined ? {} : { authorization }),
          ...(token === undefined ? {} : { "x-vault-token": String(token) }),
        },
        ...(method === "GET" ? {} : { body: body.toString() }),
      });
      await answer.text();
      return answer.status;
    },
    async close() {
      await Promise.all([vault.close(), apisec.close()]);
    },
  };
  lab.onStop.push(gate.close);
  return gate;
}
