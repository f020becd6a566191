import type { Handler } from "./handler";
import type { Change } from "./lifecycle";
import {
  blankLike,
  halfCreated,
  isBlank,
  secretOf,
  stable,
  unknown,
  type HalfMade,
  type Props,
} from "./resource";

/** One property of a type that the official plugin bridges from a Terraform resource. */
export interface BridgedField {
  required?: true;
  default?: unknown;
  /** A change makes a new resource; with "deleteFirst" the old one goes before the new one comes. */
  replace?: true | "deleteFirst";
  /** Where the program says nothing, the server's value stands. */
  computed?: true;
  /** Set by the server alone. */
  output?: true;
  /** Collections are empty, not absent, once the server has been read. */
  kind?: "list" | "set" | "map" | "block";
  /** What is no longer wanted stays in the state where the server has nothing. */
  keptInState?: true;
  /** A value where the state has none is no change. */
  unseenIfNew?: true;
}

/** What such a plugin does for one type. `planned` is the state as it shall be, without what is not known yet. */
export interface BridgedType {
  fields: Record<string, BridgedField>;
  /** Terraform's schema version, where it is not 0. */
  schemaVersion?: string;
  /** Outputs that are secrets, and never read. */
  secrets?: readonly string[];
  /** What is wrong with the inputs: refused in Check. */
  refused?(inputs: Props): [string, string][];
  /** What is wrong with the plan: refused in Diff and in previews. */
  unplannable?(planned: Props): string | undefined;
  /** @returns the id. May throw with `createdId` where the resource came into being all the same. */
  create(planned: Props): Promise<string>;
  /** What is there; `state` holds nothing on import. Undefined: it is gone. */
  read(id: string, state: Props): Promise<Props | undefined>;
  /** @returns the id where it has changed. */
  update(id: string, planned: Props, was: Props): Promise<string | void>;
  delete(id: string, state: Props): Promise<void>;
}

/** How the official plugin's bridge answers the engine for such a type. */
export function bridged(type: BridgedType): Handler {
  const { fields, secrets = [] } = type;
  const stateOf = (id: string | undefined, properties: Props): Props => ({
    ...properties,
    ...(id !== undefined && { id }),
    ...(type.schemaVersion && {
      __meta: JSON.stringify({ schema_version: type.schemaVersion }),
    }),
    ...Object.fromEntries(secrets.map((key) => [key, secretOf(null)])),
  });
  const plan = (state: Props, news: Props): Props => {
    const planned = planOf(fields, state, news);
    const wrong = Object.values(planned).includes(unknown)
      ? undefined
      : type.unplannable?.(planned);
    if (wrong !== undefined) throw new Error(wrong);
    return planned;
  };
  const readBack = async (id: string, planned: Props): Promise<Props> => {
    const real = await type.read(id, planned);
    if (!real) throw new Error(`${id} is not there although it has just been written`);
    return settled(fields, planned, real);
  };
  const kept = (real: Props, was: Props): Props => {
    const keys = Object.keys(fields).filter(
      (key) => fields[key]?.keptInState && isEmpty(real[key]),
    );
    return Object.fromEntries(keys.map((key) => [key, was[key]]));
  };
  /** The engine keeps the resource with what was wanted, although the server may not have it. */
  const halfMade = (id: string, planned: Props) => halfCreated(id, stateOf(id, planned));

  return {
    check(news) {
      const inputs = withDefaults(fields, news);
      return {
        inputs,
        failures: [...failuresOf(fields, inputs), ...(type.refused?.(inputs) ?? [])],
      };
    },
    async diff(state, news) {
      plan(state, news);
      return bridgedChanges(fields, state, news);
    },
    async previewCreate(inputs) {
      plan({}, inputs);
      return previewed(stateOf(unknown, { ...unknowns(fields, inputs), ...inputs }));
    },
    async create(inputs) {
      const planned = plan({}, inputs);
      const id = await type.create(planned).catch((error: HalfMade) => {
        throw error.createdId === undefined
          ? error
          : Object.assign(error, { state: stateOf(error.createdId, planned) });
      });
      const real = await readBack(id, planned).catch(halfMade(id, planned));
      return { id, state: stateOf(id, real) };
    },
    async read(id, state, known) {
      const real = await type.read(id, state);
      if (!real) return undefined;
      const all = stateOf(id, { ...state, ...real });
      const isImport = Object.keys(known).length === 0;
      return { state: all, inputs: isImport ? imported(fields, real) : refreshed(known, all) };
    },
    async previewUpdate(was, now) {
      const kept = Object.entries(was).filter(([key]) => !(key in fields));
      const all = { ...Object.fromEntries(kept), ...plan(was, now) };
      return { ...previewed(stateOf(undefined, all)), ...unknownBlocks(fields, was, now) };
    },
    async update(id, was, now) {
      const planned = plan(was, now);
      const write = async () => {
        const moved = (await type.update(id, planned, was)) ?? id;
        const real = await readBack(moved, planned);
        return stateOf(moved, { ...leftOver(fields, planned, was), ...real, ...kept(real, was) });
      };
      return write().catch(halfMade(id, planned));
    },
    delete: (id, state) => type.delete(id, state),
  };
}

function withDefaults(fields: Record<string, BridgedField>, given: Props): Props {
  const defaults = Object.entries(fields).filter(([, field]) => field.default !== undefined);
  return { ...Object.fromEntries(defaults.map(([key, field]) => [key, field.default])), ...given };
}

function failuresOf(fields: Record<string, BridgedField>, inputs: Props): [string, string][] {
  const strange = Object.keys(inputs).filter(
    (key) => !key.startsWith("__") && (!(key in fields) || fields[key]?.output),
  );
  const missing = Object.entries(fields).filter(
    ([key, field]) => field.required && inputs[key] === undefined,
  );
  return [
    ...strange.map((key): [string, string] => [key, "this stand-in does not know the property"]),
    ...missing.map(([key]): [string, string] => [key, "missing required property"]),
  ];
}

/** A preview tells nothing of the schema's version. */
const previewed = (state: Props): Props =>
  Object.fromEntries(Object.entries(state).filter(([key]) => key !== "__meta"));

const isCollection = (field: BridgedField | undefined): boolean => field?.kind !== undefined;
const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

/** What an update would change, as Terraform plans it: the wanted inputs against the state. */
function bridgedChanges(fields: Record<string, BridgedField>, state: Props, news: Props): Change[] {
  return Object.entries(fields).flatMap(([key, field]): Change[] => {
    const kind = kindOf(field, state[key], news[key]);
    if (kind === undefined) return [];
    const { replace } = field;
    const first = replace === "deleteFirst" ? ({ deleteFirst: true } as const) : {};
    return [{ key, kind, replaces: replace !== undefined, ...first }];
  });
}

function kindOf(field: BridgedField, was: unknown, now: unknown): Change["kind"] | undefined {
  if (now === undefined) {
    if (field.kind === "block" && field.computed && was === undefined) return "ADD";
    return field.computed || field.output || isBlank(was) ? undefined : "DELETE";
  }
  const isNew = was === undefined || (isCollection(field) && isEmpty(was));
  if (isNew)
    return now === "" || isEmpty(now) || (was === undefined && field.unseenIfNew)
      ? undefined
      : "ADD";
  return isSame(field, was, now) ? undefined : "UPDATE";
}

function isSame(field: BridgedField, was: unknown, now: unknown): boolean {
  const sorted = (value: unknown) =>
    field.kind === "set" && Array.isArray(value) ? [...(value as unknown[])].sort() : value;
  return stable(sorted(was)) === stable(sorted(now));
}

/** The state as it shall be. What the program no longer says is empty or gone, unless the server says it. */
function planOf(fields: Record<string, BridgedField>, state: Props, news: Props): Props {
  const planned: Props = {};
  for (const [key, field] of Object.entries(fields)) {
    const kind = kindOf(field, state[key], news[key]);
    const removed = { list: [], set: [], map: {}, block: undefined }[field.kind ?? "block"];
    const value =
      kind === undefined ? (state[key] ?? news[key]) : kind === "DELETE" ? removed : news[key];
    if (value !== undefined) planned[key] = value;
  }
  return planned;
}

/** What the server makes up. */
function unknowns(fields: Record<string, BridgedField>, inputs: Props): Props {
  const open = Object.entries(fields).filter(
    ([key, field]) => (field.computed || field.output) && inputs[key] === undefined,
  );
  return Object.fromEntries(open.map(([key]) => [key, unknown]));
}

function unknownBlocks(fields: Record<string, BridgedField>, was: Props, now: Props): Props {
  const open = Object.entries(fields).filter(
    ([key, field]) =>
      field.kind === "block" && field.computed && was[key] === undefined && now[key] === undefined,
  );
  return Object.fromEntries(open.map(([key]) => [key, unknown]));
}

/** Terraform keeps the plan's word for collections, and for what the server does not say. */
function settled(fields: Record<string, BridgedField>, planned: Props, real: Props): Props {
  const all: Props = { ...planned, ...real };
  for (const [key, field] of Object.entries(fields)) {
    const [wanted, found] = [planned[key], real[key]];
    if (found === undefined || found === null) all[key] = wanted;
    else if (isCollection(field) && wanted === undefined && isEmpty(found) && !field.computed) {
      all[key] = undefined;
    } else if (Array.isArray(wanted)) all[key] = wanted;
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** What an update leaves of properties that are no longer wanted, where the server does not say otherwise. */
function leftOver(fields: Record<string, BridgedField>, planned: Props, was: Props): Props {
  const removed = Object.entries(fields).filter(
    ([key, field]) => was[key] !== undefined && planned[key] === undefined && !field.kind,
  );
  return Object.fromEntries(removed.map(([key]) => [key, blankLike(was[key])]));
}

/** The known inputs with their real values: no key and no element that the program did not name. */
function refreshed(known: Props, real: Props): Props {
  const narrow = (was: unknown, is: unknown): unknown => {
    if (Array.isArray(was) && Array.isArray(is)) {
      return is.slice(0, was.length).map((one, at) => narrow(was[at], one));
    }
    if (typeof was === "object" && was !== null && typeof is === "object" && is !== null) {
      return Array.isArray(is) ? is : refreshed(was as Props, is as Props);
    }
    return is;
  };
  const kept = Object.keys(known).filter((key) => real[key] !== undefined && !key.startsWith("__"));
  return Object.fromEntries(kept.map((key) => [key, narrow(known[key], real[key])]));
}

/** Every input that is neither blank nor a default. */
function imported(fields: Record<string, BridgedField>, real: Props): Props {
  const said = Object.entries(real).filter(([key, value]) => {
    const field = fields[key];
    if (!field || field.output) return false;
    if (field.required) return true;
    return !isBlank(value) && stable(value) !== stable(field.default ?? null);
  });
  return Object.fromEntries(
    said.map(([key, value]) => [key, fields[key]?.kind === "block" ? nonBlank(value) : value]),
  );
}

const nonBlank = (value: unknown): Props =>
  Object.fromEntries(Object.entries(value as Props).filter(([, one]) => !isBlank(one)));
