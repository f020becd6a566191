import { type Operation, type Props, type Recording } from "../../recordings/expand";
import type { placeholders } from "./placeholders";
import { written } from "./placeholders";
import { PluginError, type Diff, type PluginClient, type State } from "./plugin";
import type { RecordingProxy, SeenRequest, Strike } from "./recordingProxy";

/** One type's surroundings: the plugin, the server behind the recording proxy, and hands to change things there. */
export interface Bench {
  type: string;
  plugin: PluginClient;
  proxy: RecordingProxy;
  places: ReturnType<typeof placeholders>;
  /** Takes away what earlier operations left and makes what the type needs. */
  clean(operation: string): Promise<void>;
  /** Deletes the thing behind the plugin's back. */
  remove(): Promise<void>;
  /** Changes behind the plugin's back, by what follows "drift: "; others by the operation's name. */
  byHand: Record<string, () => Promise<unknown>>;
  /** What an operation begins with where its name alone does not say it; undefined: with nothing. */
  beginsWith?: Record<string, Props | undefined>;
  /** What the program wants where the recording does not repeat it. */
  wants?: Record<string, Props>;
  /** Inputs whose creation ends half-made, for operations that begin there. */
  halfMadeBy?: Props;
  /** Placeholders for what the server makes up, and for what the recorder wrote as one. */
  mask?(outputs: Props): Props;
}

/** What a plugin answered, in the form of the recordings. */
export interface Seen {
  requests: SeenRequest[];
  /** State before the operation. */
  before?: State;
  checked?: Props;
  failed?: boolean;
  diff?: Diff;
  preview?: Props;
  outputs?: Props;
  inputs?: Props;
  id?: string;
  gone?: boolean;
  deleted?: boolean;
  /** `kept`: what the engine would write into its state. */
  error?: { message: string; halfMade?: string; kept?: Props };
  created?: Seen;
}

interface Kept {
  id: string;
  state: State;
}

const goesOn = /^(repair drift|unchanged after refresh|delete: )/;
const neverThere = /^(create|import of what is not there|import, malformed id)/;

/** Replays a type's operations in their order; some go on where another ended. */
export function replayer(bench: Bench, recording: Recording) {
  const { type, plugin, proxy, places } = bench;
  const first = recording.operations.find(({ operation }) => operation === "create");
  let kept: Kept | undefined;

  const make = async (given: Props): Promise<Kept> => {
    const { inputs } = await plugin.check(type, {}, places.fill(given));
    const { id, outputs } = await plugin.create(type, inputs);
    return { id, state: { inputs, outputs } };
  };

  const begin = async (one: Operation): Promise<Kept | undefined> => {
    const name = one.operation;
    if (goesOn.test(name) && kept) return kept;
    await bench.clean(name);
    if (/ half made$/.test(name)) return makeByHalf();
    const special = bench.beginsWith && name in bench.beginsWith;
    const isThere = !neverThere.test(name) || special || name === "create where it is already";
    const isImport = name.startsWith("import");
    const inputs = special
      ? bench.beginsWith?.[name]
      : (one.from ??
        (/^(refresh|delete|import,)/.test(name) ? one.inputs : undefined) ??
        first?.inputs);
    const made = isThere && inputs ? await make(inputs) : undefined;
    if (/of what is gone$/.test(name)) await bench.remove();
    const drift = /drift: (.*)$/.exec(name)?.[1] ?? name;
    await bench.byHand[drift]?.();
    if (!isImport || one.id === undefined) return made;
    const counted = one.id.includes("<schedule-id>");
    return { id: counted && made ? made.id : places.fill(one.id), state: nothing };
  };

  const makeByHalf = async (): Promise<Kept> => {
    const inputs = places.fill(bench.halfMadeBy ?? {});
    const { inputs: checked } = await plugin.check(type, {}, inputs);
    const failed: unknown = await plugin.create(type, checked).catch((error: unknown) => error);
    if (!(failed instanceof PluginError) || !failed.halfMade) {
      throw new Error(`${type}: a creation that should end half-made did not`);
    }
    const { id, properties } = failed.halfMade;
    return { id, state: { inputs, outputs: properties } };
  };

  const run = async (one: Operation, strike?: Strike): Promise<Seen> => {
    const before = await begin(one);
    proxy.take();
    proxy.strikeWith(strike);
    const seen: Seen = { requests: [], ...(before && { before: before.state }) };
    const call = async <T>(phase: string, what: Promise<T> | (() => Promise<T>)): Promise<T> => {
      proxy.during(phase);
      return typeof what === "function" ? what() : what;
    };
    try {
      kept = await steps(one, before, seen, call);
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
      const { message, halfMade } = error;
      seen.error = {
        message,
        ...(halfMade && { halfMade: halfMade.id, kept: halfMade.properties }),
      };
      kept = before;
    } finally {
      proxy.strikeWith(undefined);
      proxy.during("");
      seen.requests = proxy.take();
    }
    return tidy(seen);
  };

  type Call = <T>(phase: string, what: () => Promise<T>) => Promise<T>;

  const steps = async (
    one: Operation,
    before: Kept | undefined,
    seen: Seen,
    call: Call,
  ): Promise<Kept | undefined> => {
    const name = one.operation;
    const wanted = places.fill(bench.wants?.[name] ?? one.inputs ?? first?.inputs ?? {});
    if (first === undefined) return invoke(wanted, seen, call);
    if (name.startsWith("create")) return create(wanted, seen, call, "main");
    if (before === undefined) throw new Error(`${name} begins with nothing`);
    if (name.startsWith("refresh")) return read(before, seen, call);
    if (name.startsWith("delete")) {
      await call("main", () => plugin.delete(type, before.id, before.state));
      seen.deleted = true;
      return undefined;
    }
    if (name.startsWith("import")) {
      const found = await read(before, seen, call);
      return found && change(found, wanted, seen, call, "update");
    }
    const replaces = name.startsWith("replace");
    return change(before, wanted, seen, call, replaces ? "update" : "main", replaces);
  };

  const create = async (wanted: Props, seen: Seen, call: Call, phase: string) => {
    const { inputs, failures } = await call("check", () => plugin.check(type, {}, wanted));
    Object.assign(seen, { checked: inputs, failed: failures > 0 });
    if (failures > 0) return undefined;
    seen.preview = (await call("preview", () => plugin.create(type, inputs, true))).outputs;
    const { id, outputs } = await call(phase, () => plugin.create(type, inputs));
    Object.assign(seen, { id, outputs });
    return { id, state: { inputs, outputs } };
  };

  const read = async (before: Kept, seen: Seen, call: Call): Promise<Kept | undefined> => {
    const found = await call("main", () => plugin.read(type, before.id, before.state));
    if (found.id === "") {
      seen.gone = true;
      return undefined;
    }
    Object.assign(seen, found);
    const { outputs, inputs } = found;
    return { id: found.id, state: { inputs, outputs } };
  };

  const change = async (
    was: Kept,
    wanted: Props,
    seen: Seen,
    call: Call,
    phase: string,
    replacing = false,
  ): Promise<Kept> => {
    const { id, state } = was;
    const { inputs, failures } = await call("check", () =>
      plugin.check(type, state.inputs, wanted),
    );
    Object.assign(seen, { checked: inputs, failed: failures > 0 });
    const diff = await call("diff", () =>
      plugin.diff(type, id, state.outputs, state.inputs, inputs),
    );
    seen.diff = diff;
    if (!diff.changes) return was;
    const bySdk = replacing && diff.replaces.length === 0 && type.startsWith("command:");
    if (diff.replaces.length > 0 || bySdk) {
      if (!replacing) return was;
      return replace(was, wanted, seen, call, diff.deleteBeforeReplace);
    }
    seen.preview = await call("preview", () => plugin.update(type, id, state, inputs, true));
    const outputs = await call(phase, () => plugin.update(type, id, state, inputs));
    // An import's outputs are those that were read.
    if (seen.outputs === undefined) seen.outputs = outputs;
    return { id, state: { inputs, outputs } };
  };

  const replace = async (
    was: Kept,
    wanted: Props,
    seen: Seen,
    call: Call,
    deleteFirst: boolean,
  ) => {
    const remove = async () => {
      await call("delete", () => plugin.delete(type, was.id, was.state));
      seen.deleted = true;
    };
    if (deleteFirst) await remove();
    const created: Seen = { requests: [] };
    seen.created = created;
    const made = await create(wanted, created, call, "create").catch((error: Error) => {
      if (!(error instanceof PluginError)) throw error;
      created.error = { message: error.message };
      return undefined;
    });
    if (!deleteFirst && made) await remove();
    return made ?? was;
  };

  const invoke = async (wanted: Props, seen: Seen, call: Call) => {
    const { outputs, failures } = await call("main", () => plugin.invoke(type, wanted));
    Object.assign(seen, { outputs, failed: failures > 0 });
    return undefined;
  };

  const tidy = (seen: Seen): Seen => {
    const text = (value: unknown) => places.mask(written(value));
    const { requests, created, diff, failed, gone, deleted, before, ...rest } = seen;
    for (const part of ["checked", "preview", "outputs", "inputs"] as const) {
      if (rest[part] && bench.mask) rest[part] = bench.mask(rest[part]);
    }
    const flags = { ...(failed && { failed }), ...(gone && { gone }), ...(deleted && { deleted }) };
    return {
      ...(text(rest) as Seen),
      ...flags,
      ...(before && {
        before: text({
          inputs: bench.mask?.(before.inputs) ?? before.inputs,
          outputs: bench.mask?.(before.outputs) ?? before.outputs,
        }) as State,
      }),
      ...(diff && { diff }),
      ...(created && { created: tidy(created) }),
      requests: requests.map((request) => ({
        ...request,
        path: String(places.mask(request.path)),
        ...(request.body !== undefined && { body: places.mask(request.body) }),
      })),
    };
  };

  return { run };
}

const nothing: State = { inputs: {}, outputs: {} };
