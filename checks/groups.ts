import { encodePath } from "../clients/vault";
import { policyName } from "../desired/names";
import { groupNames } from "../desired/policyValues";
import { askVault } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { inOrder } from "./inOrder";
import type { World } from "./world";

function lookAtGroup({ look }: World, name: string): ReturnType<World["look"]> {
  return look(`identity/group/name/${encodePath(name)}`);
}

/** The identity groups that are given policies: there, each named in one way, and after an `up` with their policies. */
export async function checkGroups(world: World): Promise<Finding[]> {
  const names = groupNames(world.settings);
  const findings = await inOrder(names, (name) =>
    askVault(world, about("group", `group ${name}`), async () => [await groupFinding(world, name)]),
  );
  return [...findings.flat(), ...(await twins(world))];
}

async function groupFinding(world: World, name: string): Promise<Finding> {
  const { time, print, settings } = world;
  const { adminGroups, developerGroups, policyPrefix, stack } = settings;
  const it = about("group", `group ${name}`);
  const group = await lookAtGroup(world, name);
  if (group === undefined) {
    return it.problem(
      "is not there: Vault knows no identity group of that name",
      `correct adminGroups and developerGroups, or create it with \`vault write identity/group name="${name}"\` (type=external for a group of OIDC or LDAP)`,
    );
  }
  if (time !== "after") return it.ok("is there");
  const policies = Array.isArray(group["policies"]) ? group["policies"] : [];
  const admin = policyName(policyPrefix, stack, "admin");
  const developer = policyName(policyPrefix, stack, "developer");
  const missing = [
    ...(adminGroups.includes(name) ? [admin] : []),
    ...(developerGroups.includes(name) ? [developer] : []),
  ].filter((policy) => !policies.includes(policy));
  if (missing.length > 0) {
    return it.problem(`lacks ${missing.join(", ")}`, print.pulumi("up --refresh"));
  }
  if (adminGroups.includes(name) || !policies.includes(admin)) return it.ok("has its policies");
  return it.problem(
    `has ${admin}, too, which config does not give it: its members read passwords`,
    "take that policy from the group, or name the group in adminGroups",
  );
}

/** Vault ignores case in names of groups: two names of one group would take each other's policies. */
async function twins(world: World): Promise<Finding[]> {
  const ids = [...(await groupIdsOf(world))];
  return ids.flatMap(([name, id], index) => {
    const earlier = ids.slice(0, index).find(([, same]) => same === id)?.[0];
    if (earlier === undefined) return [];
    return [
      about("group", `group ${name}`).problem(
        `is the same identity group as ${JSON.stringify(earlier)}`,
        "write its name the same way in adminGroups and developerGroups",
      ),
    ];
  });
}

/** Ids of the identity groups in config, by name; of those only that Vault shows. */
export async function groupIdsOf(world: World): Promise<Map<string, string>> {
  // As config names them: what is registered for each has an order of its own.
  const ids = await inOrder(
    groupNames(world.settings),
    async (name): Promise<[string, string][]> => {
      const group = await lookAtGroup(world, name).catch(() => undefined);
      return typeof group?.["id"] === "string" ? [[name, group["id"]]] : [];
    },
  );
  return new Map(ids.flat());
}
