import * as pulumi from "@pulumi/pulumi";
import { UserError, shown } from "../core/messageCode";

/** Ends the program with a message and nothing else. */
export function runError(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  // Pulumi does not show the stack, but it formats it, and over a path such as that of
  // node_modules/@pulumi/resource.ts node 20.20 loops until the text is 512 MB long.
  error.stack = "";
  return error;
}

/** What `read` gives; a UserError, which the engine would show with its stack, as a RunError. */
export function asRunError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof UserError ? runError(shown(error)) : error;
  }
}

/** What both give. Where both end with a UserError, one RunError says what each of them has to say. */
export async function bothOf<One, Other>(
  one: Promise<One>,
  other: Promise<Other>,
): Promise<[One, Other]> {
  const results = await Promise.allSettled([one, other]);
  const errors = results.flatMap((result): unknown[] =>
    result.status === "rejected" ? [result.reason] : [],
  );
  const messages = errors.flatMap((error) =>
    error instanceof UserError || pulumi.RunError.isInstance(error) ? [shown(error)] : [],
  );
  // Anything else is a fault of this program: the engine shows where it is.
  if (messages.length === 0 || messages.length < errors.length) return Promise.all([one, other]);
  throw runError(messages.join("\n"));
}
