import { scheduleGaps } from "../desired/schedule";
import { tooLargePolicy } from "../desired/policySize";
import { shardsOf } from "../desired/shards";
import { tokenMarginSeconds } from "../desired/tokenLife";
import { shardPlaceholder } from "../net/endpoint";
import type { ProblemList } from "./problems";
import { nameOf, setFirstPassword } from "./read";
import type { ReadKeys } from "./read";
import { cronText, ownPathPattern, ownPathText } from "./schema";
import type { Account, ConfigSource, Consumer, Settings } from "./settings";

const mostGapHours = 12;

/** The earlier entry with the same value; the value is noted for those that follow. */
function twin(
  seen: Map<string, number>,
  value: string | undefined,
  index: number,
): number | undefined {
  if (value === undefined) return undefined;
  const earlier = seen.get(value);
  if (earlier === undefined) seen.set(value, index);
  return earlier;
}

/** Names, identities and `changedBy` across the accounts. */
export function checkAccounts(accounts: Partial<Account>[], problems: ProblemList): void {
  const names = new Map<string, number>();
  const formerNames = new Map<string, number>();
  const identities = new Map<string, number>();
  accounts.forEach((account, index) => {
    const at = ["accounts", index];
    const { name, host, username, renamedFrom } = account;
    const sameName = twin(names, name, index);
    if (sameName !== undefined) {
      const path = [...at, "name"];
      problems.add(
        path,
        `${problems.is(path, name)}, as that of accounts[${sameName}]`,
        "a name of its own",
      );
    }
    const identity =
      host === undefined || username === undefined
        ? undefined
        : `${host} ${username.toLowerCase()}`;
    const sameIdentity = twin(identities, identity, index);
    if (sameIdentity !== undefined) {
      problems.add(
        at,
        `has host and username of accounts[${sameIdentity}]`,
        "each account once, as it has one password",
        `set its own user name with ${problems.set([...at, "username"])}, or remove it with ${problems.remove(at)}`,
      );
    }
    const sameFormer = twin(formerNames, renamedFrom, index);
    if (sameFormer !== undefined) {
      const path = [...at, "renamedFrom"];
      problems.add(
        path,
        `${problems.is(path, renamedFrom)}, as that of accounts[${sameFormer}]`,
        "a former name of its own",
        `remove it with ${problems.remove(path)}`,
      );
    }
  });
  accounts.forEach((account, index) => {
    checkChanger(account, index, accounts, problems);
    const { renamedFrom } = account;
    if (renamedFrom === undefined || !names.has(renamedFrom)) return;
    const path = ["accounts", index, "renamedFrom"];
    problems.add(
      path,
      `${problems.is(path, renamedFrom)}, which is still an account`,
      "a former name",
      `remove it with ${problems.remove(path)}`,
    );
  });
}

function checkChanger(
  account: Partial<Account>,
  index: number,
  accounts: Partial<Account>[],
  problems: ProblemList,
): void {
  const { changedBy, host, organization } = account;
  if (changedBy === undefined) return;
  const path = ["accounts", index, "changedBy"];
  const found = problems.is(path, changedBy);
  const at = accounts.findIndex(({ name }) => name === changedBy);
  const changer = accounts[at];
  // The account that is meant may be one whose name could not be read.
  if (changer === undefined && accounts.some(({ name }) => name === undefined)) return;
  if (changer === undefined || changer === account) {
    problems.add(path, found, "the name of another account of this stack");
    return;
  }
  if (differ(changer.host, host)) {
    problems.add(path, `${found}, at another host`, "an account at the same host");
  }
  if (differ(changer.organization, organization)) {
    problems.add(path, `${found}, of another organization`, "one of the same organization");
  }
  if (changer.publishToken === true) {
    problems.add(
      path,
      `${found}, whose token developers read`,
      "an account that does not publish its token, as that can reset passwords",
      `change it with ${problems.set(["accounts", at, "publishToken"], "false")}`,
    );
  }
  if (changer.changedBy !== undefined) {
    problems.add(
      path,
      `${found}, which is changed by another itself`,
      "an account that changes its own password",
    );
  }
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

/** Each consumer has a name and a project or group, and reads tokens that are published. */
export function checkConsumers(
  consumers: Partial<Consumer>[],
  accounts: Partial<Account>[],
  problems: ProblemList,
): void {
  const names = new Map<string, number>();
  const nothingToRead = accounts.every(({ publishToken }) => publishToken === false);
  consumers.forEach((consumer, index) => {
    const at = ["consumers", index];
    const { name, project, group } = consumer;
    const sameName = twin(names, name, index);
    if (sameName !== undefined) {
      const path = [...at, "name"];
      const found = `${problems.is(path, name)}, as that of consumers[${sameName}]`;
      problems.add(path, found, "a name of its own");
    }
    // A key that could not be read is not there; one that is not set is undefined.
    if (
      "project" in consumer &&
      "group" in consumer &&
      (project === undefined) === (group === undefined)
    ) {
      const found = project === undefined ? "names no project and no group" : "names both";
      const fix =
        project === undefined
          ? `set it with ${problems.set([...at, "project"])}`
          : `remove one with ${problems.remove([...at, "group"])}`;
      problems.add(at, found, "a project, or a group", fix);
    }
    if ("accounts" in consumer && consumer.accounts === undefined && nothingToRead) {
      const found = "is to read all published tokens, and there are none";
      const fix = `remove it with ${problems.remove(at)}`;
      problems.add(at, found, "an account whose token may be read", fix);
    }
    const wantedBefore = new Map<string, number>();
    consumer.accounts?.forEach((wanted, position) => {
      const path = [...at, "accounts", position];
      if (twin(wantedBefore, wanted, position) !== undefined) {
        const found = `${problems.is(path, wanted)} once more`;
        problems.add(path, found, "each account once", `remove it with ${problems.remove(path)}`);
        return;
      }
      const account = accounts.find((one) => one.name === wanted);
      if (account === undefined && accounts.some((one) => one.name === undefined)) return;
      if (account === undefined) {
        problems.add(path, problems.is(path, wanted), "the name of an account of this stack");
      } else if (account.publishToken === false) {
        const found = `${problems.is(path, wanted)}, whose token is not published`;
        problems.add(path, found, "an account whose token may be read");
      }
    });
  });
}

/** Addresses that the job asks are secret; one that all shards ask says which of them it was. */
export function checkSecretAddresses(
  keys: ReadKeys,
  accounts: Partial<Account>[],
  source: ConfigSource,
  problems: ProblemList,
): void {
  for (const name of ["webhookUrl", "heartbeatUrl"] as const) {
    const key = `${source.project}:${name}`;
    if (keys[name] === undefined || source.secretKeys.includes(key)) continue;
    problems.add(
      [name],
      "is not encrypted in the stack's file",
      "a secret: who knows the address can write there",
      `make a new address and set it with ${problems.set([name])}`,
    );
  }
  const published = accounts.filter(({ publishToken }) => publishToken !== false).length;
  const shards = shardsOf(published);
  if (keys.heartbeatUrl === undefined || shards === 1) return;
  if (keys.heartbeatUrl.includes(shardPlaceholder)) return;
  problems.add(
    ["heartbeatUrl"],
    `does not contain ${shardPlaceholder}, and ${shards} jobs share the accounts`,
    `an address with ${shardPlaceholder}, which stands for 1 to ${shards}: one heartbeat a job`,
  );
}

/** The paths of mounts that this stack makes, and what else only their owner says. */
export function checkOwnPaths(keys: ReadKeys, problems: ProblemList): void {
  const owned = [
    ["mount", keys.createMount],
    ["authPath", keys.createAuth],
  ] as const;
  for (const [name, isOwn] of owned) {
    const path = keys[name];
    if (isOwn !== true || path === undefined || ownPathPattern.test(path)) continue;
    problems.add([name], problems.is([name], path), ownPathText);
  }
  if (keys.shareMount === true && keys.createMount === false) {
    const fix = `set that in the stack that owns the mount, and remove it here with ${problems.remove(["shareMount"])}`;
    problems.add(
      ["shareMount"],
      "is true, but createMount is false",
      "the mount's owner to say so",
      fix,
    );
  }
}

/** First passwords are secret, and of accounts that exist. */
export function checkFirstPasswords(
  keys: ReadKeys,
  accounts: Partial<Account>[],
  source: ConfigSource,
  problems: ProblemList,
): void {
  const path = ["firstPasswords"];
  const key = `${source.project}:firstPasswords`;
  // `{}` is what `pulumi config rm --path` leaves of the last one.
  const given = source.values[key] ?? "{}";
  if (given !== "{}" && !source.secretKeys.includes(key)) {
    problems.add(
      path,
      "is not encrypted in the stack's file",
      "secrets, and other passwords than those that can be read there",
      `clear it with ${problems.remove(path)} and set it with ${setFirstPassword(problems)}`,
    );
  }
  // Which names are unknown can be said only where all accounts have been read.
  if (keys.accounts === undefined || accounts.some(({ name }) => name === undefined)) return;
  const names = new Set(accounts.map(({ name }) => name));
  for (const owner of Object.keys(keys.firstPasswords ?? {})) {
    if (names.has(owner)) continue;
    const name = nameOf(owner);
    problems.add(
      name === undefined ? path : [...path, name],
      "is of no account",
      "names of accounts",
      `remove it with ${problems.remove(name === undefined ? path : [...path, name])}`,
    );
  }
}

/** Policies that name every account have an end: known here, not when Vault refuses them half-way. */
export function checkPolicySizes(settings: Settings, problems: ProblemList): void {
  const found = tooLargePolicy(settings);
  if (found === undefined) return;
  const { policy, bytes, accountsThatFit } = found;
  const own = settings.createMount
    ? `stop sharing the mount with ${problems.set(["shareMount"], "false")} if no other stack uses it, or `
    : "";
  problems.add(
    ["accounts"],
    `are ${settings.accounts.length}: policy ${policy} would have ${bytes} bytes, and Vault keeps at most 1 MiB`,
    `at most ${accountsThatFit} of these accounts in one stack`,
    `${settings.shareMount ? own : ""}give the others a stack of their own with \`pulumi stack init\``,
  );
}

/** Where Vault finds GitLab's keys: one place. */
export function checkKeySource(keys: ReadKeys, problems: ProblemList): void {
  if (keys.jwksUrl === undefined || keys.jwtPublicKeys === undefined) return;
  const path = ["jwksUrl"];
  const fix = `remove it with ${problems.remove(path)}`;
  problems.add(path, "stands beside jwtPublicKeys", "one of them", fix);
}

/** The cron's gaps: over 12 h is a problem; no spare run within a token's life is a warning. */
export function checkSchedule(
  keys: ReadKeys,
  source: ConfigSource,
  problems: ProblemList,
): string[] {
  const { cron, cronTimezone, tokenLifetime } = keys;
  if (cron === undefined || cronTimezone === undefined) return [];
  const path = ["cron"];
  let gaps;
  try {
    gaps = scheduleGaps(cron, cronTimezone, source.now);
  } catch {
    // cron-parser gives up where clocks change by half an hour.
    problems.add(
      path,
      `${problems.is(path, cron)}, which cannot be followed through the next week in its time zone`,
      cronText,
      `set it with ${problems.set(path)}, or the zone with ${problems.set(["cronTimezone"], "UTC")}`,
    );
    return [];
  }
  const { largest, largestWithOneMissed } = gaps;
  const hours = (value: number) => `${Math.round(value * 10) / 10} h`;
  const complain = (expected: string) =>
    problems.add(
      path,
      `${problems.is(path, cron)}, which leaves ${hours(largest)} between two runs`,
      expected,
      `set it with ${problems.set(path, "'17 */6 * * *'")}`,
    );
  if (largest > mostGapHours) complain(`at most ${mostGapHours} h`);
  if (largest > mostGapHours || tokenLifetime === undefined) return [];
  const lifetimeHours = tokenLifetime / 3600;
  const marginHours = tokenMarginSeconds / 3600;
  if (largest > lifetimeHours - marginHours) {
    complain(
      `at most ${hours(lifetimeHours - marginHours)}, since a token lives ${hours(lifetimeHours)} and is readable ${hours(marginHours)} less`,
    );
    return [];
  }
  const left = lifetimeHours - largestWithOneMissed;
  if (left > marginHours) return [];
  return [
    `One missed run of ${problems.shown(`${source.project}:cron`, cron)} leaves readers ${left <= 0 ? "without a valid token" : `only ${hours(left)}`}: runs lie up to ${hours(largest)} apart and a token lives ${hours(lifetimeHours)}. Four runs a day ("17 */6 * * *") survive two misses.`,
  ];
}
