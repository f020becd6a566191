import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Send } from "../../net/http";
import { nodeSend } from "../../net/transport";
import { proxyTo } from "../../net/proxy";
import { send } from "./http";
import {
  asSet,
  blankLike,
  halfCreated,
  isBlank,
  text,
  type Field,
  type Props,
  type ResourceType,
} from "./resource";
import { serve } from "./server";

interface Connection {
  address: string;
  token: string;
  namespace: string;
  transport: Send;
}

let settings: Record<string, string> = {};
let connection: Promise<Connection> | undefined;

/** As the official plugin does at its first use: look the token up, work with a child of it. */
async function connect(): Promise<Connection> {
  const { address, token, namespace, skipChildToken, maxLeaseTtlSeconds = "1200" } = settings;
  const own: Connection = {
    address: (address ?? process.env.VAULT_ADDR ?? "").replace(/\/+$/, ""),
    token: token ?? (process.env.VAULT_TOKEN || tokenFile()),
    namespace: trim(namespace ?? process.env.VAULT_NAMESPACE ?? ""),
    transport: nodeSend({
      ca: textOf(process.env.VAULT_CACERT),
      cert: textOf(process.env.VAULT_CLIENT_CERT),
      key: textOf(process.env.VAULT_CLIENT_KEY),
      proxyFor: proxyTo,
    }),
  };
  if (own.address === "") {
    throw new Error("no Vault address: set vault:address or VAULT_ADDR");
  }
  if (own.token === "") {
    throw new Error("no vault token set on Client");
  }
  await call("GET", "auth/token/lookup-self", {}, undefined, own).catch((error: Error) => {
    throw new Error(`failed to lookup token, err=${error.message}`);
  });
  if (skipChildToken === "true") {
    return own;
  }
  const life = `${maxLeaseTtlSeconds}s`;
  const child = { display_name: "terraform", ttl: life, explicit_max_ttl: life, renewable: false };
  const answer = await call("POST", "auth/token/create", {}, child, own);
  const auth = answer?.auth as { client_token?: string } | undefined;
  return { ...own, token: auth?.client_token ?? own.token };
}

const textOf = (file: string | undefined): string | undefined =>
  file ? readFileSync(file, "utf8") : undefined;

function tokenFile(): string {
  try {
    return readFileSync(join(homedir(), ".vault-token"), "utf8").trim();
  } catch {
    return "";
  }
}

/**
 * One Vault call in the resource's namespace.
 * @returns the answer's JSON; undefined where there is nothing to read.
 */
async function call(
  method: string,
  path: string,
  properties: Props,
  body?: Props,
  as?: Connection,
): Promise<Props | undefined> {
  const { address, token, namespace, transport } = as ?? (await (connection ??= connect()));
  const url = `${address}/v1/${path.split("/").map(encodeURIComponent).join("/")}`;
  const space = [namespace, trim(text(properties.namespace))].filter(Boolean).join("/");
  const headers = {
    "X-Vault-Request": "true",
    "X-Vault-Token": token,
    ...(space && { "X-Vault-Namespace": space }),
  };
  const answer = await send(method, url, headers, body, transport);
  if (answer.status === 404 && method === "GET") {
    return undefined;
  }
  const json = (answer.body ?? {}) as Props & { errors?: string[] };
  if (answer.status >= 300) {
    const errors = (json.errors ?? []).map((error) => `* ${error.slice(0, 500)}`).join("\n");
    throw new Error(
      `Error making API request.\n\nURL: ${method} ${url}\nCode: ${answer.status}. Errors:\n\n${errors}`,
    );
  }
  return json;
}

/** The `data` of a read. */
async function readData(path: string, properties: Props): Promise<Props | undefined> {
  return (await call("GET", path, properties))?.data as Props | undefined;
}

/** The mount behind a path; Vault answers 400 where there is none. */
async function readMount(path: string, properties: Props): Promise<Props | undefined> {
  try {
    return await readData(path, properties);
  } catch (error) {
    if (/No (secret|auth) engine( mount)? at/i.test((error as Error).message)) {
      return undefined;
    }
    throw error;
  }
}

/** A changed path moves the mount with all that is in it: officially no replacement. */
async function remount(from: string, to: string, properties: Props): Promise<void> {
  if (from === to) {
    return;
  }
  const answer = await call("POST", "sys/remount", properties, { from, to });
  const id = (answer?.data as Props | undefined)?.migration_id ?? answer?.migration_id;
  for (let waited = 0; waited < 60; waited++) {
    const found = await readData(`sys/remount/status/${text(id)}`, properties);
    const { status } = (found?.migration_info ?? {}) as { status?: string };
    if (status === "success") {
      return;
    }
    if (status === "failure") {
      break;
    }
    await sleep(500);
  }
  throw new Error(`error remounting in Vault: ${from} to ${to}`);
}

const trim = (path: string): string => path.replace(/^\/+|\/+$/g, "");
const snake = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Vault's names and values for these fields; what is there and no longer wanted gets blank. */
function fieldsOf(fields: Record<string, Field>, now: Props, was: Props = {}): Props {
  const values = Object.entries(fields).map(([key, field]) => [
    snake(key),
    now[key] ?? (field.computed || isBlank(was[key]) ? undefined : blankLike(was[key])),
  ]);
  return Object.fromEntries(values) as Props;
}

const namespaceField = { namespace: { replace: true } } satisfies Record<string, Field>;

const mount: ResourceType = {
  inputs: {
    path: { required: true, same: (was, now) => trim(text(was)) === trim(text(now)) },
    type: { required: true, replace: true },
    description: {},
    options: { computed: true },
    ...namespaceField,
  },
  outputs: ["accessor"],
  async create(inputs) {
    const { type, description, options } = inputs;
    const path = text(inputs.path);
    await call("POST", `sys/mounts/${path}`, inputs, { type, description, options });
    return { id: path };
  },
  async read(id, state) {
    const path = text(state.path ?? id);
    const found = await readMount(`sys/mounts/${trim(path)}`, state);
    if (!found) {
      return undefined;
    }
    const { type, description, options, accessor } = found;
    return { path, type, description, options, accessor };
  },
  async update(_, was, now) {
    await remount(text(was.path), text(now.path), now);
    await call("POST", `sys/mounts/${text(now.path)}/tune`, now, {
      description: now.description ?? "",
      options: now.options,
    });
  },
  async delete(id, state) {
    await call("DELETE", `sys/mounts/${text(state.path ?? id)}`, state);
  },
};

const writePolicy = (inputs: Props): Promise<unknown> =>
  call("PUT", `sys/policies/acl/${text(inputs.name)}`, inputs, { policy: inputs.policy });

const policy: ResourceType = {
  inputs: {
    // The official plugin makes up a name where none is given; nothing here needs that.
    name: { required: true, replace: true },
    policy: { required: true },
    ...namespaceField,
  },
  outputs: [],
  async create(inputs) {
    await writePolicy(inputs);
    return { id: text(inputs.name) };
  },
  async read(id, state) {
    const found = await readData(`sys/policies/acl/${id}`, state);
    return found && { name: id, policy: found.policy };
  },
  async update(_, __, now) {
    await writePolicy(now);
  },
  async delete(id, state) {
    await call("DELETE", `sys/policies/acl/${id}`, state);
  },
};

const keySources = { oidcDiscoveryUrl: {}, jwksUrl: {}, jwtValidationPubkeys: {} };
const backendConfig: Record<string, Field> = {
  ...keySources,
  oidcDiscoveryCaPem: {},
  jwksCaPem: {},
  boundIssuer: {},
  jwtSupportedAlgs: {},
  defaultRole: {},
  namespaceInState: { default: true },
};

const authBackend: ResourceType = {
  inputs: {
    path: { default: "jwt" },
    type: { default: "jwt", replace: true },
    description: {},
    local: { default: false, replace: true },
    ...backendConfig,
    ...namespaceField,
  },
  outputs: ["accessor"],
  check(inputs) {
    return Object.keys(keySources).some((key) => inputs[key] !== undefined)
      ? undefined
      : "exactly one of oidc_discovery_url, jwks_url or jwt_validation_pubkeys should be provided";
  },
  async create(inputs) {
    const { type, description, local } = inputs;
    const path = text(inputs.path);
    await call("POST", `sys/auth/${path}`, inputs, { type, description, local });
    const config = fieldsOf(backendConfig, inputs);
    await call("PUT", `auth/${path}/config`, inputs, config).catch(halfCreated(path));
    return { id: path };
  },
  async read(id, state) {
    const path = text(state.path ?? id);
    const found = await readMount(`sys/mounts/auth/${path}`, state);
    const config = found && (await readData(`auth/${path}/config`, state));
    if (!found || !config) {
      return undefined;
    }
    // Nothing here needs it, but the official plugin reads it.
    await readData(`sys/mounts/auth/${path}/tune`, state);
    const { type, description, local, accessor } = found;
    const keys = Object.keys(backendConfig);
    const real: Props = Object.fromEntries(keys.map((key) => [key, config[snake(key)]]));
    return { path, type, description, local, accessor, ...real };
  },
  async update(_, was, now) {
    const path = text(now.path);
    await remount(`auth/${text(was.path)}`, `auth/${path}`, now);
    await call("PUT", `auth/${path}/config`, now, fieldsOf(backendConfig, now, was));
  },
  async delete(id, state) {
    await call("DELETE", `sys/auth/${text(state.path ?? id)}`, state);
  },
};

const roleFields: Record<string, Field> = {
  roleType: { replace: true, computed: true },
  userClaim: { required: true },
  boundAudiences: { same: asSet },
  boundSubject: {},
  boundClaims: {},
  boundClaimsType: { computed: true },
  claimMappings: {},
  clockSkewLeeway: {},
  expirationLeeway: {},
  notBeforeLeeway: {},
  groupsClaim: {},
  userClaimJsonPointer: {},
  verboseOidcLogging: {},
  tokenBoundCidrs: { same: asSet },
  tokenExplicitMaxTtl: {},
  tokenMaxTtl: {},
  tokenNoDefaultPolicy: {},
  tokenNumUses: {},
  tokenPeriod: {},
  tokenPolicies: { same: asSet },
  tokenTtl: {},
  tokenType: { computed: true },
};

async function writeRole(id: string, now: Props, was?: Props): Promise<void> {
  const body = fieldsOf(roleFields, now, was);
  if (!now.disableBoundClaimsParsing) {
    const claims = Object.entries((body.bound_claims ?? {}) as Record<string, string>);
    body.bound_claims = Object.fromEntries(
      claims.map(([claim, list]) => {
        const values = list.split(",").map((value) => value.trim());
        return [claim, values.length === 1 ? values[0] : values];
      }),
    );
  }
  await call("PUT", id, now, body);
}

function joinedClaims(claims: Props): Props {
  const joined = Object.entries(claims).map(([claim, value]): [string, string] => {
    if (typeof value !== "string" && !Array.isArray(value)) {
      throw new Error(`bound claim is not a string or list: ${String(value)}`);
    }
    return [claim, String(value)];
  });
  return Object.fromEntries(joined);
}

const authBackendRole: ResourceType = {
  inputs: {
    backend: { default: "jwt", replace: true },
    roleName: { required: true, replace: true },
    disableBoundClaimsParsing: {},
    ...roleFields,
    ...namespaceField,
  },
  outputs: [],
  async create(inputs) {
    const id = `auth/${trim(text(inputs.backend))}/role/${trim(text(inputs.roleName))}`;
    await writeRole(id, inputs);
    return { id };
  },
  async read(id, state) {
    const [, backend, roleName] = /^auth\/(.+)\/role\/(.+)$/.exec(id) ?? [];
    if (!roleName) {
      throw new Error(`invalid path "${id}" for JWT auth backend role: no role found`);
    }
    const found = await readData(id, state);
    if (!found) {
      return undefined;
    }
    const real = Object.keys(roleFields).map((key) => [key, found[snake(key)]]);
    // Like the official plugin: a map that Vault no longer has counts as unchanged.
    const present = Object.fromEntries(real.filter(([, value]) => value !== null)) as Props;
    if (present.boundClaims) {
      present.boundClaims = joinedClaims(present.boundClaims as Props);
    }
    return { backend, roleName, ...present };
  },
  async update(id, was, now) {
    await writeRole(id, now, was);
  },
  async delete(id, state) {
    await call("DELETE", id, state).catch((error: Error) => {
      if (!error.message.includes("Code: 404")) {
        throw error;
      }
    });
  },
};

const groupPath = (id: unknown): string => `identity/group/id/${text(id)}`;

/** The policies of a group that is there. */
async function groupPoliciesOf(properties: Props): Promise<string[]> {
  const id = text(properties.groupId);
  const found = await readData(groupPath(id), properties);
  if (!found) {
    throw new Error(`error IdentityGroup ${id} does not exist`);
  }
  return (found.policies ?? []) as string[];
}

let lastGroupChange: Promise<unknown> = Promise.resolve();

/** Takes these policies away from the group and gives it those; one group at a time, as it is read first. */
function changeGroup(properties: Props, gone: unknown, wanted: unknown): Promise<void> {
  const [without, added] = [gone, wanted].map((list) => (list ?? []) as string[]);
  const change = async () => {
    const others = properties.exclusive
      ? []
      : (await groupPoliciesOf(properties)).filter((one) => !without?.includes(one));
    const policies = [...new Set([...others, ...(added ?? [])])];
    await call("PUT", groupPath(properties.groupId), properties, { policies });
  };
  const result = lastGroupChange.then(change);
  lastGroupChange = result.catch(() => undefined);
  return result;
}

const groupPolicies: ResourceType = {
  inputs: {
    groupId: { required: true },
    policies: { required: true, same: asSet },
    exclusive: { default: true },
    ...namespaceField,
  },
  outputs: ["groupName"],
  async create(inputs) {
    await changeGroup(inputs, [], inputs.policies);
    return { id: text(inputs.groupId) };
  },
  async read(id, state) {
    const found = await readData(groupPath(id), state);
    if (!found) {
      return undefined;
    }
    const all = (found.policies ?? []) as string[];
    const own = (state.policies ?? []) as string[];
    return {
      groupId: id,
      groupName: found.name,
      policies: state.exclusive ? all : own.filter((policy) => all.includes(policy)),
    };
  },
  async update(_, was, now) {
    await changeGroup(now, was.policies, now.policies);
  },
  async delete(_, state) {
    await changeGroup(state, state.policies, []);
  },
};

serve({
  version: "7.8.0",
  config: ["address", "token", "namespace", "skipChildToken", "maxLeaseTtlSeconds", "maxRetries"],
  async configure(config) {
    settings = config;
  },
  types: {
    "vault:index/mount:Mount": mount,
    "vault:index/policy:Policy": policy,
    "vault:jwt/authBackend:AuthBackend": authBackend,
    "vault:jwt/authBackendRole:AuthBackendRole": authBackendRole,
    "vault:identity/groupPolicies:GroupPolicies": groupPolicies,
  },
});
