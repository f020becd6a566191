import type { Handler } from "../handler";
import { isBlank, stable, text, unknown, type Props } from "../resource";

/** One property of a type that the official plugin has from Terraform's newer framework. */
export interface FrameworkField {
  required?: true;
  default?: unknown;
  /** A change makes a new resource. */
  replace?: true;
  /** Where the program says nothing, the server does: known again after each change. */
  computed?: true;
  /** Set by the server alone. */
  output?: true;
  /** What the server once said stays. */
  settled?: true;
}

/** What the plugin does for one type. `planned` is the state as it shall be, without what is not known yet. */
export interface FrameworkType {
  fields: Record<string, FrameworkField>;
  /** Properties that are known before the server says them. */
  foresee?(inputs: Props): Promise<Props>;
  create(planned: Props): Promise<{ id: string; real: Props }>;
  /** With the whole id, if another; undefined: it is gone. `state` holds nothing on import. */
  read(id: string, state: Props): Promise<Props | undefined>;
  update(id: string, planned: Props): Promise<Props>;
  delete(id: string): Promise<void>;
}

/** How the official plugin answers the engine for such a type: no defaults in Check, no detailed diff. */
export function framework(type: FrameworkType): Handler {
  const { fields } = type;
  const stateOf = (id: string, properties: Props): Props => ({
    ...properties,
    id,
    __meta: JSON.stringify({ schema_version: "1" }),
  });
  const defaults = Object.fromEntries(
    Object.entries(fields).flatMap(([key, field]) =>
      field.default === undefined ? [] : [[key, field.default]],
    ),
  ) as Props;
  const wanted = async (news: Props): Promise<Props> => ({
    ...defaults,
    ...withoutMarks(news),
    ...(await type.foresee?.(news)),
  });
  /** What the plan says of an existing resource, and what of it is another than in the state. */
  const plan = async (state: Props, news: Props) => {
    const said = await wanted(news);
    const changed = Object.keys(said).filter(
      (key) => said[key] !== unknown && stable(said[key]) !== stable(state[key]),
    );
    const open = Object.entries(fields).filter(
      ([key, { computed, output, settled }]) =>
        (computed || output) && !settled && said[key] === undefined,
    );
    const opened = changed.length === 0 ? [] : open.map(([key]) => key);
    return { said, changed, opened };
  };

  return {
    check(news) {
      const strange = Object.keys(news).filter(
        (key) => !key.startsWith("__") && (!(key in fields) || fields[key]?.output),
      );
      const missing = Object.entries(fields).filter(
        ([key, field]) => field.required && news[key] === undefined,
      );
      const failures = [
        ...strange.map((key): [string, string] => [
          key,
          "this stand-in does not know the property",
        ]),
        ...missing.map(([key]): [string, string] => [key, "missing required property"]),
      ];
      return { inputs: news, failures };
    },
    async diff(state, news) {
      const { changed, opened } = await plan(state, news);
      return [...changed, ...opened]
        .sort()
        .map((key) => ({ key, replaces: changed.includes(key) && fields[key]?.replace === true }));
    },
    async previewCreate(inputs) {
      const open = Object.entries(fields).filter(([, { computed, output }]) => computed || output);
      const unknowns = Object.fromEntries(open.map(([key]) => [key, unknown]));
      return { ...unknowns, id: unknown, ...(await wanted(inputs)) };
    },
    async create(inputs) {
      const planned = await wanted(inputs);
      const { id, real } = await type.create(planned);
      return { id, state: stateOf(id, { ...planned, ...real }) };
    },
    async read(id, state, known) {
      const real = await type.read(id, state);
      if (!real) return undefined;
      const isImport = Object.keys(known).length === 0;
      const all = { ...(isImport ? defaults : {}), ...state, ...real };
      const keys = isImport
        ? Object.keys(all).filter((key) => fields[key] && !fields[key].output && !isBlank(all[key]))
        : Object.keys(withoutMarks(known)).filter((key) => all[key] !== undefined);
      return {
        state: stateOf(text(real.id) || id, all),
        inputs: Object.fromEntries(keys.map((key) => [key, all[key]])),
      };
    },
    async previewUpdate(was, now) {
      const { said, opened } = await plan(was, now);
      return {
        ...withoutMarks(was),
        ...said,
        ...Object.fromEntries(opened.map((key) => [key, unknown])),
      };
    },
    async update(id, was, now) {
      const planned = { ...withoutMarks(was), ...(await wanted(now)) };
      return stateOf(id, { ...planned, ...(await type.update(id, planned)) });
    },
    delete: (id) => type.delete(id),
  };
}

/** Without what the engine or the bridge wrote beside the properties. */
function withoutMarks(properties: Props): Props {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => !key.startsWith("__")));
}
