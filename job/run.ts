import { apisecLoginAt } from "../clients/apisec";
import { eachOf } from "../core/eachOf";
import { readToken } from "../core/jwt";
import { openMetrics, tokenMetrics } from "../core/openMetrics";
import { withCode } from "../core/messageCode";
import { redact } from "../core/redact";
import { rfc3339, rotateToken } from "../core/tokenRotation";
import { hostBreaker } from "./hostBreaker";
import { junit } from "./report";
import { span, tokenLeft } from "./tokenLeft";
import { openSession } from "./vaultSession";
import type { SecretRead } from "../clients/vault";
import type { TokenTimes } from "../core/openMetrics";
import type { Met, Rotation, RotationTools } from "../core/tokenRotation";
import type { Clock, Send } from "../net/http";
import type { Beat } from "./heartbeat";
import type { Hosts } from "./hostBreaker";
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
  err(line: string, code?: string): void;
  writeReport(path: string, text: string): void;
  tell: Tell;
  beat?: Beat;
  /** Aborted, with a `Stop` as its reason, when the run has to end. */
  stop?: AbortSignal;
}

/** Why a run has to end, and how long the accounts that are under way have left. */
export interface Stop {
  text: string;
  graceMs: number;
}

export const exitCodes = { rotated: 0, someFailed: 1, settings: 2, noVault: 3 } as const;

/** A call that changes nothing is sent this often to an APIsec that is passing busy. */
const apisecTries = 3;

/** A run of a secret this long is in none of our own words, which a password may hold by chance. */
const ownWordsLength = 16;

interface Outcome extends Case {
  state: "rotated" | "kept" | "failed";
  /** The failure was Vault's answer, or none of its answers. */
  byVault: boolean;
  /** Whether readers have the token for as long as they should. */
  isFresh: boolean;
  /** What people are told of the account. */
  news: string[];
  /** Good news: it is rotated again after longer than between two runs. */
  recovered: string | undefined;
  times: TokenTimes;
}

/** Rotates the accounts of `settings`, tells each outcome, and gives the exit code. */
export async function run(settings: Settings, world: World): Promise<number> {
  if (settings.accounts.length === 0) return finish([], settings, world);
  const { vaultSend: send, clock } = world;
  let session: VaultSession;
  try {
    session = await openSession(settings, { send, clock, ...settings.vault, met: {} });
  } catch (error) {
    const { message: said, code } = error as Error & { code?: string };
    const message = withCode(said, code);
    world.err(message);
    const all = settings.accounts.map((name) => ({
      ...failed(name, message, undefined, world, 0),
      byVault: true,
    }));
    const { text } = tokenLeft(undefined, clock.now());
    return finish(all, settings, world, [`all accounts: ${text}; ${message}`]);
  }
  const begun = new Map<string, Met>();
  const outcomes = await rotateAll(settings, begun, session, world);
  try {
    await session.end();
  } catch (error) {
    const secrets = [...begun.values()].flatMap((met) => met.secrets);
    const why = redact((error as Error).message, [...session.secrets, ...secrets]);
    world.err(`warning  the Vault token could not be revoked: ${why}`, "not-revoked");
  }
  return finish(outcomes, settings, world);
}

/** Rotates one account after the other, many at once, until all are done or the run has to stop. */
async function rotateAll(
  settings: Settings,
  begun: Map<string, Met>,
  session: VaultSession,
  world: World,
): Promise<Outcome[]> {
  const { clock, stop } = world;
  const { accounts, concurrency } = settings;
  const hosts = hostBreaker(world.apisecSend);
  const outcomes = new Map<string, Outcome>();
  let isOver = false;
  const note = (outcome: Outcome) => {
    if (isOver) return;
    outcomes.set(outcome.name, outcome);
    show(outcome, world);
  };
  const all = eachOf(accounts, concurrency, async (name) => {
    if (stop?.aborted) return;
    const met: Met = { secrets: [...session.secrets] };
    begun.set(name, met);
    note(await rotateOne(name, met, hosts, settings, session, world));
  });
  await Promise.race([all, ...(stop === undefined ? [] : [timeIsUp(stop, clock)])]);
  const reason = (stop?.reason as Stop | undefined)?.text;
  for (const name of accounts.filter((one) => !outcomes.has(one))) {
    const met = begun.get(name);
    const how = met === undefined ? "not begun" : "under way, and may have a new token or not";
    const text = withCode(`${reason}: it was ${how}`, "stopped");
    note(failed(name, text, met?.stored, world, 0));
  }
  isOver = true;
  return accounts.flatMap((name) => outcomes.get(name) ?? []);
}

/** Waits for the end that `stop` announces. */
async function timeIsUp(stop: AbortSignal, clock: Clock): Promise<void> {
  if (!stop.aborted) {
    await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
  }
  await clock.sleep((stop.reason as Stop).graceMs);
}

async function rotateOne(
  name: string,
  met: Met,
  hosts: Hosts,
  settings: Settings,
  session: VaultSession,
  world: World,
): Promise<Outcome> {
  const { clock } = world;
  const started = clock.now();
  const seconds = () => (clock.now() - started) / 1000;
  const host = hosts.account();
  const tools: RotationTools = {
    store: session,
    clock,
    apisec(at) {
      hosts.check(at);
      return apisecLoginAt(host.send, at, settings.paths, clock, apisecTries);
    },
  };
  try {
    const rotation = await rotateToken(name, tools, settings, met);
    return succeeded(name, rotation, clock, seconds());
  } catch (error) {
    const { name: kind, message, code } = error as Error & { code?: string };
    const byVault = kind === "VaultError";
    const secrets = [...met.secrets, ...session.secrets];
    const text = redact(message, secrets, byVault ? undefined : ownWordsLength);
    const reason = withCode(text, code);
    return { ...failed(name, reason, met.stored, world, seconds()), byVault };
  } finally {
    host.done();
  }
}

function succeeded(name: string, rotation: Rotation, clock: Clock, seconds: number): Outcome {
  const { state, until, issuedAt, isFresh, warnings, recoveredAfter } = rotation;
  const recovered =
    recoveredAfter === undefined
      ? undefined
      : `recovered: the token before was ${span(recoveredAfter)} old`;
  const told = (all: typeof warnings) => all.map(({ text, code }) => withCode(text, code));
  const news = told(warnings.filter((one) => one.news));
  return {
    ...{ name, seconds, state, isFresh, recovered, failure: undefined, byVault: false },
    warnings: told(warnings),
    news: recovered === undefined ? news : [...news, recovered],
    times: { account: name, readableUntil: until, issuedAt, lastSuccess: clock.now() / 1000 },
  };
}

/** `stored`: the token record as readers have it; undefined = not known. */
function failed(
  name: string,
  reason: string,
  stored: SecretRead | undefined,
  { clock }: World,
  seconds: number,
): Outcome {
  const { until, text } = tokenLeft(stored, clock.now());
  const found = stored?.state === "found" ? stored : undefined;
  return {
    ...{ name, seconds, state: "failed", isFresh: false, recovered: undefined, byVault: false },
    failure: `${reason}; ${text}`,
    warnings: [],
    // The other way round: a long reason may be cut.
    news: [`${text}; ${reason}`],
    times: {
      account: name,
      readableUntil: stored && until,
      issuedAt: readToken(String(found?.data["token"]))?.issuedAt,
      lastSuccess: Date.parse(found?.createdTime ?? "") / 1000 || undefined,
    },
  };
}

function show(outcome: Outcome, world: World): void {
  const { name, state, times, failure, warnings, recovered } = outcome;
  if (failure !== undefined) return world.err(`${name}  failed  ${failure}`);
  const until = rfc3339(times.readableUntil ?? 0);
  world.out(
    [name, state, `expires ${until}`, ...(recovered === undefined ? [] : [recovered])].join("  "),
  );
  for (const text of warnings) world.err(`${name}  warning  ${text}`);
}

async function finish(
  outcomes: readonly Outcome[],
  settings: Settings,
  world: World,
  news = newsOf(outcomes),
): Promise<number> {
  const { reportFile, metricsFile, owner } = settings;
  put("report", reportFile, junit(outcomes), world);
  if (metricsFile !== undefined) {
    const times = outcomes.map((one) => one.times);
    put("metrics", metricsFile, openMetrics(tokenMetrics(owner, times)), world);
  }
  const count = (state: Outcome["state"]) => outcomes.filter((one) => one.state === state).length;
  const failed = count("failed");
  world.out(
    `${outcomes.length} ${outcomes.length === 1 ? "account" : "accounts"}: ${count("rotated")} rotated, ${count("kept")} kept, ${failed} failed`,
  );
  const isFresh = outcomes.every((one) => one.isFresh);
  await Promise.all([
    news.length > 0 && world.tell(titleOf(outcomes, failed), news),
    world.beat?.(isFresh),
  ]);
  if (failed === 0) return exitCodes.rotated;
  return outcomes.every((one) => one.byVault) ? exitCodes.noVault : exitCodes.someFailed;
}

function titleOf(outcomes: readonly Outcome[], failed: number): string {
  if (failed > 0) return `${failed} of ${outcomes.length} tokens not rotated`;
  const isGood = outcomes.every(({ news, recovered }) => news.every((text) => text === recovered));
  return isGood ? "tokens are rotated again" : "tokens rotated, with warnings";
}

function put(what: string, file: string, text: string, world: World): void {
  try {
    world.writeReport(file, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    world.err(`warning  the ${what} ${file} could not be written (${code})`, "not-written");
  }
}

/** Failures first, and of them those whose readers have the least time. */
function newsOf(outcomes: readonly Outcome[]): string[] {
  const untilOf = ({ times }: Outcome) => times.readableUntil ?? 0;
  const isFailed = ({ state }: Outcome) => Number(state === "failed");
  return [...outcomes]
    .sort((a, b) => isFailed(b) - isFailed(a) || untilOf(a) - untilOf(b))
    .flatMap(({ name, news }) => news.map((text) => `${name}: ${text}`));
}
