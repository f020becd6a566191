import { defaultApisecPaths } from "../clients/apisec";
import { formatDuration } from "../core/duration";
import type { Settings } from "../config/settings";
import type { ApisecPaths } from "../clients/apisec";

/** The job's APISEC_PATHS; "", which counts as not set, where they are APIsec's own. */
export function pathsSetting({ login, probe }: ApisecPaths): string {
  const usual = login === defaultApisecPaths.login && probe === defaultApisecPaths.probe;
  return usual ? "" : JSON.stringify({ login, probe });
}

/** The job's APISEC_TOKEN_ENDS: whether Vault deletes a token in time, or readers look at its expiry alone. */
export function tokenEndsSetting(tokenEndsInVault: boolean): "vault" | "expiry" {
  return tokenEndsInVault ? "vault" : "expiry";
}

/** What `once.sh` is told of a stack. How Vault is reached and with whose token is the caller's own affair. */
export function onceEnvironment(
  settings: Pick<
    Settings,
    "vaultAddress" | "vaultNamespace" | "mount" | "apisecPaths" | "tokenEndsInVault"
  >,
  minLifetimeSeconds: number,
): Record<string, string> {
  const { vaultAddress, vaultNamespace, mount, apisecPaths } = settings;
  return {
    VAULT_ADDR: vaultAddress,
    ...(vaultNamespace === undefined ? {} : { VAULT_NAMESPACE: vaultNamespace }),
    APISEC_MOUNT: mount,
    APISEC_PATHS: pathsSetting(apisecPaths),
    APISEC_TOKEN_ENDS: tokenEndsSetting(settings.tokenEndsInVault),
    APISEC_MIN_LIFETIME: formatDuration(minLifetimeSeconds),
    APISEC_REPORT: "/dev/null",
  };
}
