import { list } from "../clients/look";
import { encodePath } from "../clients/vault";
import { consumerName } from "../desired/names";
import { opensEveryAccount } from "../desired/policies";
import { policyValues } from "../desired/policyValues";
import { attempt, policyFix } from "./attempt";
import { about } from "./finding";
import type { About, Finding } from "./finding";
import type { World } from "./world";

/** What a token may not list is not known, and by that a warning. */
function seen(world: World, it: About, ask: () => Promise<Finding[]>): Promise<Finding[]> {
  return attempt(it, ask, ({ problem, message }) =>
    problem === "denied" ? it.warning(message, policyFix(world)) : undefined,
  );
}

/** Consumers' roles and policies that config does not know: they give rights that nobody declares any more. */
export async function checkStrayConsumers(world: World): Promise<Finding[]> {
  const { authPath, policyPrefix, stack, consumers } = world.settings;
  const known = consumers.map(({ name }) => consumerName(policyPrefix, stack, name));
  const beginning = consumerName(policyPrefix, stack, "");
  const strays = async (kind: "policy" | "role", path: string, api: string) =>
    seen(
      world,
      about("stray-consumer", `consumers' ${kind === "role" ? "roles" : "policies"}`),
      async () => {
        const names = await list(world.vault, path);
        return names
          .filter((name) => name.startsWith(beginning) && !known.includes(name))
          .map((name) =>
            about("stray-consumer", `${kind} ${name}`).problem(
              "is of no consumer in config, and still gives its rights",
              `vault delete ${api}/${name}`,
            ),
          );
      },
    );
  const role = `auth/${encodePath(authPath)}/role`;
  const found = await Promise.all([
    strays("role", role, `auth/${authPath}/role`),
    strays("policy", "sys/policies/acl", "sys/policies/acl"),
  ]);
  return found.flat();
}

/** Names in the stack's own mount that config does not know: their passwords are readable by its admins. */
export function checkStrayAccounts(world: World): Promise<Finding[]> {
  const { settings, vault } = world;
  const { mount, accounts } = settings;
  const it = about("stray-account", "accounts that are not in config");
  if (!opensEveryAccount(policyValues(settings))) return Promise.resolve([]);
  const known = new Set(accounts.flatMap(({ name, renamedFrom }) => [name, renamedFrom]));
  return seen(world, it, async () => {
    const names = (await list(vault, `${encodePath(mount)}/metadata`)).map((name) =>
      name.replace(/\/$/, ""),
    );
    const strays = names.filter((name) => !known.has(name));
    if (strays.length === 0) return [it.ok(`none among ${names.length} in mount ${mount}/`)];
    return strays.map((name) =>
      about("stray-account", `account ${name}`, name).warning(
        `is in mount ${mount}/ and not in config: its password can still be read there`,
        `add it to \`accounts\` again; or, when the account is closed at APIsec: \`vault kv metadata delete -mount=${mount} ${name}/password; vault kv metadata delete -mount=${mount} ${name}/token\``,
      ),
    );
  });
}
