import type { ChangeAnswer, Identity } from "../clients/apisec";
import { isAdminToken } from "./jwt";
import { passwordKey } from "./passwordRecord";
import type { PasswordRecord } from "./passwordRecord";
import type { Proof, Run } from "./passwordRun";
import { foreignText } from "./redact";

/** Each way in which a run stops; the messages begin alike and have their rows in docs/troubleshooting.md. */
export type StopCode =
  | "deleted"
  | "unreadable-record"
  | "other-identity"
  | "changed-outside"
  | "first-password-missing"
  | "first-password-refused"
  | "nothing-works"
  | "admin-token"
  | "changer"
  | "not-proven"
  | "refused"
  | "unknown-answer"
  | "contended";

/** An error that says which account, what, and what to do next; never a secret. */
export function stop(
  run: Run,
  code: StopCode,
  what: string,
  next: string,
): Error & { code: StopCode } {
  return Object.assign(new Error(`Account ${run.wish.name} ${what}. ${next}`), {
    name: "PasswordChangeStopped",
    code,
  });
}

export function nothingWorks(run: Run, record: PasswordRecord | undefined): Error {
  if (record === undefined) {
    return stop(
      run,
      "first-password-refused",
      `was refused with its first password at ${run.wish.host}`,
      `Nothing was written. Correct it with \`pulumi config set --secret --path 'firstPasswords.${run.wish.name}'\`.`,
    );
  }
  const pending = record.pending === undefined ? "" : " nor its pending one";
  return stop(
    run,
    "nothing-works",
    `cannot log in with the password${pending} in ${pathOf(run)}, version ${record.version}, nor with an older version's`,
    "Nothing was deleted. If another `pulumi up` of this account is at work, let it end and run this one again. If not, have APIsec's support reset the account, put the password they give you into firstPasswords, and run `pulumi up` again.",
  );
}

export function notProven(
  run: Run,
  staged: PasswordRecord,
  proof: Proof,
  answer: ChangeAnswer,
): Error {
  const where = `The pending password is kept in ${pathOf(run)}, version ${staged.version}.`;
  if (answer.kind === "refused") {
    const needsAdmin = run.wish.changedBy === undefined && !isAdminToken(proof.token);
    const next = needsAdmin
      ? "Its token has no ROLE_ADMIN: name an account that has one in `changedBy` and run `pulumi up`."
      : "To draw another, raise its passwordGeneration and run `pulumi up`.";
    return stop(
      run,
      "refused",
      `was refused its new password: ${clean(run, answer.text)}`,
      `${where} The old password is untouched. ${next}`,
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
    "other-identity",
    `logs in as ${clean(run, who.username)} of ${clean(run, who.orgName)}, not as the configured user and organization`,
    "Nothing was changed. Correct `username` or `organization`.",
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

export function pathOf(run: Run): string {
  return `${run.world.mount}/${passwordKey(run.wish.name)}`;
}

export function whyOf(answer: { kind: string; why?: string; text?: string }): string {
  return answer.why ?? answer.text ?? "";
}
