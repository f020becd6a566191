import { readFileSync } from "node:fs";
import { coded } from "../core/messageCode";
import { systemClock } from "../net/http";
import type { VaultConnection } from "./vault";
import { vaultTls } from "../net/vaultTls";
import { findVaultToken } from "./vaultToken";
import { proxyTo } from "../net/proxy";
import { axiosSend } from "../net/axiosTransport";
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
    send: clientWith(vaultTls(process.env, (path) => readFileSync(path, "utf8"))),
    clock: systemClock,
    address: vaultAddress,
    namespace: vaultNamespace,
    token,
    met: {},
  };
}

/** By its certificates: all accounts of an `up` share connections, and none costs a handshake of its own. */
const clients = new Map<string, Send>();

/** The client that trusts `tls.ca` and shows `tls.cert`, its connections kept alive for the whole process. */
export function clientWith(tls: VaultTls = {}): Send {
  const known = JSON.stringify(tls);
  const client = clients.get(known) ?? axiosSend({ ...tls, proxyFor: proxyTo });
  clients.set(known, client);
  return client;
}
