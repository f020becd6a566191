import type { Account, Settings } from "../config/settings";
import { encodePath } from "../clients/vault";
import { differences } from "../core/differences";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { passwordKeySettings, tokenKeySettings } from "../desired/keySettings";
import { timeoutMinutes } from "../desired/roles";
import { nextRuns, scheduleGaps } from "../desired/schedule";
import { deletedAfterSeconds, tokenKeptSeconds } from "../desired/tokenLife";
import { askVault } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { keyState } from "./keys";
import type { KeyState } from "./keys";
import { inOrder } from "./inOrder";
import { span, timeText } from "./time";
import type { World } from "./world";

/** Between a version's own times and what they should be: Vault's clock, and a second that was rounded. */
const slackMs = 60_000;
const mostVersions = 10;

/** A finding of each key of an account: it is asked about metadata only. */
export async function ofKeys(
  world: World,
  id: string,
  keyOf: (account: Account) => string | undefined,
  judge: (account: Account, state: KeyState) => Finding[],
): Promise<Finding[]> {
  const rows = await inOrder(world.settings.accounts, async (account) => {
    const key = keyOf(account);
    if (key === undefined) return [];
    const it = about(id, `${id} ${account.name}`, account.name);
    return askVault(world, it, async () => judge(account, await keyState(world, key)));
  });
  return rows.flat();
}

export const passwordOf = ({ name }: Account) => passwordKey(name);
const tokenOf = ({ name, publishToken }: Account) => (publishToken ? tokenKey(name) : undefined);

/** Is a token there for who reads it, and until when? */
export function checkTokens(world: World): Promise<Finding[]> {
  const needed = neededUntil(world.settings, world.now);
  return ofKeys(world, "token", tokenOf, (account, state) => [
    tokenFinding(world, account.name, state, needed),
  ]);
}

/** Check-and-set, versions and end of life of each key, as declared. */
export async function checkKeySettings(world: World): Promise<Finding[]> {
  let keys = 0;
  const judgeBy = (keyOf: typeof tokenOf) => (account: Account, state: KeyState) => {
    keys += 1;
    return keyFindings(world, account, keyOf(account) ?? "", state);
  };
  // What cannot be read is said where the password or the token is.
  const readable = ({ id }: Finding) => id === "key-settings";
  const wrong = (
    await Promise.all([
      ofKeys(world, "password", passwordOf, judgeBy(passwordOf)),
      ofKeys(world, "token", tokenOf, judgeBy(tokenOf)),
    ])
  )
    .flat()
    .filter(readable);
  const it = about("key-settings", "key settings");
  const asDeclared = it.ok(`${keys - wrong.length} of ${keys} keys are as declared`);
  return [...(wrong.length < keys ? [asDeclared] : []), ...wrong];
}

/**
 * Every account needs a record in Vault or a first password in config: known before another account's password is
 * changed.
 */
export async function checkFirstPasswords(world: World): Promise<Finding[]> {
  const { settings, print, isPreview, time } = world;
  const of = ({ name }: Account) => about("first-password", `account ${name}`, name);
  // Who previews may not look at any key.
  if (time === "in" && isPreview) return [];
  const mountExists = await world.look(`sys/mounts/${encodePath(settings.mount)}`).then(
    (mount) => mount !== undefined,
    () => false,
  );
  const needsNone = ({ name, renamedFrom }: Account) =>
    renamedFrom !== undefined || settings.firstPasswordsFor.includes(name);
  const missing = (account: Account) =>
    of(account).problem(
      "has no password in Vault and no first password in config",
      `hand over what APIsec mailed with \`${print.own("hand-over", { options: `--account ${account.name}` })}\`, or set it with \`${print.pulumi(`config set --secret --path 'firstPasswords.${account.name}'`)}\``,
    );
  const rows = await inOrder(settings.accounts, async (account) => {
    if (needsNone(account)) return [];
    return askVault(world, of(account), async () => {
      const isRecorded =
        mountExists && (await keyState(world, passwordKey(account.name))).versions.length > 0;
      return isRecorded ? [] : [missing(account)];
    });
  });
  const problems = rows.flat();
  const it = about("first-password", "passwords");
  return problems.length > 0
    ? problems
    : [it.ok("each account has a record in Vault or a first password in config")];
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

/** `there` 0: readers have none. What its own expiry says cannot be read here. */
function tokenValues(
  { tokenLifetime, tokenEndsInVault }: Settings,
  newest: KeyState["newest"],
): Finding["values"] {
  if (newest === undefined || newest.destroyed) return { there: 0 };
  const { createdAt, endsAt = tokenEndsInVault ? undefined : createdAt + tokenLifetime * 1000 } =
    newest;
  return {
    there: 1,
    issued: timeText(createdAt),
    ...(endsAt === undefined ? {} : { readable_until: timeText(endsAt) }),
  };
}

/** When each version was issued, and when it left Vault or will, by its number. */
function versionValues(versions: KeyState["versions"]): Finding["values"] {
  const times = versions
    .slice(-mostVersions)
    .flatMap(({ version, createdAt, endsAt }) => [
      [`version_${version}_issued`, timeText(createdAt)],
      ...(endsAt === undefined ? [] : [[`version_${version}_ended`, timeText(endsAt)]]),
    ]);
  return Object.fromEntries(times) as Finding["values"];
}

export function tokenFinding(
  { settings, print, now }: Pick<World, "settings" | "print" | "now">,
  name: string,
  { newest, versions }: Pick<KeyState, "newest" | "versions">,
  needed: number,
): Finding {
  const it = about("token", `token ${name}`, name);
  const fix = print.own("rotate", { options: `--account ${name}` });
  const values = { ...tokenValues(settings, newest), ...versionValues(versions) };
  const problem = (found: string) => it.problem(found, fix, values);
  const warning = (found: string) => it.warning(found, fix, values);
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
    : it.ok(left, values);
}

/** The settings of a key, where they are not as declared. */
function keyFindings(
  { settings }: World,
  { name }: Account,
  key: string,
  { settings: found }: KeyState,
): Finding[] {
  const declared = key.endsWith("/token")
    ? tokenKeySettings(deletedAfterSeconds(settings))
    : passwordKeySettings;
  const wrong = differences(declared, found);
  if (wrong.length === 0) return [];
  const options = Object.entries(declared).map(
    ([option, value]) => `-${option.replaceAll("_", "-")}=${value}`,
  );
  const fix = `vault kv metadata put -mount=${settings.mount} ${options.join(" ")} ${key}`;
  return [about("key-settings", `key settings ${key}`, name).problem(wrong.join("; "), fix)];
}
