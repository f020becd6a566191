/** One thing that was looked at, and what was found; no field holds a secret. */
export interface Finding {
  what: string;
  state: "ok" | "warning" | "problem";
  found: string;
  /** The command, or the step, that mends it. */
  fix?: string;
}
