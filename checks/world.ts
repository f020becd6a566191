import type { Settings } from "../config/settings";
import { look } from "../clients/look";
import type { VaultConnection } from "../clients/vault";
import type { GitlabReader } from "../clients/gitlab";
import { printed } from "../core/printed";
import type { Printed } from "../core/printed";
import { runner } from "../desired/packageFolder";
import type { Send } from "../net/http";
import type { AuditLog } from "./auditLog";

/**
 * When a check is asked. `before`: by `doctor`, before an `up`. `in`: by the program, before anything is
 * registered. `after`: by `check`, of a stack that runs.
 */
export type Time = "before" | "in" | "after";

/** Whom the checks ask, and of what. Every path is asked once, however many checks look at it. */
export interface World {
  time: Time;
  settings: Settings;
  vault: VaultConnection;
  /** What Vault has at an API path; undefined where there is no such thing. Throws as `look` does. */
  look: (path: string) => Promise<Record<string, unknown> | undefined>;
  /** The same for the metadata of a key, which a stack that runs has. */
  lookForKey: World["look"];
  /** What GitLab answers; undefined where there is no token to ask with. */
  gitlab: GitlabReader | undefined;
  /** Milliseconds since 1970. */
  now: number;
  /** How commands for this stack are printed. */
  print: Printed;
  /** `in` a preview: it changes nothing, and its tokens may see less. */
  isPreview: boolean;
  /** `after`: from how many days on a password is old; 0 = never. */
  passwordAgeDays: number;
  /** `after`: the way to APIsec; given where tokens are to be read and tried. */
  apisec: Send | undefined;
  /** `after`: Vault's audit log, where it was given. */
  audit: AuditLog | undefined;
}

export type WorldOptions = Pick<World, "time" | "settings" | "vault" | "gitlab"> &
  Partial<Pick<World, "now" | "isPreview" | "passwordAgeDays" | "apisec" | "audit">> & {
    /** As `--stack` was given, where it was: commands are printed with it. */
    stack?: string;
  };

export function worldOf({ stack, ...options }: WorldOptions): World {
  const { settings, vault, gitlab } = options;
  return {
    now: Date.now(),
    isPreview: false,
    passwordAgeDays: 0,
    apisec: undefined,
    audit: undefined,
    print: printed(stack ?? settings.stack, runner()),
    ...options,
    look: once((path) => look(vault, path)),
    lookForKey: once(options.time === "after" ? lookTwice(vault) : (path) => look(vault, path)),
    gitlab: gitlab && once(gitlab),
  };
}

/** How long a standby that was just restarted may be behind, in milliseconds. */
const behindMs = 1_000;

/**
 * A standby that is behind answers 404 to what is there: so what seems to be missing is looked for again, all of it after
 * one wait.
 */
function lookTwice(vault: VaultConnection): World["look"] {
  let caughtUp: Promise<void> | undefined;
  return async (path) => {
    const found = await look(vault, path);
    if (found !== undefined) return found;
    await (caughtUp ??= vault.clock.sleep(behindMs));
    return look(vault, path);
  };
}

/** Gives the same promise for the same text. */
function once<T>(ask: (text: string) => Promise<T>): (text: string) => Promise<T> {
  const asked = new Map<string, Promise<T>>();
  return (text) => {
    const known = asked.get(text);
    if (known !== undefined) return known;
    const answer = ask(text);
    asked.set(text, answer);
    return answer;
  };
}
