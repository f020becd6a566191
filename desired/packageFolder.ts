import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** This package's folder, whether its sources run or what is built of them. */
export function packageFolder(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}
