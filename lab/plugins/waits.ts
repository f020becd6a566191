import { setTimeout as sleep } from "node:timers/promises";

/** Waits as long as the official plugins do; LAB_PLUGIN_WAITS, a factor, makes it shorter in tests. */
export async function pause(ms: number): Promise<void> {
  await sleep(ms * Number(process.env.LAB_PLUGIN_WAITS ?? "1"));
}
