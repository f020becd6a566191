import { foreignText } from "../core/redact";
import { isObject } from "../net/http";
import { pulumi } from "./commands";
import { timeOf } from "./time";

/** One `pulumi up` or another update of a stack. Times in milliseconds since 1970. */
export interface Update {
  kind: string;
  result: string;
  from: number;
  to: number;
  /** Commit, author and pipeline, as far as Pulumi knows them. */
  by?: string | undefined;
}

const pageSize = 100;
const mostPages = 100;

/** The updates of a stack, or why they are not known. Of what Pulumi tells, nothing of config is kept. */
export async function pulumiHistory(stack: string): Promise<Update[] | { problem: string }> {
  const updates: Update[] = [];
  for (let page = 1; page <= mostPages; page += 1) {
    const of = ["--stack", stack, "--page-size", `${pageSize}`, "--page", `${page}`];
    const said = await pulumi(["stack", "history", "--json", ...of]);
    if ("problem" in said) return { problem: said.problem };
    const found = readHistory(said.text);
    if (found === undefined) return { problem: "pulumi stack history printed something else" };
    updates.push(...found);
    if (found.length < pageSize) break;
  }
  return updates;
}

/** What `pulumi stack history --json` prints; undefined where it is something else. */
export function readHistory(text: string): Update[] | undefined {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(entries)) return undefined;
  return entries.filter(isObject).map((entry) => {
    const { kind, result, startTime, endTime, environment } = entry;
    const from = timeOf(startTime) ?? 0;
    return {
      kind: foreignText(String(kind), []),
      result: foreignText(String(result), []),
      from,
      to: timeOf(endTime) ?? from,
      by: byOf(isObject(environment) ? environment : {}),
    };
  });
}

function byOf(environment: Record<string, unknown>): string | undefined {
  const of = (key: string) => {
    const value = environment[key];
    return typeof value === "string" && value !== "" ? foreignText(value, []) : undefined;
  };
  const [head, author, mail] = [of("git.head"), of("git.author"), of("git.author.email")];
  const pipeline = of("ci.build.url") ?? of("ci.build.id");
  const dirty = of("git.dirty") === "true" ? " with changes that are not committed" : "";
  const parts = [
    ...(head === undefined ? [] : [`commit ${head}${dirty}`]),
    ...(author === undefined ? [] : [`author ${author}${mail === undefined ? "" : ` <${mail}>`}`]),
    ...(pipeline === undefined ? [] : [`pipeline ${pipeline.replace(/\/\/[^/\s]*@/, "//…@")}`]),
  ];
  return parts.length === 0 ? undefined : parts.join(", ");
}
