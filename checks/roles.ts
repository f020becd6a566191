import { encodePath } from "../clients/vault";
import { differences } from "../core/differences";
import { consumerRole, roleFields, rotatorRole } from "../desired/roles";
import type { LoginRole } from "../desired/roles";
import { isObject } from "../net/http";
import { askVault } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { claimOf, projectOf, scheduleOwnerOf } from "./gitlabFacts";
import type { World } from "./world";

/** The roles that GitLab's jobs log in with, as GitLab's facts and config declare them. */
export async function checkRoles(world: World): Promise<Finding[]> {
  const { settings } = world;
  const known = <T>(fact: Promise<T>) => fact.catch(() => undefined);
  const [project, owner, claims] = await Promise.all([
    known(projectOf(world)),
    known(scheduleOwnerOf(world)),
    Promise.all(settings.consumers.map((consumer) => known(claimOf(world, consumer)))),
  ]);
  const roles = [
    rotatorRole(settings, project, owner),
    ...settings.consumers.map((consumer, index) => consumerRole(settings, consumer, claims[index])),
  ];
  const findings = roles.map((role) =>
    askVault(world, about("role", `role ${role.roleName}`), async () => {
      const path = `auth/${encodePath(settings.authPath)}/role/${role.roleName}`;
      return [roleFinding(world, role, await world.look(path))];
    }),
  );
  return (await Promise.all(findings)).flat();
}

/** A role of Vault against the declared one; claims that are not known are not compared. */
export function roleFinding(
  { settings, print }: World,
  role: LoginRole,
  found: Record<string, unknown> | undefined,
): Finding {
  const it = about("role", `role ${role.roleName}`);
  const fix = print.pulumi("up --refresh");
  if (found === undefined) return it.problem("is not there", fix);
  const unknown = Object.keys(role.claims).filter((key) => role.claims[key] === undefined);
  // Not declared, but each would let a token in, or live, for longer, or give it the policies of groups.
  const leeway = { clockSkewLeeway: 0, expirationLeeway: 0, notBeforeLeeway: 0 };
  const left = { ...leeway, tokenPeriod: 0, groupsClaim: "" };
  const declared = snakeCase({ ...left, ...roleFields(role) });
  const withoutUnknown = (claims: unknown) =>
    Object.fromEntries(
      Object.entries(isObject(claims) ? claims : {}).filter(([key]) => !unknown.includes(key)),
    );
  const wrong = differences(
    { ...declared, bound_claims: withoutUnknown(declared["bound_claims"]) },
    { ...found, bound_claims: withoutUnknown(found["bound_claims"]) },
  );
  // Without any claim the Vault plugin takes them for what its state has: no `up` sees that they are gone.
  const blind = ["bound_claims", "claim_mappings"].some(
    (field) => !isObject(found[field]) || Object.keys(found[field]).length === 0,
  );
  if (wrong.length > 0) {
    const remove = `vault delete auth/${settings.authPath}/role/${role.roleName}`;
    return it.problem(wrong.join("; "), blind ? `${remove} && ${fix}` : fix);
  }
  return unknown.length === 0
    ? it.ok("is as declared")
    : it.warning(
        `is as declared, but ${unknown.join(", ")} could not be compared: GitLab did not say`,
        "see the lines about GitLab",
      );
}

/** Pulumi's names of fields as Vault's. */
export function snakeCase(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
