import type { FaultInput } from "../../lab/faults";
import type { Call, Gate } from "./gate";

/** What becomes of one call. */
export interface Strike {
  title: string;
  /** The process is killed before the call leaves, or after it took effect and before its answer. */
  kill?: "before" | "after";
  /** Nothing listens there, through all tries of the call. */
  refuse?: true;
  fault?: FaultInput;
  /** So many tries of the same call in a row go wrong. */
  tries?: number;
  /** The call is held back, and takes effect after so many runs. */
  late?: 1 | 2;
}

const answers: [string, FaultInput["action"], retried?: "retried"][] = [
  ["503", { status: 503, body: "Service Unavailable" }, "retried"],
  ["no answer in time", "hang", "retried"],
  ["a reset connection", "reset", "retried"],
  ["200 with errors:true", "errorsTrue"],
  ["200 with data:false", "dataFalse"],
  ["200 with an HTML page", "html"],
  ["a redirect", "redirect"],
  ["a truncated body", "truncate", "retried"],
];

/** No client tries a call more often. */
const allTries = 4;

/** Longer than all tries of a hurried process last against a closed port. */
const refusedMs = 400;

/**
 * Everything that may become of a call. `changes`: it has an effect, which then takes place or not.
 * `once`: also what the client's own second try heals.
 */
export function strikes(changes: boolean, once: boolean): Strike[] {
  const whens = changes ? (["before", "after"] as const) : (["after"] as const);
  const effect = (when: string) =>
    changes ? (when === "after" ? ", after its effect" : ", without effect") : "";
  return [
    { title: "killed before it", kill: "before" },
    { title: "killed after it", kill: "after" },
    { title: "a refused connection", refuse: true },
    ...answers.flatMap(([title, action, retried]) =>
      whens.flatMap((when) => {
        const fault = { when, action };
        const strike = { title: `${title}${effect(when)}`, fault, tries: allTries };
        const healed = { title: `${strike.title}, once`, fault, tries: 1 };
        return once && retried !== undefined ? [strike, healed] : [strike];
      }),
    ),
    ...(changes
      ? [
          {
            title: "no answer in time, and the effect a little later",
            fault: { when: "late" as const, lateMs: 1_400, action: "hang" as const },
            tries: 1,
          },
          { title: "no answer in time, and the effect after the run", late: 1 as const },
          { title: "no answer in time, and the effect after the next run", late: 2 as const },
        ]
      : []),
  ];
}

/**
 * Lets `strike` fall on call `n` of the run that is about to start; `sides` are those of its calls. The
 * calls that it holds back are in the answer.
 */
export function arm(
  gate: Gate,
  strike: Strike,
  n: number,
  sides: readonly Call["side"][],
  kill: () => Promise<void>,
): Call[] {
  const held: Call[] = [];
  const pass = { before: gate.before, after: gate.after };
  const refuse = () => gate.refuse(sides[n - 1] ?? "vault", refusedMs);
  let struck: Call | undefined;
  let count = 0;
  if (strike.refuse && n === 1) refuse();

  gate.before = async (call) => {
    const verdict = await pass.before(call);
    if (call.n === n) struck = call;
    const isSame = call.method === struck?.method && call.path === struck.path;
    count += isSame ? 1 : 0;
    if (strike.kill === "before" && call.n === n) {
      await kill();
      return { when: "before", action: "reset" };
    }
    if (strike.late && isSame && count <= allTries) {
      held.push(call);
      return { when: "before", action: "hang" };
    }
    if (strike.fault !== undefined && isSame && count <= (strike.tries ?? 1)) return strike.fault;
    return verdict;
  };
  gate.after = async (call, answer) => {
    await pass.after(call, answer);
    if (strike.refuse && call.n === n - 1) refuse();
    if (strike.kill === "after" && call.n === n) await kill();
  };
  return held;
}

export const waitForRefused = refusedMs;
