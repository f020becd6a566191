import type { ChangeAnswer, Identity } from "../clients/apisec";
import { adminScope, isAdminToken } from "./jwt";
import type { Proof } from "./logins";
import { handOverRecord } from "./mark";
import { passwordKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import type { Run, Staged } from "./passwordRun";
import { foreignText } from "./redact";

/** Each way in which a run stops; the messages begin alike. */
export type StopCode =
  | "deleted"
  | "unreadable-record"
  | "other-owner"
  | "no-owner"
  | "other-identity"
  | "wrong-user"
  | "host-change-open"
  | "host-refuses"
  | "changed-outside"
  | "first-password"
  | "first-password-refused"
  | "nothing-works"
  | "logins-spent"
  | "logins-paused"
  | "admin-token"
  | "changer"
  | "not-proven"
  | "change-refused"
  | "unknown-answer"
  | "ends-in-vault"
  | "contended";

/** An error that says which account, what, and what to do next; never a secret. */
export function stop(
  run: Pick<Run, "wish">,
  code: StopCode,
  what: string,
  next: string,
): Error & { code: StopCode } {
  return Object.assign(new Error(`Account ${run.wish.name} ${what}. ${next}`), {
    name: "PasswordChangeStopped",
    code,
  });
}

/** What this run did until now, as far as it saw: the end of a message, or nothing. */
export function observed({ hasWritten, logins }: Run): string {
  if (logins.changeSent) return "";
  return hasWritten
    ? "APIsec was not asked for a change. "
    : "No password was written, and APIsec was not asked for a change. ";
}

export function firstPasswordCommand({ wish }: Pick<Run, "wish">): string {
  const { name, stack } = wish;
  const ofStack = stack === undefined ? "" : ` --stack ${stack}`;
  return `\`pulumi config set --secret --path 'firstPasswords.${name}'${ofStack}\``;
}

/** A record whose mark names another stack: where that is this one's former name, Vault's admin says so in the mark. */
export function othersRecord(run: Run, path: string, owner = ""): Error {
  const { mount } = run.world;
  const key = path.slice(mount.length + 1);
  return stop(
    run,
    "other-owner",
    `has a record that belongs to "${clean(run, owner)}": ${path}`,
    `${observed(run)}Choose another account name. If that is this stack's former name, as Vault's admin: \`${handOverRecord(mount, key, run.wish.owner ?? "")}\`, then run \`pulumi up\` again.`,
  );
}

/** A record in a shared mount without an owner. */
export function nobodysRecord(run: Run, path: string): Error {
  return stop(
    run,
    "no-owner",
    `has a record that no stack is known to own, in a mount that several use: ${path}`,
    `${observed(run)}Choose another account name. If the account is this stack's, set its first password with ${firstPasswordCommand(run)} and run \`pulumi up\` again.`,
  );
}

export function changedOutside(run: Run, record: PasswordRecord): Error {
  return stop(
    run,
    "changed-outside",
    `was changed outside: the password in ${pathOf(run)}, version ${record.version}, no longer logs in`,
    `${observed(run)}It may be incident response. To take the account back, raise its passwordGeneration to ${record.generation + 1} and run \`pulumi up\`.`,
  );
}

export function nothingWorks(run: Run, record: PasswordRecord | undefined): Error {
  if (record === undefined) {
    return stop(
      run,
      "first-password-refused",
      `was refused with its first password at ${run.wish.host}`,
      `${observed(run)}Correct it with ${firstPasswordCommand(run)}.`,
    );
  }
  const pending = record.pending === undefined ? "" : " nor its pending one";
  return stop(
    run,
    "nothing-works",
    `cannot log in with the password${pending} in ${pathOf(run)}, version ${record.version}, nor with an older version's`,
    `If another \`pulumi up\` of this account is at work, let it end and run this one again. If not, have APIsec's support reset the account, set the password they give you with ${firstPasswordCommand(run)}, and run \`pulumi up\` again 15 minutes after this one: until then the refused logins count.`,
  );
}

/** Not all could be tried: the next run goes on with the others. */
export function loginsSpent(run: Run): Error {
  return stop(
    run,
    "logins-spent",
    `was refused ${run.logins.refused} logins at ${run.wish.host}, as many as one run may send`,
    `${observed(run)}Wait 15 minutes, so that APIsec does not lock the account, and run \`pulumi up\` again: it tries the others that it knows. If none works, have APIsec's support reset the account and set the password they give you with ${firstPasswordCommand(run)}.`,
  );
}

export function loginsPaused(run: Run, until: string): Error {
  return stop(
    run,
    "logins-paused",
    `was refused ${run.row.count} logins in a row at ${run.wish.host}`,
    `So that APIsec does not lock it, no login is sent before ${until}. ${observed(run)}Run \`pulumi up\` again after that.`,
  );
}

export function notProven(run: Run, staged: Staged, proof: Proof, answer: ChangeAnswer): Error {
  const where = `The pending password is kept in ${pathOf(run)}, version ${staged.version}.`;
  if (answer.kind === "refused") {
    const needsAdmin = run.wish.changedBy === undefined && !isAdminToken(proof.token);
    const next = needsAdmin
      ? `Its token has no ${adminScope}: name an account that has one in \`changedBy\` and run \`pulumi up\`.`
      : `To draw another, raise its passwordGeneration to ${staged.pending.generation + 1} and run \`pulumi up\`.`;
    return stop(
      run,
      "change-refused",
      `was refused its new password: ${clean(run, answer.text)}`,
      `${where} ${next}`,
    );
  }
  const said = answer.kind === "unknown" ? clean(run, answer.why) : "APIsec reported success";
  return stop(
    run,
    "not-proven",
    `did not prove its new password: ${said}, and the login with it does not work yet`,
    `${where} Run \`pulumi up\` again: it goes on with the same value.`,
  );
}

export function otherUser(run: Run, who: Identity): Error {
  return stop(
    run,
    "wrong-user",
    `logs in as ${clean(run, who.username)} of ${clean(run, who.orgName)}, not as the configured user and organization`,
    `${observed(run)}Correct \`username\` or \`organization\`.`,
  );
}

/** What to do about a published token that could reset passwords. */
export function adminToken(run: Run): Error {
  const { name } = run.wish;
  return stop(
    run,
    "admin-token",
    `has a token with ROLE_ADMIN, and developers would read it: any of them could reset the password`,
    `The token was not published. ${observed(run)}Take the role from the account and let another one change it (changedBy), do not publish its token (publishToken: false), or accept the risk (acceptAdminToken: true for ${name}).`,
  );
}

export function endsInVault(run: Run, version: number, deletionTime: string): Error {
  return stop(
    run,
    "ends-in-vault",
    `has a password that Vault will delete at ${deletionTime}: ${pathOf(run)}, version ${version}`,
    `${observed(run)}Vault keeps no password for good where the mount has a delete_version_after: set it back with \`vault write ${run.world.mount}/config delete_version_after=0s\` and run \`pulumi up\` again.`,
  );
}

export function unknownAnswer(run: Run, call: string, why: string): Error {
  return stop(
    run,
    "unknown-answer",
    `got no usable answer to ${call} from ${run.wish.host}: ${clean(run, why)}`,
    "That proves nothing about any password, so nothing was decided. Run `pulumi up` again when APIsec answers.",
  );
}

export function clean(run: Run, text: string): string {
  return foreignText(text, [...run.secrets]);
}

export function pathOf(run: Pick<Run, "wish" | "world">): string {
  return `${run.world.mount}/${passwordKey(run.wish.name)}`;
}

export function whyOf(answer: { kind: string; why?: string; text?: string }): string {
  return answer.why ?? answer.text ?? "";
}
