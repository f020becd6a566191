import type { ChangeAnswer } from "../../clients/apisec";
import { vaultError } from "../../clients/vault";
import { apisecChange, apisecLogin, apisecProbe, apisecWhoAmI, withPassword } from "./memoryApisec";
import type { ApisecData } from "./memoryApisec";
import { kvConfigure, kvNote, kvRead, kvWrite } from "./memoryVault";
import type { Kv } from "./memoryVault";
import type { Answer, Call } from "./stepped";

/** Everything outside the runs, as plain data that is never changed in place. */
export interface World {
  readonly kv: Kv;
  readonly apisec: ApisecData;
  /** Changes that APIsec has taken and not made yet: each may come to effect at any time, or never. */
  readonly inFlight: readonly LateChange[];
}

export interface LateChange {
  readonly username: string;
  readonly password: string;
}

/** One way a call may go: what it does to the world, and what the caller hears. */
export interface Way {
  /** How it reads in a schedule; "" for the plain answer. */
  readonly fault: string;
  readonly world: World;
  readonly answer: Answer;
}

/** What the outside does on `call` when nothing goes wrong. */
export function plainWay(world: World, call: Call, nowMs: number): Way {
  const { kv, apisec } = world;
  const same = (value: unknown): Way => ({ fault: "", world, answer: { value } });
  switch (call.to) {
    case "read":
      return same(kvRead(kv, call.key, nowMs, call.version));
    case "write": {
      const written = kvWrite(kv, call.key, call.data, call.cas, nowMs);
      return { ...same(written.answer), world: { ...world, kv: written.kv } };
    }
    case "mark":
      return same(kv[call.key]?.custom);
    case "note":
      return { ...same(undefined), world: { ...world, kv: kvNote(kv, call.key, call.texts) } };
    case "prepare": {
      const prepared = kvConfigure(kv, call.key, { maxVersions: 10, deleteAfterMs: 0 });
      return { ...same(undefined), world: { ...world, kv: prepared } };
    }
    case "login":
      return same(apisecLogin(apisec, call.username, call.password, nowMs));
    case "whoAmI":
      return same(apisecWhoAmI(apisec, call.token, nowMs));
    case "probe":
      return same(apisecProbe(apisec, call.token, nowMs));
    case "change": {
      const changed = apisecChange(apisec, call.token, call.user, call.password, nowMs);
      return { ...same(changed.answer), world: { ...world, apisec: changed.apisec } };
    }
  }
}

const down: Answer = { error: vaultError("unreachable", "Vault: fault") };
const unknown: Answer = { value: { kind: "unknown", why: "fault" } };

/** Every way in which `call` may go wrong; each counts as one fault. */
export function faultyWays(world: World, call: Call, nowMs: number): Way[] {
  switch (call.to) {
    case "read":
    case "mark":
    case "prepare":
      return [{ fault: "vault is down", world, answer: down }];
    case "note": {
      const plain = plainWay(world, call, nowMs);
      return [
        { fault: "vault is down", world, answer: down },
        { fault: "written, then the answer is lost", world: plain.world, answer: down },
      ];
    }
    case "write": {
      const before: Way = { fault: "vault is down", world, answer: down };
      const plain = plainWay(world, call, nowMs);
      if (plain.world.kv === world.kv) return [before];
      const after: Way = {
        fault: "written, then the answer is lost",
        world: plain.world,
        answer: down,
      };
      // Vault's client repeats a write whose answer was lost: the repetition loses against the first.
      const repeated: Way = {
        ...after,
        fault: "written twice",
        answer: { value: { state: "lost" } },
      };
      return [before, after, repeated];
    }
    case "login":
    case "whoAmI":
    case "probe":
      return [{ fault: "unreadable answer", world, answer: unknown }];
    case "change": {
      const plain = plainWay(world, call, nowMs);
      const lost: Way = { fault: "lost", world, answer: unknown };
      if (plain.world.apisec === world.apisec) return [lost];
      const username = usernameOf(world, call.user.userId);
      const late = {
        ...world,
        inFlight: [...world.inFlight, { username, password: call.password }],
      };
      const no: ChangeAnswer = { kind: "refused", text: "fault" };
      return [
        lost,
        { fault: "taken, answer lost, comes later", world: late, answer: unknown },
        { fault: "done, answer unreadable", world: plain.world, answer: unknown },
        { fault: "refused", world, answer: { value: no } },
        { fault: "done, but answered as refused", world: plain.world, answer: { value: no } },
        { fault: "answered as done, comes later", world: late, answer: plain.answer },
      ];
    }
  }
}

/** The world after the late change at `index` has come to effect. */
export function land({ apisec, inFlight, kv }: World, index: number): World {
  const change = inFlight[index];
  if (change === undefined) throw new Error("There is no such late change");
  return {
    kv,
    apisec: withPassword(apisec, change.username, change.password),
    inFlight: inFlight.filter((_, at) => at !== index),
  };
}

function usernameOf(world: World, userId: string): string {
  return world.apisec.accounts.find((one) => one.userId === userId)?.username ?? "";
}

/** A call and its answer in a line of a schedule. Passwords are shown: all of them are made up. */
export function describeCall(call: Call): string {
  switch (call.to) {
    case "read":
      return `reads ${call.key}${call.version === undefined ? "" : ` version ${call.version}`}`;
    case "write":
      return `writes ${call.key} after version ${call.cas}: ${describeData(call.data)}`;
    case "login":
      return `logs in as ${call.username} with ${call.password}`;
    case "change":
      return `changes ${call.user.username} to ${call.password}`;
    case "note":
      return `notes ${call.key}: ${JSON.stringify(call.texts)}`;
    case "mark":
    case "prepare":
      return `${call.to} ${call.key}`;
    case "whoAmI":
    case "probe":
      return call.to;
  }
}

export function describeAnswer(answer: Answer): string {
  if ("error" in answer) return `error: ${answer.error.message}`;
  if (answer.value === undefined || answer.value === null) return "done";
  const { state, kind, version, data } = answer.value as Record<string, string | number | object>;
  const shown = typeof data === "object" ? ` ${describeData(data)}` : "";
  const numbered = typeof version === "number" ? ` version ${version}` : "";
  return `${text(state ?? kind)}${numbered}${shown}`;
}

function describeData(data: object): string {
  const { password, generation, pending_password, pending_generation, token } = data as Record<
    string,
    string | number | undefined
  >;
  if (token !== undefined) return "{token}";
  const pending =
    pending_password === undefined
      ? ""
      : `, pending ${pending_password} generation ${pending_generation ?? ""}`;
  return `{${password ?? ""} generation ${generation ?? ""}${pending}}`;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
