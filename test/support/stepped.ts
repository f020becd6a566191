import type { Apisec, Identity } from "../../clients/apisec";
import type { Clock } from "../../net/http";
import type { KvStore } from "../../clients/vault";
import type { PasswordKeys } from "../../core/passwordRun";

/** One call of a run on the outside, on which the run waits until it is answered. */
export type Call =
  | { to: "read"; key: string; version?: number | undefined }
  | { to: "write"; key: string; data: Record<string, unknown>; cas: number }
  | { to: "login"; username: string; password: string }
  | { to: "whoAmI"; token: string }
  | { to: "change"; token: string; user: Identity; password: string }
  | { to: "probe"; token: string }
  | { to: "mark"; key: string }
  | { to: "note"; key: string; texts: Record<string, string> }
  | { to: "prepare"; key: string };

export type Answer = { value: unknown } | { error: Error };
export type Ended = { result: unknown } | { error: Error };

/** The outside as one run gets it. */
export interface Outside {
  store: KvStore;
  keys: PasswordKeys;
  apisec: (host: string) => Apisec;
  clock: Clock;
}

/** A run of real code that stands still at each of its calls until it is given an answer. */
export interface Stepped {
  readonly calls: readonly Call[];
  readonly ended: Ended | undefined;
  /** Answers the call at `index` and goes on until the run waits again or has ended. */
  answer(index: number, answer: Answer): Promise<void>;
}

/** Microtasks without a new call after which a run that waits is taken to do nothing else. */
const quietTicks = 20;
/** No chain of `await`s between two calls of the program is longer. */
const mostTicks = 200;

/**
 * Starts `main`. Nothing in it may wait for anything but the outside it is given: then each step is
 * a fixed number of microtasks, without timers. Sleeping takes no time here; what may happen
 * meanwhile is the choice of whoever answers the next call.
 */
export async function startStepped(
  main: (outside: Outside) => Promise<unknown>,
  now: () => number,
): Promise<Stepped> {
  const waiting: { call: Call; resolve(value: unknown): void; reject(error: Error): void }[] = [];
  let ended: Ended | undefined;

  function ask<T>(call: Call): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      waiting.push({ call, resolve: (value) => resolve(value as T), reject });
    });
  }

  async function settle(): Promise<void> {
    let asked = waiting.length;
    let quiet = 0;
    for (let tick = 0; tick < mostTicks; tick += 1) {
      if (ended !== undefined || (waiting.length > 0 && quiet === quietTicks)) return;
      await Promise.resolve();
      quiet = waiting.length === asked ? quiet + 1 : 0;
      asked = waiting.length;
    }
    throw new Error("A run waits for something that is none of its calls");
  }

  const apisec: Apisec = {
    login: (username, password) => ask({ to: "login", username, password }),
    whoAmI: (token) => ask({ to: "whoAmI", token }),
    changePassword: (token, user, password) => ask({ to: "change", token, user, password }),
    probe: (token) => ask({ to: "probe", token }),
  };
  const outside: Outside = {
    store: {
      read: (key, version) => ask({ to: "read", key, version }),
      write: (key, data, cas) => ask({ to: "write", key, data, cas }),
    },
    keys: {
      mark: (key) => ask({ to: "mark", key }),
      note: (key, texts) => ask({ to: "note", key, texts }),
      prepare: (key) => ask({ to: "prepare", key }),
    },
    apisec: () => apisec,
    clock: { now, sleep: async () => undefined },
  };
  main(outside).then(
    (result) => (ended = { result }),
    (error: Error) => (ended = { error }),
  );
  await settle();

  return {
    get calls() {
      return waiting.map(({ call }) => call);
    },
    get ended() {
      return ended;
    },
    async answer(index, answer) {
      const [answered] = waiting.splice(index, 1);
      if (answered === undefined) throw new Error("There is no such call to answer");
      if ("value" in answer) answered.resolve(answer.value);
      else answered.reject(answer.error);
      await settle();
    },
  };
}
