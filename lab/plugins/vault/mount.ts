import { bridged, type BridgedField } from "../bridged";
import { stable, text, type Props } from "../resource";
import { pause } from "../waits";
import { call, readMount, saying, trim } from "./connection";
import { remount } from "./remount";

/** A refused tune is tried this often, one second apart, whatever the status. */
const tuneTries = 12;

const fields: Record<string, BridgedField> = {
  path: { required: true },
  type: { required: true, replace: true },
  description: {},
  options: { kind: "map" },
  externalEntropyAccess: { default: false, replace: true },
  local: { replace: true },
  sealWrap: { computed: true, replace: true },
  listingVisibility: {},
  identityTokenKey: {},
  pluginVersion: {},
  passthroughRequestHeaders: { kind: "list" },
  allowedResponseHeaders: { kind: "list" },
  allowedManagedKeys: { kind: "set" },
  delegatedAuthAccessors: { kind: "list" },
  auditNonHmacRequestKeys: { kind: "list", computed: true },
  auditNonHmacResponseKeys: { kind: "list", computed: true },
  defaultLeaseTtlSeconds: { computed: true },
  maxLeaseTtlSeconds: { computed: true },
  forceNoCache: { computed: true },
  accessor: { output: true },
  namespace: { replace: true },
};

let askedForSeal = false;

const seconds = (value: unknown): string => `${Number(value ?? 0)}s`;

export const mount = bridged({
  fields,
  async create(planned) {
    if (!askedForSeal) {
      askedForSeal = true;
      await call("GET", "sys/seal-status", planned);
    }
    const { type, description = "", options, local, sealWrap, externalEntropyAccess } = planned;
    await call("POST", `sys/mounts/${trim(text(planned.path))}`, planned, {
      type,
      description,
      options: options ?? {},
      local: local ?? false,
      seal_wrap: sealWrap ?? false,
      external_entropy_access: externalEntropyAccess,
      config: {
        default_lease_ttl: seconds(planned.defaultLeaseTtlSeconds),
        max_lease_ttl: seconds(planned.maxLeaseTtlSeconds),
      },
    }).catch(saying("error writing to Vault: "));
    return text(planned.path);
  },
  async read(id, state) {
    const path = text(state.path ?? id);
    const found = await readMount(`sys/mounts/${trim(path)}`, state);
    if (!found) return undefined;
    const { type, description = "", options, accessor, local } = found;
    const config = (found.config ?? {}) as Props;
    return {
      path,
      type,
      description,
      options: options ?? {},
      accessor,
      local,
      sealWrap: found.seal_wrap,
      externalEntropyAccess: found.external_entropy_access,
      defaultLeaseTtlSeconds: config.default_lease_ttl,
      maxLeaseTtlSeconds: config.max_lease_ttl,
      forceNoCache: config.force_no_cache,
      listingVisibility: config.listing_visibility ?? "",
      identityTokenKey: config.identity_token_key ?? "",
      passthroughRequestHeaders: config.passthrough_request_headers ?? [],
      allowedResponseHeaders: config.allowed_response_headers ?? [],
      allowedManagedKeys: config.allowed_managed_keys ?? [],
      delegatedAuthAccessors: config.delegated_auth_accessors ?? [],
      auditNonHmacRequestKeys: config.audit_non_hmac_request_keys ?? [],
      auditNonHmacResponseKeys: config.audit_non_hmac_response_keys ?? [],
    };
  },
  async update(_, planned, was) {
    const path = text(planned.path);
    await remount(text(was.path), path, planned);
    await tune(path, planned, was);
    return path;
  },
  async delete(id, state) {
    await call("DELETE", `sys/mounts/${trim(text(state.path ?? id))}`, state).catch(
      saying("error deleting from Vault: "),
    );
  },
});

async function tune(path: string, planned: Props, was: Props): Promise<void> {
  const changed = (key: string) => stable(was[key] ?? null) !== stable(planned[key] ?? null);
  const body: Props = {
    // Always: whatever was tuned by hand is what the state says again.
    default_lease_ttl: seconds(planned.defaultLeaseTtlSeconds),
    max_lease_ttl: seconds(planned.maxLeaseTtlSeconds),
    options: planned.options ?? {},
    ...(changed("description") && { description: planned.description ?? "" }),
    ...(changed("listingVisibility") && { listing_visibility: planned.listingVisibility ?? "" }),
    ...(changed("passthroughRequestHeaders") && {
      passthrough_request_headers: planned.passthroughRequestHeaders ?? [],
    }),
  };
  for (let attempt = 1; ; attempt++) {
    try {
      await call("POST", `sys/mounts/${trim(path)}/tune`, planned, body);
      return;
    } catch (error) {
      if (attempt === tuneTries) saying("error updating Vault: ")(error);
      await pause(1_000);
    }
  }
}
