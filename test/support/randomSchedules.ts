import fc from "./fastCheck";
import type { PasswordWish } from "../../core/passwordRun";
import { readToken, sameUser } from "../../core/jwt";
import { passwordKey, tokenKey } from "../../core/passwordRecord";
import type { Run } from "./passwordChecks";
import { passwordRun, rotationRun } from "./passwordChecks";
import {
  codeOf,
  droppedPending,
  learn,
  mustBeRaised,
  newestRecord,
  noFacts,
  overspent,
  tooManyRefusals,
  unprovenWrite,
  versionsOf,
  whereLive,
  wrongLogin,
  wrongMark,
  wrongOrder,
  wrongResult,
  wrongStop,
} from "./passwordPromises";
import type { Facts } from "./passwordPromises";
import { livePassword } from "./memoryApisec";
import { kvRead } from "./memoryVault";
import { startStepped } from "./stepped";
import type { Answer, Call, Ended, Stepped } from "./stepped";
import { describeAnswer, describeCall } from "./world";
import type { World } from "./world";

/** What may happen next. `run` and `index` choose among those that there are. */
export type Event =
  | { do: "up"; raise: number }
  | { do: "rotate" }
  | { do: "step"; run: number; fault?: number }
  | { do: "end"; run: number }
  | { do: "kill"; run: number }
  | { do: "land"; index: number }
  | { do: "delete" | "undelete" | "delete token" | "outside" }
  | { do: "clock"; minutes: number };

/** The outside of the runs: in memory, or a real OpenBao and the lab's APIsec. */
export interface Backend {
  account: { name: string; username: string };
  now(): number;
  shift(minutes: number): Promise<void>;
  /** The runs' clock goes on, as far as it takes until logins may be sent again. */
  outwait(minutes: number): Promise<void>;
  /** All there is now: every version, and the password that logs in. */
  world(): Promise<World>;
  /** Answers one call, plainly or with its fault number `fault` (of as many as there are). */
  perform(call: Call, fault: number | undefined): Promise<{ fault: string; answer: Answer }>;
  /** Lets a late change come to effect. */
  land(index: number): Promise<void>;
  deleteSecret(key: string): Promise<void>;
  undeleteSecret(key: string, version: number): Promise<void>;
  setPassword(password: string): Promise<void>;
}

const small = fc.nat({ max: 3 });
const plainStep = fc.record({ do: fc.constant("step" as const), run: small });

/** Sequences that start runs and let them go on, with faults in between. */
export const events = (minLength = 0): fc.Arbitrary<Event[]> =>
  fc.array(
    fc.oneof<fc.WeightedArbitrary<Event>[]>(
      { weight: 40, arbitrary: plainStep },
      {
        weight: 12,
        arbitrary: fc.record({ do: fc.constant("up"), raise: fc.constantFrom(0, 0, 1, 1, 1, -1) }),
      },
      { weight: 4, arbitrary: fc.constant({ do: "rotate" }) },
      { weight: 12, arbitrary: fc.record({ do: fc.constant("end"), run: small }) },
      {
        weight: 16,
        arbitrary: fc.record({ do: fc.constant("step"), run: small, fault: fc.nat({ max: 5 }) }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant("kill"), run: small }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant("land"), index: small }) },
      { weight: 1, arbitrary: fc.constant({ do: "delete" }) },
      { weight: 2, arbitrary: fc.constant({ do: "undelete" }) },
      { weight: 1, arbitrary: fc.constant({ do: "delete token" }) },
      { weight: 1, arbitrary: fc.constant({ do: "outside" }) },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("clock"),
          minutes: fc.integer({ min: -30, max: 2000 }),
        }),
      },
    ),
    { minLength, maxLength: 80, size: "max" },
  );

interface Live {
  run: Run;
  stepped: Stepped;
  facts: Facts;
  /** Whether it was ever not alone, or something was changed behind it. */
  isDisturbed: boolean;
  hasWritten: boolean;
  tokens: Set<string>;
}

const mostLive = 3;
const mostSteps = 300;
const mostReruns = 8;
/** After so long no refusal of before keeps a run from its logins. */
const minutesOfHold = 16;

export interface Played {
  runs: number;
  calls: number;
  faults: number;
  kills: number;
}

/** Plays `sequence` and then lets all end. Throws with the whole schedule where a promise is broken. */
export async function playEvents(sequence: readonly Event[], backend: Backend): Promise<Played> {
  const { account } = backend;
  const key = passwordKey(account.name);
  const log: string[] = [];
  const played: Played = { runs: 0, calls: 0, faults: 0, kills: 0 };
  let live: Live[] = [];
  let generation = 1;
  let started = 0;
  /** Somebody outside set the password that logs in now. */
  let isOutside = false;
  /** One run after the other so far, and no late change: then the strict form of the invariant holds. */
  let isSerial = true;
  let lastVersion = 0;

  function broken(what: string): Error {
    return new Error([what, ...log].join("\n  "));
  }

  function wishFor(wanted: number): PasswordWish {
    return {
      ...account,
      host: "https://cloud.apisec.ai",
      generation: wanted,
      firstPassword: "first-password",
      published: false,
      acceptAdminToken: false,
    };
  }

  async function start(run: Run): Promise<Live> {
    if (live.length > 0) isSerial = false;
    for (const other of live) other.isDisturbed = true;
    const one: Live = {
      run,
      stepped: await startStepped(run.main, () => backend.now()),
      facts: noFacts,
      isDisturbed: live.length > 0 || isOutside,
      hasWritten: false,
      tokens: new Set(),
    };
    live.push(one);
    played.runs += 1;
    log.push(`${run.title} starts`);
    return one;
  }

  async function startUp(wanted: number): Promise<Live> {
    generation = Math.max(generation, wanted);
    started += 1;
    return start(passwordRun(`up-${started}-wants-${wanted}`, wishFor(wanted)));
  }

  async function startRotation(): Promise<Live> {
    started += 1;
    return start(rotationRun(`rotation-${started}`, wishFor(generation)));
  }

  function disturb(): void {
    for (const one of live) one.isDisturbed = true;
  }

  /** The run's next call is answered. */
  async function step(one: Live, fault?: number): Promise<void> {
    const call = one.stepped.calls[0];
    if (call === undefined) return;
    const before = await backend.world();
    const { title, isRotation } = one.run;
    const disorder = isRotation
      ? undefined
      : (wrongOrder(title, one.facts, call) ?? wrongLogin(one.facts, call));
    if (disorder !== undefined) throw broken(`${one.run.title}: ${disorder}`);
    const way = await backend.perform(call, fault);
    const after = await backend.world();
    played.calls += 1;
    played.faults += way.fault === "" ? 0 : 1;
    const went = way.fault === "" ? "" : `[${way.fault}] `;
    log.push(`${one.run.title} ${describeCall(call)} -> ${went}${describeAnswer(way.answer)}`);
    if (after.inFlight.length > 0) isSerial = false;
    checkWrite(one, call, before, after);
    if (call.to === "login" && "value" in way.answer) {
      const { token } = way.answer.value as { token?: string };
      if (token !== undefined) one.tokens.add(token);
    }
    one.facts = learn(one.facts, call, way.answer);
    await one.stepped.answer(0, way.answer);
    if (one.stepped.ended !== undefined) {
      live = live.filter((other) => other !== one);
      checkEnd(one, one.stepped.ended, after);
    }
    checkWorld(after);
  }

  async function toEnd(one: Live): Promise<Ended> {
    for (let steps = 0; one.stepped.ended === undefined; steps += 1) {
      if (steps === mostSteps) throw broken(`${one.run.title} does not end`);
      await step(one);
    }
    return one.stepped.ended;
  }

  function checkWrite(one: Live, call: Call, before: World, after: World): void {
    if (call.to !== "write" || versionAt(after, call.key) === versionAt(before, call.key)) return;
    one.hasWritten = true;
    const unproven = unprovenWrite(one.facts, call, before, after);
    if (unproven !== undefined) throw broken(unproven);
    if (!call.key.endsWith("/token")) return;
    const token = String(call.data["token"]);
    const old = kvRead(before.kv, call.key, backend.now());
    const oldClaims = old.state === "found" ? readToken(String(old.data["token"])) : undefined;
    const claims = readToken(token);
    if (claims === undefined || !one.tokens.has(token)) {
      throw broken("a token was stored that the run did not get by its login");
    }
    const isShorter = (oldClaims?.expiresAt ?? 0) > claims.expiresAt;
    if (isShorter && !one.facts.heard.has("unknown")) {
      throw broken("a token that works was replaced by one that expires earlier");
    }
  }

  function checkEnd(one: Live, ended: Ended, world: World): void {
    const { run, facts, isDisturbed } = one;
    log.push(
      `${run.title} ends: ${"error" in ended ? ended.error.message : JSON.stringify(ended.result)}`,
    );
    const tooMany = run.isRotation ? undefined : (overspent(facts) ?? tooManyRefusals(facts));
    if (tooMany !== undefined) throw broken(`${run.title} ${tooMany}`);
    if (run.isRotation) {
      const isLost = facts.heard.has("vault error");
      if ("error" in ended && one.hasWritten && !isLost) throw broken("a failed rotation wrote");
      return;
    }
    const wrong =
      "result" in ended
        ? wrongResult(ended.result, run.wish, facts, world)
        : isDisturbed && isOutside
          ? undefined
          : isDeleted(world) && codeOf(ended.error) === "deleted"
            ? undefined
            : wrongStop(ended.error, run.wish, facts, world, true);
    if (wrong !== undefined) throw broken(`${run.title} ${wrong}`);
  }

  function isDeleted(world: World): boolean {
    return kvRead(world.kv, key, backend.now()).state === "deleted";
  }

  function checkWorld(world: World): void {
    const wish = wishFor(generation);
    const where = whereLive(world, wish, true);
    if (where === "newest") isOutside = false;
    else if (!isOutside && (where === "nowhere" || isSerial)) {
      throw broken(`the live password ${livePassword(world.apisec, wish.username)} is lost`);
    }
    const settled = isOutside ? undefined : wrongMark(world, wish, true);
    if (settled !== undefined) throw broken(settled);
    const dropped = droppedPending(versionsOf(world, wish));
    if (dropped !== undefined) throw broken(dropped);
    if (versionAt(world, key) < lastVersion) throw broken("versions were deleted");
    lastVersion = versionAt(world, key);
    const stored = kvRead(world.kv, tokenKey(account.name), backend.now());
    if (stored.state !== "found") return;
    const claims = readToken(String(stored.data["token"]));
    const isGood =
      claims !== undefined &&
      sameUser(claims.username, account.username) &&
      claims.expiresAt * 1000 > backend.now();
    if (!isGood) throw broken("readers get a token that is none of this account, or has expired");
  }

  async function happen(event: Event): Promise<void> {
    const one = "run" in event ? live[event.run % Math.max(live.length, 1)] : undefined;
    const world = await backend.world();
    switch (event.do) {
      case "up":
        if (live.length < mostLive) await startUp(Math.max(1, generation + event.raise));
        return;
      case "rotate":
        if (live.length < mostLive) await startRotation();
        return;
      case "step":
        if (one !== undefined) await step(one, event.fault);
        return;
      case "end":
        if (one !== undefined) await toEnd(one);
        return;
      case "kill":
        if (one === undefined) return;
        live = live.filter((other) => other !== one);
        played.kills += 1;
        log.push(`${one.run.title} is killed`);
        return;
      case "land": {
        if (world.inFlight.length === 0) return;
        const index = event.index % world.inFlight.length;
        const late = world.inFlight[index]?.password;
        await backend.land(index);
        log.push(`the late change to ${late} comes to effect`);
        // Ten versions are kept: what comes still later is as if from outside.
        const isKept = versionsOf(world, wishFor(1)).some(
          ({ pending }) => pending?.password === late,
        );
        if (!isKept) isOutside = true;
        return;
      }
      case "delete":
        if (kvRead(world.kv, key, backend.now()).state !== "found") return;
        await backend.deleteSecret(key);
        disturb();
        log.push("somebody deletes the password record");
        return;
      case "undelete":
        if (!isDeleted(world)) return;
        await backend.undeleteSecret(key, versionAt(world, key));
        log.push("somebody undeletes the password record");
        return;
      case "delete token":
        if (kvRead(world.kv, tokenKey(account.name), backend.now()).state !== "found") return;
        await backend.deleteSecret(tokenKey(account.name));
        log.push("somebody deletes the token record");
        return;
      case "outside":
        started += 1;
        await backend.setPassword(`outside-${started}`);
        isOutside = true;
        disturb();
        log.push(`somebody sets the password outside-${started}`);
        return;
      case "clock":
        // Between a run's login and its write a token ages: the rotation warns of that itself.
        if (live.length > 0) return;
        await backend.shift(event.minutes);
        log.push(`the clock goes ${event.minutes} minutes`);
        return;
    }
  }

  /** The end of every story: nothing is open, and one plain `up` and one rotation bring it in order. */
  async function settle(): Promise<void> {
    for (const one of [...live]) await toEnd(one);
    if (isDeleted(await backend.world())) {
      const refused = await toEnd(await startUp(generation));
      if (!("error" in refused) || codeOf(refused.error) !== "deleted") {
        throw broken("a deleted record is not seen");
      }
    }
    await undeleteAll();
    await takeBack();
    const wish = wishFor(generation);
    const raise = mustBeRaised(await backend.world(), wish, true) ? 1 : 0;
    const ended = await inTheEnd(generation + raise);
    if ("error" in ended) throw broken("a plain run afterwards fails");
    const world = await backend.world();
    const record = newestRecord(world, wish);
    const isRight =
      record?.password === livePassword(world.apisec, account.username) &&
      record.pending === undefined &&
      record.generation >= generation;
    if (!isRight)
      throw broken("after a plain run the record does not simply hold the live password");
    const rotated = await toEnd(await startRotation());
    if ("error" in rotated) throw broken("a rotation afterwards fails");
  }

  /** A run that has spent its logins, or has to wait, goes on in a later one: a few of them bring all in order. */
  async function inTheEnd(wanted: number): Promise<Ended> {
    for (let times = 1; ; times += 1) {
      await backend.outwait(minutesOfHold);
      log.push(`${minutesOfHold} minutes later`);
      const ended = await toEnd(await startUp(wanted));
      const code = "error" in ended ? codeOf(ended.error) : undefined;
      const hasToWait = code === "logins-spent" || code === "logins-paused";
      if (!hasToWait || times === mostReruns) return ended;
    }
  }

  async function undeleteAll(): Promise<void> {
    const { kv } = await backend.world();
    for (let version = 1; version <= (kv[key]?.current ?? 0); version += 1) {
      // Deleted before the clock went back, it is so in the clock's future.
      if (kvRead(kv, key, Infinity, version).state !== "deleted") continue;
      await backend.undeleteSecret(key, version);
      log.push(`somebody undeletes version ${version} of the password record`);
    }
  }

  /** What somebody outside has changed is left alone until it is asked back. */
  async function takeBack(): Promise<void> {
    const world = await backend.world();
    if (!isOutside || whereLive(world, wishFor(generation), true) !== "nowhere") return;
    const record = newestRecord(world, wishFor(generation));
    if (record?.pending === undefined && record?.generation === generation) {
      const refused = await inTheEnd(generation);
      if (!("error" in refused) || codeOf(refused.error) !== "changed-outside") {
        throw broken("a change from outside is not left alone");
      }
    }
    await backend.setPassword("first-password");
    log.push("APIsec's support sets the password first-password");
    generation += 1;
  }

  for (const event of sequence) {
    await happen(event);
    checkWorld(await backend.world());
  }
  await settle();
  return played;
}

function versionAt(world: World, key: string): number {
  return world.kv[key]?.current ?? 0;
}
