import { timeoutMinutes } from "../desired/roles";
import type { Account, Settings } from "../config/settings";
import { differences } from "../core/differences";
import { eachOf } from "../core/eachOf";
import { passwordKeySettings, tokenKeySettings } from "../desired/keySettings";
import { deletedAfterSeconds, tokenKeptSeconds } from "../desired/tokenLife";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { nextRuns, scheduleGaps } from "../desired/schedule";
import type { VaultConnection } from "../clients/vault";
import { attempt } from "./attempt";
import type { Finding } from "./finding";
import { keyState } from "./keys";
import type { KeyState } from "./keys";
import { span, timeText } from "./time";
import { monitorAdvice } from "./vault";

const dayMs = 24 * 3_600_000;
const requestsAtOnce = 8;
/** Between a version's own times and what they should be: Vault's clock, and a second that was rounded. */
const slackMs = 60_000;

/** Is a token there for who reads it, is a password there, and how old is it? Asks for metadata only. */
export async function checkAccounts(
  vault: VaultConnection,
  settings: Settings,
  passwordAgeDays: number,
  now: number,
): Promise<Finding[]> {
  const { accounts, mount } = settings;
  const needed = neededUntil(settings, now);
  const rows: Finding[][] = [];
  const wrongKeys: Finding[][] = [];
  let keys = 0;
  await eachOf([...accounts.entries()], requestsAtOnce, async ([index, account]) => {
    const of = (kind: string, key: string, judge: (state: KeyState) => Finding) =>
      attempt(
        `${kind} ${account.name}`,
        async () => {
          const state = await keyState(vault, mount, key);
          keys += 1;
          wrongKeys[index] = [...(wrongKeys[index] ?? []), ...keyFindings(settings, key, state)];
          return [judge(state)];
        },
        monitorAdvice(settings),
      );
    const found = await of("password", passwordKey(account.name), (state) =>
      passwordFinding(settings, account, state, passwordAgeDays, now),
    );
    if (account.publishToken) {
      const token = await of("token", tokenKey(account.name), (state) =>
        tokenFinding(settings, account.name, state, needed, now),
      );
      found.push(...token);
    }
    rows[index] = found;
  });
  const wrong = wrongKeys.flat();
  const asDeclared: Finding = {
    what: "key settings",
    state: "ok",
    found: `${keys - wrong.length} of ${keys} keys are as declared`,
  };
  return [...(wrong.length < keys ? [asDeclared] : []), ...wrong, ...rows.flat()];
}

/** Until when a token must be readable: past the next run, and past the one after it where the schedule has one to spare. */
export function neededUntil(settings: Settings, now: number): number {
  const { cron, cronTimezone } = settings;
  const jobSeconds = timeoutMinutes * 60;
  const gaps = scheduleGaps(cron, cronTimezone, now);
  const isSpare = gaps.largestWithOneMissed * 3600 + jobSeconds <= tokenKeptSeconds(settings);
  const [next = now, afterNext = now] = nextRuns(cron, cronTimezone, now, 2);
  return (isSpare ? afterNext : next) + jobSeconds * 1000;
}

export function tokenFinding(
  settings: Settings,
  name: string,
  { newest }: KeyState,
  needed: number,
  now: number,
): Finding {
  const what = `token ${name}`;
  const fix = `npm run rotate -- --stack ${settings.stack} --account ${name}`;
  const problem = (found: string): Finding => ({ what, state: "problem", found, fix });
  const warning = (found: string): Finding => ({ what, state: "warning", found, fix });
  if (newest === undefined) return problem("there is none");
  const { version, createdAt, destroyed } = newest;
  if (destroyed) return problem(`version ${version} was destroyed`);
  const { tokenLifetime, tokenEndsInVault } = settings;
  // What its own expiry says cannot be read here.
  const expiresAt = tokenEndsInVault ? undefined : createdAt + tokenLifetime * 1000;
  const endsAt = newest.endsAt ?? expiresAt;
  const issued = `issued ${span(now - createdAt)} ago`;
  const shouldEnd = expiresAt ?? createdAt + tokenKeptSeconds(settings) * 1000;
  if (endsAt !== undefined && endsAt <= now) {
    const ago = `${timeText(endsAt)}, ${span(now - endsAt)} ago`;
    return problem(
      endsAt < shouldEnd - slackMs ? `was deleted by hand at ${ago}` : `ended at ${ago}`,
    );
  }
  if (endsAt === undefined || endsAt > shouldEnd + slackMs) {
    const late = `${issued}; it leaves Vault ${endsAt === undefined ? "never" : `only at ${timeText(endsAt)}`}`;
    return shouldEnd > now ? warning(late) : problem(`${late}, and has ended at APIsec`);
  }
  const left = `${issued}, readable for ${span(endsAt - now)}, until ${timeText(endsAt)}`;
  return endsAt < needed
    ? warning(`${left}; runs may be needed until ${timeText(needed)}`)
    : { what, state: "ok", found: left };
}

export function passwordFinding(
  { stack, mount, accounts }: Settings,
  account: Account,
  { newest }: KeyState,
  passwordAgeDays: number,
  now: number,
): Finding {
  const { name, passwordGeneration } = account;
  const what = `password ${name}`;
  if (newest === undefined) {
    const found = "there is no record";
    return { what, state: "problem", found, fix: `pulumi up --stack ${stack}` };
  }
  const { version, createdAt, endsAt, destroyed } = newest;
  if (destroyed) {
    const found = `version ${version} was destroyed; older ones may be left`;
    return {
      what,
      state: "problem",
      found,
      fix: `vault kv metadata get -mount=${mount} ${name}/password`,
    };
  }
  if (endsAt !== undefined) {
    const found = `version ${version} ${endsAt <= now ? "was deleted" : "will be deleted"} at ${timeText(endsAt)}`;
    const fix = `vault kv undelete -mount=${mount} -versions=${version} ${name}/password`;
    return { what, state: "problem", found, fix };
  }
  const found = `written ${span(now - createdAt)} ago`;
  if (passwordAgeDays === 0 || now - createdAt <= passwordAgeDays * dayMs) {
    return { what, state: "ok", found };
  }
  const path = `accounts[${accounts.indexOf(account)}].passwordGeneration`;
  return {
    what,
    state: "warning",
    found: `${found}, expected at most ${passwordAgeDays} days`,
    fix: `pulumi config set --path '${path}' ${passwordGeneration + 1} --stack ${stack} && pulumi up --stack ${stack}`,
  };
}

/** The settings of a key, where they are not as declared. */
function keyFindings(settings: Settings, key: string, { settings: found }: KeyState): Finding[] {
  const { mount } = settings;
  const declared = key.endsWith("/token")
    ? tokenKeySettings(deletedAfterSeconds(settings))
    : passwordKeySettings;
  const wrong = differences(declared, found);
  if (wrong.length === 0) return [];
  const options = Object.entries(declared).map(
    ([name, value]) => `-${name.replaceAll("_", "-")}=${value}`,
  );
  return [
    {
      what: `key settings ${key}`,
      state: "problem",
      found: wrong.join("; "),
      fix: `vault kv metadata put -mount=${mount} ${options.join(" ")} ${key}`,
    },
  ];
}
