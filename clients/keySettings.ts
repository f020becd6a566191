import { differences } from "../core/differences";
import { eachOf } from "../core/eachOf";
import { isObject, jsonObject } from "../net/http";
import type { HttpResponse } from "../net/http";
import type { KeySettings } from "../desired/keySettings";
import { encodePath, refused, vaultCall, vaultErrors } from "./vault";
import type { VaultConnection } from "./vault";
import type { PasswordKeys } from "../core/passwordRun";

const requestsAtOnce = 16;
/** How often a standby is asked that does not know a new mount yet, once in 0.1 s. */
const roundsUnknown = 30;

/** Waits until a KV version 2 mount that has just been made takes settings: 20 s as `vaultCall` does. */
export async function mountReady(vault: VaultConnection, mount: string): Promise<void> {
  const path = `${encodePath(mount)}/config`;
  for (let round = 1; ; round += 1) {
    const answer = await vaultCall(vault, "GET", path);
    if (answer.status === 200) return;
    const isUnknown = answer.status === 404 && vaultErrors(answer).startsWith("no handler for");
    if (!isUnknown || round === roundsUnknown) throw refused(vault, "GET", path, answer);
    await vault.clock.sleep(100);
  }
}

/** Sets each key of `mount`; what is not named stays as it is, values too. Throws as `vaultCall` does. */
export async function setKeys(
  vault: VaultConnection,
  mount: string,
  keys: ReadonlyMap<string, KeySettings>,
): Promise<void> {
  await eachOf([...keys], requestsAtOnce, async ([key, settings]) => {
    const path = metadataPath(mount, key);
    const answer = await vaultCall(vault, "POST", path, asSent(settings));
    if (!isDone(answer)) throw refused(vault, "POST", path, answer);
  });
}

/** Numbers as text: the deployer's policy names the value that it allows, and no number of JSON is equal to it. */
export function asSent(settings: KeySettings): KeySettings {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      typeof value === "number" ? String(value) : value,
    ]),
  );
}

/** Vault says 204, and where it has warnings 200. A page of what stands before it is neither. */
export function isDone({ status, body }: HttpResponse): boolean {
  const said = jsonObject(body);
  return status === 204 || (status === 200 && said !== undefined && !("errors" in said));
}

/** Which keys are not as declared, and in what, by key. Throws where Vault does not say. */
export async function differingKeys(
  vault: VaultConnection,
  mount: string,
  keys: ReadonlyMap<string, KeySettings>,
): Promise<Map<string, string>> {
  const differing = new Map<string, string>();
  await eachOf([...keys], requestsAtOnce, async ([key, settings]) => {
    const path = metadataPath(mount, key);
    const answer = await vaultCall(vault, "GET", path);
    // Also of a mount that is gone.
    if (answer.status === 404) {
      differing.set(key, "not there");
      return;
    }
    const found = jsonObject(answer.body)?.["data"];
    if (answer.status !== 200 || !isObject(found)) throw refused(vault, "GET", path, answer);
    const wrong = differences(settings, found);
    if (wrong.length > 0) differing.set(key, wrong.join(", "));
  });
  return differing;
}

/** What a password's key holds beside its values: see `PasswordKeys`. */
export function passwordKeys(
  vault: VaultConnection,
  mount: string,
  settings: KeySettings,
): PasswordKeys {
  return {
    async mark(key) {
      const path = metadataPath(mount, key);
      const answer = await vaultCall(vault, "GET", path);
      if (answer.status === 404) return undefined;
      const found = jsonObject(answer.body)?.["data"];
      if (answer.status !== 200 || !isObject(found)) throw refused(vault, "GET", path, answer);
      return found["custom_metadata"];
    },
    async note(key, texts) {
      const path = metadataPath(mount, key);
      const answer = await vaultCall(vault, "POST", path, { custom_metadata: texts });
      if (!isDone(answer)) throw refused(vault, "POST", path, answer);
    },
    prepare: (key) => setKeys(vault, mount, new Map([[key, settings]])),
  };
}

/** API path of what Vault says of a key without its value. */
export function metadataPath(mount: string, key: string): string {
  return `${encodePath(mount)}/metadata/${encodePath(key)}`;
}
