import { capabilities, look } from "../clients/look";
import { encodePath } from "../clients/vault";
import type { VaultConnection, VaultError } from "../clients/vault";
import { formatDuration } from "../core/duration";
import { passwordKey } from "../core/passwordRecord";
import { policyValues } from "../desired/policyValues";
import { missingRights, narrowingPolicies, rightsAsked } from "../desired/rights";
import { attempt, policyFix } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { groupIdsOf } from "./groups";
import { hasServerProblem } from "./vaultServer";
import type { World } from "./world";

/** A token that ends sooner may end in the middle of an `up`. */
const shortLife = 30 * 60;
/** The monitor's token is asked about so many passwords: with policies of many paths Vault takes its time. */
const mostPasswordsAsked = 20;

/** Whether Vault knows the caller's token; that of a monitor may not look at itself, but at the mount. */
export async function isTokenKnown(world: World): Promise<boolean> {
  try {
    if (world.time === "after") await world.look(`sys/mounts/${encodePath(world.settings.mount)}`);
    else await ownToken(world);
    return true;
  } catch (error) {
    return (error as VaultError).isTokenUnknown !== true;
  }
}

const lookupSelf = "auth/token/lookup-self";

/** What the token says of itself, and `home`: Vault in the token's namespace, which may be above the one in use. */
async function ownToken(
  world: World,
): Promise<{ token: Record<string, unknown>; home: VaultConnection }> {
  const { vault } = world;
  const names = vault.namespace?.replace(/\/$/, "").split("/") ?? [];
  // A token is known below its own namespace, too, and never above it.
  for (const depth of names.keys()) {
    const home = { ...vault, namespace: names.slice(0, depth).join("/") || undefined };
    const token = await look(home, lookupSelf).catch(() => undefined);
    if (token !== undefined) return { token, home };
  }
  return { token: (await world.look(lookupSelf)) ?? {}, home: vault };
}

/** Whether the token opens anything in the namespace in use: one of a namespace above it may not. */
export async function isTokenOfUse(world: World): Promise<boolean> {
  const { home } = await ownToken(world).catch(() => ({ home: world.vault }));
  if (home.namespace === world.vault.namespace) return true;
  return capabilities(world.vault, [capabilitiesSelf]).then(
    () => true,
    ({ problem }: VaultError) => problem !== "denied",
  );
}

const capabilitiesSelf = "sys/capabilities-self";

/** How the deployer's policy is written for a token of a namespace above: with the way from there to the paths. */
function policyAbove(world: World, { namespace: above }: VaultConnection): string {
  const { settings, vault, print } = world;
  const way = (vault.namespace ?? "").replace(/\/$/, "").slice(above ? above.length + 1 : 0);
  const text = print.own("policy", { of: "deployer", isPiped: true });
  // The plugin makes its own token where the caller's is.
  const placed = `sed '/^path "auth\\/token\\//!s|^path "|&${way}/|'`;
  return `${text} | ${placed} | VAULT_NAMESPACE=${above ?? ""} vault policy write ${settings.policyPrefix}-${settings.stack}-deployer -`;
}

/** The caller's Vault token: known, and for those who run `up`, fit for it. */
export async function checkToken(world: World): Promise<Finding[]> {
  const it = about("vault.token", "Vault token");
  const { settings, vault } = world;
  const inNamespace = settings.vaultNamespace === undefined ? "" : " in its namespace";
  if (await hasServerProblem(world)) {
    return [it.skipped("not checked: see the line about Vault")];
  }
  if (vault.token === undefined) return [it.problem("there is none", "vault login")];
  if (!(await isTokenKnown(world))) {
    return [it.problem(`is not valid${inNamespace}: it is wrong, or has ended`, "vault login")];
  }
  return attempt(
    it,
    async () => {
      // Without even that right it has the wrong policy, and the others would each say so.
      if (world.time === "after") {
        await world.look(`sys/mounts/${encodePath(settings.mount)}`);
        return [];
      }
      const { token, home } = await ownToken(world);
      if (await isTokenOfUse(world)) return [tokenFinding(token, world, home)];
      const found = `${tokenFinding(token, world, home).found}, and opens nothing in namespace ${settings.vaultNamespace}`;
      return [it.problem(found, policyAbove(world, home))];
    },
    ({ problem, message }) =>
      problem === "denied" ? it.problem(message, policyFix(world)) : undefined,
  );
}

/** The token's policies, kind and remaining life, as `auth/token/lookup-self` says them. */
export function tokenFinding(
  token: Record<string, unknown>,
  world: World,
  home: Pick<VaultConnection, "namespace"> = world.vault,
): Finding {
  const it = about("vault.token", "Vault token");
  const { settings, isPreview } = world;
  const policies = [token["policies"], token["identity_policies"]]
    .filter(Array.isArray)
    .flat()
    .map(String);
  const deployer = `${settings.policyPrefix}-${settings.stack}-deployer`;
  const ends = token["expire_time"] !== null;
  const life = Number(token["ttl"]);
  const values = { ttl_seconds: ends ? life : undefined };
  const isAbove = home.namespace !== world.vault.namespace;
  const where = isAbove ? `; of ${home.namespace ?? "the root"} namespace` : "";
  const found = `policies ${policies.join(", ")}; ${ends ? `ends in ${formatDuration(life)}` : "does not end"}${where}`;
  const narrowing = narrowingPolicies(policyValues(settings), policies);
  if (narrowing.length > 0 && policies.includes(deployer)) {
    return it.problem(
      `${found}; ${narrowing.join(", ")} takes rights from ${deployer}: Vault lets a policy's exact paths replace another's patterns`,
      `log in as a user whose token does not have ${narrowing.join(", ")}`,
      values,
    );
  }
  if (token["type"] === "batch") {
    return it.problem(
      `${found}; a batch token, which the Vault plugin cannot use`,
      "log in for a service token",
      values,
    );
  }
  if (Number(token["num_uses"] ?? 0) > 0) {
    const uses = `${found}; may be used ${String(token["num_uses"])} times only`;
    return it.problem(uses, "log in for a token without a limit of uses", values);
  }
  if (ends && life < shortLife && !isPreview) {
    // Without an increment it lives as long again as it was given last.
    const fix = token["renewable"] === true ? "vault token renew -increment=2h" : "vault login";
    return it.warning(found, fix, values);
  }
  if (!policies.includes("root")) return it.ok(found, values);
  const fix = `vault token create -policy=${deployer}`;
  return it.warning(`${found}: more than \`up\` needs`, fix, values);
}

/**
 * What `up` asks of Vault, and the token may not: every path of this run, from the same source as the deployer's
 * policy. Before its first change `up` stops; a preview only says it.
 */
export async function checkRights(world: World): Promise<Finding[]> {
  const it = about("vault.rights", "Vault rights");
  const { settings, vault, time, isPreview } = world;
  const groupIds = await groupIdsOf(world);
  const wanted = rightsAsked("deployer", policyValues(settings, { groupIds }));
  const { home } = await ownToken(world).catch(() => ({ home: vault }));
  const isAbove = home.namespace !== vault.namespace;
  const fix = isAbove ? policyAbove(world, home) : policyFix({ ...world, isPreview: false });
  return attempt(
    it,
    async () => {
      // Its own token the plugin makes where the caller's is.
      const ofToken = isAbove ? [...wanted.keys()].filter(isOfToken) : [];
      const others = [...wanted.keys()].filter((path) => !ofToken.includes(path));
      const allowed = new Map([
        ...(await capabilities(vault, others)),
        ...(await capabilities(home, ofToken)),
      ]);
      const missing = missingRights(wanted, allowed);
      if (missing.length === 0) {
        return [it.ok(`all that \`up\` needs, on ${wanted.size} paths`, { paths: wanted.size })];
      }
      const values = { paths: wanted.size, missing: missing.length };
      if (time === "in" && isPreview) {
        const some = `lacks what \`up\` needs on ${missing.length} of ${wanted.size} paths, such as ${missing[0]}`;
        return [it.warning(some, "a token of the deployer for `up`", values)];
      }
      const found = `of what \`up\` needs are missing:\n${missing.join("\n")}`;
      return [it.problem(found, `as Vault's admin: \`${fix}\``, values)];
    },
    ({ problem }) =>
      problem === "denied"
        ? it.warning(
            "unknown: the token may not ask what it may do, as an older deployer's policy",
            fix,
          )
        : undefined,
  );
}

const isOfToken = (path: string) => path.startsWith("auth/token/");

/** The monitor's own token: it must be good for nothing on a password. */
export function checkOwnRights(world: World): Promise<Finding[]> {
  const { settings, vault } = world;
  const { mount, accounts, stack, policyPrefix } = settings;
  const it = about("vault.own-rights", "this Vault token");
  const paths = spread(accounts, mostPasswordsAsked).map(
    ({ name }) => `${mount}/data/${passwordKey(name)}`,
  );
  const fix = `run it with a token of policy ${policyPrefix}-${stack}-monitor`;
  return attempt(
    it,
    async () => {
      const rights = await capabilities(vault, paths);
      const able = paths.filter((path) => String(rights.get(path)) !== "deny");
      const asked = `asked of ${paths.length}, such as ${able[0] ?? paths[0]}`;
      if (able.length === 0) return [it.ok(`may do nothing to a password (${asked})`)];
      const passwords = able.length === 1 ? "password" : "passwords";
      return [it.warning(`has rights on ${able.length} ${passwords} (${asked})`, fix)];
    },
    // A deployer may check, too; only what it may do besides is then not known.
    ({ problem, message }) => (problem === "denied" ? it.warning(message, fix) : undefined),
  );
}

/** At most `most` of the items, from all over the list. */
function spread<T>(items: readonly T[], most: number): T[] {
  const step = Math.max(1, items.length / most);
  return items.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}
