import * as fs from "node:fs";
import * as path from "node:path";

/** Variables that let plain `pulumi`, `bao` and `curl` work against a lab. */
export interface LabEnvironment {
  VAULT_ADDR: string;
  VAULT_TOKEN: string;
  GITLAB_BASE_URL: string;
  GITLAB_TOKEN: string;
  APISEC_URL: string;
  PULUMI_BACKEND_URL: string;
  PULUMI_CONFIG_PASSPHRASE: string;
  PULUMI_HOME: string;
  PULUMI_STACK: string;
  PULUMI_SKIP_UPDATE_CHECK: string;
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: string;
}

/** No secret: it protects the lab's state, and is printed into a file. */
export const labPassphrase = "lab";

/** Where a lab in `dir` keeps the state of its stacks, and how Pulumi is to behave there. */
export function labEnvironment(
  dir: string,
  servers: { vault: string; gitlab: string; apisec: string },
  tokens: { vault: string; gitlab: string },
): LabEnvironment {
  const state = path.join(dir, "state");
  fs.mkdirSync(state, { recursive: true });
  return {
    VAULT_ADDR: servers.vault,
    VAULT_TOKEN: tokens.vault,
    GITLAB_BASE_URL: servers.gitlab,
    GITLAB_TOKEN: tokens.gitlab,
    APISEC_URL: servers.apisec,
    PULUMI_BACKEND_URL: `file://${state}`,
    PULUMI_CONFIG_PASSPHRASE: labPassphrase,
    PULUMI_HOME: path.join(dir, "pulumi"),
    PULUMI_STACK: "dev",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // Every look-up of a plugin that is on PATH would wait for a host that may be out of reach.
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  };
}

/** Writes the shell file that `source .lab/env` reads. */
export function writeEnvironment(
  file: string,
  environment: LabEnvironment,
  rootToken: string,
  toolPath: string[],
): void {
  const quoted = (value: string) => `'${value.replaceAll("'", `'\\''`)}'`;
  const lines = [
    "# Written by `make up`: the lab's addresses and its tokens. Source it: . .lab/env",
    ...Object.entries(environment).map(
      ([name, value]) => `export ${name}=${quoted(String(value))}`,
    ),
    "# Only for looking behind the scenes; nothing of the program uses it.",
    `export LAB_VAULT_ROOT_TOKEN=${quoted(rootToken)}`,
    // What an earlier `source` put there is not put there twice.
    `for lab_dir in ${[...toolPath].reverse().map(quoted).join(" ")}; do`,
    `  case ":$PATH:" in *":$lab_dir:"*) ;; *) PATH="$lab_dir:$PATH" ;; esac`,
    "done",
    "unset lab_dir",
    "export PATH",
  ];
  fs.writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
}
