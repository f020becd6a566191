/** How people run this program's own commands: in its checkout by npm, in a program that depends on it by npx. */
export type Runner = "npm" | "npx";

export interface OwnCommandOptions {
  /** What stands before `--stack`, such as the policy's name. */
  of?: string;
  /** What stands after it. */
  options?: string;
  /** Whether its output is read by another command: then npm says nothing of its own. */
  isPiped?: boolean;
}

/** The commands of one stack as they are printed, to be run as they stand. */
export interface Printed {
  pulumi: (command: string) => string;
  own: (command: string, options?: OwnCommandOptions) => string;
}

/** `stack`: as `--stack` takes it, also `organization/project/stack`. */
export function printed(stack: string, runner: Runner): Printed {
  return {
    pulumi: (command) => `pulumi ${command} --stack ${stack}`,
    own: (command, { of, options, isPiped = false } = {}) => {
      const head =
        runner === "npx"
          ? `npx apisec-credentials ${command}`
          : `npm run ${isPiped ? "--silent " : ""}${command} --`;
      return [head, of, `--stack ${stack}`, options].filter((part) => part !== undefined).join(" ");
    },
  };
}
