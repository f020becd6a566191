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
  /** User id to access level. */
  members: Record<number, number>;
  variables: ProjectVariable[];
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
  updated_at?: string;
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
  updated_at?: string;
}

/** What a pushed commit must be like; an empty pattern allows everything. */
export interface PushRule {
  id: number;
  created_at: string;
  commit_message_regex: string;
  commit_message_negative_regex: string;
  branch_name_regex: string;
  author_email_regex: string;
  file_name_regex: string;
  member_check: boolean;
  reject_non_dco_commits: boolean;
}

export interface ProtectedEnvironment {
  name: string;
  /** Who may deploy: the lowest level. */
  deploy_level: number;
  required_approvals: number;
}

/** What runs jobs: those whose tags it has, and those without any if `run_untagged`. */
export interface Runner {
  id: number;
  description: string;
  tag_list: string[];
  run_untagged: boolean;
  paused: boolean;
}

export interface Environment {
  id: number;
  name: string;
  tier: string;
  created_at: string;
}

export type JobStatus =
  | "created"
  | "waiting_for_resource"
  | "pending"
  | "running"
  | "success"
  | "failed"
  | "canceled"
  | "skipped"
  | "manual"
  | "scheduled";

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
  tag_list: string[];
  runner_id: number | null;
  /** Of a job that deploys to an environment. */
  deployment: Deployment | null;
}

export interface Deployment {
  environment: string;
  /** How many have to approve before the job may be played. */
  required_approvals: number;
  approvals: { user_id: number; status: "approved" | "rejected" }[];
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
  protected_environments: ProtectedEnvironment[];
  push_rule: PushRule | null;
  pipelines: Pipeline[];
}

export interface State {
  ids: Record<string, number>;
  users: User[];
  tokens: Token[];
  namespaces: Namespace[];
  projects: Project[];
  /** Of the instance. */
  variables: ProjectVariable[];
  runners: Runner[];
  /** What the licence allows: push rules and protected environments are Premium. */
  plan: "free" | "premium";
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
  const state = withDefaults(text ? (JSON.parse(text) as Partial<State>) : {});

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

/** What an earlier lab did not know is as it was then. */
function withDefaults(stored: Partial<State>): State {
  const empty = { ids: {}, users: [], tokens: [], namespaces: [], projects: [], keys: [] };
  const runner = { id: 1, description: "lab", tag_list: [], run_untagged: true, paused: false };
  const state: State = { ...empty, variables: [], runners: [runner], plan: "free", ...stored };
  for (const namespace of state.namespaces) {
    namespace.members ??= {};
    namespace.variables ??= [];
  }
  for (const project of state.projects) {
    project.protected_environments ??= [];
    project.push_rule ??= null;
    for (const job of project.pipelines.flatMap(({ jobs }) => jobs)) {
      job.tag_list ??= [];
      job.runner_id ??= null;
      job.deployment ??= null;
    }
  }
  return state;
}
