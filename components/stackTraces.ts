/**
 * For every resource and every property the SDK notes where it was made, by errors without a message. Mapped to
 * TypeScript, these take half of the time of 100 accounts and a fifth of their state. Of others, one frame is enough.
 */
export function shortenStackTraces(): void {
  const mapped = Error.prepareStackTrace?.bind(Error);
  if (mapped === undefined || process.env["PULUMI_DEBUG_PROMISE_LEAKS"]) return;
  Error.stackTraceLimit = 1;
  Error.prepareStackTrace = (error, frames): unknown =>
    error.message === "" ? String(error) : mapped(error, frames);
}
