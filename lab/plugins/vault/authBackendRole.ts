import { bridged, type BridgedField } from "../bridged";
import { isBlank, stable, text, type Props } from "../resource";
import { bodyOf, call, fromBody, readData, saying, trim, unlessStatus } from "./connection";

const ownFields: Record<string, BridgedField> = {
  roleType: { replace: true, computed: true },
  userClaim: { required: true },
  boundAudiences: { kind: "set" },
  boundSubject: {},
  boundClaims: { kind: "map" },
  boundClaimsType: { computed: true },
  claimMappings: { kind: "map", keptInState: true },
  clockSkewLeeway: { default: 0 },
  expirationLeeway: { default: 0 },
  notBeforeLeeway: { default: 0 },
  groupsClaim: {},
  userClaimJsonPointer: { default: false },
  verboseOidcLogging: { default: false },
  allowedRedirectUris: { kind: "set" },
};
const tokenFields: Record<string, BridgedField> = {
  tokenBoundCidrs: { kind: "set" },
  tokenExplicitMaxTtl: {},
  tokenMaxTtl: {},
  tokenNoDefaultPolicy: {},
  tokenNumUses: {},
  tokenPeriod: {},
  tokenPolicies: { kind: "set" },
  tokenTtl: {},
  tokenType: { default: "default" },
};
const ownKeys = Object.keys(ownFields);
const tokenKeys = Object.keys(tokenFields);
const readOnly = ["maxAge", "oidcScopes"];

/** Token fields are sent where they have changed, all others always. */
async function write(id: string, planned: Props, was: Props): Promise<void> {
  const changed = tokenKeys.filter(
    (key) => stable(planned[key] ?? null) !== stable(was[key] ?? null),
  );
  const body = { ...bodyOf(ownKeys, planned, was), ...bodyOf(changed, planned, was) };
  // Claims are lists, with or without commas; mappings that are no longer wanted stay.
  body.bound_claims = listsOf(planned.boundClaims as Record<string, string>, planned);
  if (planned.claimMappings === undefined) delete body.claim_mappings;
  await call("PUT", id, planned, body);
}

function listsOf(claims: Record<string, string> = {}, planned: Props): Props {
  const split = (list: string) =>
    planned.disableBoundClaimsParsing === true
      ? [list]
      : list.split(",").map((value) => value.trim());
  return Object.fromEntries(Object.entries(claims).map(([claim, list]) => [claim, split(list)]));
}

function joined(claims: Props): Props {
  const all = Object.entries(claims).map(([claim, value]): [string, string] => {
    if (typeof value !== "string" && !Array.isArray(value)) {
      throw new Error(`bound claim is not a string or list: ${String(value)}`);
    }
    return [claim, String(value)];
  });
  return Object.fromEntries(all);
}

export const authBackendRole = bridged({
  fields: {
    backend: { default: "jwt", replace: true },
    roleName: { required: true, replace: true },
    disableBoundClaimsParsing: { default: false, unseenIfNew: true },
    ...ownFields,
    ...tokenFields,
    aliasMetadata: { kind: "map" },
    maxAge: {},
    oidcScopes: { kind: "set" },
    namespace: { replace: true },
  },
  async create(planned) {
    const id = `auth/${trim(text(planned.backend))}/role/${trim(text(planned.roleName))}`;
    await write(id, planned, {}).catch(saying(`error writing JWT auth backend role "${id}": `));
    return id;
  },
  async read(id, state) {
    const [, backend, roleName] = /^auth\/(.+)\/role\/(.+)$/.exec(id) ?? [];
    if (!roleName) {
      throw new Error(`invalid path "${id}" for JWT auth backend role: no backend found`);
    }
    const found = await readData(id, state).catch(
      saying(`error reading JWT auth backend role "${id}": `),
    );
    if (!found) return undefined;
    // A map that Vault no longer has counts as unchanged.
    const real = fromBody([...ownKeys, ...tokenKeys, ...readOnly], found);
    for (const key of ["boundClaims", "claimMappings"]) {
      if (isBlank(real[key])) delete real[key];
    }
    if (real.boundClaims) real.boundClaims = joined(real.boundClaims as Props);
    return { backend, roleName, aliasMetadata: {}, oidcScopes: [], tokenBoundCidrs: [], ...real };
  },
  async update(id, planned, was) {
    await write(id, planned, was).catch(saying(`error updating JWT auth backend role "${id}": `));
  },
  async delete(id, state) {
    await call("DELETE", id, state)
      .catch(unlessStatus(404))
      .catch(saying(`error deleting JWT auth backend role "${id}", err=`));
  },
});
