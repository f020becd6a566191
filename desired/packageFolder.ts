import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Runner } from "../core/printed";

/** This package's folder, whether its sources run or what is built of them. */
export function packageFolder(): string {
  return folderWith("package.json", __dirname) ?? __dirname;
}

/** The folder of the program that is run here, this package or one that depends on it: the nearest with a Pulumi.yaml. */
export function programFolder(): string {
  return folderWith("Pulumi.yaml", process.cwd()) ?? process.cwd();
}

/** The file of a stack's settings. */
export function stackFilePath(stack: string, folder = programFolder()): string {
  const path = join(folder, "Pulumi.yaml");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return join(folder, stackFileName(text, stack));
}

/** Where a stack's file lies in the program's folder; Pulumi.yaml, `text`, may name a folder for all of them. */
export function stackFileName(text: string, stack: string): string {
  const [, inside = ""] = /^stackConfigDir:\s*["']?([^"'#\n]+?)["']?\s*(?:#.*)?$/m.exec(text) ?? [];
  return join(inside, `Pulumi.${stack}.yaml`);
}

/** How this program's commands are run from here. */
export function runner(): Runner {
  return programFolder() === packageFolder() ? "npm" : "npx";
}

/** The folder `from`, or the nearest above it, that has a file of this name. */
function folderWith(file: string, from: string): string | undefined {
  if (existsSync(join(from, file))) return from;
  const above = dirname(from);
  return above === from ? undefined : folderWith(file, above);
}
