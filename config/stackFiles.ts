import { isMap, isScalar, isSeq, parse, parseDocument } from "yaml";
import type { YAMLMap } from "yaml";
import { isObject } from "../net/http";

/** A file of a Pulumi program, as an object; one that is no YAML, or no object, says nothing. */
export function readYaml(text: string): Record<string, unknown> {
  try {
    const content: unknown = parse(text, { schema: "core", logLevel: "error" });
    return isObject(content) ? content : {};
  } catch {
    return {};
  }
}

/**
 * The values of a stack as the engine gives them to its program: those of Pulumi.yaml, for each of its keys a `value`,
 * else a `default`, and over them those of `Pulumi.<stack>.yaml`. Objects as JSON text; what is encrypted is left out.
 */
export function valuesOf(
  project: string,
  projectFile: Record<string, unknown>,
  stackFile: Record<string, unknown>,
): Record<string, string> {
  const common = Object.entries(configIn(projectFile)).map(([key, entry]): [string, unknown] => {
    const value = isObject(entry) ? (entry["value"] ?? entry["default"]) : entry;
    return [key.includes(":") ? key : `${project}:${key}`, value];
  });
  const values = [...common, ...Object.entries(configIn(stackFile))]
    .filter(([, value]) => value !== undefined && !isEncrypted(value))
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
  return Object.fromEntries(values) as Record<string, string>;
}

/** What is encrypted in a stack: its ciphertexts by key, those of its own project without the namespace. */
export function ciphertextsOf(
  project: string,
  ...files: readonly Record<string, unknown>[]
): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (value: unknown, key: string): void => {
    if (typeof value !== "object" || value === null) return;
    const { secure } = value as Record<string, unknown>;
    if (typeof secure === "string") found[key] = secure;
    else for (const [name, inner] of Object.entries(value)) walk(inner, `${key}.${name}`);
  };
  for (const [key, value] of files.flatMap((file) => Object.entries(configIn(file)))) {
    walk(value, key.startsWith(`${project}:`) ? key.slice(project.length + 1) : key);
  }
  return found;
}

/** The `config` block of Pulumi.yaml or of a stack's file. */
export function configIn(file: Record<string, unknown>): Record<string, unknown> {
  const { config } = file;
  return isObject(config) ? config : {};
}

/** Whether a value is a secret, or an object of secrets such as `firstPasswords`. */
function isEncrypted(value: unknown): boolean {
  if (!isObject(value)) return false;
  if (typeof value["secure"] === "string") return true;
  const inner = Object.values(value);
  return inner.length > 0 && inner.every(isEncrypted);
}

/**
 * A stack's file with these accounts' `passwordGeneration`, by account name; every other character stays. Throws
 * where an account does not stand in the file.
 */
export function withGenerations(
  text: string,
  project: string,
  generations: ReadonlyMap<string, number>,
): string {
  const accounts = parseDocument(text).getIn(["config", `${project}:accounts`]);
  const items = isSeq(accounts) ? accounts.items.filter((item) => isMap(item)) : [];
  const edits = [...generations].map(([name, generation]) => {
    const account = items.find((item) => item.get("name") === name);
    if (account === undefined) {
      throw new Error(
        `Account ${name} does not stand in the stack's file: raise its passwordGeneration to ${generation} where it stands.`,
      );
    }
    return editOf(text, account, generation);
  });
  // From the end on, so that the places before it stay.
  return edits
    .sort((one, other) => other.start - one.start)
    .reduce((all, { start, end, put }) => all.slice(0, start) + put + all.slice(end), text);
}

interface Edit {
  start: number;
  end: number;
  put: string;
}

function editOf(text: string, account: YAMLMap, generation: number): Edit {
  const rangeOf = (node: unknown) => (isScalar(node) ? node.range : undefined) ?? [0, 0];
  const pair = (name: string) =>
    account.items.find(({ key }) => isScalar(key) && key.value === name);
  const old = pair("passwordGeneration");
  if (old !== undefined) {
    const [start, end] = rangeOf(old.value);
    return { start, end, put: String(generation) };
  }
  // After the name, as that stands: between braces, or in a line of its own.
  const [, end] = rangeOf(pair("name")?.value);
  const put = `passwordGeneration: ${generation}`;
  if (account.flow === true) return { start: end, end, put: `, ${put}` };
  const [key] = rangeOf(pair("name")?.key);
  const indent = " ".repeat(key - (text.lastIndexOf("\n", key) + 1));
  const lineEnd = end + text.slice(end).search(/\r?\n|$/);
  const newLine = /\r?\n/.exec(text)?.[0] ?? "\n";
  return { start: lineEnd, end: lineEnd, put: `${newLine}${indent}${put}` };
}
