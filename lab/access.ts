import { encodePath } from "../clients/vault";
import { baoRequest } from "./openbao";

/** One right: what is tried, and how. Nothing that is tried here changes anything, allowed or not. */
export interface Right {
  name: string;
  method: string;
  path: string;
  body?: object;
}

/** `yes`: Vault let it through; `no`: it did not. */
export type Verdict = "yes" | "no";

/** The rights that matter on one account's two keys. A check-and-set that cannot match keeps a write that is allowed from happening. */
export function rightsOn(mount: string, account: string): Right[] {
  const at = (kind: string, key: string) => `${encodePath(mount)}/${kind}/${account}/${key}`;
  const noMatch = { options: { cas: 999_999 }, data: { probe: true } };
  return ["password", "token"].flatMap((key) => [
    { name: `read ${key}`, method: "GET", path: at("data", key) },
    { name: `write ${key}`, method: "POST", path: at("data", key), body: noMatch },
    { name: `patch ${key}`, method: "PATCH", path: at("data", key), body: noMatch },
    { name: `delete ${key}`, method: "POST", path: at("delete", key), body: { versions: [999] } },
    {
      name: `undelete ${key}`,
      method: "POST",
      path: at("undelete", key),
      body: { versions: [999] },
    },
    { name: `destroy ${key}`, method: "PUT", path: at("destroy", key), body: { versions: [999] } },
    { name: `read metadata of ${key}`, method: "GET", path: at("metadata", key) },
  ]);
}

/** Tries one right with one token. Throws where Vault answers neither a permission nor a denial. */
export async function tryRight(address: string, token: string, right: Right): Promise<Verdict> {
  const { method, path, body } = right;
  const answer = await baoRequest(address, token, method, path, body);
  // 405: nobody can do that there.
  if (answer.status === 403 || answer.status === 405) return "no";
  if ([200, 204, 400, 404].includes(answer.status)) return "yes";
  throw new Error(`${right.name}: Vault answers ${answer.status}`);
}

/** Every right tried with every persona's token, as rows for a table. */
export async function accessTable(
  address: string,
  personas: Record<string, string>,
  rights: Right[],
): Promise<{ right: string; verdicts: Record<string, Verdict> }[]> {
  const rows = [];
  for (const right of rights) {
    const verdicts: Record<string, Verdict> = {};
    for (const [persona, token] of Object.entries(personas)) {
      verdicts[persona] = await tryRight(address, token, right);
    }
    rows.push({ right: right.name, verdicts });
  }
  return rows;
}
