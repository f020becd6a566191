import { withCode } from "../core/messageCode";

/** `skipped`: not checked, and `found` says why. It is never well. */
export type State = "ok" | "warning" | "problem" | "skipped";

/** Numbers, and times as RFC 3339; what is not known is not there. */
export type Values = Readonly<Record<string, number | string | undefined>>;

/** One thing that was looked at, and what was found. No field holds a secret. */
export interface Finding {
  /** Which check it is of: never changes, listed in docs/troubleshooting.md. */
  id: string;
  /** What was looked at, such as `mount apisec/`. */
  subject: string;
  account?: string;
  state: State;
  found: string;
  /** The command that fixes it; where there is more to say, a text with commands in backticks. */
  fix?: string;
  values: Values;
}

/** What was found; where that is not well, with the code of its row in docs/troubleshooting.md. */
export function foundWithCode({ id, state, found }: Finding): string {
  return state === "ok" ? found : withCode(found, id);
}

/** Writes findings of one subject. */
export interface About {
  ok: (found: string, values?: Values) => Finding;
  skipped: (found: string) => Finding;
  warning: (found: string, fix?: string, values?: Values) => Finding;
  problem: (found: string, fix?: string, values?: Values) => Finding;
}

export function about(id: string, subject: string, account?: string): About {
  const finding = (state: State, found: string, fix?: string, values: Values = {}): Finding => ({
    id,
    subject,
    ...(account === undefined ? {} : { account }),
    state,
    found,
    ...(fix === undefined ? {} : { fix }),
    values,
  });
  return {
    ok: (found, values) => finding("ok", found, undefined, values),
    skipped: (found) => finding("skipped", found),
    warning: (found, fix, values) => finding("warning", found, fix, values),
    problem: (found, fix, values) => finding("problem", found, fix, values),
  };
}
