import { jwtLogin, kvStore, revokeSelf } from "../clients/vault";
import { tokenKey } from "../core/passwordRecord";
import { readToken } from "../core/jwt";
import { readEndpoint } from "../net/endpoint";
import type { Clock, Send } from "../net/http";
import type { TokenSource } from "./settings";
import { coded } from "../core/messageCode";

/** A token and the host that it belongs to. */
export interface HeldToken {
  token: string;
  host: string;
}

/**
 * The access token: as given, or read from Vault with the job's ID token. The host comes from the record beside
 * the token, never from a variable; the Vault token is revoked at once. Throws where there is none to use.
 */
export async function heldToken(source: TokenSource, send: Send, clock: Clock): Promise<HeldToken> {
  const held = source.kind === "given" ? source : await fromVault(source, send, clock);
  const claims = readToken(held.token);
  if (claims === undefined) throw coded("the token is none of APIsec", "scan-token");
  if (claims.expiresAt * 1000 <= clock.now()) {
    throw coded(
      "the token has expired: see the rotation pipeline of this account, or run `apisec-credentials rotate`",
      "scan-token-ended",
    );
  }
  return held;
}

async function fromVault(
  source: TokenSource & { kind: "vault" },
  send: Send,
  clock: Clock,
): Promise<HeldToken> {
  const { address, namespace, authPath, role, idToken, mount, account } = source;
  const vault = { send, clock, address, namespace };
  const { token } = await jwtLogin(vault, authPath, role, idToken);
  const connection = { ...vault, token };
  try {
    const read = await kvStore(connection, mount).read(tokenKey(account));
    const path = `${mount}/${tokenKey(account)}`;
    if (read.state !== "found") {
      throw coded(
        `Vault holds no token at ${path}: ${read.state === "absent" ? "none was written yet" : "it has ended"}`,
        "scan-token-ended",
      );
    }
    const { token: accessToken, host } = read.data;
    const endpoint = readEndpoint(String(host), "origin");
    if (typeof accessToken !== "string" || !("address" in endpoint)) {
      throw coded(`${path} in Vault lacks a token or a host`, "scan-token");
    }
    return { token: accessToken, host: endpoint.address };
  } finally {
    await revokeSelf(connection).catch(() => undefined);
  }
}
