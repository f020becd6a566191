import type { Account, Settings } from "../config/settings";
import { passwordKey } from "../core/passwordRecord";
import { policyName } from "../desired/names";
import { askVault } from "./attempt";
import type { AuditLog, PasswordRead } from "./auditLog";
import { about } from "./finding";
import type { About, Finding, Values } from "./finding";
import { inOrder } from "./inOrder";
import { keyState } from "./keys";
import type { KeyState } from "./keys";
import { ageOf } from "./passwords";
import { timeText } from "./time";
import type { World } from "./world";

type Place = Pick<Settings, "mount" | "vaultNamespace" | "policyPrefix" | "stack">;

const dayMs = 24 * 3_600_000;

/** Whose reads are the program's own work: that of `up`, of the job and of `verify`. */
const machines = ["deployer", "rotator", "verifier"] as const;

/** As whom the program reads a password; undefined for a person. The policy tells: a deployer by hand reads like `up`. */
export function machineOf(
  { policyPrefix, stack }: Place,
  { policies }: Pick<PasswordRead, "policies">,
): (typeof machines)[number] | undefined {
  return machines.find((one) => policies.includes(policyName(policyPrefix, stack, one)));
}

/** The reads of an account's password, also under its former name: it is the same one there. */
export function readsOf(
  { mount, vaultNamespace }: Place,
  { name, renamedFrom }: Pick<Account, "name" | "renamedFrom">,
  reads: readonly PasswordRead[],
): PasswordRead[] {
  const namespace = vaultNamespace === undefined ? "" : `${vaultNamespace.replace(/\/$/, "")}/`;
  const paths = [name, ...(renamedFrom === undefined ? [] : [renamedFrom])].map(
    (one) => `${namespace}${mount}/data/${passwordKey(one)}`,
  );
  return reads.filter(({ path }) => paths.includes(path));
}

/** Break-glass: has a person read a password that was not changed since? Nothing where no audit log is given. */
export async function checkPasswordReads(world: World): Promise<Finding[]> {
  const { audit, settings } = world;
  if (audit === undefined) return [];
  const rows = await inOrder(settings.accounts, (account) =>
    askVault(world, aboutReads(account.name), async () => [
      readFinding(world, account, await keyState(world, passwordKey(account.name)), audit),
    ]),
  );
  return [auditLogFinding(audit, world.now), ...rows.flat()];
}

const aboutReads = (name: string) => about("password-read", `reads of password ${name}`, name);

export function readFinding(
  { settings, print }: { settings: Place; print: World["print"] },
  account: Account,
  state: KeyState,
  audit: AuditLog,
): Finding {
  const { name } = account;
  const { changedAt, isKnown } = ageOf(state);
  // A password that is older than its oldest version was changed at no time that is known.
  const since = isKnown ? changedAt : 0;
  const byPeople = readsOf(settings, account, audit.reads).filter(
    (read) => machineOf(settings, read) === undefined && read.at >= since,
  );
  const last = byPeople.at(-1);
  const it = aboutReads(name);
  if (audit.ends < since) {
    return it.skipped(`not known: the log ends at ${timeText(audit.ends)}, before its last change`);
  }
  const from = timeText(Math.max(since, audit.begins));
  if (last === undefined) {
    const found = `by no person from ${from} to ${timeText(audit.ends)}`;
    return it.ok(found, { reads: 0, since: from });
  }
  const more = byPeople.length === 1 ? "" : `, the last of ${byPeople.length} reads`;
  return it.problem(
    `read at ${timeText(last.at)} by ${last.who}${more}, and not changed since`,
    `${print.own("renew", { options: `--account ${name}` })} && ${print.pulumi("up")}`,
    { reads: byPeople.length, since: from, last_read: timeText(last.at) },
  );
}

const coveredBy = ({ begins, ends }: AuditLog) => `from ${timeText(begins)} to ${timeText(ends)}`;

/** What time a log covers: a warning where it does not know all of the time that is asked for. */
export function coverage(
  it: About,
  audit: AuditLog,
  asked: { from: number; to: number },
  values?: Values,
): Finding {
  const unknown = unknownIn(audit, asked);
  return unknown.length === 0
    ? it.ok(coveredBy(audit), values)
    : it.warning([coveredBy(audit), ...unknown].join("; "), undefined, values);
}

/** What a log does not know of a time, in words. */
function unknownIn(
  { begins, ends, gaps, unread }: AuditLog,
  { from, to }: { from: number; to: number },
): string[] {
  const inside = gaps.filter((gap) => gap.from < to && gap.to > from);
  return [
    ...(begins > from ? ["reads before that are not known"] : []),
    ...(ends < to - dayMs ? ["reads after that are not known"] : []),
    ...inside.map(
      (gap) => `no entry from ${timeText(gap.from)} to ${timeText(gap.to)}: a file may be missing`,
    ),
    ...(unread === 0 ? [] : [`${unread} lines are no entry and may have been reads`]),
  ];
}

function auditLogFinding(audit: AuditLog, now: number): Finding {
  const { begins, ends, inClear, unread } = audit;
  const it = about("audit-log", "audit log");
  const values = { begins: timeText(begins), ends: timeText(ends), unread };
  if (inClear > 0) {
    return it.problem(
      `${coveredBy(audit)}; it shows passwords in clear, ${inClear} times: whoever reads it knows them`,
      "set log_raw=false for the audit device, take audit_non_hmac_response_keys and audit_non_hmac_request_keys from the mount, and change the passwords",
      values,
    );
  }
  return coverage(it, audit, { from: begins, to: now }, values);
}
