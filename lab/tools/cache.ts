import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

import { isExecutable } from "../process";
import { messageOf } from "./context";
import type { Context, Tool } from "./context";

/** `VERSION-HASH`: the hash covers the platform and the contents of all pins. */
export function pinKey(version: string, pins: (string | Buffer)[]): string {
  const hash = createHash("sha256").update(`${process.platform}-${process.arch}`);
  for (const pin of pins) hash.update("\0").update(pin);
  return `${version}-${hash.digest("hex").slice(0, 12)}`;
}

export function isCached(context: Context, name: string, key: string): boolean {
  return isExecutable(path.join(context.cache, `${name}-${key}`, name));
}

/** The tool from the cache, made by `make` into a fresh directory when it is not there yet. */
export async function cached(
  context: Context,
  name: string,
  key: string,
  source: Tool["source"],
  expected: string,
  make: (into: string, logFile: string) => Promise<void>,
): Promise<Tool> {
  const directory = path.join(context.cache, `${name}-${key}`);
  const tool: Tool = {
    name,
    version: key.slice(0, key.lastIndexOf("-")),
    source,
    detail: path.join(directory, name),
  };
  if (isExecutable(tool.detail)) return tool;

  const start = Date.now();
  context.log(`${name} ${tool.version}: ${expected} ...`);
  fs.mkdirSync(context.cache, { recursive: true });
  fs.mkdirSync(context.logDirectory, { recursive: true });
  removeAbandoned(context.cache);
  const logFile = path.join(context.logDirectory, `build-${name}.log`);
  fs.writeFileSync(logFile, "");
  const partial = path.join(context.cache, `.partial-${name}-${randomBytes(6).toString("hex")}`);
  fs.mkdirSync(partial);
  try {
    await make(partial, logFile);
    putInPlace(partial, directory, name);
  } catch (error) {
    context.log(`${name} ${tool.version}: failed`);
    throw new Error(
      `${name} ${tool.version}: ${messageOf(error)}. Log: ${path.relative(".", logFile)}`,
      {
        cause: error,
      },
    );
  } finally {
    fs.rmSync(partial, { recursive: true, force: true });
  }
  context.log(`${name} ${tool.version}: ready after ${Math.round((Date.now() - start) / 1000)} s`);
  return tool;
}

function putInPlace(partial: string, directory: string, name: string): void {
  try {
    fs.renameSync(partial, directory);
  } catch (error) {
    // Another checkout was quicker, with the same pins: its result is as good.
    if (!isExecutable(path.join(directory, name))) throw error;
  }
}

function removeAbandoned(cache: string): void {
  const oneDayAgo = Date.now() - 24 * 3600_000;
  for (const name of fs.readdirSync(cache)) {
    const directory = path.join(cache, name);
    if (name.startsWith(".partial-") && fs.statSync(directory).mtimeMs < oneDayAgo) {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  }
}
