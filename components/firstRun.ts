import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { firstRunCommand, firstRunVariable } from "../desired/firstRun";
import type { FirstRunWish } from "../desired/firstRun";

export interface FirstRunArgs extends Omit<FirstRunWish, "schedule"> {
  schedule: pulumi.Input<number>;
  /** What the job depends on: where it changes, the schedule is played again. */
  fingerprint: string;
  /** All that the job needs, the passwords too. */
  after: readonly pulumi.Resource[];
}

/** Plays the schedule once what its job depends on is there or has changed. What is not well is said, and no error. */
export function firstRun(name: string, { fingerprint, after, ...wish }: FirstRunArgs): void {
  new command.local.Command(
    name,
    {
      create: firstRunCommand(),
      // Played where the triggers have changed, and for nothing else.
      update: ":",
      triggers: [fingerprint],
      // GITLAB_TOKEN is the engine's own environment's.
      environment: { [firstRunVariable]: pulumi.jsonStringify(wish) },
      addPreviousOutputInEnv: false,
    },
    { dependsOn: [...after] },
  );
}
