import { CORE_SCHEMA, load } from "js-yaml";
import { isObject } from "../net/http";

/** A file of a Pulumi program, as an object; one that is no YAML, or no object, says nothing. */
export function readYaml(text: string): Record<string, unknown> {
  try {
    const content = load(text, { schema: CORE_SCHEMA });
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
