import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { foreignText } from "../core/redact";
import { isObject, jsonObject } from "../net/http";
import { timeOf } from "./time";

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
  files: readonly string[];
  begins: number;
  ends: number;
  /** Lines that are no entry, such as one that was cut off. */
  unread: number;
  /** Reads that show the password itself: the device, or the mount, hashes no values. */
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
  let [begins, ends, unread] = [Infinity, -Infinity, 0];
  for (const file of files) {
    let entries = 0;
    for await (const line of createInterface({ input: createReadStream(file) })) {
      const at = timeOf(/"time":\s?"([^"]+)"/.exec(line)?.[1]);
      // Most entries are of other things: only those of a password are parsed.
      const entry = line.includes('/password"') ? entryIn(line) : {};
      if (at === undefined || entry === undefined) {
        if (line.trim() !== "") unread += 1;
        continue;
      }
      entries += 1;
      [begins, ends] = [Math.min(begins, at), Math.max(ends, at)];
      const { id, read, isClear } = readOf(entry, at) ?? {};
      if (id === undefined || read === undefined) continue;
      reads.set(id, read);
      if (isClear) inClear.add(id);
    }
    if (entries === 0) {
      throw new Error(`${file}: found something else, expected Vault's audit log as JSON lines`);
    }
  }
  const inOrder = [...reads.values()].sort((one, other) => one.at - other.at);
  return { files, begins, ends, unread, inClear: inClear.size, reads: inOrder };
}

/** An audit device may be told to write something before each entry. */
function entryIn(line: string): Record<string, unknown> | undefined {
  return jsonObject(line.slice(Math.max(0, line.indexOf("{"))));
}

/** An answer that shows a password, itself or wrapped. One without a value is Vault's 404. */
function readOf(entry: Record<string, unknown>, at: number) {
  const [request, response, auth] = ["request", "response", "auth"].map((key) =>
    partOf(entry, key),
  );
  const path = `${textOf(partOf(request, "namespace")["path"])}${textOf(request?.["path"])}`;
  const isShown =
    entry["type"] === "response" &&
    request?.["operation"] === "read" &&
    /\/data\/[^/]+\/password$/.test(path);
  const value = partOf(response, "data")["data"];
  if (!isShown || !(isObject(value) || isObject(response?.["wrap_info"]))) return undefined;
  const policies = ["policies", "token_policies", "identity_policies"].flatMap((key) => {
    const list = auth?.[key];
    return Array.isArray(list) ? list.map(String) : [];
  });
  const read = {
    ...{ at, path: foreignText(path, []), who: whoIn(auth) },
    policies: [...new Set(policies)],
  };
  const password = isObject(value) ? value["password"] : undefined;
  const isClear = typeof password === "string" && !isHashed(password);
  return { id: `${String(request?.["id"])} ${path}`, read, isClear };
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
