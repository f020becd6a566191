/** An error with the code of its message. */
export function coded(message: string, code: string): Error & { code: string } {
  return Object.assign(new Error(message), { code });
}

/** A text with its code, such as APC-VAULT-TOKEN of `vault.token`, after its first line; Node's codes are left out. */
export function withCode(text: string, code = ""): string {
  const shownCode = code.replaceAll(".", "-").toUpperCase();
  return /^[a-z.-]+$/.test(code) ? text.replace(/(?=:?$)/m, ` [APC-${shownCode}]`) : text;
}

/** What is printed of an error. */
export function shown(error: Error & { code?: string }): string {
  const { name, message, code } = error;
  return withCode(message, name === "TransportError" ? `net-${code}` : code);
}

/** An error that says all there is to say, with what to do about it: shown as it is, without a stack. */
export class UserError extends Error {
  override name = "UserError";

  /** `code`: of the message; where each of its lines has one, none. */
  constructor(
    message: string,
    readonly code?: string,
  ) {
    super(message);
  }
}
