import { renameSync, writeFileSync } from "node:fs";

/** Writes a file so that nobody who reads it meanwhile sees half of it. */
export function writeWhole(path: string, text: string, mode?: number): void {
  const beside = `${path}.${process.pid}.part`;
  writeFileSync(beside, text, { mode });
  renameSync(beside, path);
}
