import { parseArgs } from "node:util";
import type { ParseArgsConfig } from "node:util";

/**
 * The options and arguments that a command was given, as parseArgs returns them. `--help` prints `usage` and ends
 * the process with 0. Throws an error with the usage where an option is unknown or lacks its value.
 */
export function commandLine<T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  const given = process.argv.slice(2);
  if (given.includes("--help") || given.includes("-h")) {
    console.log(`Usage: ${usage}`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    const [reason] = (error as Error).message.split(". To specify");
    throw new Error(`${reason}\nUsage: ${usage}`, { cause: error });
  }
}
