import { changes, checked, inputsRead, planned, type Change } from "./lifecycle";
import { halfCreated, type Log, type Props, type ResourceType } from "./resource";

/** How one type of resource answers the engine, in plain properties. */
export interface Handler {
  check(news: Props): { inputs: Props; failures: [string, string][] };
  /** Without kinds: no detailed diff, as plugins of the newer framework give none. */
  diff(state: Props, news: Props): Promise<(Omit<Change, "kind"> & Partial<Change>)[]>;
  previewCreate(inputs: Props): Promise<Props>;
  create(inputs: Props, log: Log): Promise<{ id: string; state: Props }>;
  /** Undefined: it is gone. On import `state` and `known` hold nothing. */
  read(
    id: string,
    state: Props,
    known: Props,
  ): Promise<{ state: Props; inputs: Props } | undefined>;
  previewUpdate(was: Props, now: Props): Promise<Props>;
  update(id: string, was: Props, now: Props, log: Log): Promise<Props>;
  delete(id: string, state: Props, log: Log): Promise<void>;
}

/** The handler of a type that says what it can do and leaves the rest to this. */
export function handlerFor(type: ResourceType): Handler {
  const readBack = async (id: string, known: Props): Promise<Props> => {
    const real = await type.read(id, known);
    if (!real) {
      throw new Error(`${id} is not there although it has just been written`);
    }
    return { ...known, ...real };
  };
  const wanted = (was: Props, now: Props): Props => {
    const kept = Object.entries(was).filter(([key]) => !(key in type.inputs));
    return { ...Object.fromEntries(kept), ...now };
  };
  const plan = async (inputs: Props): Promise<Props> => (await type.plan?.(inputs)) ?? {};

  return {
    check: (news) => checked(type, news),
    async diff(state, news) {
      return changes(type, state, { ...news, ...(await plan(news)) });
    },
    async previewCreate(inputs) {
      return { ...planned(type.outputs), ...(await plan(inputs)), ...inputs };
    },
    async create(inputs, log) {
      const { id, state } = await type.create(inputs, log);
      return { id, state: state ?? (await readBack(id, inputs).catch(halfCreated(id))) };
    },
    async read(id, state, known) {
      const real = await type.read(id, state);
      if (!real) return undefined;
      const all = { ...state, ...real };
      return { state: all, inputs: inputsRead(type, all, known) };
    },
    async previewUpdate(was, now) {
      return { ...wanted(was, now), ...planned(type.changing ?? []), ...(await plan(now)) };
    },
    async update(id, was, now, log) {
      const state = await type.update(id, was, now, log);
      return state ?? (await readBack(id, wanted(was, now)));
    },
    delete: (id, state, log) => type.delete(id, state, log),
  };
}
