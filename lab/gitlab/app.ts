/** What every part of the lab's GitLab shares. */
import type { JWK } from "jose";
import type { Run } from "./plan";
import type { Store, User } from "./store";

export interface Keys {
  public: JWK[];
  /** Index 1 signs job tokens, as GitLab keeps a key of its own for them. */
  private: JWK[];
}

export interface Note {
  id: number;
  body: string;
  created_at: string;
  updated_at: string;
  author: User;
}

export interface MergeRequest {
  iid: number;
  project_id: number;
  title: string;
  source_branch: string;
  target_branch: string;
  notes: Note[];
}

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
  /** How the pipelines were planned that were created since the start, by id. */
  runs: Map<number, Run>;
  /** Pipelines under way, by id. */
  running: Map<number, { done: Promise<void>; cancel: () => void }>;
  /** Jobs that hold or wait for a resource group or a runner. */
  queues: Map<string, { inside: number; waiting: (() => void)[] }>;
  /** Called when the runners have changed. */
  runnerWaiters: Set<() => void>;
  /** Since the start. */
  mergeRequests: MergeRequest[];
  /** When a user last played a schedule, by both ids. */
  plays: Map<string, number>;
  /** Requests a minute and token; undefined = as many as one likes, and no headers about it. */
  rateLimit: number | undefined;
  /** Requests of a token in a minute, by its id and the minute's number. */
  requestCounts: Map<string, number>;
}

export const timestamp = (app: App) => new Date(app.now()).toISOString();
