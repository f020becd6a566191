import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../desired/packageFolder";
import { about } from "./finding";
import type { Finding } from "./finding";

const built = ["dist/rotate.mjs", "dist/passwordProvider.cjs"];
const sources = ["clients", "core", "desired", "job", "net", "providers", "build/build.mjs"];

/** What `npm run build` makes: there, and not older than what it is made of. A package has no sources. */
export function checkBuild(folder = packageFolder()): Finding[] {
  const it = about("build", "build");
  const fix = "npm run build";
  const missing = built.filter((file) => changedAt(folder, file) === undefined);
  if (missing.length > 0) {
    const are = missing.length === 1 ? "is" : "are";
    return [it.problem(`${missing.join(", ")} ${are} not there`, fix)];
  }
  const times = built.map((file) => changedAt(folder, file) ?? 0);
  const newer = sources
    .flatMap((source) => filesOf(folder, source))
    .find((file) => (changedAt(folder, file) ?? 0) > Math.min(...times));
  return newer === undefined
    ? [it.ok(built.join(", "))]
    : [it.warning(`dist/ is older than ${newer}`, fix)];
}

function filesOf(folder: string, source: string): string[] {
  const found = statSync(join(folder, source), { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) return found === undefined ? [] : [source];
  const names = readdirSync(join(folder, source), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(source, name));
}

/** In milliseconds since 1970; undefined where there is no such file. */
function changedAt(folder: string, file: string): number | undefined {
  return statSync(join(folder, file), { throwIfNoEntry: false })?.mtimeMs;
}
