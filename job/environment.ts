import { defaultApisecPaths } from "../clients/apisec";
import { formatDuration } from "../core/duration";
import type { Settings } from "../config";
import type { ApisecPaths } from "../clients/apisec";

/** The job's APISEC_PATHS; "", which counts as not set, where they are APIsec's own. */
export function pathsSetting({ login, probe }: ApisecPaths): string {
  const usual = login === defaultApisecPaths.login && probe === defaultApisecPaths.probe;
  return usual ? "" : JSON.stringify({ login, probe });
}

/** What `once.sh` is told of a stack. How Vault is reached and with whose token is the caller's own affair. */
export function onceEnvironment(
  settings: Pick<Settings, "vaultAddress" | "vaultNamespace" | "mount" | "apisecPaths">,
  minLifetimeSeconds: number,
): Record<string, string> {
  const { vaultAddress, vaultNamespace, mount, apisecPaths } = settings;
  return {
    VAULT_ADDR: vaultAddress,
    ...(vaultNamespace === undefined ? {} : { VAULT_NAMESPACE: vaultNamespace }),
    APISEC_MOUNT: mount,
    APISEC_PATHS: pathsSetting(apisecPaths),
    APISEC_MIN_LIFETIME: formatDuration(minLifetimeSeconds),
    APISEC_REPORT: "/dev/null",
  };
}
