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
