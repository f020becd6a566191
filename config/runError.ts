import * as pulumi from "@pulumi/pulumi";

/** Ends the program with a message and nothing else. */
export function runError(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  // Pulumi does not show the stack, but it formats it, and over a path such as that of
  // node_modules/@pulumi/resource.ts node 20.20 loops until the text is 512 MB long.
  error.stack = "";
  return error;
}

/** What both give. Where both end with a RunError, one says what each of them has to say. */
export async function bothOf<One, Other>(
  one: Promise<One>,
  other: Promise<Other>,
): Promise<[One, Other]> {
  const results = await Promise.allSettled([one, other]);
  const errors = results.flatMap((result): unknown[] =>
    result.status === "rejected" ? [result.reason] : [],
  );
  const [first, second] = errors.filter((error) => pulumi.RunError.isInstance(error));
  if (first !== undefined && second !== undefined) {
    throw runError(`${first.message}\n${second.message}`);
  }
  return Promise.all([one, other]);
}
