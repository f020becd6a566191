import type { Settings } from "../config/settings";
import { differences } from "../core/differences";
import { eachOf } from "../core/eachOf";
import { isObject, jsonObject } from "../net/http";
import { passwordKey } from "../core/passwordRecord";
import { foreignText } from "../core/redact";
import { encodePath, vaultCall } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { spread } from "../core/spread";
import { authKeys } from "../desired/authMount";
import { policyName } from "../desired/names";
import { groupNames } from "../desired/policyValues";
import { consumerRole, roleFields, rotatorRole } from "../desired/roles";
import type { LoginRole } from "../desired/roles";
import { consumerAccess, stackPolicies } from "../desired/state";
import { checkAuth, checkMount, look } from "./preflight";
import { attempt } from "./attempt";
import type { Finding } from "./finding";
import type { GitlabFacts } from "./gitlab";

/** Vault goes through all of a token's policies for each: with 2,000 accounts that takes a while. */
const mostPathsAsked = 20;

/** What to do about an error of Vault. */
export function monitorAdvice({ stack, policyPrefix }: Settings) {
  const name = `${policyPrefix}-${stack}-monitor`;
  return ({ problem }: { problem?: string }): Partial<Finding> =>
    problem === "denied"
      ? {
          fix: `npm run --silent policy -- monitor --stack ${stack} | vault policy write ${name} -   (and a token that has it)`,
        }
      : {};
}

const mending = ({ stack }: Settings) => `pulumi up --refresh --stack ${stack}`;

/** The KV mount. `isShown`: Vault answers this token; otherwise every other check would end in the same way. */
export async function checkMountOf(
  vault: VaultConnection,
  settings: Settings,
): Promise<{ findings: Finding[]; isShown: boolean }> {
  const { mount, vaultAddress } = settings;
  let isShown = false;
  const findings = await attempt(
    "Vault",
    async () => {
      const what = `mount ${mount}/`;
      const looked = look(vault, `sys/mounts/${encodePath(mount)}`);
      isShown = (await looked) !== undefined;
      if (!isShown) {
        const fix = mending(settings);
        return [{ what, state: "problem", found: `is not there at ${vaultAddress}`, fix }];
      }
      const problems = await checkMount(vault, settings, looked);
      return problems.length === 0
        ? [{ what, state: "ok", found: `KV version 2 at ${vaultAddress}, ends no version` }]
        : problems.map((found): Finding => ({ what, state: "problem", found }));
    },
    monitorAdvice(settings),
  );
  return { findings, isShown };
}

/** The auth mount of GitLab's jobs: there, and with the keys as declared where this stack owns it. */
export function checkAuthOf(vault: VaultConnection, settings: Settings): Promise<Finding[]> {
  const { authPath, createAuth } = settings;
  const what = `auth mount ${authPath}/`;
  const fix = mending(settings);
  return attempt(
    what,
    async () => {
      if ((await look(vault, `sys/mounts/auth/${encodePath(authPath)}`)) === undefined) {
        return [{ what, state: "problem", found: "is not there", fix }];
      }
      const problems = await checkAuth(vault, settings);
      if (problems.length > 0) {
        return problems.map((found): Finding => ({ what, state: "problem", found }));
      }
      if (!createAuth) return [{ what, state: "ok", found: "JWT; its keys are its owner's" }];
      const found = (await look(vault, `auth/${encodePath(authPath)}/config`)) ?? {};
      // Any other source of keys would let others log in.
      const none = { oidcDiscoveryUrl: "", jwksUrl: "", jwtValidationPubkeys: [] };
      const wrong = differences(snakeCase({ ...none, ...authKeys(settings) }), found);
      return wrong.length === 0
        ? [{ what, state: "ok", found: `JWT, with the keys of ${settings.gitlabUrl}` }]
        : [{ what, state: "problem", found: wrong.join("; "), fix }];
    },
    monitorAdvice(settings),
  );
}

/** The stack's policies: word for word what this version of the program writes. */
export async function checkPolicies(
  vault: VaultConnection,
  settings: Settings,
  { project }: Pick<GitlabFacts, "project">,
): Promise<Finding[]> {
  const declared = [
    ...Object.values(stackPolicies(settings, { project })),
    ...consumerAccess(settings, { project, claims: new Map() }).map(({ policy }) => policy),
  ];
  const findings = declared.map(({ name, text }) => {
    const what = `policy ${name}`;
    return attempt(
      what,
      async () => {
        const found = (await look(vault, `sys/policies/acl/${name}`))?.["policy"];
        const problem = policyProblem(text, found);
        return problem === undefined
          ? [{ what, state: "ok", found: "is as declared" }]
          : [{ what, state: "problem", found: problem, fix: mending(settings) }];
      },
      monitorAdvice(settings),
    );
  });
  return (await Promise.all(findings)).flat();
}

/** How a policy's text in Vault differs from the declared one; undefined where it does not. */
export function policyProblem(declared: string, found: unknown): string | undefined {
  if (typeof found !== "string" || found === "") return "is not there";
  const [wanted, actual] = [declared.trim().split("\n"), found.trim().split("\n")];
  if (wanted.join("\n") === actual.join("\n")) return undefined;
  const line = actual.findIndex((text, index) => text !== wanted[index]);
  const at = line < 0 ? actual.length : line;
  const shown = (text = "nothing more") => foreignText(text, []).trim();
  return `differs from line ${at + 1} on: ${shown(actual[at])}; declared: ${shown(wanted[at])}`;
}

/** The roles that GitLab's jobs log in with. `facts`: what GitLab says of project, owner and consumers. */
export async function checkRoles(
  vault: VaultConnection,
  settings: Settings,
  facts: GitlabFacts,
): Promise<Finding[]> {
  const { project, owner, claims } = facts;
  const roles = [
    rotatorRole(settings, project, owner),
    ...settings.consumers.map((consumer) =>
      consumerRole(settings, consumer, claims.get(consumer.name)),
    ),
  ];
  const findings = roles.map((role) => {
    const what = `role ${role.roleName}`;
    return attempt(
      what,
      async () => {
        const path = `auth/${encodePath(settings.authPath)}/role/${role.roleName}`;
        return [roleFinding(settings, role, await look(vault, path))];
      },
      monitorAdvice(settings),
    );
  });
  return (await Promise.all(findings)).flat();
}

/** A role of Vault against the declared one; claims that are not known are not compared. */
export function roleFinding(
  settings: Settings,
  role: LoginRole,
  found: Record<string, unknown> | undefined,
): Finding {
  const what = `role ${role.roleName}`;
  const fix = mending(settings);
  if (found === undefined) return { what, state: "problem", found: "is not there", fix };
  // Not declared, but each would let a token in, or live, for longer, or give it the policies of groups.
  const leeway = { clockSkewLeeway: 0, expirationLeeway: 0, notBeforeLeeway: 0 };
  const left = { ...leeway, tokenPeriod: 0, groupsClaim: "" };
  const declared = snakeCase({ ...left, ...roleFields(role) });
  const unknown = Object.keys(role.claims).filter((key) => role.claims[key] === undefined);
  const withoutUnknown = (claims: unknown) =>
    Object.fromEntries(
      Object.entries(isObject(claims) ? claims : {}).filter(([key]) => !unknown.includes(key)),
    );
  const wrong = differences(
    { ...declared, bound_claims: withoutUnknown(declared["bound_claims"]) },
    { ...found, bound_claims: withoutUnknown(found["bound_claims"]) },
  );
  if (wrong.length > 0) return { what, state: "problem", found: wrong.join("; "), fix };
  return unknown.length === 0
    ? { what, state: "ok", found: "is as declared" }
    : {
        what,
        state: "warning",
        found: `is as declared, but ${unknown.join(", ")} could not be compared: GitLab did not say`,
        fix: "see the lines about GitLab",
      };
}

/** The identity groups that are given policies. */
export async function checkGroups(vault: VaultConnection, settings: Settings): Promise<Finding[]> {
  const { adminGroups, developerGroups, policyPrefix, stack } = settings;
  const findings: Finding[] = [];
  await eachOf(groupNames(settings), 8, async (name) => {
    const what = `group ${name}`;
    const checked = await attempt(
      what,
      async () => {
        const group = await look(vault, `identity/group/name/${encodePath(name)}`);
        const fix = mending(settings);
        if (group === undefined) return [{ what, state: "problem", found: "is not there", fix }];
        const policies = Array.isArray(group["policies"]) ? group["policies"] : [];
        const admin = policyName(policyPrefix, stack, "admin");
        const missing = [
          ...(adminGroups.includes(name) ? [admin] : []),
          ...(developerGroups.includes(name) ? [policyName(policyPrefix, stack, "developer")] : []),
        ].filter((policy) => !policies.includes(policy));
        if (missing.length > 0) {
          return [{ what, state: "problem", found: `lacks ${missing.join(", ")}`, fix }];
        }
        if (adminGroups.includes(name) || !policies.includes(admin)) {
          return [{ what, state: "ok", found: "has its policies" }];
        }
        const found = `has ${admin}, too, which config does not give it: its members read passwords`;
        const advice = "take that policy from the group, or name the group in adminGroups";
        return [{ what, state: "problem", found, fix: advice }];
      },
      monitorAdvice(settings),
    );
    findings.push(...checked);
  });
  return findings;
}

/** The caller's own token: it must be good for nothing on a password. */
export function checkOwnRights(vault: VaultConnection, settings: Settings): Promise<Finding[]> {
  const { mount, accounts, stack, policyPrefix } = settings;
  const what = "this Vault token";
  const paths = spread(accounts, mostPathsAsked).map(
    ({ name }) => `${mount}/data/${passwordKey(name)}`,
  );
  const fix = `run it with a token of policy ${policyPrefix}-${stack}-monitor`;
  return attempt(
    what,
    async () => {
      const answer = await vaultCall(vault, "POST", "sys/capabilities-self", { paths });
      const rights = jsonObject(answer.body)?.["data"];
      if (answer.status !== 200 || !isObject(rights)) {
        throw new Error(`Vault answers POST sys/capabilities-self with ${answer.status}`);
      }
      const able = paths.filter((path) => String(rights[path]) !== "deny");
      const asked = `asked of ${paths.length}, such as ${able[0] ?? paths[0]}`;
      return able.length === 0
        ? [{ what, state: "ok", found: `may do nothing to a password (${asked})` }]
        : [
            {
              what,
              state: "warning",
              found: `has rights on ${able.length} ${able.length === 1 ? "password" : "passwords"} (${asked})`,
              fix,
            },
          ];
    },
    // A deployer may check, too; only what it may do besides is then not known.
    ({ problem }) => (problem === "denied" ? { state: "warning", fix } : {}),
  );
}

/** Pulumi's names of fields as Vault's. */
function snakeCase(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
