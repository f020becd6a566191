import type { z } from "zod";
import { defaultApisecPaths } from "../clients/apisec";
import type { ApisecPaths } from "../clients/apisec";
import { isObject } from "../net/http";
import type { Path, ProblemList } from "./problems";
import { kindOf } from "./keys";
import { accountShape, consumerShape, namePattern, pathsShape, shape } from "./schema";
import type { Account, ConfigSource, Consumer } from "./settings";

type Shape = Record<string, z.ZodType>;
/** What could be read; a key that is wrong is not there. */
type Read<S extends Shape> = { [K in keyof S]?: z.output<S[K]> };
/** The project's keys as far as they could be read. */
export type ReadKeys = Read<typeof shape>;

/** Whether a key's value is a text as it stands. */
function isText(name: string): boolean {
  const type = Object.hasOwn(shape, name) ? shape[name as keyof typeof shape] : undefined;
  return type !== undefined && kindOf(type) === "string";
}

/** Reads the project's keys; what is wrong, or no key at all, goes into `problems`. */
export function readKeys(source: ConfigSource, problems: ProblemList): ReadKeys {
  return readShape(shape, ownKeys(source), [], problems);
}

/** The engine hands every value over as text; what is no text by its key is JSON. */
function ownKeys(source: ConfigSource): Map<string, unknown> {
  const prefix = `${source.project}:`;
  const own = Object.entries(source.values)
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]): [string, unknown] => {
      const name = key.slice(prefix.length);
      return [name, isText(name) ? value : fromJson(value)];
    });
  return new Map(own);
}

function fromJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Reads each key by itself, so that a wrong one hides no problem of another. */
function readShape<S extends Shape>(
  keys: S,
  raw: ReadonlyMap<string, unknown>,
  at: Path,
  problems: ProblemList,
): Read<S> {
  const read: Record<string, unknown> = {};
  for (const [key, type] of Object.entries(keys)) {
    const result = type.safeParse(raw.get(key), { reportInput: true });
    if (result.success) read[key] = result.data;
    else describe(result.error.issues, [...at, key], problems);
  }
  for (const key of raw.keys()) {
    if (!Object.hasOwn(keys, key)) describeExtra([...at, key], Object.keys(keys), problems);
  }
  return read as Read<S>;
}

function describe(issues: z.core.$ZodIssue[], key: Path, problems: ProblemList): void {
  const seen = new Set<string>();
  for (const issue of issues) {
    const path = [...key, ...issue.path];
    if (seen.has(path.join("\0"))) continue;
    seen.add(path.join("\0"));
    if (key[0] === "firstPasswords") describeFirstPassword(issue.path[0], problems);
    else
      problems.add(
        path,
        problems.is(path, issue.input),
        issue.message,
        fixOf(path, issue, problems),
      );
  }
}

/** What to set where the key is a list or an object. */
const innerKeys: Record<string, Path> = {
  accounts: [0, "name"],
  apisecPaths: ["login"],
  jwtPublicKeys: [0],
  jobTags: [0],
  adminGroups: [0],
  developerGroups: [0],
  consumers: [0, "name"],
};

function innerOf(path: Path): Path | undefined {
  if (path.length === 1) return innerKeys[String(path[0])];
  return path.length === 3 && path[0] === "consumers" && path[2] === "accounts" ? [0] : undefined;
}

function fixOf(
  path: Path,
  issue: { code: string; input?: unknown },
  problems: ProblemList,
): string {
  if (issue.code === "too_big" && path.length === 1 && path[0] === "accounts") {
    return "give the others a stack of their own with `pulumi stack init`";
  }
  const inner = innerOf(path);
  const set = `set it with ${problems.set([...path, ...(inner ?? [])])}`;
  const standsInTheWay = inner !== undefined && issue.input !== undefined;
  return standsInTheWay ? `clear it with ${problems.remove(path)} and ${set}` : set;
}

/** A name that does not look like one may be a password that was put in the wrong place. */
export function nameOf(key: PropertyKey | undefined): string | undefined {
  return typeof key === "string" && namePattern.test(key) ? key : undefined;
}

/** The command that sets a first password of whichever account. */
export function setFirstPassword(problems: ProblemList): string {
  return problems.pulumi("config set --secret --path 'firstPasswords.<name>'");
}

function describeFirstPassword(key: PropertyKey | undefined, problems: ProblemList): void {
  const name = nameOf(key);
  const set =
    name === undefined ? setFirstPassword(problems) : problems.set(["firstPasswords", name]);
  problems.add(
    name === undefined ? ["firstPasswords"] : ["firstPasswords", name],
    "is no text, or empty",
    "a secret object of account names and passwords",
    `set it with ${set}`,
  );
}

function describeExtra(path: Path, known: string[], problems: ProblemList): void {
  const expected = `one of ${known.join(", ")}`;
  if (path.length > 1 && problems.isSecret(path)) {
    // The names inside a secret object are as secret as the rest of it.
    const fix = `look at it with ${problems.pulumi(`config get ${String(path[0])}`)}`;
    problems.add(path.slice(0, -1), "has a key that does not exist", expected, fix);
    return;
  }
  problems.add(path, "does not exist", expected, `remove it with ${problems.remove(path)}`);
}

/** The accounts in their order, each with what could be read of it. */
export function readAccounts(keys: ReadKeys, problems: ProblemList): Partial<Account>[] {
  return readList("accounts", keys.accounts, accountShape, "name and username", problems).map(
    (read) => ("host" in read ? { ...read, host: read.host ?? keys.apisecUrl } : read),
  );
}

/** The consumers in their order, each with what could be read of it. */
export function readConsumers(keys: ReadKeys, problems: ProblemList): Partial<Consumer>[] {
  return readList(
    "consumers",
    keys.consumers,
    consumerShape,
    "name and project or group",
    problems,
  );
}

function readList<S extends Shape>(
  key: string,
  list: readonly unknown[] | undefined,
  fields: S,
  expected: string,
  problems: ProblemList,
): Read<S>[] {
  return (list ?? []).map((raw, index) => {
    const path = [key, index];
    if (isObject(raw)) return readShape(fields, new Map(Object.entries(raw)), path, problems);
    const fix = `set it with ${problems.set([...path, "name"])}`;
    problems.add(path, problems.is(path, raw), `an object with ${expected}`, fix);
    return {};
  });
}

export function readApisecPaths(keys: ReadKeys, problems: ProblemList): ApisecPaths {
  const path = ["apisecPaths"];
  const raw = keys.apisecPaths;
  if (raw === undefined) return defaultApisecPaths;
  if (!isObject(raw)) {
    const expected = `an object with ${Object.keys(pathsShape).join(", ")}`;
    const fix = fixOf(path, { code: "invalid_type", input: raw }, problems);
    problems.add(path, problems.is(path, raw), expected, fix);
    return defaultApisecPaths;
  }
  const read = readShape(pathsShape, new Map(Object.entries(raw)), path, problems);
  const given = Object.entries(read).filter(([, value]) => value !== undefined);
  return { ...defaultApisecPaths, ...Object.fromEntries(given) };
}
