import { randomBytes } from "node:crypto";

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
// Unreserved in a URL, and plain in a shell, in JSON and in YAML.
const alphabet = `${letters}0123456789-_.`;
const length = 32;

/** A password of 32 characters (about 192 bits): each class present, a letter first, nothing that needs quoting. */
export function newPassword(): string {
  for (;;) {
    const password = randomText();
    const hasEveryClass = [/^[A-Za-z]/, /[a-z]/, /[A-Z]/, /[0-9]/, /[-_.]/].every((pattern) =>
      pattern.test(password),
    );
    if (hasEveryClass) return password;
  }
}

function randomText(): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      // The largest multiple of 65 below 256: above it some characters would be likelier than others.
      if (byte < 195 && text.length < length) text += alphabet[byte % alphabet.length] ?? "";
    }
  }
  return text;
}
