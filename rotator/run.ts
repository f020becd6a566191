import { apisecAt } from "../core/apisec";
import { eachOf } from "../core/eachOf";
import { redact } from "../core/redact";
import { rfc3339, rotateToken } from "../core/tokenRotation";
import { junit } from "./report";
import { openSession } from "./vaultSession";
import type { Clock, Send } from "../core/http";
import type { RotationTools } from "../core/tokenRotation";
import type { Case } from "./report";
import type { Settings } from "./settings";
import type { VaultSession } from "./vaultSession";

/** The world as a run sees it. `apisecSend` gives the way to an APIsec host, or throws. */
export interface World {
  vaultSend: Send;
  apisecSend(host: string): Send;
  clock: Clock;
  out(line: string): void;
  err(line: string): void;
  writeReport(path: string, text: string): void;
}

export const exitCodes = { rotated: 0, someFailed: 1, settings: 2, noVault: 3 } as const;

/** A call that changes nothing is sent this often to an APIsec that is passing busy. */
const apisecTries = 3;

interface Outcome extends Case {
  state: "rotated" | "kept" | "failed";
  /** The failure was Vault's answer, or none of its answers. */
  byVault: boolean;
}

/** Rotates the accounts of `settings`, tells each outcome, and gives the exit code. */
export async function run(settings: Settings, world: World): Promise<number> {
  if (settings.accounts.length === 0) return finish([], settings, world);
  const { vaultSend: send, clock } = world;
  let session: VaultSession;
  try {
    session = await openSession(settings, { send, clock, ...settings.vault });
  } catch (error) {
    const { message: failure } = error as Error;
    world.err(failure);
    const none = settings.accounts.map((name): Outcome => {
      return { name, seconds: 0, state: "failed", failure, warnings: [], byVault: true };
    });
    return finish(none, settings, world);
  }

  const tools: RotationTools = {
    store: session,
    clock,
    apisec: (host) => apisecAt(world.apisecSend(host), host, settings.paths, clock, apisecTries),
  };
  const outcomes: Outcome[] = [];
  await eachOf(settings.accounts, settings.concurrency, async (name) => {
    outcomes.push(await rotateOne(name, tools, settings, session, world));
  });
  try {
    await session.end();
  } catch (error) {
    world.err(`warning  the Vault token could not be revoked: ${(error as Error).message}`);
  }
  return finish(outcomes, settings, world);
}

async function rotateOne(
  name: string,
  tools: RotationTools,
  settings: Settings,
  session: VaultSession,
  world: World,
): Promise<Outcome> {
  const started = world.clock.now();
  const secrets: string[] = [];
  const clean = (text: string) => redact(text, [...secrets, ...session.secrets]);
  const seconds = () => (world.clock.now() - started) / 1000;
  try {
    const rotation = await rotateToken(name, tools, settings, secrets);
    const warnings = rotation.warnings.map(clean);
    world.out(`${name}  ${rotation.state}  expires ${rfc3339(rotation.expiresAt)}`);
    for (const warning of warnings) world.err(`${name}  warning  ${warning}`);
    const { state } = rotation;
    return { name, seconds: seconds(), state, failure: undefined, warnings, byVault: false };
  } catch (error) {
    const failure = clean((error as Error).message);
    world.err(`${name}  failed  ${failure}`);
    const byVault = (error as Error).name === "VaultError";
    return { name, seconds: seconds(), state: "failed", failure, warnings: [], byVault };
  }
}

function finish(outcomes: readonly Outcome[], settings: Settings, world: World): number {
  try {
    world.writeReport(settings.reportFile, junit(outcomes));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    world.err(`warning  the report ${settings.reportFile} could not be written (${code})`);
  }
  const count = (state: Outcome["state"]) => outcomes.filter((one) => one.state === state).length;
  const failed = count("failed");
  world.out(
    `${outcomes.length} accounts: ${count("rotated")} rotated, ${count("kept")} kept, ${failed} failed`,
  );
  if (failed === 0) return exitCodes.rotated;
  return outcomes.every((one) => one.byVault) ? exitCodes.noVault : exitCodes.someFailed;
}
