import type { Account } from "../config/settings";
import { ofKeys, passwordOf } from "./accounts";
import { about } from "./finding";
import type { About, Finding } from "./finding";
import type { KeyState } from "./keys";
import { span, timeOf, timeText } from "./time";
import type { World } from "./world";

const dayMs = 24 * 3_600_000;
/** A change takes seconds; one that is open for longer was left. */
const longOpenMs = 3_600_000;
/** Between Vault's clock and the one by which a mark was written. */
const slackMs = 60_000;

/** `verify` runs daily: one that it missed is no news. */
const unverifiedMs = 2 * dayMs;

/** Is a password there, is it settled, and how old is it? */
export function checkPasswords(world: World): Promise<Finding[]> {
  return ofKeys(world, "password", passwordOf, (account, state) => [
    passwordFinding(world, account, state),
  ]);
}

/** Has APIsec taken each password lately? What cannot be read is said where the passwords are. */
export async function checkVerifications(world: World): Promise<Finding[]> {
  const findings = await ofKeys(world, "verification", passwordOf, (account, state) =>
    state.newest === undefined ? [] : [verificationFinding(world, account.name, state)],
  );
  return findings.filter(({ values }) => "refused_count" in values);
}

/** When APIsec took a password last, or that it has refused it since: as `up` and `verify` have noted it. */
export function verificationFinding(
  { print, now }: Pick<World, "print" | "now">,
  name: string,
  { mark }: Pick<KeyState, "mark">,
): Finding {
  const it = about("verification", `verification ${name}`, name);
  const timeBefore = (text: string | undefined) => {
    const time = timeOf(text);
    return time !== undefined && time <= now + slackMs ? time : undefined;
  };
  const verifiedAt = timeBefore(mark.verifiedAt);
  const values = {
    verified: verifiedAt === undefined ? undefined : timeText(verifiedAt),
    refused_at: mark.refusedAt === undefined ? undefined : timeText(Date.parse(mark.refusedAt)),
    refused_count: mark.refusedCount,
  };
  // A pending value, or one of an older version, may be refused: not the password that is in force.
  const isRefused = mark.refused.some(
    (label) => /^\d+$/.test(label) && Number(label) >= (mark.version ?? 1),
  );
  const taken = verifiedAt === undefined ? "never" : `${span(now - verifiedAt)} ago`;
  if (isRefused) {
    const renew = print.own("renew", { options: `--account ${name}` });
    return it.problem(
      `APIsec refused it at ${values.refused_at ?? "a time that is not known"}; taken last: ${taken}`,
      `find out who changed it, it may be incident response; to take the account back: \`${renew} && ${print.pulumi("up")}\``,
      values,
    );
  }
  if (verifiedAt !== undefined && now - verifiedAt <= unverifiedMs) {
    return it.ok(`APIsec took it ${taken}`, values);
  }
  const fix = print.own("verify", { options: `--account ${name}` });
  return it.warning(`taken by APIsec last: ${taken}`, fix, values);
}

export function passwordFinding(
  world: Pick<World, "settings" | "print" | "now" | "passwordAgeDays">,
  account: Account,
  state: KeyState,
): Finding {
  const { print, now, settings } = world;
  const { name } = account;
  const { newest, openSince } = state;
  const it = about("password", `password ${name}`, name);
  if (newest === undefined) return it.problem("there is no record", print.pulumi("up"));
  const { version, createdAt } = newest;
  const age = ageOf(state);
  const values = {
    version,
    written: timeText(createdAt),
    generation: state.mark.generation,
    changed: age.isKnown ? timeText(age.changedAt) : undefined,
    changed_before: age.isKnown ? undefined : timeText(age.changedAt),
    limit_days:
      settings.passwordMaxAge === undefined ? undefined : settings.passwordMaxAge / 86_400,
    change_open: state.mark.version === undefined ? undefined : Number(openSince !== undefined),
    open_since: openSince === undefined ? undefined : timeText(openSince),
  };
  const gone = goneFinding(it, settings.mount, name, state, now, values);
  if (gone !== undefined) return gone;
  const changed = `changed ${age.isKnown ? "" : "at least "}${span(now - age.changedAt)} ago`;
  if (openSince === undefined)
    return ageFinding(it, world, account, now - age.changedAt, changed, values);
  const found = `${changed}; a change is open since ${timeText(openSince)}, for ${span(now - openSince)}`;
  const fix = print.pulumi("up --refresh");
  return now - openSince > longOpenMs
    ? it.problem(found, fix, values)
    : it.warning(found, fix, values);
}

/**
 * When the password was changed, as its mark says; without one, or with one that cannot be true, it was at the
 * latest when Vault wrote the oldest version that it keeps.
 */
export function ageOf({ versions, newest, mark }: KeyState): {
  changedAt: number;
  isKnown: boolean;
} {
  const marked = timeOf(mark.changedAt);
  const isOfRecord = mark.version !== undefined && mark.version <= (newest?.version ?? 0);
  if (isOfRecord && marked !== undefined && marked <= (newest?.createdAt ?? 0) + slackMs) {
    return { changedAt: marked, isKnown: true };
  }
  return { changedAt: versions[0]?.createdAt ?? 0, isKnown: false };
}

/** The newest version is not there to be read. */
function goneFinding(
  it: About,
  mount: string,
  name: string,
  { newest }: KeyState,
  now: number,
  values: Finding["values"],
): Finding | undefined {
  const { version, endsAt, destroyed } = newest ?? {};
  if (destroyed === true) {
    const found = `version ${version} was destroyed; older ones may be left`;
    return it.problem(found, `vault kv metadata get -mount=${mount} ${name}/password`, values);
  }
  if (endsAt === undefined) return undefined;
  const found = `version ${version} ${endsAt <= now ? "was deleted" : "will be deleted"} at ${timeText(endsAt)}`;
  const fix = `vault kv undelete -mount=${mount} -versions=${version} ${name}/password`;
  return it.problem(found, fix, values);
}

/** A settled password against `passwordMaxAge` of config, and against what the caller calls old. */
function ageFinding(
  it: About,
  { settings, print, passwordAgeDays }: Pick<World, "settings" | "print" | "passwordAgeDays">,
  { name }: Account,
  age: number,
  changed: string,
  values: Finding["values"],
): Finding {
  const { passwordMaxAge } = settings;
  const fix = `${print.own("renew", { options: `--account ${name}` })} && ${print.pulumi("up")}`;
  if (passwordMaxAge !== undefined && age > passwordMaxAge * 1000) {
    const found = `${changed}, passwordMaxAge is ${span(passwordMaxAge * 1000)}`;
    return it.problem(found, fix, values);
  }
  return passwordAgeDays > 0 && age > passwordAgeDays * dayMs
    ? it.warning(`${changed}, expected at most ${passwordAgeDays} days`, fix, values)
    : it.ok(changed, values);
}
