import * as pulumi from "@pulumi/pulumi";

/** Ends the program with a message and nothing else. */
export function runError(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  // Pulumi does not show the stack, but it formats it, and over a path such as that of
  // node_modules/@pulumi/resource.ts node 20.20 loops until the text is 512 MB long.
  error.stack = "";
  return error;
}
