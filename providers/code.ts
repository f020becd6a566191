import { createRequire } from "node:module";
import { join } from "node:path";
import type * as bundle from "./bundle";

/**
 * The code behind the providers, built from bundle.ts. It is loaded at run time and not captured: the
 * state then holds 2 KB a resource instead of 73 KB, a new version of the program never runs an old
 * one's code out of the state, and nothing has to survive serialisation but a few lines. Old states
 * keep those: the names of package, entry and methods must stay. Asked for from the program's folder,
 * where the engine starts the provider: that program is this package or depends on it.
 */
export function code(): typeof bundle {
  const ofProgram = createRequire(join(process.cwd(), "index.js"));
  return ofProgram("apisec-credentials/passwordProvider") as typeof bundle;
}
