/** Properties of a resource as the engine sends them: plain JSON. */
export type Props = Record<string, unknown>;

/** One input of a resource type. */
export interface Field {
  required?: true;
  default?: unknown;
  /** A change of this input makes a new resource. */
  replace?: true;
  /** Where the program says nothing, the server's value stands. */
  computed?: true;
  /** Whether two values mean the same; equality of the JSON otherwise. */
  same?(was: unknown, now: unknown): boolean;
}

/** What a call may tell the user while it runs. */
export type Log = (message: string) => void;

/** What a plugin does for one type of resource. Property names are those of the SDK. */
export interface ResourceType {
  inputs: Record<string, Field>;
  /** Properties set by the plugin: unknown in the preview of a creation. */
  outputs: readonly string[];
  /** Those of them that an update may change: unknown in its preview too. */
  changing?: readonly string[];
  /** What is wrong with the inputs as a whole. Values may be unknown. */
  check?(inputs: Props): string | undefined;
  /** Outputs that are known before the change; a difference to the state is one to repair. */
  plan?(inputs: Props): Promise<Props>;
  /** Without a state in the result, the resource is read back. */
  create(inputs: Props, log: Log): Promise<{ id: string; state?: Props }>;
  /** What is really there; `state` holds nothing on import. Undefined: it is gone. */
  read(id: string, state: Props): Promise<Props | undefined>;
  /** Without a state as the result, the resource is read back. */
  update(id: string, was: Props, now: Props, log: Log): Promise<Props | void>;
  delete(id: string, state: Props, log: Log): Promise<void>;
}

/** Stands for a value that a preview can't know. The engine's own constant. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** A value marked as a secret on the wire. */
export const secretOf = (value: unknown): Props => ({
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  value,
});

/** For inputs whose order has no meaning. */
export const asSet = (was: unknown, now: unknown): boolean =>
  stable([...((was as unknown[] | undefined) ?? [])].sort()) ===
  stable([...((now as unknown[] | undefined) ?? [])].sort());

/** A property that should be a string. */
export function text(value: unknown): string {
  return typeof value === "string" ? value : value == null ? "" : JSON.stringify(value);
}

/** JSON text with sorted keys. */
export function stable(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** Unset, or the value that the servers take for unset. */
export function isBlank(value: unknown): boolean {
  return !value || (typeof value === "object" && Object.keys(value).length === 0);
}

/** The blank value of the same kind. */
export function blankLike(value: unknown): unknown {
  if (Array.isArray(value)) {
    return [];
  }
  return { string: "", number: 0, boolean: false, object: {} }[typeof value as "string"];
}

/** An error that leaves a resource behind; without a state it is kept with its inputs. */
export type HalfMade = Error & { createdId?: string; state?: Props };

/** For errors after the resource came into being: the engine keeps it and tries an update next. */
export const halfCreated =
  (id: string, state?: Props) =>
  (error: unknown): never => {
    throw Object.assign(error as HalfMade, { createdId: id, ...(state && { state }) });
  };

/** For functions: what is wrong with the arguments, told as Check tells it of a resource's. */
export const refusedArguments = (reason: string): Error =>
  Object.assign(new Error(reason), { refused: reason });
