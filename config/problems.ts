import { printed } from "../core/printed";
import { secretNames } from "./schema";
import type { ConfigSource } from "./settings";

/** A key's place in the project's config, such as ["accounts", 0, "name"]. */
export type Path = readonly PropertyKey[];

/** The problems of a configuration, one line each; no line holds a secret. */
export interface ProblemList {
  readonly lines: readonly string[];
  /** A key of this project. Without a `fix`: set it. */
  add(path: Path, found: string, expected: string, fix?: string): void;
  /** Another namespace's key, or a variable. */
  addOther(at: string, found: string, expected: string, fix: string): void;
  /** "is missing", or "is" and the value where it may be shown. */
  is(path: Path, value: unknown): string;
  /** A value of a key such as `vault:address` where it may be shown. */
  shown(key: string, value: unknown): string;
  isSecret(path: Path): boolean;
  /** A command of Pulumi for this stack, which need not be the selected one. */
  pulumi(command: string): string;
  /** The command that sets a key; for a secret it asks for the value. */
  set(path: Path, value?: string): string;
  remove(path: Path): string;
}

/** An empty list for the configuration of `source`. */
export function problemList(
  source: Pick<ConfigSource, "project" | "stack" | "secretKeys">,
): ProblemList {
  const lines: string[] = [];
  const keyOf = (path: Path) => `${source.project}:${String(path[0])}`;
  const print = printed(source.stack, "npm");
  const list: ProblemList = {
    lines,
    add(path, found, expected, fix = `set it with ${list.set(path)}`) {
      list.addOther(`${source.project}:${pathAt(path)}`, found, expected, fix);
    },
    addOther(at, found, expected, fix) {
      lines.push(`${at}: ${found}; expected ${expected}; ${fix}`);
    },
    is(path, value) {
      return value === undefined ? "is missing" : `is ${list.shown(keyOf(path), value)}`;
    },
    shown(key, value) {
      const secret =
        secretNames.some((name) => key === `${source.project}:${name}`) ||
        source.secretKeys.includes(key);
      return secret ? "a secret value" : quote(value);
    },
    isSecret: (path) =>
      secretNames.includes(String(path[0])) || source.secretKeys.includes(keyOf(path)),
    pulumi: (command) => `\`${print.pulumi(command)}\``,
    set(path, value = "…") {
      return list.isSecret(path)
        ? list.pulumi(`config set --secret ${argument(path)}`)
        : list.pulumi(`config set ${argument(path)} ${value}`);
    },
    remove: (path) => list.pulumi(`config rm ${argument(path)}`),
  };
  return list;
}

/** A path as Pulumi's `--path` reads it, such as `accounts[0].name`. */
function pathAt(path: Path): string {
  return path.reduce<string>((at, part) => {
    if (typeof part === "number") return `${at}[${part}]`;
    const name = String(part);
    if (!/^[A-Za-z][A-Za-z0-9_-]*$/.test(name)) return `${at}[${quote(name)}]`;
    return at === "" ? name : `${at}.${name}`;
  }, "");
}

/** A path as an argument of `pulumi config`. */
function argument(path: Path): string {
  const at = pathAt(path);
  const plain = path.length === 1 && /^[\w-]+$/.test(at);
  return plain ? at : `--path '${at.replaceAll("'", "'\\''")}'`;
}

/** A value in a message: one line, at most 80 characters, no user or password of an address. */
export function quote(value: unknown): string {
  const json = (JSON.stringify(value) ?? "undefined")
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, " ")
    .replace(/\/\/[^/"]*@/g, "//…@");
  return json.length > 80 ? `${json.slice(0, 79)}…` : json;
}
