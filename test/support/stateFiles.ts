import { createDecipheriv, pbkdf2Sync } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Every file below a folder, as text. */
export function filesBelow(dir: string): { path: string; text: string }[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
}

/**
 * Every secret that Pulumi has encrypted in a text with this passphrase, in plain. `salt`: as it stands
 * in the stack file (`v1:<salt>:…`). Values of another key are left out.
 */
export function decrypter(passphrase: string, salt: string): (text: string) => string[] {
  const bytes = Buffer.from(salt.split(":")[1] ?? "", "base64");
  const key = pbkdf2Sync(passphrase, bytes, 1_000_000, 32, "sha256");
  return (text) =>
    [...text.matchAll(/v1:([A-Za-z0-9+/=]{16}):([A-Za-z0-9+/=]+)/g)].flatMap(
      ([, nonce, sealed]) => {
        const data = Buffer.from(sealed ?? "", "base64");
        const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce ?? "", "base64"));
        decipher.setAuthTag(data.subarray(-16));
        try {
          return [
            decipher.update(data.subarray(0, -16), undefined, "utf8") + decipher.final("utf8"),
          ];
        } catch {
          return [];
        }
      },
    );
}
