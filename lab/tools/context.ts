import * as os from "node:os";
import * as path from "node:path";

import { findExecutable } from "../process";

export interface Tool {
  name: string;
  version: string;
  source: "PATH" | "official" | "registry" | "stand-in" | "LAB_VAULT";
  /** The file; for a plugin that is missing, why. */
  detail: string;
}

export interface ToolOptions {
  /** Where Pulumi keeps its plugins; default `.lab/pulumi` of the checkout. */
  pulumiHome?: string;
  /** For what builds and downloads say; default `.lab/log` of the checkout. */
  logDirectory?: string;
  /** Default: the environment of this process. */
  env?: NodeJS.ProcessEnv;
  /** What stands in for the npm package `pulumi`. */
  pulumiPackage?: string;
  /** Gets a line where something takes long; default: standard error. */
  log?: (line: string) => void;
}

/** What every step of the search for tools needs to know. */
export interface Context {
  cache: string;
  pulumiHome: string;
  logDirectory: string;
  env: NodeJS.ProcessEnv;
  log: (line: string) => void;
  /** The executable of this name on PATH that is not one of the lab's own. */
  onPath: (name: string) => string | undefined;
}

export const project = path.join(__dirname, "../..");

export function contextOf(options: ToolOptions): Context {
  const env = options.env ?? process.env;
  const cache = cacheDirectory(env);
  // A shell that has read `.lab/env` has the lab's own tools on PATH.
  const foreign = (env.PATH ?? "").split(path.delimiter).filter((directory) => {
    const inside = (parent: string) => !path.relative(parent, directory).startsWith("..");
    return directory !== "" && !inside(cache) && !inside(project);
  });
  return {
    cache,
    pulumiHome: options.pulumiHome ?? path.join(project, ".lab/pulumi"),
    logDirectory: options.logDirectory ?? path.join(project, ".lab/log"),
    env,
    log: options.log ?? ((line) => process.stderr.write(`${line}\n`)),
    onPath: (name) => findExecutable(name, foreign.join(path.delimiter)),
  };
}

export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  return path.join(
    env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), ".cache"),
    "apisec-credentials",
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function lastLine(output: string): string {
  return (output.trim().split("\n").at(-1) ?? "").slice(0, 200);
}
