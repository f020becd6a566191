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

/** The key of a stack's passphrase. `salt`: as it stands in the stack file (`v1:<salt>:…`). */
export function stackKey(passphrase: string, salt: string): Buffer {
  const bytes = Buffer.from(salt.split(":")[1] ?? "", "base64");
  return pbkdf2Sync(passphrase, bytes, 1_000_000, 32, "sha256");
}

/** What AES-256-GCM has sealed, its tag at the end. Throws where the key is another. */
export function opened(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

/** Every value that Pulumi has encrypted in a text with this key, in plain. Values of another key are left out. */
export function decrypted(text: string, key: Buffer): Buffer[] {
  return [...text.matchAll(/v1:([A-Za-z0-9+/=]{16}):([A-Za-z0-9+/=]+)/g)].flatMap(
    ([, nonce = "", sealed = ""]) => {
      try {
        return [opened(key, Buffer.from(nonce, "base64"), Buffer.from(sealed, "base64"))];
      } catch {
        return [];
      }
    },
  );
}
