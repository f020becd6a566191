import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { isCommand } from "../../checks/report";
import { run } from "../../lab/process";
import type { TestLab } from "./lab";

/** The commands of a fix: itself, where it is one, else those of its parts in backticks that are. */
export function commandsIn(fix: string): string[] {
  if (isCommand(fix)) return [fix];
  return [...fix.matchAll(/`([^`]*)`/g)]
    .map(([, text = ""]) => text)
    .filter((text) => isCommand(text));
}

/**
 * Runs a printed fix as it is printed: what is Vault's as Vault's admin, all else as the deployer. Gives what it
 * prints; throws where it fails.
 */
export async function followFix(
  lab: TestLab,
  fix: string,
  {
    env = {},
    input,
  }: { env?: Record<string, string | undefined>; input?: string | undefined } = {},
): Promise<string> {
  const bin = join(lab.program, "bin");
  mkdirSync(bin, { recursive: true });
  const tools = {
    vault: '#!/bin/sh\nexec bao "$@"\n',
    glab: glabOf(`${lab.world.gitlab.url}/api/v4`, lab.world.secrets.gitlabToken),
  };
  for (const [name, text] of Object.entries(tools)) {
    writeFileSync(join(bin, name), text);
    chmodSync(join(bin, name), 0o755);
  }
  const { code, stdout, stderr } = await run("bash", ["--norc", "-euo", "pipefail", "-c", fix], {
    cwd: lab.program,
    env: {
      ...lab.env,
      ...{ PATH: [bin, lab.env["PATH"]].join(delimiter), PULUMI_SKIP_CONFIRMATIONS: "true" },
      ...env,
      // What is done to one's own token, its holder does.
      ...(/(^|\| )(VAULT_NAMESPACE=\S* )?vault (?!token )/.test(fix)
        ? { VAULT_TOKEN: lab.world.vault.rootToken }
        : {}),
    },
    ...(input === undefined ? {} : { input }),
    timeoutMs: 240_000,
  });
  const text = `${stdout}\n${stderr}`;
  if (code !== 0) throw new Error(`${fix}: ${text}`);
  return text;
}

/** What the printed commands use of GitLab's own command: `glab api -X METHOD path -f key=value`. */
const glabOf = (api: string, token: string) => `#!/bin/sh
set -eu
[ "$1 $2" = "api -X" ]
method=$3 path=$4; shift 4
[ $# = 0 ] || shift
curl -sS --fail -X "$method" -H "Authorization: Bearer ${token}" "${api}/$path" \
  \${1:+-d "$1"} >/dev/null
`;
