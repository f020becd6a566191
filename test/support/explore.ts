import { startStepped } from "./stepped";
import type { Answer, Call, Ended, Outside, Stepped } from "./stepped";
import { describeAnswer, describeCall, faultyWays, land, plainWay } from "./world";
import type { Way, World } from "./world";

/** A run of real code. `main` must behave alike whenever it is given the same answers. */
export interface Actor {
  title: string;
  main: (outside: Outside) => Promise<unknown>;
  /** Its clock, which stands still; default `nowMs`. */
  nowMs?: number;
}

/** Where one actor stands after one history of answers; `facts` is what the checks keep of it. */
export interface Local<F> {
  readonly id: number;
  readonly calls: readonly Call[];
  readonly ended: Ended | undefined;
  readonly facts: F;
}

/** What must hold. Each returns the text of a violation, or undefined. */
export interface Checks<F> {
  noFacts: F;
  /** The facts after one more answer. */
  learn(facts: F, call: Call, answer: Answer): F;
  /** In every state of the world. */
  world(world: World): string | undefined;
  /** At every call: the world before and after it, and what the run knew before. */
  call(actor: Actor, facts: F, call: Call, before: World, after: World): string | undefined;
  /** When a run ends by itself. `faults`: how many there were until then, in all runs. */
  end(actor: Actor, local: Local<F>, world: World, faults: number): string | undefined;
  /** When all runs have ended and what has not come to effect never will. */
  finish(
    world: World,
    runAlone: (actor: Actor, world: World) => Promise<Alone>,
  ): Promise<string | undefined>;
}

export interface Alone {
  ended: Ended;
  world: World;
  calls: Call[];
}

export interface Exploration<F> {
  start: World;
  actors: Actor[];
  /** How many calls may go wrong and runs be killed, in all. */
  faults: number;
  checks: Checks<F>;
}

export interface Violation {
  what: string;
  schedule: string[];
}

export interface Report {
  /** Schedules that lead through the states explored: each is a complete interleaving with its faults. */
  schedules: number;
  /** Schedules that were gone through step by step until they met a state that was known. */
  walked: number;
  states: number;
  /** Steps that the real code was run for; all others follow from the same history of answers. */
  steps: number;
  violations: Violation[];
}

const mostViolations = 5;
/** Schedules that are also run with all actors really at once: they must go as the explored ones. */
const realWalks = 50;
/** The time of all runs: it stands still. */
export const nowMs = Date.UTC(2026, 10, 24, 6);

/** One step of a schedule: a call that goes one way, a kill, or a late change that comes to effect. */
interface Move {
  actor: number;
  index: number;
  /** Undefined: the kill of the actor, or with actor -1 the late change at `index`. */
  way?: { fault: string; answer: Answer; call: Call } | undefined;
  world: World;
  cost: number;
}

interface State<F> {
  world: World;
  /** Undefined: killed. */
  locals: readonly (Local<F> | undefined)[];
  faultsLeft: number;
}

interface Frame<F> {
  key: string;
  state: State<F>;
  moves: Move[];
  next: number;
  schedules: number;
}

/**
 * Goes through every schedule of the actors within the bound, depth first. A state is the world and
 * each actor's history of answers; what follows from it is explored once. What an actor does after
 * a history is learnt from the real code, once.
 */
export async function explore<F>(exploration: Exploration<F>): Promise<Report> {
  const { actors, checks, faults, start } = exploration;
  const code = realCode(checks);
  const known = new Map<string, number>();
  const finished = new Map<World, string | undefined>();
  const report: Report = {
    schedules: 0,
    walked: 0,
    states: 0,
    steps: 0,
    violations: [],
  };
  const frames: Frame<F>[] = [];
  const worlds = worldMemory(checks);

  function keyOf({ world, locals, faultsLeft }: State<F>): string {
    const runs = locals.map((local) => (local === undefined || local.ended ? "-" : local.id));
    return `${worlds.numberOf(world)}.${faultsLeft}.${runs.join(".")}`;
  }

  function violated(what: string | undefined, last?: Move): void {
    if (what === undefined) return;
    const moves = frames
      .map((frame) => frame.moves[frame.next - 1])
      .filter((move) => move !== undefined);
    if (last !== undefined && moves.at(-1) !== last) moves.push(last);
    report.violations.push({ what, schedule: moves.map((move) => describeMove(move, actors)) });
  }

  async function open(state: State<F>, key: string): Promise<void> {
    report.states += 1;
    const moves = movesOf(state, worlds);
    const isOver = state.locals.every((local) => local === undefined || local.ended !== undefined);
    frames.push({ key, state, moves, next: 0, schedules: isOver ? 1 : 0 });
    violated(worlds.violation(state.world));
    if (!isOver) return;
    report.walked += 1;
    const last = worlds.intern({ ...state.world, inFlight: [] });
    if (!finished.has(last)) finished.set(last, await checks.finish(last, runAlone));
    violated(finished.get(last));
  }

  async function runAlone(actor: Actor, from: World): Promise<Alone> {
    let world = from;
    let local = await code.start(actor);
    const calls: Call[] = [];
    while (local.ended === undefined) {
      const call = local.calls[0];
      if (call === undefined) throw new Error("A run neither waits nor has ended");
      calls.push(call);
      const way = worlds.plain(world, call);
      world = way.world;
      local = await code.step(local, 0, way.answer);
    }
    return { ended: local.ended, world, calls };
  }

  /** Walks one schedule at random with all actors really at once and without any memory. */
  async function walkForReal(from: State<F>, random: () => number): Promise<void> {
    const stepped = await Promise.all(
      actors.map((actor) => startStepped(actor.main, () => actor.nowMs ?? nowMs)),
    );
    let state = from;
    for (let moves = movesOf(state, worlds); moves.length > 0; moves = movesOf(state, worlds)) {
      const move = moves[Math.floor(random() * moves.length)];
      if (move === undefined) throw new Error("A random number is not below 1");
      if (move.way !== undefined) await stepped[move.actor]?.answer(move.index, move.way.answer);
      state = await apply(state, move);
      const isSame = state.locals.every((local, at) => {
        const real = stepped[at];
        return (
          local === undefined || JSON.stringify(local.calls) === JSON.stringify(real?.calls ?? [])
        );
      });
      if (!isSame) throw new Error("Runs that are really at once go another way than one by one");
    }
  }

  const locals: Local<F>[] = [];
  for (const actor of actors) locals.push(await code.start(actor));
  const first: State<F> = { world: worlds.intern(start), locals, faultsLeft: faults };
  await open(first, keyOf(first));

  for (;;) {
    const frame = frames.at(-1);
    if (frame === undefined || report.violations.length >= mostViolations) break;
    const move = frame.moves[frame.next];
    if (move === undefined) {
      frames.pop();
      known.set(frame.key, frame.schedules);
      const parent = frames.at(-1);
      if (parent === undefined) report.schedules = frame.schedules;
      else parent.schedules += frame.schedules;
      continue;
    }
    frame.next += 1;
    const state = await apply(frame.state, move);
    const key = keyOf(state);
    const schedules = known.get(key);
    if (schedules === undefined) {
      await open(state, key);
    } else {
      frame.schedules += schedules;
      report.walked += 1;
    }
  }
  report.steps = code.steps();
  const random = randomNumbers(1);
  const walks = report.violations.length === 0 ? realWalks : 0;
  for (let walk = 0; walk < walks; walk += 1) await walkForReal(first, random);
  return report;

  async function apply(state: State<F>, move: Move): Promise<State<F>> {
    const faultsLeft = state.faultsLeft - move.cost;
    if (move.actor < 0) return { ...state, world: move.world };
    const before = state.locals[move.actor];
    if (before === undefined) throw new Error("A killed run was moved");
    if (move.way === undefined) {
      return { ...state, faultsLeft, locals: replaced(state.locals, move.actor, undefined) };
    }
    const { call, answer } = move.way;
    const local = await code.step(before, move.index, answer);
    const actor = actors[move.actor];
    if (actor !== undefined) {
      violated(checks.call(actor, before.facts, call, state.world, move.world), move);
      if (local.ended !== undefined) {
        violated(checks.end(actor, local, move.world, faults - faultsLeft), move);
      }
    }
    return { world: move.world, faultsLeft, locals: replaced(state.locals, move.actor, local) };
  }
}

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function replaced<T>(list: readonly T[], at: number, value: T): T[] {
  return list.map((old, index) => (index === at ? value : old));
}

function movesOf<F>({ world, locals, faultsLeft }: State<F>, worlds: Worlds): Move[] {
  const moves: Move[] = [];
  locals.forEach((local, actor) => {
    if (local === undefined || local.ended !== undefined) return;
    local.calls.forEach((call, index) => {
      const plain = worlds.plain(world, call);
      moves.push({ actor, index, way: { ...plain, call }, world: plain.world, cost: 0 });
      if (faultsLeft === 0) return;
      for (const way of worlds.faulty(world, call)) {
        moves.push({ actor, index, way: { ...way, call }, world: way.world, cost: 1 });
      }
    });
    if (faultsLeft > 0) moves.push({ actor, index: 0, world, cost: 1 });
  });
  world.inFlight.forEach((_, index) => {
    moves.push({ actor: -1, index, world: worlds.intern(land(world, index)), cost: 0 });
  });
  return moves;
}

function describeMove(move: Move, actors: readonly Actor[]): string {
  if (move.actor < 0) return "a late change comes to effect";
  const title = actors[move.actor]?.title ?? "";
  if (move.way === undefined) return `${title} is killed`;
  const { call, answer, fault } = move.way;
  const went = fault === "" ? "" : `[${fault}] `;
  return `${title} ${describeCall(call)} -> ${went}${describeAnswer(answer)}`;
}

type Worlds = ReturnType<typeof worldMemory>;

/**
 * Worlds with their numbers, and what becomes of them by a call: worked out once. Of equal worlds
 * there is one object, so that it can be remembered by what it is.
 */
function worldMemory(checks: Pick<Checks<never>, "world">) {
  const numberOfPart = numbering();
  const byKey = new Map<string, World>();
  const numbers = new Map<World, number>();
  const violations = new Map<World, string | undefined>();
  const plains = new WeakMap<Call, Map<World, Way>>();
  const faulties = new WeakMap<Call, Map<World, Way[]>>();

  function intern(world: World): World {
    const { kv, apisec, inFlight } = world;
    const key = [kv, apisec, inFlight].map(numberOfPart).join(".");
    const known = byKey.get(key);
    if (known !== undefined) return known;
    byKey.set(key, world);
    numbers.set(world, numbers.size);
    violations.set(world, checks.world(world));
    return world;
  }

  function remembered<T>(
    memory: WeakMap<Call, Map<World, T>>,
    world: World,
    call: Call,
    make: () => T,
  ): T {
    const byWorld = memory.get(call) ?? new Map<World, T>();
    memory.set(call, byWorld);
    const made = byWorld.get(world) ?? make();
    byWorld.set(world, made);
    return made;
  }

  const interned = (way: Way): Way => ({ ...way, world: intern(way.world) });
  return {
    intern,
    numberOf: (world: World) => numbers.get(world),
    violation: (world: World) => violations.get(world),
    plain: (world: World, call: Call) =>
      remembered(plains, world, call, () => interned(plainWay(world, call, nowMs))),
    faulty: (world: World, call: Call) =>
      remembered(faulties, world, call, () => faultyWays(world, call, nowMs).map(interned)),
  };
}

/** Numbers for data: equal data, equal number. Remembers objects, which are never changed in place. */
function numbering(): (value: unknown) => number {
  const byText = new Map<string, number>();
  const byObject = new WeakMap<object, number>();
  return (value) => {
    const isObject = typeof value === "object" && value !== null;
    const known = isObject ? byObject.get(value) : undefined;
    if (known !== undefined) return known;
    const text = JSON.stringify(value) ?? "";
    const number = byText.get(text) ?? byText.size;
    byText.set(text, number);
    if (isObject) byObject.set(value, number);
    return number;
  };
}

/** The real code as a function from a history of answers to the next calls; run once for each. */
function realCode<F>(checks: Checks<F>) {
  interface Node extends Local<F> {
    actor: Actor;
    from?: { node: Node; index: number; answer: Answer };
    children: Map<string, Node>;
  }
  const numberOfAnswer = numbering();
  const roots = new Map<Actor, Node>();
  let count = 0;
  let latest: { node: Node; stepped: Stepped } | undefined;

  function nodeOf(actor: Actor, stepped: Stepped, facts: F, from?: Node["from"]): Node {
    count += 1;
    const { calls, ended } = stepped;
    const node: Node = { id: count, calls, ended, facts, actor, children: new Map() };
    if (from !== undefined) node.from = from;
    latest = { node, stepped };
    return node;
  }

  async function revive(node: Node): Promise<Stepped> {
    if (latest?.node === node) return latest.stepped;
    const answers: { index: number; answer: Answer }[] = [];
    for (let at = node.from; at !== undefined; at = at.node.from) answers.push(at);
    const stepped = await startStepped(node.actor.main, () => node.actor.nowMs ?? nowMs);
    for (const { index, answer } of answers.reverse()) await stepped.answer(index, answer);
    return stepped;
  }

  return {
    steps: () => count,
    async start(actor: Actor): Promise<Local<F>> {
      const known = roots.get(actor);
      if (known !== undefined) return known;
      const root = nodeOf(
        actor,
        await startStepped(actor.main, () => actor.nowMs ?? nowMs),
        checks.noFacts,
      );
      roots.set(actor, root);
      return root;
    },
    async step(local: Local<F>, index: number, answer: Answer): Promise<Local<F>> {
      const node = local as Node;
      const key = `${index}.${"error" in answer ? "error" : numberOfAnswer(answer.value)}`;
      const known = node.children.get(key);
      if (known !== undefined) return known;
      const call = node.calls[index];
      if (call === undefined) throw new Error("There is no such call to answer");
      const facts = checks.learn(node.facts, call, answer);
      const stepped = await revive(node);
      await stepped.answer(index, answer);
      const child = nodeOf(node.actor, stepped, facts, { node, index, answer });
      node.children.set(key, child);
      return child;
    },
  };
}
