import { apisecAt } from "../clients/apisec";
import { eachOf } from "../core/eachOf";
import { redact } from "../core/redact";
import { rfc3339, rotateToken } from "../core/tokenRotation";
import { junit } from "./report";
import { tokenLeft } from "./tokenLeft";
import { openSession } from "./vaultSession";
import type { Clock, Send } from "../net/http";
import type { Met, RotationTools } from "../core/tokenRotation";
import type { Case } from "./report";
import type { Settings } from "./settings";
import type { VaultSession } from "./vaultSession";
import type { Tell } from "./webhook";

/** The world as a run sees it. */
export interface World {
  vaultSend: Send;
  apisecSend: Send;
  clock: Clock;
  out(line: string): void;
  err(line: string): void;
  writeReport(path: string, text: string): void;
  tell: Tell;
}

export const exitCodes = { rotated: 0, someFailed: 1, settings: 2, noVault: 3 } as const;

/** A call that changes nothing is sent this often to an APIsec that is passing busy. */
const apisecTries = 3;

interface Outcome extends Case {
  state: "rotated" | "kept" | "failed";
  /** The failure was Vault's answer, or none of its answers. */
  byVault: boolean;
  /** What people are told of the account. */
  news: string[];
  /** Until when readers have a token, in seconds since 1970. */
  until: number;
}

/** Rotates the accounts of `settings`, tells each outcome, and gives the exit code. */
export async function run(settings: Settings, world: World): Promise<number> {
  if (settings.accounts.length === 0) return finish([], settings, world);
  const { vaultSend: send, clock } = world;
  let session: VaultSession;
  try {
    session = await openSession(settings, { send, clock, ...settings.vault, met: {} });
  } catch (error) {
    const { message } = error as Error;
    world.err(message);
    const { text, until } = tokenLeft(undefined, clock.now());
    const failure = `${message}; ${text}`;
    const none = settings.accounts.map((name): Outcome => {
      const rest = { seconds: 0, warnings: [], byVault: true, news: [], until };
      return { name, state: "failed", failure, ...rest };
    });
    return finish(none, settings, world, [`all accounts: ${text}; ${message}`]);
  }

  const tools: RotationTools = {
    store: session,
    clock,
    apisec: (host) => apisecAt(world.apisecSend, host, settings.paths, clock, apisecTries),
  };
  const outcomes: Outcome[] = [];
  const secrets: string[] = [];
  await eachOf(settings.accounts, settings.concurrency, async (name) => {
    const met: Met = { secrets: [] };
    outcomes.push(await rotateOne(name, met, tools, settings, session, world));
    secrets.push(...met.secrets);
  });
  try {
    await session.end();
  } catch (error) {
    const why = redact((error as Error).message, [...secrets, ...session.secrets]);
    world.err(`warning  the Vault token could not be revoked: ${why}`);
  }
  return finish(outcomes, settings, world);
}

async function rotateOne(
  name: string,
  met: Met,
  tools: RotationTools,
  settings: Settings,
  session: VaultSession,
  world: World,
): Promise<Outcome> {
  const started = world.clock.now();
  const clean = (text: string) => redact(text, [...met.secrets, ...session.secrets]);
  const seconds = () => (world.clock.now() - started) / 1000;
  try {
    const { state, expiresAt, warnings } = await rotateToken(name, tools, settings, met);
    const texts = warnings.map(({ text }) => clean(text));
    world.out(`${name}  ${state}  expires ${rfc3339(expiresAt)}`);
    for (const text of texts) world.err(`${name}  warning  ${text}`);
    const news = texts.filter((_, position) => warnings[position]?.news);
    const rest = { failure: undefined, warnings: texts, byVault: false, news, until: expiresAt };
    return { name, seconds: seconds(), state, ...rest };
  } catch (error) {
    const reason = clean((error as Error).message);
    const left = tokenLeft(met.stored, world.clock.now());
    const failure = `${reason}; ${left.text}`;
    world.err(`${name}  failed  ${failure}`);
    const byVault = (error as Error).name === "VaultError";
    // The other way round: a long reason may be cut.
    const rest = { warnings: [], byVault, news: [`${left.text}; ${reason}`], until: left.until };
    return { name, seconds: seconds(), state: "failed", failure, ...rest };
  }
}

async function finish(
  outcomes: readonly Outcome[],
  settings: Settings,
  world: World,
  news = newsOf(outcomes),
): Promise<number> {
  try {
    world.writeReport(settings.reportFile, junit(outcomes));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    world.err(`warning  the report ${settings.reportFile} could not be written (${code})`);
  }
  const count = (state: Outcome["state"]) => outcomes.filter((one) => one.state === state).length;
  const failed = count("failed");
  world.out(
    `${outcomes.length} ${outcomes.length === 1 ? "account" : "accounts"}: ${count("rotated")} rotated, ${count("kept")} kept, ${failed} failed`,
  );
  if (news.length > 0) {
    const title =
      failed > 0
        ? `${failed} of ${outcomes.length} tokens not rotated`
        : "tokens rotated, with warnings";
    await world.tell(title, news);
  }
  if (failed === 0) return exitCodes.rotated;
  return outcomes.every((one) => one.byVault) ? exitCodes.noVault : exitCodes.someFailed;
}

/** Failures first, and of them those whose readers have the least time. */
function newsOf(outcomes: readonly Outcome[]): string[] {
  const isFailed = ({ state }: Outcome) => Number(state === "failed");
  return [...outcomes]
    .sort((a, b) => isFailed(b) - isFailed(a) || a.until - b.until)
    .flatMap(({ name, news }) => news.map((text) => `${name}: ${text}`));
}
