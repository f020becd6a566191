import type { z } from "zod";
import { defaultOf, kindOf, metaOf } from "../config/keys";
import { accountShape, consumerShape, pathsShape, shape } from "../config/schema";

type Shape = Readonly<Record<string, z.ZodType>>;

/** Every key of the schema: type, default and meaning, as the tables of docs/configuration.md. */
export function configurationMarkdown(): string {
  return [
    tableOf("key", shape),
    tableOf("field of an account", accountShape),
    tableOf("field of a consumer", consumerShape),
    tableOf("field of `apisecPaths`", pathsShape),
  ].join("\n\n");
}

function tableOf(title: string, keys: Shape): string {
  const rows = Object.entries(keys).map(([name, type]) => {
    const { description, secret = false } = metaOf(type);
    const meaning = secret ? `**secret**; ${description}` : description;
    return [`\`${name}\``, kindOf(type), defaultText(type), meaning.replaceAll("|", "\\|")];
  });
  return [[title, "type", "default", "meaning"], ["---", "---", "---", "---"], ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

function defaultText(type: z.ZodType): string {
  const value = defaultOf(type);
  const { otherwise } = metaOf(type);
  if (value === undefined) {
    return otherwise ?? (type.safeParse(undefined).success ? "–" : "required");
  }
  const isEmpty = typeof value === "object" && Object.keys(value ?? {}).length === 0;
  return isEmpty ? "none" : `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}
