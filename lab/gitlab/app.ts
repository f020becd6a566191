/** What every part of the lab's GitLab shares. */
import type { Keys } from "./oidc";
import type { Store, User } from "./store";

export interface App {
  store: Store;
  state: Store["state"];
  /** Milliseconds since the epoch, shifted by the lab's wish. */
  now: () => number;
  /** Milliseconds the server's clock is ahead. */
  clockShift: number;
  /** The server's own URL without a trailing slash: the issuer of its tokens. */
  url: string;
  keys: Keys;
  /** Folders put before PATH in jobs. */
  toolPath: string[];
  /** Tokens of running jobs, by hash. */
  jobTokens: Map<string, { projectId: number; user: User }>;
  /** Pipelines under way, by id. */
  running: Map<number, { done: Promise<void>; cancel: () => void }>;
  /** Jobs that hold or wait for a resource group or the runner. */
  queues: Map<string, { inside: number; waiting: (() => void)[] }>;
}

export const timestamp = (app: App) => new Date(app.now()).toISOString();
