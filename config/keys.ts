import { z } from "zod";

/** What is said of a key beside its type, default and checks. */
export interface KeyMeta {
  /** One sentence for the reference: what the key means. */
  description: string;
  /** Its value is never shown, and refused where it stands in the stack's file unencrypted. */
  secret?: boolean;
  /** What the reference gives in place of a default. */
  otherwise?: string;
}

const metas = z.registry<KeyMeta>();

/** A key of the schema: its type with the default and checks, and what is said of it. */
export function key<T extends z.ZodType>(
  type: T,
  description: string,
  more: Omit<KeyMeta, "description"> = {},
): T {
  metas.add(type, { description, ...more });
  return type;
}

/** What is said of a key. */
export function metaOf(type: z.ZodType): KeyMeta {
  const meta = metas.get(type);
  if (meta === undefined) throw new Error("A key of the schema has no description.");
  return meta;
}

/** The type of a key as Pulumi and the reference call it. */
export type KeyKind = "string" | "boolean" | "integer" | "list" | "object";

/** What a key's type comes down to. The engine hands over a string as it is, and anything else as JSON. */
export function kindOf(type: z.ZodType): KeyKind {
  if (
    type instanceof z.ZodOptional ||
    type instanceof z.ZodDefault ||
    type instanceof z.ZodPrefault
  )
    return kindOf(type.unwrap() as z.ZodType);
  if (type instanceof z.ZodPipe) {
    const { in: before, out: after } = type.def;
    return kindOf((before instanceof z.ZodTransform ? after : before) as z.ZodType);
  }
  if (type instanceof z.ZodString || type instanceof z.ZodEnum) return "string";
  if (type instanceof z.ZodBoolean) return "boolean";
  if (type instanceof z.ZodNumber) return "integer";
  return type instanceof z.ZodArray ? "list" : "object";
}

/** A key's default as it would be written into the stack's file; undefined where it has none. */
export function defaultOf(type: z.ZodType): unknown {
  return type instanceof z.ZodDefault || type instanceof z.ZodPrefault
    ? type.def.defaultValue
    : undefined;
}
