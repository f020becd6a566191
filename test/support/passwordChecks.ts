import { changePassword } from "../../core/passwordChange";
import type { PasswordWish } from "../../core/passwordRun";
import type { StopCode } from "../../core/passwordStops";
import { rotateToken } from "../../core/tokenRotation";
import { nowMs } from "./explore";
import type { Actor, Alone, Checks } from "./explore";
import { livePassword } from "./memoryApisec";
import type { Kv } from "./memoryVault";
import {
  codeOf,
  drawnBy,
  droppedPending,
  learn,
  mustBeRaised,
  noFacts,
  notConverged,
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
import type { Ended } from "./stepped";
import type { World } from "./world";

/** A run for the account of `wish`. */
export interface Run extends Actor {
  wish: PasswordWish;
  isRotation: boolean;
}

/** A run of the real password change; each password it draws is named after it. */
export function passwordRun(title: string, wish: PasswordWish): Run {
  return {
    title,
    wish,
    isRotation: false,
    main({ store, keys, apisec, clock }) {
      let drawn = 0;
      const newPassword = () => drawnBy(title, (drawn += 1));
      const book = new Map();
      const world = { store, keys, mount: "apisec", apisec, book, newPassword, clock };
      return changePassword(wish, world);
    },
  };
}

/** A run of the real rotation of the token of `wish`'s account. */
export function rotationRun(title: string, wish: PasswordWish): Run {
  const rules = { minLifetimeSeconds: 3600, source: title };
  return {
    title,
    wish,
    isRotation: true,
    main: (outside) => rotateToken(wish.name, outside, rules, { secrets: [] }),
  };
}

const mostReruns = 8;

export interface PasswordPromises {
  start: World;
  runs: Run[];
  /** What `up` is run with after all has ended, in this order: the accounts that are watched. */
  reruns: PasswordWish[];
  /** No run can come in another's way: without a fault each must succeed. */
  calm: boolean;
  /** The password that somebody outside has set. */
  outside?: string | undefined;
  /** Every `up` must stop with this code, and leave everything as it is. */
  stops?: StopCode | undefined;
}

/** The promises of the password change, as checks on every schedule. */
export function passwordChecks(promises: PasswordPromises): Checks<Facts> {
  const { start, runs, reruns, calm, outside, stops } = promises;
  const laterRuns = new Map<Actor, Actor[]>();

  /** The same run, some quarters of an hour after the others: no refused login keeps it from its own. */
  function later(actor: Actor, times: number): Actor {
    const known = laterRuns.get(actor) ?? [];
    laterRuns.set(actor, known);
    return (known[times] ??= { ...actor, nowMs: nowMs + times * 16 * 60_000 });
  }

  /** A run that has spent its logins goes on in the next: a few of them bring all in order. */
  async function inTheEnd(
    actor: Actor,
    from: World,
    runAlone: (actor: Actor, world: World) => Promise<Alone>,
  ): Promise<Alone> {
    let last = await runAlone(later(actor, 1), from);
    for (let times = 2; times <= mostReruns; times += 1) {
      const isSpent = "error" in last.ended && codeOf(last.ended.error) === "logins-spent";
      if (!isSpent) break;
      last = await runAlone(later(actor, times), last.world);
    }
    return last;
  }

  const lastRuns = reruns.map((wish) => ({
    again: passwordRun("rerun", wish),
    raised: passwordRun("rerun", { ...wish, generation: wish.generation + 1 }),
  }));

  const isCrowd = runs.length > 2;
  const rotations = new Set(runs.filter(({ isRotation }) => isRotation).map(({ title }) => title));

  return {
    noFacts,
    learn,
    world(world) {
      if (stops !== undefined) {
        const isSame = sameValues(world.kv, start.kv) && world.apisec === start.apisec;
        return isSame ? undefined : "something was written or changed";
      }
      return first(reruns, (wish) => {
        const live = livePassword(world.apisec, wish.username);
        if (live !== outside && whereLive(world, wish, isCrowd) === "nowhere") {
          return `the live password ${live} does not stand in the record`;
        }
        const settled = live === outside ? undefined : wrongMark(world, wish, isCrowd);
        return settled ?? droppedPending(versionsOf(world, wish));
      });
    },
    call({ title }, facts, call, before, after) {
      if (rotations.has(title)) return unprovenWrite(facts, call, before, after);
      return (
        wrongOrder(title, facts, call) ??
        wrongLogin(facts, call) ??
        unprovenWrite(facts, call, before, after)
      );
    },
    end(actor, { ended, facts }, world, faults) {
      const wish = runs.find(({ title }) => title === actor.title)?.wish;
      if (ended === undefined || wish === undefined) return undefined;
      const isRotation = rotations.has(actor.title);
      const tooMany = isRotation ? undefined : (overspent(facts) ?? tooManyRefusals(facts));
      const wrong = tooMany ?? wrongEnd(ended, wish, facts, world, faults);
      return wrong === undefined ? undefined : `${actor.title} ${wrong}`;
    },
    async finish(world, runAlone) {
      let now = world;
      for (const { again, raised } of lastRuns) {
        if (stops !== undefined) return notStopping(await runAlone(later(again, 1), now), stops);
        const actor = mustBeRaised(now, again.wish, isCrowd) ? raised : again;
        const last = await inTheEnd(actor, now, runAlone);
        const wrong = notConverged(last, actor.wish, await runAlone(later(actor, 9), last.world));
        if (wrong !== undefined) return wrong;
        now = last.world;
      }
      return undefined;
    },
  };

  function wrongEnd(
    ended: Ended,
    wish: PasswordWish,
    facts: Facts,
    world: World,
    faults: number,
  ): string | undefined {
    if ("result" in ended) return wrongResult(ended.result, wish, facts, world);
    const { error } = ended;
    if (faults === 0 && calm) return `failed without a fault: ${error.message}`;
    const code = codeOf(error);
    // Too many tries of what is known to be wrong are another way to stop.
    const isHeld = code === "logins-paused" && facts.mostNoted >= 4;
    const isAsked = stops !== undefined && (code === stops || isHeld);
    return isAsked ? undefined : wrongStop(error, wish, facts, world, isCrowd);
  }
}

/** Whether two mounts hold the same values: marks may differ. */
function sameValues(a: Kv, b: Kv): boolean {
  const values = (kv: Kv) =>
    JSON.stringify(
      Object.entries(kv).flatMap(([key, { versions }]) =>
        versions.length === 0 ? [] : [key, versions],
      ),
    );
  return a === b || values(a) === values(b);
}

function first<T>(list: readonly T[], find: (one: T) => string | undefined): string | undefined {
  for (const one of list) {
    const found = find(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

function notStopping({ ended }: Alone, stops: StopCode): string | undefined {
  const isSame = "error" in ended && codeOf(ended.error) === stops;
  return isSame ? undefined : `a plain run afterwards does not stop with ${stops}`;
}
