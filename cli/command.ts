import { parseArgs } from "node:util";
import type { ParseArgsConfig } from "node:util";
import { printed } from "../core/printed";
import { runner } from "../desired/packageFolder";
import { coded } from "../core/messageCode";

/** One of this program's commands: a file each, named in the table of main.ts. */
export interface Command {
  /** One line of the list of commands. */
  summary: string;
  /** How it is called, and what it does. */
  usage: string;
  /** Gives the exit code. What it throws is shown without a stack, and ends in 2. */
  run: (args: string[]) => Promise<number>;
}

/** A command as it is called here for stack `prod`, for its usage. */
export const calledFor = printed("prod", runner());

/**
 * The options and arguments that a command was given, as parseArgs returns them. Throws an error with the usage
 * where an option is unknown or lacks its value.
 */
export function parsed<T extends ParseArgsConfig>(
  usage: string,
  args: string[],
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs<T>({ ...config, args });
  } catch (error) {
    const [reason] = (error as Error).message.split(". To specify");
    throw coded(`${reason}\nUsage: ${usage}`, "usage");
  }
}
