/** An error that says all there is to say, with what to do about it: shown as it is, without a stack. */
export class UserError extends Error {
  override name = "UserError";
}
