import { setImmediate } from "node:timers/promises";
import type * as pulumi from "@pulumi/pulumi";

/**
 * Resolves once the engine knows the component and has been sent those of its resources that wait for nothing. It starts
 * their plugins while the program, which is busy for a while with many accounts, prepares what comes next.
 */
export async function registered(component: pulumi.ComponentResource): Promise<void> {
  await new Promise<void>((resolve) => void component.urn.apply(() => resolve()));
  await setImmediate();
}
