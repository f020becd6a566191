import type { z } from "zod";
import { quote } from "./problems";
import { runError } from "./runError";

/**
 * What a program's code gives a component, checked as config is, defaults filled in. Throws a RunError
 * that lists every problem of `owner`.
 */
export function checked<S extends Record<string, z.ZodType>>(
  owner: string,
  shape: S,
  given: Partial<Record<keyof S, unknown>>,
): { [K in keyof S]: z.output<S[K]> } {
  const problems: string[] = [];
  const read = Object.entries(shape).map(([key, type]) => {
    const value = given[key];
    const { data, error } = type.safeParse(value);
    const found = value === undefined ? "missing" : quote(value);
    if (error) problems.push(`${key} is ${found}; expected ${error.issues[0]?.message}`);
    return [key, data];
  });
  if (problems.length > 0) throw runError(`${owner}: ${problems.join(", ")}.`);
  return Object.fromEntries(read) as { [K in keyof S]: z.output<S[K]> };
}
