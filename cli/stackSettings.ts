import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../config/readConfig";
import type { Settings } from "../config/settings";
import { readYaml, valuesOf } from "../config/stackFiles";
import { vaultTokenFile } from "../clients/vaultToken";
import { programFolder, runner, stackFilePath } from "../desired/packageFolder";
import { coded } from "../core/messageCode";

/** The stack that a command is for: as its `--stack` says, else PULUMI_STACK. Throws where neither does. */
export function chosenStack(given: string | undefined): string {
  const stack = given ?? process.env["PULUMI_STACK"] ?? "";
  if (stack === "")
    throw coded(
      runner() === "npx"
        ? "Which stack? Name it with `--stack <name>`."
        : "Which stack? Name it with `-- --stack <name>`: npm keeps to itself what has no `--` before it.",
      "usage",
    );
  return stack;
}

/** The last part of `organization/project/stack`, by which Pulumi names the stack's file. */
export function stackName(stack: string): string {
  return stack.split("/").at(-1) ?? stack;
}

/** The project's name, which its keys begin with. */
export function projectName(): string {
  return String(projectFile()["name"]);
}

function projectFile(): Record<string, unknown> {
  const path = join(programFolder(), "Pulumi.yaml");
  if (existsSync(path)) return readYaml(readFileSync(path, "utf8"));
  throw coded(
    `There is no Pulumi.yaml in ${process.cwd()} or above: run it in the folder of the program.`,
    "no-program",
  );
}

/**
 * The settings of a stack as `pulumi up` has them, from Pulumi.yaml and `Pulumi.<stack>.yaml`, for the commands that
 * run beside Pulumi: without passphrase or state, and so without what is encrypted there. `offline`: nothing will be
 * asked, so it does not matter where Vault is. Throws an error that lists every problem.
 */
export function stackSettings(given: string, offline = false): Settings {
  const common = projectFile();
  const stack = stackName(given);
  const file = stackFilePath(stack);
  if (!existsSync(file)) {
    throw coded(
      `Pulumi.${stack}.yaml is not there: run \`pulumi stack init ${given}\` first.`,
      "no-stack-file",
    );
  }
  return settingsIn(common, readYaml(readFileSync(file, "utf8")), stack, offline);
}

/** The settings that the two files of a stack hold: see `stackSettings`. */
export function settingsIn(
  projectFile: Record<string, unknown>,
  stackFile: Record<string, unknown>,
  stack: string,
  offline: boolean,
): Settings {
  const project = String(projectFile["name"]);
  const values = valuesOf(project, projectFile, stackFile);
  const nowhere = values["vault:address"] ? {} : { VAULT_ADDR: "https://vault.invalid" };
  return readConfig({
    project,
    stack,
    values,
    secretKeys: [],
    env: offline ? { VAULT_TOKEN: "none", ...nowhere } : process.env,
    hasTokenFile: existsSync(vaultTokenFile()),
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  });
}
