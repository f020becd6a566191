import { secretPart, shardPlaceholder } from "../net/endpoint";
import { redact } from "../core/redact";
import { deliver, isUsable } from "./webhook";
import type { Messenger } from "./webhook";

/** Says to a monitor that a run has ended, and whether every account is fresh. Never rejects. */
export type Beat = (isFresh: boolean) => Promise<void>;

/**
 * The way to the monitor at APISEC_HEARTBEAT; without one, and with one that cannot be used, `Beat` does nothing.
 * Its address, with `/fail` behind the path where something is not fresh, is a secret and in no message.
 */
export function heartbeat(env: Record<string, string | undefined>, messenger: Messenger): Beat {
  const shard = env["CI_NODE_INDEX"] || "1";
  const address = (env["APISEC_HEARTBEAT"] ?? "").replaceAll(shardPlaceholder, shard);
  if (!isUsable("APISEC_HEARTBEAT", address, "no monitor is told of runs", messenger)) {
    return () => Promise.resolve();
  }
  return async (isFresh) => {
    const url = new URL(address);
    if (!isFresh) url.pathname = url.pathname.replace(/\/?$/, "/fail");
    try {
      await deliver(
        "the heartbeat's monitor",
        { method: "GET", url: url.href, headers: {} },
        messenger,
      );
    } catch (error) {
      const why = redact((error as Error).message, [secretPart(address)]);
      messenger.warn(`warning  the monitor was not told of this run: ${why}`, "heartbeat");
    }
  };
}
