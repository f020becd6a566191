import { readFileSync } from "node:fs";
import type { Settings } from "../config/settings";
import { systemClock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { gitlabReader } from "./gitlab";
import type { GitlabReader } from "./gitlab";
import type { VaultConnection } from "./vault";
import { findVaultToken } from "./vaultToken";

type VaultPlace = Pick<Settings, "vaultAddress" | "vaultNamespace" | "vaultCa" | "vaultClient">;

/** Vault as config names it, with the caller's token. */
export function callersVault(settings: VaultPlace): VaultConnection {
  return {
    send: nodeSend({ ca: settings.vaultCa, ...settings.vaultClient, proxyFor: proxyTo }),
    clock: systemClock,
    address: settings.vaultAddress,
    namespace: settings.vaultNamespace,
    token: findVaultToken(),
    met: {},
  };
}

/**
 * GitLab as the plugin reaches it: through the environment's proxy, `caFile` as stack config names it. Undefined
 * without a token.
 */
export function callersGitlab(
  { gitlabUrl }: Pick<Settings, "gitlabUrl">,
  token: string | undefined,
  caFile: string | undefined,
): GitlabReader | undefined {
  if (!token) return undefined;
  const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
  return gitlabReader(nodeSend({ ca, proxyFor: proxyTo }), systemClock, gitlabUrl, token);
}
