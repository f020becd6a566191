import { jsonObject } from "../net/http";
import { foreignText } from "../core/redact";
import { jwtLogin, kvStore, revokeSelf } from "../clients/vault";
import type { KvStore, VaultConnection } from "../clients/vault";
import type { Settings } from "./settings";

/** The store of one run. `secrets`: every Vault credential it has held so far. */
export interface VaultSession extends KvStore {
  secrets: string[];
  /** Revokes the tokens that this run bought; a token it was given stays. Throws where that failed. */
  end(): Promise<void>;
}

interface Access {
  vault: VaultConnection;
  store: KvStore;
  /** In milliseconds since 1970; a token that was given has none that we know of. */
  endsAt: number;
  worked: boolean;
}

/** Logs in (or takes the token given) and keeps the login alive through the run. */
export async function openSession(
  settings: Settings,
  vault: Omit<VaultConnection, "token">,
): Promise<VaultSession> {
  const { login, mount } = settings;
  const { clock } = vault;
  const secrets = [login.kind === "idToken" ? login.idToken : login.token];
  const bought: VaultConnection[] = [];

  function access(token: string, endsAt: number): Access {
    const connection = { ...vault, token };
    return { vault: connection, store: kvStore(connection, mount), endsAt, worked: false };
  }

  async function logIn(): Promise<Access> {
    if (login.kind === "token") return access(login.token, Infinity);
    const { token, leaseSeconds } = await patientLogin(vault, login);
    secrets.push(token);
    const gained = access(token, clock.now() + leaseSeconds * 1000);
    bought.push(gained.vault);
    return gained;
  }

  let current = logIn();
  let mayReplaceEarly = true;
  let isEnded = false;
  await current;

  /** The access to use after `refused` was denied something; undefined = the denial stands. */
  function replacement(held: Promise<Access>, refused: Access): Promise<Access> | undefined {
    if (held !== current) return current;
    if (login.kind === "token" || isEnded) return undefined;
    const isOver = clock.now() >= refused.endsAt;
    // A token can be revoked under us. A policy that denies one account looks the same, so: once a run.
    if (!isOver && !(refused.worked && mayReplaceEarly)) return undefined;
    if (!isOver) mayReplaceEarly = false;
    current = logIn();
    return current;
  }

  async function call<T>(work: (store: KvStore) => Promise<T>): Promise<T> {
    const held = current;
    const used = await held;
    try {
      const result = await work(used.store);
      used.worked = true;
      return result;
    } catch (error) {
      const denied = (error as { problem?: string }).problem === "denied";
      const next = denied ? replacement(held, used) : undefined;
      if (next === undefined) throw error;
      return work((await next).store);
    }
  }

  return {
    secrets,
    read: (key, version) => call((store) => store.read(key, version)),
    write: (key, data, cas) => call((store) => store.write(key, data, cas)),
    async end() {
      // A call that is still under way must not log in once more.
      isEnded = true;
      const last = bought.pop();
      // Of the earlier ones most have ended by themselves, and then their revocation is denied.
      await Promise.allSettled(bought.map(revokeSelf));
      if (last !== undefined) await revokeSelf(last);
    },
  };
}

const refProtectedPauseMs = 2_000;

/**
 * GitLab's ID token sometimes meets `ref_protected` not matching although the branch is protected
 * (hashicorp/vault-plugin-auth-jwt #305): such a login is tried once more.
 */
async function patientLogin(
  vault: VaultConnection,
  login: Settings["login"] & { kind: "idToken" },
): ReturnType<typeof jwtLogin> {
  const attempt = () => jwtLogin(vault, login.authPath, login.role, login.idToken);
  try {
    return await attempt().catch(async (error: Error) => {
      if (!/\(400\).*ref_protected/.test(error.message)) throw error;
      await vault.clock.sleep(refProtectedPauseMs);
      return attempt();
    });
  } catch (error) {
    const claims = describeClaims(login.idToken);
    if ((error as { problem?: string }).problem === "denied" && claims !== "") {
      (error as Error).message += `; the ID token says ${claims}`;
    }
    throw error;
  }
}

const claimNames =
  "iss aud project_id ref ref_type ref_protected pipeline_source user_id environment ci_config_ref_uri".split(
    " ",
  );

/** The claims that a role is bound to, for the message of a refused login. None of them is secret. */
function describeClaims(idToken: string): string {
  const payload = Buffer.from(idToken.split(".")[1] ?? "", "base64url").toString("utf8");
  const claims = jsonObject(payload) ?? {};
  const told = claimNames.filter((name) => claims[name] !== undefined);
  return told
    .map((name) => `${name}=${foreignText(JSON.stringify(claims[name]), [idToken])}`)
    .join(" ");
}
