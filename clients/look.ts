import { eachOf } from "../core/eachOf";
import { isObject, jsonObject } from "../net/http";
import type { Send } from "../net/http";
import { refused, vaultCall, vaultErrors } from "./vault";
import type { VaultConnection } from "./vault";

/** The `data` of what Vault answers to a GET of `path`, undefined where it knows no such thing. Throws as `vaultCall`. */
export async function look(
  vault: VaultConnection,
  path: string,
): Promise<Record<string, unknown> | undefined> {
  const answer = await vaultCall(vault, "GET", path);
  const text = vaultErrors(answer);
  if (answer.status === 200) {
    const body = jsonObject(answer.body);
    return isObject(body?.["data"]) ? body["data"] : body;
  }
  const isAbsent =
    (answer.status === 404 && text === "") ||
    (answer.status === 400 && /^No (secret|auth) engine /.test(text));
  if (isAbsent) return undefined;
  // Such as a namespace that does not exist.
  throw refused(vault, "GET", path, answer);
}

/** The names below `path`; none where Vault knows no such thing. Throws as `vaultCall`. */
export async function list(vault: VaultConnection, path: string): Promise<string[]> {
  const answer = await vaultCall({ ...vault, send: listing(vault.send) }, "LIST", path);
  if (answer.status === 404 && vaultErrors(answer) === "") return [];
  const data = jsonObject(answer.body)?.["data"];
  const keys = isObject(data) ? data["keys"] : undefined;
  if (answer.status !== 200 || !Array.isArray(keys)) throw refused(vault, "LIST", path, answer);
  return keys.map(String);
}

/** Vault's LIST as Vault's own client sends it: some gateways let no method pass that HTTP does not know. */
function listing(send: Send): Send {
  return (request) => send({ ...request, method: "GET", url: `${request.url}?list=true` });
}

/** What the connection's token may do, by path, or another `token`. Throws as `vaultCall`. */
export async function capabilities(
  vault: VaultConnection,
  paths: readonly string[],
  token?: string,
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const api = token === undefined ? "sys/capabilities-self" : "sys/capabilities";
  const secrets = token === undefined ? [] : [token];
  const parts = Array.from({ length: Math.ceil(paths.length / pathsAtOnce) }, (_, index) =>
    paths.slice(index * pathsAtOnce, (index + 1) * pathsAtOnce),
  );
  await eachOf(parts, requestsAtOnce, async (some) => {
    const asked = token === undefined ? { paths: some } : { token, paths: some };
    const answer = await vaultCall(vault, "POST", api, asked, secrets);
    const body = jsonObject(answer.body);
    const data = isObject(body?.["data"]) ? body["data"] : body;
    for (const path of some) {
      const list = data?.[path];
      if (!Array.isArray(list)) throw refused(vault, "POST", api, answer, secrets);
      found.set(path, list.map(String));
    }
  });
  return found;
}

/** Vault builds the token's whole ACL anew for each path: it answers several short requests sooner than a long one. */
const pathsAtOnce = 100;
const requestsAtOnce = 4;
