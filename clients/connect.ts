import { readFileSync } from "node:fs";
import { coded } from "../core/messageCode";
import { systemClock } from "../net/http";
import type { VaultConnection } from "./vault";
import { vaultTls } from "../net/vaultTls";
import { findVaultToken } from "./vaultToken";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import type { Send } from "../net/http";
import type { VaultTls } from "../net/vaultTls";

/** Where the program's Vault is: inputs of each resource that talks to it. */
export interface VaultPlace {
  vaultAddress: string;
  vaultNamespace?: string | undefined;
}

/** That Vault with the token of who runs `up`. Throws where there is none. */
export function connect({ vaultAddress, vaultNamespace }: VaultPlace): VaultConnection {
  const token = findVaultToken();
  if (token === undefined) {
    throw coded("No Vault token: set VAULT_TOKEN or log in with `vault login`.", "no-vault-token");
  }
  return {
    send: transportWith(vaultTls(process.env, (path) => readFileSync(path, "utf8"))),
    clock: systemClock,
    address: vaultAddress,
    namespace: vaultNamespace,
    token,
    met: {},
  };
}

/** By its certificates: all accounts of an `up` share connections, and none costs a handshake of its own. */
const transports = new Map<string, Send>();

function transportWith(tls: VaultTls): Send {
  const known = JSON.stringify(tls);
  const transport = transports.get(known) ?? nodeSend({ ...tls, proxyFor: proxyTo });
  transports.set(known, transport);
  return transport;
}
