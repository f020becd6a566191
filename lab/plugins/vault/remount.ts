import { pause } from "../waits";
import { text, type Props } from "../resource";
import { call, readData } from "./connection";

/** A changed path moves the mount with all that is in it: officially no replacement. */
export async function remount(from: string, to: string, properties: Props): Promise<void> {
  if (from === to) return;
  const answer = await call("POST", "sys/remount", properties, { from, to });
  const id = (answer?.data as Props | undefined)?.migration_id ?? answer?.migration_id;
  for (let waited = 0; waited < 60; waited++) {
    const found = await readData(`sys/remount/status/${text(id)}`, properties);
    const { status } = (found?.migration_info ?? {}) as { status?: string };
    if (status === "success") return;
    if (status === "failure") break;
    await pause(500);
  }
  throw new Error(`error remounting in Vault: ${from} to ${to}`);
}
