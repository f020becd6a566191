import { bridged, type BridgedField } from "../bridged";
import { halfCreated, text, unknown, type Props } from "../resource";
import { bodyOf, call, fromBody, readData, readMount, saying } from "./connection";
import { remount } from "./remount";

const keySources = ["oidcDiscoveryUrl", "jwksUrl", "jwksPairs", "jwtValidationPubkeys"];

const config: Record<string, BridgedField> = {
  oidcDiscoveryUrl: {},
  oidcDiscoveryCaPem: {},
  oidcClientId: {},
  oidcResponseMode: {},
  oidcResponseTypes: { kind: "list" },
  jwksUrl: {},
  jwksCaPem: {},
  jwksPairs: { kind: "list" },
  jwtValidationPubkeys: { kind: "list" },
  jwtSupportedAlgs: { kind: "list" },
  boundIssuer: {},
  defaultRole: {},
  providerConfig: { kind: "map" },
  namespaceInState: { default: true },
};
const configKeys = Object.keys(config);

const writeConfig = (path: string, body: Props, planned: Props): Promise<unknown> =>
  call("PUT", `auth/${path}/config`, planned, body).catch(
    saying(`error updating configuration to Vault for path ${path}: `),
  );

export const authBackend = bridged({
  schemaVersion: "1",
  secrets: ["oidcClientSecret", "oidcClientSecretWo"],
  fields: {
    path: { default: "jwt" },
    type: { default: "jwt", replace: true },
    // Written when the mount is made, and never again; nor is it ever read.
    description: {},
    disableRemount: { default: false },
    local: { default: false, replace: true },
    ...config,
    accessor: { output: true },
    tune: { kind: "block", computed: true },
    namespace: { replace: true },
  },
  refused(inputs) {
    const given = keySources.filter((key) => inputs[key] !== undefined);
    return given.length < 2
      ? []
      : given.map((key): [string, string] => ["", `Conflicting configuration arguments: ${key}`]);
  },
  unplannable(planned) {
    const given = keySources.filter((key) => [planned[key]].flat().some(Boolean));
    return given.length === 1
      ? undefined
      : "exactly one of oidc_discovery_url, jwks_url, jwks_pairs, or jwt_validation_pubkeys should be provided";
  },
  async create(planned) {
    const { type, description, local } = planned;
    const path = text(planned.path);
    await call("POST", `sys/auth/${path}`, planned, { type, description, local }).catch(
      saying("error writing to Vault: "),
    );
    await writeConfig(path, bodyOf(configKeys, planned), planned).catch(halfCreated(path));
    return path;
  },
  async read(id, state) {
    const path = text(state.path ?? id);
    const found = await readMount(`sys/mounts/auth/${path}`, state);
    const real = found && (await readData(`auth/${path}/config`, state).catch(saying(reading)));
    if (!found || !real) return undefined;
    const tuned = await readData(`sys/mounts/auth/${path}/tune`, state).catch(
      saying("error reading tune information from Vault: "),
    );
    const { type, accessor, local } = found;
    const empty = {
      jwksPairs: [],
      jwtSupportedAlgs: [],
      oidcResponseTypes: [],
      providerConfig: {},
    };
    const tune = tuneOf(tuned ?? {}, state.tune as Props | undefined);
    return { path, type, accessor, local, ...empty, ...fromBody(configKeys, real), tune };
  },
  async update(_, planned, was) {
    const path = text(planned.path);
    if (planned.disableRemount !== true) {
      await remount(`auth/${text(was.path)}`, `auth/${path}`, planned);
    }
    await writeConfig(path, bodyOf(configKeys, planned, was), planned);
    return path;
  },
  async delete(id, state) {
    await call("DELETE", `sys/auth/${text(state.path ?? id)}`, state).catch(
      saying("error disabling auth from Vault: "),
    );
  },
});

const reading = "error reading from Vault: ";

/** The official plugin takes lease times and visibility from the state, where there is one. */
function tuneOf(tuned: Props, known: Props | string | undefined): Props {
  const tokenType = text(tuned.token_type);
  if (known !== undefined && known !== unknown) return { ...(known as Props), tokenType };
  return {
    allowedResponseHeaders: tuned.allowed_response_headers ?? [],
    auditNonHmacRequestKeys: tuned.audit_non_hmac_request_keys ?? [],
    auditNonHmacResponseKeys: tuned.audit_non_hmac_response_keys ?? [],
    defaultLeaseTtl: duration(Number(tuned.default_lease_ttl)),
    listingVisibility: text(tuned.listing_visibility),
    maxLeaseTtl: duration(Number(tuned.max_lease_ttl)),
    passthroughRequestHeaders: tuned.passthrough_request_headers ?? [],
    tokenType,
  };
}

/** Seconds as 768h, 1h30m or 90s. */
function duration(total: number): string {
  const parts = [
    [Math.floor(total / 3600), "h"],
    [Math.floor(total / 60) % 60, "m"],
    [total % 60, "s"],
  ];
  return parts.flatMap(([count, unit]) => (count ? [`${count}${unit}`] : [])).join("") || "0s";
}
