import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "../../lab/process";
import type { TestLab } from "./lab";

/**
 * Runs a printed fix as it is printed: what is Vault's as Vault's admin, all else as the deployer. Gives what it
 * prints; throws where it fails.
 */
export async function followFix(
  lab: TestLab,
  fix: string,
  more: Record<string, string> = {},
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
      ...(/(^|\| )(VAULT_NAMESPACE=\S* )?vault /.test(fix)
        ? { VAULT_TOKEN: lab.world.vault.rootToken }
        : {}),
      ...more,
    },
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
