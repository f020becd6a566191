import type { PasswordWish } from "../../core/passwordRun";
import type { StopCode } from "../../core/passwordStops";
import { passwordKey, recordData, tokenKey } from "../../core/passwordRecord";
import { nowMs } from "./explore";
import type { Exploration } from "./explore";
import { account, tokenOf } from "./memoryApisec";
import { kvWrite } from "./memoryVault";
import type { Kv } from "./memoryVault";
import { passwordChecks, passwordRun, rotationRun } from "./passwordChecks";
import type { Run } from "./passwordChecks";
import { whereLive } from "./passwordPromises";
import type { Facts } from "./passwordPromises";
import type { World } from "./world";

export const username = "svc@acme.example";
export const host = "https://cloud.apisec.ai";
export const firstPassword = "first-password";
export const adminScopes = ["ROLE_USER", "ROLE_ADMIN"];
const adminName = "admin@acme.example";

export function wishFor(generation: number, more: Partial<PasswordWish> = {}): PasswordWish {
  return {
    name: "scanner",
    username,
    host,
    generation,
    firstPassword,
    published: false,
    acceptAdminToken: false,
    ...more,
  };
}

/** One version of a record. */
interface Version {
  password: string;
  generation: number;
  pending?: { password: string; generation: number };
  host?: string;
}

/** Where runs begin, and which. `live`: the password that logs in. */
export interface Scenario {
  title: string;
  versions: Version[];
  live: string;
  /** Changes of earlier runs that may still come to effect. */
  late?: string[];
  wishes: PasswordWish[];
  /** A rotation of the token runs beside them. */
  rotates?: boolean;
  /** An account that changes this one, with a record of its own. */
  changer?: { versions: Version[]; live: string; wishes: PasswordWish[] };
  /** The name the record stands under before. */
  oldName?: string;
  /** The vault holds a token that is valid. */
  token?: boolean;
  outside?: string;
  stops?: StopCode;
  /** It has so many states that `make test` tries its faults only in a sample of such scenarios. */
  isLarge?: boolean;
}

const open1 = version(firstPassword, 0, ["pending-1", 1]);
const open2over1 = version(firstPassword, 0, ["pending-2", 2]);
const done1 = version("pending-1", 1);
const open2 = version("pending-1", 1, ["pending-2", 2]);
const done2 = version("pending-2", 2);

/** The first password that support replaced since. */
const lostFirst = version("lost-password", 0, ["pending-1", 1]);

function version(password: string, generation: number, open?: [string, number]): Version {
  const pending = open && { pending: { password: open[0], generation: open[1] } };
  return { password, generation, ...pending };
}

function at(title: string, versions: Version[], live: string, ...generations: number[]): Scenario {
  return { title, versions, live, wishes: generations.map((generation) => wishFor(generation)) };
}

/** Two runs at once from every state that a run may leave behind, same and different generations. */
export const pairs: Scenario[] = [
  at("no record", [], firstPassword, 1, 1),
  at("no record", [], firstPassword, 1, 2),
  at("a change is open, not sent", [open1], firstPassword, 1, 1),
  at("a change is open, not sent", [open1], firstPassword, 1, 2),
  at("a change is open, in effect", [open1], "pending-1", 1, 1),
  at("a change is open, in effect", [open1], "pending-1", 1, 2),
  { ...at("a change is open, late", [open1], firstPassword, 1, 1), late: ["pending-1"] },
  { ...at("a change is open, late", [open1], firstPassword, 1, 2), late: ["pending-1"] },
  { ...at("a change is open, late", [open1], firstPassword, 2, 2), late: ["pending-1"] },
  at("promoted", [open1, done1], "pending-1", 1, 1),
  at("promoted", [open1, done1], "pending-1", 1, 2),
  at("promoted", [open1, done1], "pending-1", 2, 2),
  at("promoted", [open1, done1], "pending-1", 2, 3),
  at("promoted, next change open, not sent", [open1, done1, open2], "pending-1", 1, 2),
  at("promoted, next change open, not sent", [open1, done1, open2], "pending-1", 2, 3),
  at("promoted, next change open, in effect", [open1, done1, open2], "pending-2", 1, 2),
  at("promoted, next change open, in effect", [open1, done1, open2], "pending-2", 2, 3),
  {
    ...at("promoted, next change open, late", [open1, done1, open2], "pending-1", 2, 3),
    late: ["pending-2"],
  },
  at("an older change has landed", [open1, open2over1], "pending-1", 1, 2),
  at("an older change has landed", [open1, open2over1], "pending-1", 2, 2),
  at("an older change has landed", [open1, open2over1], "pending-1", 2, 3),
  at("an older change over a promoted one", [open1, open2over1, done2], "pending-1", 2, 2),
  at("an older change over a promoted one", [open1, open2over1, done2], "pending-1", 2, 3),
];

function without(key: keyof PasswordWish, scenario: Scenario): Scenario {
  const wishes = scenario.wishes.map((wish) => ({ ...wish, [key]: undefined }));
  return { ...scenario, title: `${scenario.title}, no ${key}`, wishes };
}

function wishing(more: Partial<PasswordWish>, scenario: Scenario): Scenario {
  return { ...scenario, wishes: scenario.wishes.map((wish) => ({ ...wish, ...more })) };
}

const admin = { name: "admin", username: adminName };
const adminWish = (generation: number) => wishFor(generation, admin);
const changer = { versions: [version("admin-1", 1)], live: "admin-1", wishes: [] };

/** The rest of what a run may meet: the rotation, a changing account, moves, outside changes. */
export const others: Scenario[] = [
  without("firstPassword", at("promoted", [open1, done1], "pending-1", 1, 2)),
  without("firstPassword", at("a change is open, not sent", [open1], firstPassword, 1, 2)),
  { ...at("promoted", [open1, done1], "pending-1", 2), rotates: true },
  { ...at("promoted, change open", [open1, done1, open2], "pending-1", 2), rotates: true },
  {
    ...at("promoted, change late", [open1, done1, open2], "pending-1", 2),
    late: ["pending-2"],
    rotates: true,
  },
  wishing(
    { changedBy: admin, published: true },
    { ...at("no record, changed by admin", [], firstPassword, 1, 1), changer, isLarge: true },
  ),
  wishing(
    { changedBy: admin, published: true },
    { ...at("no record, changed by admin", [], firstPassword, 1, 2), changer, isLarge: true },
  ),
  wishing(
    { changedBy: admin, published: true },
    {
      ...at("no record, changed by admin, who is changed", [], firstPassword, 1),
      changer: { ...changer, wishes: [adminWish(2)] },
    },
  ),
  ...[
    [1, 1],
    [1, 2],
  ].flatMap((wanted) => [
    wishing(
      { renamedFrom: "old" },
      { ...at("renamed, promoted", [done1], "pending-1", ...wanted), oldName: "old" },
    ),
    wishing(
      { renamedFrom: "old" },
      {
        ...at("renamed, change open", [open1], firstPassword, ...wanted),
        oldName: "old",
        isLarge: true,
      },
    ),
  ]),
  wishing(
    { previousHost: "https://old.apisec.ai" },
    at("host moved", [{ ...done1, host: "https://old.apisec.ai" }], "pending-1", 1, 2),
  ),
  {
    ...at("changed outside", [done1], "outside", 1, 1),
    outside: "outside",
    stops: "changed-outside",
  },
  {
    ...at("changed outside, change open", [open2], "outside", 2, 2),
    outside: "outside",
    stops: "nothing-works",
  },
  {
    ...at("changed outside, change open, older values", [open1, open2over1], "outside", 2, 2),
    outside: "outside",
    stops: "nothing-works",
  },
  {
    ...at("changed outside, raised", [done1], "outside", 2, 3),
    outside: "outside",
    stops: "nothing-works",
  },
  {
    ...at("changed outside, raised, token at hand", [done1], "outside", 2, 2),
    outside: "outside",
    token: true,
    isLarge: true,
  },
  {
    ...at("changed outside, raised, token at hand", [done1], "outside", 2, 3),
    outside: "outside",
    token: true,
    isLarge: true,
  },
  { ...at("reset by support, change open", [open2], firstPassword, 2, 2), outside: firstPassword },
  {
    ...at("reset by support, first change open", [lostFirst], firstPassword, 1, 2),
    outside: firstPassword,
  },
  {
    ...at("reset by support, raised", [done1], firstPassword, 2, 3),
    outside: firstPassword,
    isLarge: true,
  },
  {
    ...at("wrong first password", [], "another", 1, 1),
    outside: "another",
    stops: "first-password-refused",
  },
];

/** Three runs at once. */
export const threes: Scenario[] = [
  at("no record", [], firstPassword, 1, 1, 2),
  at("promoted", [open1, done1], "pending-1", 1, 2, 3),
];

/**
 * The scenario with at most `faults` faults, twice: it is not known whether a new password ends the
 * tokens issued before it. Where it does, `faultsWhereTokensEnd`.
 */
export function explorationsOf(
  scenario: Scenario,
  faults: number,
  faultsWhereTokensEnd = faults,
): [title: string, exploration: Exploration<Facts>][] {
  return [false, true].map((resetEndsTokens) => [
    titleOf(scenario, resetEndsTokens),
    explorationOf(scenario, resetEndsTokens, resetEndsTokens ? faultsWhereTokensEnd : faults),
  ]);
}

function titleOf({ title, wishes, rotates = false }: Scenario, resetEndsTokens: boolean): string {
  const wanted = `wanted ${wishes.map(({ generation }) => generation).join(" and ")}`;
  const beside = rotates ? ", beside a rotation" : "";
  return `${title}; ${wanted}${beside}${resetEndsTokens ? "; a change ends tokens" : ""}`;
}

function explorationOf(
  scenario: Scenario,
  resetEndsTokens: boolean,
  faults: number,
): Exploration<Facts> {
  const { wishes, live, late = [], changer, rotates = false, outside, stops } = scenario;
  const scopes = changer === undefined ? adminScopes : ["ROLE_USER"];
  const scanner = account(username, live, scopes);
  const accounts = [scanner];
  let kv = writeVersions({}, scenario.oldName ?? "scanner", username, scenario.versions);
  if (changer !== undefined) {
    accounts.push(account(adminName, changer.live, adminScopes));
    kv = writeVersions(kv, "admin", adminName, changer.versions);
  }
  if (scenario.token) {
    kv = kvWrite(kv, tokenKey("scanner"), { token: tokenOf(scanner, nowMs) }, 0, nowMs).kv;
  }
  const start: World = {
    kv,
    apisec: { accounts, resetEndsTokens },
    inFlight: late.map((password) => ({ username, password })),
  };
  const ups = [...(changer?.wishes ?? []), ...wishes];
  const runs: Run[] = ups.map((wish, index) => passwordRun("ABC".charAt(index), wish));
  const newest = wishes.reduce((a, b) => (b.generation > a.generation ? b : a));
  if (rotates) runs.push(rotationRun("rotation", newest));
  const calm =
    ups.every(({ generation }) => generation === newest.generation) &&
    whereLive(start, newest) === "newest" &&
    late.length === 0 &&
    !resetEndsTokens &&
    stops === undefined &&
    outside === undefined;
  const reruns = [...(changer?.wishes ?? []), newest];
  const checks = passwordChecks({ start, runs, reruns, calm, outside, stops });
  return { start, actors: runs, faults, checks };
}

function writeVersions(kv: Kv, name: string, user: string, versions: Version[]): Kv {
  return versions.reduce((written, version, index) => {
    const organization = "Acme";
    const changedAt = version.generation === 0 ? "" : "2026-11-01T00:00:00.000Z";
    const record = { version: index, username: user, host, organization, changedAt, ...version };
    return kvWrite(written, passwordKey(name), recordData(record), index, nowMs).kv;
  }, kv);
}
