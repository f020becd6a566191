import { createDecipheriv, pbkdf2Sync } from "node:crypto";

const keyBytes = 32;
const rounds = 1_000_000;
const tagBytes = 16;

/**
 * Whether a passphrase is the one that made the `encryptionsalt` of a stack's file: `v1:<salt>:v1:<nonce>:<text>`,
 * each as base64, where the text is "pulumi", encrypted by AES-256-GCM with a key of PBKDF2-SHA256 in a million
 * rounds (pulumi, sdk/go/common/resource/config/crypt.go). Undefined where the salt has another form.
 */
export function opensSalt(encryptionSalt: string, passphrase: string): boolean | undefined {
  const [version, salt, inner, nonce, text, ...rest] = encryptionSalt.split(":");
  const isKnown = version === "v1" && inner === "v1" && rest.length === 0;
  if (!isKnown || salt === undefined || nonce === undefined || text === undefined) return undefined;
  const bytes = (part: string) => Buffer.from(part, "base64");
  const key = pbkdf2Sync(passphrase, bytes(salt), rounds, keyBytes, "sha256");
  const sealed = bytes(text);
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, bytes(nonce));
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    decipher.update(sealed.subarray(0, -tagBytes));
    decipher.final();
    return true;
  } catch {
    return false;
  }
}
