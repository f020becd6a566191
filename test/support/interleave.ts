import type { FaultInput } from "../../lab/faults";
import type { Gate } from "./gate";

/** What becomes of a run at its call `n`: it waits for the other run to end, is killed, or hears this. */
export interface Halt {
  n: number;
  what: "waits" | "is killed" | FaultInput;
}

export interface Runner<T> {
  start(): Promise<T>;
  kill(): Promise<void>;
}

/**
 * Two runs on one gate, never both in motion: `first` goes to its call `n`, then `second` to its halt
 * or its end, then the first one to its end, then the second. So it is known whose each call is.
 */
export async function interleave<A, B>(
  gate: Gate,
  first: Runner<A>,
  n: number,
  second: Runner<B>,
  halt?: Halt,
): Promise<[A, B]> {
  const pass = gate.before;
  const counts = { first: 0, second: 0 };
  const waiting = { first: signal(), second: signal() };
  const go = { first: signal(), second: signal() };
  let turn: "first" | "second" = "first";

  gate.before = async (call) => {
    const who = turn;
    counts[who] += 1;
    if (counts[who] === (who === "first" ? n : halt?.n)) {
      if (who === "first" || halt?.what === "waits") {
        waiting[who].give();
        await go[who].given;
      } else if (halt?.what === "is killed") {
        await second.kill();
        return { when: "before", action: "reset" };
      } else if (halt !== undefined) {
        return halt.what;
      }
    }
    return pass(call);
  };

  const a = first.start();
  await Promise.race([waiting.first.given, a]);
  turn = "second";
  const b = second.start();
  await Promise.race([waiting.second.given, b]);
  turn = "first";
  go.first.give();
  const ended = await a;
  turn = "second";
  go.second.give();
  return [ended, await b];
}

function signal() {
  let give: () => void = () => undefined;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give };
}
