import { isBlank, stable, unknown, type Field, type Props, type ResourceType } from "./resource";

/** What these functions need of a type. */
type Inputs = Pick<ResourceType, "inputs" | "check">;

export interface Change {
  key: string;
  kind: "ADD" | "DELETE" | "UPDATE";
  replaces: boolean;
  /** The old resource has to go before its replacement can come. */
  deleteFirst?: true;
}

/** The inputs with their defaults, and what is wrong with them as [property, reason]. */
export function checked(
  type: Inputs,
  given: Props,
): { inputs: Props; failures: [string, string][] } {
  const failures: [string, string][] = [];
  for (const key of Object.keys(given)) {
    if (!(key in type.inputs) && !key.startsWith("__")) {
      failures.push([key, "this stand-in does not know the property"]);
    }
  }
  const inputs = { ...given };
  for (const [key, field] of Object.entries(type.inputs)) {
    if (inputs[key] === undefined && field.default !== undefined) {
      inputs[key] = field.default;
    }
    if (inputs[key] === undefined && field.required) {
      failures.push([key, "missing required property"]);
    }
  }
  const wrong = type.check?.(inputs);
  if (wrong !== undefined) {
    failures.push([Object.keys(type.inputs)[0] ?? "", wrong]);
  }
  return { inputs, failures };
}

/**
 * What an update would change: the wanted inputs against the state, as the official plugins compare
 * them, so that drift shows and a value the server writes differently does too.
 */
export function changes(type: Inputs, state: Props, wanted: Props): Change[] {
  const keys = new Set([...Object.keys(type.inputs), ...Object.keys(wanted)]);
  return [...keys]
    .filter((key) => !key.startsWith("__"))
    .map((key) => ({ key, was: state[key], now: wanted[key] }))
    .filter(({ key, was, now }) => !isSame(type.inputs[key], was, now))
    .map(({ key, was, now }) => ({
      key,
      kind: was === undefined ? "ADD" : now === undefined ? "DELETE" : "UPDATE",
      replaces: type.inputs[key]?.replace === true,
    }));
}

function isSame(field: Field | undefined, was: unknown, now: unknown): boolean {
  if ((isBlank(was) && isBlank(now)) || (now === undefined && field?.computed)) {
    return true;
  }
  if (now === unknown || was === undefined || now === undefined) {
    return false;
  }
  return field?.same ? field.same(was, now) : stable(was) === stable(now);
}

/**
 * The inputs that would give what was read. On a refresh: the known inputs with their real values.
 * On import: everything that is not blank and not a default.
 */
export function inputsRead(type: Inputs, real: Props, known: Props): Props {
  const isImport = Object.keys(known).length === 0;
  const keys = Object.keys(isImport ? type.inputs : known).filter((key) => {
    const field = type.inputs[key];
    return !isImport || field?.required || !(isBlank(real[key]) || real[key] === field?.default);
  });
  return Object.fromEntries(keys.map((key) => [key, real[key]]));
}

/** Outputs before they exist. */
export function planned(outputs: readonly string[]): Props {
  return Object.fromEntries(outputs.map((key) => [key, unknown]));
}
