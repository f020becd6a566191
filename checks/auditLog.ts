import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { foreignText } from "../core/redact";
import { isObject, jsonObject } from "../net/http";
import { timeOf } from "./time";
import { coded } from "../core/messageCode";

const hourMs = 3_600_000;
/** The job reads passwords at least every 12 hours: a longer time without an entry is one whose file is missing. */
const mostQuietHours = 13;

/** A password's record that somebody was shown, in whatever version. */
export interface PasswordRead {
  /** Milliseconds since 1970. */
  at: number;
  /** With its namespace, such as `team/apisec/data/scanner/password`. */
  path: string;
  /** As Vault names the caller; what it has hashed stays so. */
  who: string;
  policies: readonly string[];
}

/** What Vault's audit log says of passwords. Times in milliseconds since 1970. */
export interface AuditLog {
  begins: number;
  ends: number;
  /** Times between these two without any entry, in which nothing is known; the oldest first. */
  gaps: readonly { from: number; to: number }[];
  /** Lines that are no entry, such as one that was cut off. */
  unread: number;
  /** Requests that show a password itself: the device, or the mount, hashes no values. */
  inClear: number;
  /** The oldest first. */
  reads: readonly PasswordRead[];
}

/**
 * Reads audit logs of Vault or OpenBao, JSON lines; what several devices have noted, once. Nothing that an entry holds is
 * kept but who, when and what. Throws where a file is no audit log.
 */
export async function readAuditLogs(files: readonly string[]): Promise<AuditLog> {
  const reads = new Map<string, PasswordRead>();
  const inClear = new Set<string>();
  const hours = new Set<number>();
  let [begins, ends, unread] = [Infinity, -Infinity, 0];
  for (const file of files) {
    let [entries, lines] = [0, 0];
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (line.trim() === "") continue;
      lines += 1;
      // Most entries are of other things: only those of a password are parsed.
      const quick = timeOf(/"time":\s?"([^"]+)"/.exec(line)?.[1]);
      const isOther = quick !== undefined && !line.includes('/password"');
      const entry = isOther ? {} : entryIn(line);
      const at = isOther ? quick : timeOf(entry?.["time"]);
      if (at === undefined || entry === undefined) {
        unread += 1;
        continue;
      }
      entries += 1;
      hours.add(Math.floor(at / hourMs));
      [begins, ends] = [Math.min(begins, at), Math.max(ends, at)];
      const { id, read, isClear } = ofPassword(entry, at) ?? {};
      if (id !== undefined && isClear) inClear.add(id);
      if (id !== undefined && read !== undefined) reads.set(id, read);
    }
    // A log that was just rotated is empty.
    if (entries === 0 && (lines > 0 || (file === files.at(-1) && hours.size === 0))) {
      throw coded(
        `${file}: found something else, expected Vault's audit log as JSON lines`,
        "wrong-file",
      );
    }
  }
  const inOrder = [...reads.values()].sort((one, other) => one.at - other.at);
  return { begins, ends, gaps: gapsIn(hours), unread, inClear: inClear.size, reads: inOrder };
}

function gapsIn(hours: ReadonlySet<number>): AuditLog["gaps"] {
  const inOrder = [...hours].sort((one, other) => one - other);
  return inOrder.slice(1).flatMap((hour, index) => {
    const before = inOrder[index] ?? hour;
    return hour - before > mostQuietHours
      ? [{ from: (before + 1) * hourMs, to: hour * hourMs }]
      : [];
  });
}

/** An audit device may be told to write something before each entry. */
function entryIn(line: string): Record<string, unknown> | undefined {
  return jsonObject(line.slice(Math.max(0, line.indexOf("{"))));
}

/** What an entry about a password's record says: a read where it was shown, itself or wrapped. */
function ofPassword(entry: Record<string, unknown>, at: number) {
  const [request, response, auth] = ["request", "response", "auth"].map((key) =>
    partOf(entry, key),
  );
  const path = `${textOf(partOf(request, "namespace")["path"])}${textOf(request?.["path"])}`;
  if (!/\/data\/[^/]+\/password$/.test(path)) return undefined;
  const value = partOf(response, "data")["data"];
  const isClear = [value, partOf(request, "data")["data"]].some(showsPassword);
  // One without a value is Vault's 404.
  const isShown =
    entry["type"] === "response" &&
    request?.["operation"] === "read" &&
    (isObject(value) || isObject(response?.["wrap_info"]));
  const read = isShown
    ? { at, path: foreignText(path, []), who: whoIn(auth), policies: policiesOf(auth) }
    : undefined;
  return { id: `${textOf(request?.["id"]) || at} ${path}`, read, isClear };
}

function showsPassword(record: unknown): boolean {
  const values = isObject(record) ? [record["password"], record["pending_password"]] : [];
  return values.some((value) => typeof value === "string" && value !== "" && !isHashed(value));
}

function policiesOf(auth: Record<string, unknown> = {}): string[] {
  const lists = ["policies", "token_policies", "identity_policies"].map((key) => auth[key]);
  return [...new Set(lists.filter(Array.isArray).flat().map(String))];
}

function partOf(of: Record<string, unknown> | undefined, key: string): Record<string, unknown> {
  const part = of?.[key];
  return isObject(part) ? part : {};
}

const textOf = (value: unknown) => (typeof value === "string" ? value : "");
const isHashed = (text: unknown) => typeof text === "string" && text.startsWith("hmac-");

function whoIn(auth: Record<string, unknown> = {}): string {
  const { display_name: name, entity_id: entity, accessor } = auth;
  const known = [
    ...Object.entries(partOf(auth, "metadata")).map(([key, value]) => `${key}=${String(value)}`),
    ...(entity ? [`entity=${textOf(entity)}`] : []),
    // Of a token that is nobody's, Vault can still say which one it was. Never one in clear.
    ...(!entity && isHashed(accessor) ? [`accessor=${textOf(accessor)}`] : []),
  ];
  return foreignText([textOf(name) || "unknown", ...known].join(" "), []);
}
