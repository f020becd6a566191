/** What a pipeline's file comes to: its jobs, and with what they run. */
import type { Variables } from "./ciRules";
import type { Schedule, User } from "./store";

export interface Rule {
  if?: string;
  when?: string;
  allow_failure?: boolean;
  variables?: Record<string, unknown>;
  exists?: unknown;
}

/** A job as it stands in the expanded file; only what this server acts on is spelled out. */
export interface JobYaml {
  [key: string]: unknown;
  stage?: string;
  when?: string;
  start_in?: string;
  tags?: string[];
  allow_failure?: boolean | object;
  rules?: Rule[];
  parallel?: number | object;
  variables?: Record<string, unknown>;
  inherit?: { default?: boolean | string[]; variables?: boolean | string[] };
  environment?: string | { name: string; action?: string; deployment_tier?: string };
  id_tokens?: Record<string, { aud: string | string[] }>;
  timeout?: string;
  resource_group?: string;
  needs?: (string | { job: string })[];
  dependencies?: string[];
  artifacts?: { paths?: string[]; reports?: { junit?: string | string[] } };
}

export interface JobPlan {
  name: string;
  stage: string;
  when: string;
  allowFailure: boolean;
  /** Of the file alone: global, workflow, job and rule. */
  variables: Variables;
  /** Set for `parallel:`, from 1. */
  node?: { index: number; total: number };
  yaml: JobYaml;
}

export interface Plan {
  stages: string[];
  jobs: JobPlan[];
}

export interface Run {
  plan: Plan;
  user: User;
  schedule: Schedule | undefined;
  predefined: Variables;
}
