import { isObject } from "../net/http";
import { foreignText } from "./redact";

/**
 * What of `found` is not as declared, as texts such as `ttl is 60, declared 900`. What is not declared is not
 * looked at; inside of a declared object everything is. Absent, empty and zero are one and the same.
 */
export function differences(
  declared: Record<string, unknown>,
  found: Record<string, unknown>,
): string[] {
  return Object.entries(declared).flatMap(([key, wanted]) => {
    const actual = found[key];
    if (isObject(wanted) && isObject(actual)) {
      const absent = Object.fromEntries(Object.keys(actual).map((inner) => [inner, undefined]));
      return differences({ ...absent, ...wanted }, actual).map((text) => `${key}.${text}`);
    }
    return shown(wanted) === shown(actual)
      ? []
      : [`${key} is ${foreignText(shown(actual), [])}, declared ${shown(wanted)}`];
  });
}

const nothing: readonly unknown[] = [undefined, null, "", 0, "0s"];

function shown(value: unknown): string {
  if (nothing.includes(value)) return "not set";
  if (Array.isArray(value)) return value.length === 0 ? "not set" : value.map(shown).join(", ");
  if (typeof value === "string") return value.trim();
  if (isObject(value) && Object.keys(value).length === 0) return "not set";
  return JSON.stringify(value);
}
