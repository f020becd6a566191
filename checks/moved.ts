import { encodePath } from "../clients/vault";
import { environmentName } from "../desired/names";
import { isObject } from "../net/http";
import { foreignText } from "../core/redact";
import { attempt } from "./attempt";
import { about } from "./finding";
import type { About, Finding } from "./finding";
import { gitlabOf, projectPath } from "./gitlabFacts";
import { whose } from "./owner";
import type { World } from "./world";

/**
 * A changed `mount` or `authPath`: Vault's plugin would move it in place, which the deployer may not, or all accounts
 * would ask for first passwords that have been used up. What the job was told last is where it was. Refused with the
 * procedure, unless this stack's mark is at the new path already.
 */
export async function checkMoved(world: World): Promise<Finding[]> {
  const { settings, print } = world;
  const { mount, authPath, createMount, createAuth, stack } = settings;
  const afterwards = [
    `\`pulumi refresh --yes --stack ${stack}\``,
    `\`${print.own("adopt")}\` and the commands that it prints`,
  ].join(", then ");
  const found = await Promise.all([
    createMount
      ? moved(world, about("mount", `mount ${mount}/`), {
          variable: "APISEC_MOUNT",
          path: mount,
          api: `sys/mounts/${encodePath(mount)}`,
          move: (old) => `vault secrets move ${old}/ ${mount}/`,
          key: "mount",
          afterwards,
        })
      : [],
    createAuth
      ? moved(world, about("auth-mount", `auth mount ${authPath}/`), {
          variable: "VAULT_AUTH_PATH",
          path: authPath,
          api: `sys/mounts/auth/${encodePath(authPath)}`,
          move: (old) => `vault auth move auth/${old}/ auth/${authPath}/`,
          key: "authPath",
          afterwards,
        })
      : [],
  ]);
  return found.flat();
}

interface Move {
  /** The job's variable that names the path. */
  variable: string;
  path: string;
  api: string;
  move: (old: string) => string;
  key: string;
  afterwards: string;
}

function moved(world: World, it: About, move: Move): Promise<Finding[]> {
  const { settings, print } = world;
  return attempt(
    it,
    async () => {
      const scope = encodeURIComponent(environmentName(settings.stack));
      const variable = await gitlabOf(world)(
        `${await projectPath(world)}/variables/${move.variable}?filter%5Benvironment_scope%5D=${scope}`,
      );
      const old = isObject(variable) ? String(variable["value"]) : move.path;
      if (old === move.path) return [];
      const description = (await world.look(move.api).catch(() => undefined))?.["description"];
      if ((await whose(world, description)) === "ours") return [];
      const was = foreignText(old, []);
      return [
        it.problem(
          `is not where this stack has it, ${was}/, and \`up\` cannot move it`,
          `set it back with \`${print.pulumi(`config set ${move.key} ${was}`)}\`; or to move it, as Vault's admin \`${move.move(was)}\`, then ${move.afterwards}`,
        ),
      ];
    },
    // Variables are shown to Maintainers only: who may not see them cannot run `up`, either.
    ({ status }) =>
      status === undefined
        ? undefined
        : it.skipped("where it was is not shown to this token's user"),
  );
}
