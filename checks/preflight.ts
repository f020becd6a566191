import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../config/settings";
import { runError } from "../config/runError";
import { eachOf } from "../core/eachOf";
import { isObject, jsonObject, systemClock } from "../net/http";
import { metadataPath } from "../clients/keySettings";
import { passwordKey } from "../core/passwordRecord";
import { foreignText } from "../core/redact";
import { encodePath, refused, vaultCall, vaultErrors } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { findVaultToken } from "../clients/vaultToken";
import {
  authDescription,
  consumerName,
  mountDescription,
  ownerMark,
  policyName,
} from "../desired/names";
import type { RotationProject } from "../desired/facts";
import type { Owner } from "../desired/names";
import { ownerNamed, ownerOf, ownershipOf } from "../desired/ownership";
import { problemsOfMarks } from "./ownership";
import { groupNames } from "../desired/policyValues";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";

/** What the program needs to know of Vault before it begins. */
export interface VaultFindings {
  /** The mount outlives `destroy`, and a state that was lost. */
  mountExists: boolean;
  /** Ids of the identity groups in config, by name. */
  groupIds: ReadonlyMap<string, string>;
}

/**
 * Looks at Vault before anything is registered: is it there, is the mount KV version 2 and ours, does
 * a policy or auth mount of that name belong to somebody else, are the groups there? Reads only, in
 * `preview` and in `up`. Throws one RunError that lists every conflict.
 */
export async function preflight(
  settings: Settings,
  rotation: Promise<RotationProject | undefined> = Promise.resolve(undefined),
): Promise<VaultFindings> {
  const vault = connect(settings);
  const { problems: found, ...findings } = await lookAtVault(vault, settings, rotation);
  const project = await rotation;
  const marks =
    found.length > 0 || project === undefined
      ? []
      : await problemsOfMarks((path) => look(vault, path), settings, project);
  const problems = [...found, ...marks];
  if (problems.length === 0) return findings;
  throw runError(
    `Vault at ${settings.vaultAddress} is not ready for stack ${settings.stack}; nothing was touched.\n` +
      together(problems, settings.stack)
        .map((problem) => `  - ${problem}`)
        .join("\n"),
  );
}

/** A token that is no good is denied everything: said once. */
function together(problems: readonly string[], stack: string): string[] {
  const denied = problems.filter((problem) => problem.startsWith("Vault denies "));
  if (denied.length < 2) return [...problems];
  return [
    `${denied[0]} (${denied.length} paths in all): log in with \`vault login\`; \`npm run doctor -- --stack ${stack}\` names the rights that are missing`,
    ...problems.filter((problem) => !denied.includes(problem)),
  ];
}

/** What is in Vault, and what of it is in this stack's way. Reads only, never throws. */
export async function lookAtVault(
  vault: VaultConnection,
  settings: Settings,
  rotation?: Promise<RotationProject | undefined>,
): Promise<VaultFindings & { problems: string[] }> {
  const { policyPrefix, stack, consumers } = settings;
  let groupIds: ReadonlyMap<string, string> = new Map();
  const mount = look(vault, `sys/mounts/${encodePath(settings.mount)}`);
  const mountProblems = checkMount(vault, settings, mount, rotation);
  const checks = await Promise.all([
    mountProblems,
    checkAuth(vault, settings, rotation),
    mountProblems.then((found) =>
      found.length > 0 ? [] : checkFirstPasswords(vault, settings, mount),
    ),
    ...[
      ...(["admin", "developer", "rotator"] as const).map((role) =>
        policyName(policyPrefix, stack, role),
      ),
      ...consumers.map(({ name }) => consumerName(policyPrefix, stack, name)),
    ].map((name) => checkPolicy(vault, settings, name)),
    problemsOf(async () => {
      groupIds = await findGroups(vault, settings);
      return [];
    }),
  ]);
  const problems = [...new Set(checks.flat())];
  const mountExists = problems.length === 0 && (await mount) !== undefined;
  return { problems, mountExists, groupIds };
}

/** Vault with the caller's token. */
export function connect(settings: Settings): VaultConnection {
  return {
    send: nodeSend({
      ca: settings.vaultCa,
      ...settings.vaultClient,
      proxyFor: proxyTo,
    }),
    clock: systemClock,
    address: settings.vaultAddress,
    namespace: settings.vaultNamespace,
    token: findVaultToken(),
    met: {},
  };
}

/** The `data` of an answer, undefined where Vault knows no such thing. */
export async function look(
  vault: VaultConnection,
  path: string,
): Promise<Record<string, unknown> | undefined> {
  const answer = await vaultCall(vault, "GET", path);
  const text = vaultErrors(answer);
  if (answer.status === 200) {
    const body = jsonObject(answer.body);
    return isObject(body?.["data"]) ? body["data"] : body;
  }
  const isAbsent =
    (answer.status === 404 && text === "") ||
    (answer.status === 400 && /^No (secret|auth) engine /.test(text));
  if (isAbsent) return undefined;
  // Such as a namespace that does not exist.
  throw refused(vault, "GET", path, answer);
}

/** The ids of the identity groups that config names. Throws an error that names those Vault does not know. */
export async function findGroups(
  vault: VaultConnection,
  settings: Settings,
): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  const names = groupNames(settings);
  await eachOf(names, 8, async (name) => {
    const id = (await look(vault, `identity/group/name/${encodePath(name)}`))?.["id"];
    if (typeof id === "string") ids.set(name, id);
  });
  for (const [name, id] of ids) {
    const other = [...ids].find(([before, same]) => same === id && before !== name)?.[0];
    if (other === undefined) continue;
    throw new Error(
      `${JSON.stringify(name)} and ${JSON.stringify(other)} are one identity group: write its name the same way in adminGroups and developerGroups`,
    );
  }
  const missing = names.filter((name) => !ids.has(name));
  if (missing.length === 0) return ids;
  const [first] = missing;
  throw new Error(
    `Vault knows no identity group ${missing.map((name) => JSON.stringify(name)).join(", ")}: correct adminGroups and developerGroups, or create it with \`vault write identity/group name="${first}"\` (type=external for a group of OIDC or LDAP)`,
  );
}

/** Turns an error of Vault into a problem of the list. */
async function problemsOf(check: () => Promise<string[]>): Promise<string[]> {
  try {
    return await check();
  } catch (error) {
    return [(error as Error).message];
  }
}

/** Problems of the KV mount that `looked` found, none where it is not there yet. */
export function checkMount(
  vault: VaultConnection,
  settings: Settings,
  looked: ReturnType<typeof look>,
  rotation?: Promise<RotationProject | undefined>,
): Promise<string[]> {
  const { mount, createMount } = settings;
  return problemsOf(async () => {
    const found = await looked;
    if (found === undefined) {
      return createMount
        ? []
        : [
            `mount ${mount}/ does not exist and createMount is false: create it as KV version 2, or set createMount to true`,
          ];
    }
    const options = isObject(found["options"]) ? found["options"] : {};
    if (found["type"] !== "kv" || options["version"] !== "2") {
      return [
        `mount ${mount}/ is not KV version 2 (it is ${JSON.stringify({ type: found["type"], options })}): choose another \`mount\`, or upgrade it with \`vault kv enable-versioning ${mount}/\``,
      ];
    }
    if (createMount && !isOurs(settings, found["description"])) {
      const owner = ownerOf(settings, { project: await rotation });
      const description = mountDescription(owner, settings.shareMount);
      return [
        `mount ${mount}/ exists and is not this stack's: set createMount to false to use it, or choose another \`mount\`${handOver(found, owner, `secrets tune -description="${description}" ${mount}/`)}`,
      ];
    }
    const config = await look(vault, `${encodePath(mount)}/config`);
    const ends = config?.["delete_version_after"];
    return ends === undefined || ends === "0s"
      ? []
      : [
          `mount ${mount}/ deletes every version after ${JSON.stringify(ends)}, passwords too: set it to 0s with \`vault write ${mount}/config delete_version_after=0s\`, or choose another \`mount\``,
        ];
  });
}

/** Problems of the auth mount. */
export function checkAuth(
  vault: VaultConnection,
  settings: Settings,
  rotation?: Promise<RotationProject | undefined>,
): Promise<string[]> {
  const { authPath, createAuth } = settings;
  return problemsOf(async () => {
    const found = await look(vault, `sys/mounts/auth/${encodePath(authPath)}`);
    if (found === undefined) {
      return createAuth
        ? []
        : [
            `auth mount ${authPath}/ does not exist and createAuth is false: enable it with \`vault auth enable -path=${authPath} jwt\`, or set createAuth to true`,
          ];
    }
    if (found["type"] !== "jwt") {
      return [
        `auth mount ${authPath}/ is of type ${String(found["type"])}, expected jwt: choose another authPath`,
      ];
    }
    const owner = ownerOf(settings, { project: await rotation });
    const description = authDescription(owner);
    return createAuth && !isOurs(settings, found["description"])
      ? [
          `auth mount ${authPath}/ exists and is not this stack's: set createAuth to false to use it, or choose another authPath${handOver(found, owner, `auth tune -description="${description}" ${authPath}/`)}`,
        ]
      : [];
  });
}

/** Whether a first line or a description names this stack. */
function isOurs(settings: Settings, text: unknown): boolean {
  const owner = ownerOf(settings, { project: undefined });
  return typeof text === "string" && ownershipOf(owner, text) === "ours";
}

/** A renamed stack looks like another one of this program: somebody has to say that it is the same. */
function handOver(found: Record<string, unknown>, { project }: Owner, command: string): string {
  const named = ownerNamed(String(found["description"])) ?? "";
  return named.startsWith(`${project}/`)
    ? `. If ${foreignText(named.slice(project.length + 1), [])} is this stack's former name: \`vault ${command}\``
    : "";
}

/** A policy write is a silent overwrite: another owner's text must not be lost. */
function checkPolicy(vault: VaultConnection, settings: Settings, name: string): Promise<string[]> {
  return problemsOf(async () => {
    const found = await look(vault, `sys/policies/acl/${name}`);
    const text = found?.["policy"];
    if (typeof text !== "string" || text === "") return [];
    const marker = ownerMark({ project: settings.project, stack: settings.stack });
    return isOurs(settings, text.split("\n")[0])
      ? []
      : [
          `policy ${name} exists and does not begin with "${marker}": delete it if nobody needs it, or set another policyPrefix`,
        ];
  });
}

/**
 * Every account needs a record in Vault or a first password in config. Known before another account's
 * password is changed; asked in `up` only, since who previews may not look at any key.
 */
function checkFirstPasswords(
  vault: VaultConnection,
  settings: Settings,
  mount: Promise<Record<string, unknown> | undefined>,
): Promise<string[]> {
  const names = settings.accounts
    .filter(({ name, renamedFrom }) => {
      return renamedFrom === undefined && !settings.firstPasswordsFor.includes(name);
    })
    .map(({ name }) => name);
  if (pulumi.runtime.isDryRun()) return Promise.resolve([]);
  return problemsOf(async () => {
    const mountExists = (await mount) !== undefined;
    const missing: string[] = [];
    // A few at a time, on connections that are kept alive.
    await eachOf(names, 8, async (name) => {
      if (!mountExists || !(await hasRecord(vault, settings, name))) missing.push(name);
    });
    return missing.map(
      (name) =>
        `account ${name} has no password in Vault and no first password in config: set what APIsec mailed with \`pulumi config set --secret --path 'firstPasswords.${name}' --stack ${settings.stack}\``,
    );
  });
}

async function hasRecord(
  vault: VaultConnection,
  settings: Settings,
  name: string,
): Promise<boolean> {
  const path = metadataPath(settings.mount, passwordKey(name));
  const versions = (await look(vault, path))?.["versions"];
  return isObject(versions) && Object.keys(versions).length > 0;
}
