import { changePassword } from "../../core/passwordChange";
import type { PasswordWish } from "../../core/passwordRun";
import type { StopCode } from "../../core/passwordStops";
import { rotateToken } from "../../core/tokenRotation";
import type { Actor, Alone, Checks } from "./explore";
import { livePassword } from "./memoryApisec";
import {
  codeOf,
  drawnBy,
  droppedPending,
  learn,
  mustBeRaised,
  noFacts,
  notConverged,
  tooManyRefusals,
  unprovenWrite,
  versionsOf,
  whereLive,
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
    main({ store, apisec, clock }) {
      let drawn = 0;
      const newPassword = () => drawnBy(title, (drawn += 1));
      return changePassword(wish, { store, mount: "apisec", apisec, newPassword, clock });
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
        const isSame = world.kv === start.kv && world.apisec === start.apisec;
        return isSame ? undefined : "something was written or changed";
      }
      return first(reruns, (wish) => {
        const live = livePassword(world.apisec, wish.username);
        if (live !== outside && whereLive(world, wish, isCrowd) === "nowhere") {
          return `the live password ${live} does not stand in the record`;
        }
        return droppedPending(versionsOf(world, wish));
      });
    },
    call({ title }, facts, call, before, after) {
      const disorder = rotations.has(title) ? undefined : wrongOrder(title, facts, call);
      return disorder ?? unprovenWrite(facts, call, before, after);
    },
    end(actor, { ended, facts }, world, faults) {
      const wish = runs.find(({ title }) => title === actor.title)?.wish;
      if (ended === undefined || wish === undefined) return undefined;
      const wrong = tooManyRefusals(facts) ?? wrongEnd(ended, wish, facts, world, faults);
      return wrong === undefined ? undefined : `${actor.title} ${wrong}`;
    },
    async finish(world, runAlone) {
      let now = world;
      for (const { again, raised } of lastRuns) {
        if (stops !== undefined) return notStopping(await runAlone(again, now), stops);
        const actor = mustBeRaised(now, again.wish, isCrowd) ? raised : again;
        const last = await runAlone(actor, now);
        const wrong = notConverged(last, actor.wish, await runAlone(actor, last.world));
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
    const isAsked = stops !== undefined && codeOf(error) === stops;
    return isAsked ? undefined : wrongStop(error, wish, facts, world, isCrowd);
  }
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
