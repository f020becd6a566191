import { readToken } from "./jwt";
import { coded, withCode } from "./messageCode";
import { tokenKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import type { Run } from "./passwordRun";
import { publishToken, readableUntil } from "./tokenRotation";
import type { Met } from "./tokenRotation";
import type { SecretRead } from "../clients/vault";

/** As the job's default, for whoever names none. */
const usualLifetimeSeconds = 3600;

/**
 * Step 9: a login that proved the record's password also gives readers a token, where theirs is missing, has
 * ended or was issued before the password was changed; where this run changed it, in any case. Gives the error
 * where readers have none of it: the password is well all the same.
 */
export async function publishFrom(
  run: Run,
  record: PasswordRecord,
  token: string,
  isChanged: boolean,
): Promise<Error | undefined> {
  const { wish, world, api } = run;
  if (!wish.published) return undefined;
  const met: Met = { secrets: [...run.secrets] };
  try {
    const stored = await world.store.read(tokenKey(wish.name));
    const changedAt = Date.parse(record.changedAt) / 1000;
    if (!isChanged && isFresh(stored, changedAt, world.clock.now() / 1000)) return undefined;
    const rules = {
      minLifetimeSeconds: wish.minLifetimeSeconds ?? usualLifetimeSeconds,
      tokenEndsInVault: wish.tokenEndsInVault,
      source: "pulumi up",
      changedAt,
    };
    const tools = { store: world.store, clock: world.clock };
    const bought = { token, username: record.username, host: record.host };
    const { warnings } = await publishToken(wish.name, bought, stored, tools, api, rules, met);
    run.warnings.push(...warnings.map(({ text, code }) => withCode(text, code)));
    return undefined;
  } catch (error) {
    return coded(
      `Account ${wish.name} has no new token for its readers: ${(error as Error).message}. Its password is well: run \`pulumi up\` again, which publishes one.`,
      "no-token",
    );
  }
}

function isFresh(stored: SecretRead, changedAt: number, now: number): boolean {
  if (readableUntil(stored, now) === undefined || stored.state !== "found") return false;
  const issuedAt = readToken(String(stored.data["token"]))?.issuedAt ?? 0;
  return Number.isNaN(changedAt) || issuedAt >= Math.floor(changedAt);
}
