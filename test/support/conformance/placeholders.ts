import { unknown } from "../../../lab/plugins/resource";
import type { Props } from "../../recordings/expand";

/** What stands for a secret in the wire format. */
const secretMark = {
  key: "4dabf18193072939515e22adb298388d",
  value: "1b47061264138c4ac30d75fd1eb44270",
};
const ignored = ["__defaults", "__pulumi_raw_state_delta"];

const patterns: [RegExp, string][] = [
  [/^[0-9a-f]{40}$/, "<sha1>"],
  [/^[0-9a-f]{64}$/, "<sha256>"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, "<uuid>"],
  [/(\/pipeline_schedules\/)(?!999\b)\d+/g, "$1<schedule-id>"],
];

/** Real values for placeholders, and placeholders for real values. */
export function placeholders(values: Record<string, string>) {
  const entries = () => Object.entries(values).filter(([, real]) => real !== "");
  const mask = (text: string): string => {
    if (text === unknown) return "<unknown>";
    let masked = text;
    for (const [name, real] of entries()) masked = masked.split(real).join(name);
    for (const [pattern, name] of patterns) masked = masked.replace(pattern, name);
    return masked;
  };
  const fill = (text: string): string => {
    let filled = text;
    for (const [name, real] of entries()) filled = filled.split(name).join(real);
    return filled;
  };
  return {
    values,
    mask: (value: unknown) => mapText(value, mask),
    fill: <T>(value: T) => mapText(value, fill) as T,
  };
}

function mapText(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((one) => mapText(one, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapText(one, change)]));
}

/** What the engine would send back: secrets without their mark, nothing that is null. */
export function unmarked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unmarked);
  if (typeof value !== "object" || value === null) return value;
  if ((value as Props)[secretMark.key] === secretMark.value) return (value as Props).value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unmarked(one)]));
}

/** As the recordings write it: secrets as `<secret>`, JSON text as `<json>`, without what may differ. */
export function written(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(written);
  if (typeof value !== "object" || value === null) return value;
  if ((value as Props)[secretMark.key] === secretMark.value) return "<secret>";
  const all = Object.entries(value)
    .filter(([key, one]) => !ignored.includes(key) && one !== null && one !== undefined)
    .map(([key, one]) => [key, key === "__meta" ? metaOf(one) : written(one)]);
  return Object.fromEntries(all) as Props;
}

const metaOf = (text: unknown): unknown =>
  typeof text === "string" ? { "<json>": JSON.parse(text) as unknown } : text;
