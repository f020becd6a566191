import type { Account, Settings } from "../config/settings";
import { encodePath } from "../clients/vault";
import { differences } from "../core/differences";
import { handOverRecord } from "../core/mark";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { foreignText } from "../core/redact";
import { passwordKeySettings, tokenKeySettings } from "../desired/keySettings";
import { ownerText } from "../desired/names";
import { ownershipOf } from "../desired/ownership";
import { timeoutMinutes } from "../desired/roles";
import { nextRuns, scheduleGaps } from "../desired/schedule";
import { deletedAfterSeconds, tokenKeptSeconds } from "../desired/tokenLife";
import { askVault, policyFix } from "./attempt";
import { about } from "./finding";
import type { About, Finding } from "./finding";
import { keyState } from "./keys";
import type { KeyState } from "./keys";
import { inOrder } from "./inOrder";
import { ownOwner, textOf } from "./owner";
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
      const state = mountExists ? await keyState(world, passwordKey(account.name)) : undefined;
      if (state === undefined || state.versions.length === 0) return [missing(account)];
      return othersRecord(world, of(account), passwordKey(account.name), state.mark.owner);
    });
  });
  const findings = rows.flat();
  const it = about("first-password", "passwords");
  return findings.some(({ state }) => state === "problem")
    ? findings
    : [it.ok("each account has a record in Vault or a first password in config"), ...findings];
}

/** A renamed stack whose state was lost: `up` would stop at the record, with half of its work done. */
async function othersRecord(
  world: World,
  it: About,
  key: string,
  named: string | undefined,
): Promise<Finding[]> {
  const owner = await ownOwner(world);
  if (named === undefined || ownershipOf(owner, `managed by ${named}`) !== "another") return [];
  const command = handOverRecord(world.settings.mount, key, ownerText(owner));
  return [
    it.warning(
      `has a record that belongs to "${foreignText(named, [])}": \`up\` takes it only where the stack's state knows it by that name`,
      `choose another account name; if the stack was renamed and its state lost, as Vault's admin: \`${command}\``,
    ),
  ];
}

/**
 * Before an `up` that gives tokens another life in Vault: the deployer's policy names the one that it may set, and
 * nothing tells beforehand which it is.
 */
export async function checkTokenLife(world: World): Promise<Finding[]> {
  const { settings, isPreview, time } = world;
  const account = settings.accounts.find(({ publishToken }) => publishToken);
  // Who previews may not look at any key.
  if (account === undefined || (time === "in" && isPreview)) return [];
  const key = tokenKey(account.name);
  // What cannot be read, the rights that are missing say.
  const state = await keyState(world, key).catch(() => undefined);
  const before = state?.settings["delete_version_after"];
  const { delete_version_after: after } = tokenKeySettings(deletedAfterSeconds(settings));
  // The policy always allows tokens that do not end in Vault.
  if (before === undefined || before === after || after === "0s") return [];
  return [
    about("key-settings", "key settings").warning(
      `delete_version_after of tokens becomes ${after} (${textOf(before)} now), which the deployer's policy has to allow`,
      `as Vault's admin: \`${policyFix({ ...world, isPreview: false })}\``,
    ),
  ];
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
