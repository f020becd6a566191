/** What the lab's GitLab knows, and how it survives a restart. Records carry the API's own field names. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface User {
  id: number;
  username: string;
  name: string;
  email: string;
  admin: boolean;
  state: "active" | "blocked";
  created_at: string;
}

/** A personal access token; only its SHA-256 is kept. */
export interface Token {
  id: number;
  user_id: number;
  name: string;
  hash: string;
  scopes: string[];
  expires_at: string | null;
}

export interface Namespace {
  id: number;
  kind: "group" | "user";
  name: string;
  full_path: string;
  parent_id: number | null;
}

export interface Variable {
  variable_type: string;
  key: string;
  value: string;
  raw: boolean;
}

export interface ProjectVariable extends Variable {
  protected: boolean;
  masked: boolean;
  hidden: boolean;
  environment_scope: string;
  description: string | null;
}

export interface Schedule {
  id: number;
  description: string;
  ref: string;
  cron: string;
  cron_timezone: string;
  next_run_at: string | null;
  active: boolean;
  created_at: string;
  updated_at: string;
  owner_id: number;
  variables: Variable[];
  inputs: { name: string; value: unknown }[];
}

export interface AccessLevel {
  id: number;
  access_level: number | null;
  user_id: number | null;
}

export interface ProtectedRef {
  id: number;
  name: string;
  push_access_levels: AccessLevel[];
  merge_access_levels: AccessLevel[];
  allow_force_push: boolean;
}

export interface Environment {
  id: number;
  name: string;
  tier: string;
  created_at: string;
}

export type JobStatus =
  "created" | "pending" | "running" | "success" | "failed" | "canceled" | "skipped" | "manual";

export interface Job {
  id: number;
  name: string;
  stage: string;
  status: JobStatus;
  allow_failure: boolean;
  failure_reason: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  junit: string[];
}

export interface Pipeline {
  id: number;
  iid: number;
  user_id: number;
  schedule_id: number | null;
  ref: string;
  ref_type: "branch" | "tag";
  protected: boolean;
  sha: string;
  source: string;
  status: JobStatus;
  yaml_errors: string | null;
  variables: Variable[];
  created_at: string;
  updated_at: string;
  started_at: string | null;
  finished_at: string | null;
  jobs: Job[];
}

export interface Project {
  id: number;
  name: string;
  path: string;
  namespace_id: number;
  description: string;
  visibility: "private" | "internal" | "public";
  default_branch: string;
  creator_id: number;
  created_at: string;
  updated_at: string;
  archived: boolean;
  /** Settings that differ from projectDefaults.json. */
  settings: Record<string, unknown>;
  /** User id to access level. */
  members: Record<number, number>;
  variables: ProjectVariable[];
  schedules: Schedule[];
  protected_branches: ProtectedRef[];
  protected_tags: string[];
  environments: Environment[];
  pipelines: Pipeline[];
}

export interface State {
  ids: Record<string, number>;
  users: User[];
  tokens: Token[];
  namespaces: Namespace[];
  projects: Project[];
  /** Private RSA keys as JWK: the OpenID one, then the one that signs job tokens. */
  keys: Record<string, unknown>[];
}

export interface Store {
  readonly dir: string;
  readonly state: State;
  /** The next id of a kind, from 1. */
  nextId(kind: string): number;
  /** Resolves when everything changed before the call is on disk. */
  save(): Promise<void>;
}

/** Opens the state below `dir`, or begins an empty one. */
export async function openStore(dir: string): Promise<Store> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, "state.json");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  const state: State = text
    ? (JSON.parse(text) as State)
    : { ids: {}, users: [], tokens: [], namespaces: [], projects: [], keys: [] };

  let changed = false;
  let writing: Promise<void> | undefined;
  async function write(): Promise<void> {
    try {
      while (changed) {
        changed = false;
        await writeFile(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
        await rename(`${file}.new`, file);
      }
    } finally {
      writing = undefined;
    }
  }
  return {
    dir,
    state,
    nextId: (kind) => (state.ids[kind] = (state.ids[kind] ?? 0) + 1),
    save() {
      changed = true;
      return (writing ??= write());
    },
  };
}
