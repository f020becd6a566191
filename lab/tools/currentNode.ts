import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

import { run } from "../process";
import { cached, pinKey } from "./cache";
import { contextOf, lastLine } from "./context";
import type { Tool, ToolOptions } from "./context";

/** The current LTS line, beside the oldest Node that package.json declares. */
export const currentNodeVersion = "26.12.1";

// `npm view node-linux-ARCH@VERSION dist.integrity`.
const integrity: Record<string, string> = {
  x64: "sha512-jk5LMAmgHlPlPMWpsUrSOqNaEZG+11UNd35hWQ+p5/XGaelWuTqJ69IcAy/5xtPPN4d5ZRBNOGB6gLMCh2kL9A==",
  arm64:
    "sha512-8Oxs6Y7rDcKufVIM/zYRSwytj46WOrZk7yFCLTKDcs17bBjAeD9HMAqo97hMfMyxozIud0S4vZCs5WB/3iavNQ==",
};

/**
 * The binary of the current Node LTS, from npm's `node-linux-*` by its checksum, kept with the cached tools.
 * Undefined where npm has none for this machine.
 */
export async function ensureCurrentNode(options: ToolOptions = {}): Promise<Tool | undefined> {
  const pin = process.platform === "linux" ? integrity[process.arch] : undefined;
  if (pin === undefined) return undefined;
  const key = pinKey(currentNodeVersion, [pin]);
  const expected = "fetching 58 MB, about 20 seconds";
  return cached(contextOf(options), "node", key, "registry", expected, (into, logFile) =>
    fetchNode(pin, into, logFile),
  );
}

async function fetchNode(pin: string, into: string, logFile: string): Promise<void> {
  const spec = `node-linux-${process.arch}@${currentNodeVersion}`;
  const packed = await run("npm", ["pack", spec, "--silent"], { cwd: into, logFile });
  if (packed.code !== 0) throw new Error(`npm pack failed (${lastLine(packed.stderr)})`);
  const archive = path.join(into, packed.stdout.trim());
  const found = createHash("sha512").update(fs.readFileSync(archive)).digest("base64");
  if (`sha512-${found}` !== pin) throw new Error(`${spec} has another checksum: sha512-${found}`);
  const args = ["xzf", archive, "--strip-components=2", "package/bin/node"];
  const unpacked = await run("tar", args, { cwd: into, logFile });
  if (unpacked.code !== 0) throw new Error(`tar failed (${lastLine(unpacked.stderr)})`);
  fs.rmSync(archive);
}
