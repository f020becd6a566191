import { capabilities } from "../clients/look";
import { isObject } from "../net/http";
import { about } from "./finding";
import type { Finding } from "./finding";
import type { World } from "./world";

const path = "sys/audit";

/** Whether Vault notes who has read a password. Only an administrator's token is shown that: others are told nothing. */
export async function checkAudit({ look, vault }: World): Promise<Finding[]> {
  const rights = await capabilities(vault, [path]).catch(() => undefined);
  if (!["root", "sudo"].some((one) => rights?.get(path)?.includes(one))) return [];
  const found = await look(path).catch(() => undefined);
  if (found === undefined) return [];
  const devices = Object.entries(found).flatMap(([name, device]) =>
    isObject(device) && typeof device["type"] === "string" ? [name] : [],
  );
  const it = about("audit", "audit devices");
  return devices.length > 0
    ? [it.ok(`${devices.length} on`, { devices: devices.length })]
    : [
        it.warning(
          "none is on: nobody can say who has read a password",
          "vault audit enable file file_path=/var/log/vault_audit.log",
          { devices: 0 },
        ),
      ];
}
