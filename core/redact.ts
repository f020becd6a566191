const maxForeignText = 200;

/** Every form in which a secret may stand in a text that others wrote. Shorter than 6 characters: none. */
export function secretForms(secret: string): string[] {
  if (secret.length < 6) return [];
  const bytes = Buffer.from(secret, "utf8");
  const forms = [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
  ];
  return [...new Set(forms)].sort((a, b) => b.length - a.length);
}

/** Replaces each known secret, in every form of `secretForms`, by `[secret]`. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    for (const form of secretForms(secret)) clean = clean.split(form).join("[secret]");
  }
  return clean;
}

/**
 * Makes a text of another party fit for a message: secrets out, control characters out,
 * at most 200 characters.
 */
export function foreignText(text: string, secrets: readonly string[]): string {
  // Redacted before it is cut: half a secret would no longer be recognised.
  const clean = redact(text, secrets)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .trim();
  return clean.length > maxForeignText ? `${clean.slice(0, maxForeignText - 1)}…` : clean;
}
