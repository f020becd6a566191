import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "../lab/process";
import { pinKey } from "../lab/tools/cache";
import { cacheDirectory } from "../lab/tools/context";

/**
 * The python of a virtual environment with what bench/peers/rotate.py needs, in the user's cache; its
 * packages are pinned by hash. Throws where there is no python3 with venv and pip, or no registry.
 */
export async function peerPython(): Promise<string> {
  const requirements = join(__dirname, "peers", "requirements.txt");
  const key = pinKey("1", [readFileSync(requirements)]);
  const directory = join(cacheDirectory(process.env), `bench-python-${key}`);
  const python = join(directory, "bin", "python");
  const ready = join(directory, "ready");
  if (existsSync(ready)) return python;
  rmSync(directory, { recursive: true, force: true });
  const step = async (command: string, ...args: string[]) => {
    const { code, stderr } = await run(command, args, { env: process.env });
    if (code !== 0) throw new Error(`${command} failed: ${stderr.trim().split("\n").at(-1)}`);
  };
  await step("python3", "-m", "venv", directory);
  const pinned = ["--require-hashes", "--no-deps", "--only-binary", ":all:"];
  await step(python, "-m", "pip", "install", "--quiet", ...pinned, "-r", requirements);
  mkdirSync(`${ready}.new`, { recursive: true });
  renameSync(`${ready}.new`, ready);
  return python;
}
