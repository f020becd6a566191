import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDuration } from "../core/duration";
import { packageFolder } from "./packageFolder";

export interface PipelineOptions {
  /** The first line, by which the file's owner is known. */
  marker: string;
  stack: string;
  /** The one `aud` of the job's ID token; the Vault role names the same. */
  audience: string;
  /** The job's image, with an exact version or digest. */
  image: string;
  /** The least life of a new token, such as `23h30m`. */
  minLifetime: string;
  timeoutMinutes: number;
  /** Jobs that share the accounts; 1 = one job, without numbers in its name. */
  shards: number;
  /** The file in the project with one account a line; without it the accounts are in APISEC_ACCOUNTS. */
  accountsFile?: string | undefined;
  /** The path of the rotation job's script in the project. */
  script: string;
  /**
   * The description of the stack's schedule, where the pipeline file is one that other files include too:
   * the jobs then run for that schedule alone, and their names are of this stack.
   */
  sharedWith?: string | undefined;
  /** The runner must have all of them. */
  tags?: readonly string[] | undefined;
  /** Variables that the job is given in its script; those named there are safe from CI variables. */
  settings?: Record<string, string>;
}

/** The image of the rotation job where the stack names none. */
export const defaultImage =
  "node:26.11.1-alpine3.24@sha256:143494b1da2945f061539253adc65e4f1569ddf07da2d384c022c791a9d90a4a";

/** A runner's tag. */
export const tagPattern = /^[\p{L}\p{N}_./:@+-](?:[\p{L}\p{N} _./:@+-]*[\p{L}\p{N}_./:@+-])?$/u;

const shapes: Record<string, RegExp> = {
  marker: /^# [\w ./:@[\]-]{1,400}$/,
  stack: /^[\w.-]{1,100}$/,
  audience: /^[A-Za-z0-9:/._~-]{1,255}$/,
  // Pinned: a tag that is more than a word such as `latest` or `lts`, or a digest.
  image: /^[a-z0-9][\w./:-]*(:[\w-]*\d[\w.-]*|@sha256:[0-9a-f]{64})$/,
  accountsFile: /^(?!.*\.\.)[\w-][\w./-]*$/,
  script: /^(?!.*\.\.)[\w-][\w./-]*$/,
  sharedWith: /^[\w ./-]{1,255}$/,
};

const scheduled = '$CI_PIPELINE_SOURCE == "schedule"';
/** Only for schedules does GitLab begin a pipeline at all. */
const workflow = ["workflow:", "  rules:", `    - if: ${scheduled}`, "", ""].join("\n");

/**
 * The `.gitlab-ci.yml` of the rotation project, or the file that it includes: a job, or one a shard, each
 * with a resource group of its own (in a common one they would wait for each other). Throws where a
 * value does not fit: all of them end up in YAML, where GitLab also expands `$`.
 */
export function renderPipeline(options: PipelineOptions): string {
  check(options);
  const { settings = {}, sharedWith, shards, tags, accountsFile, minLifetime, ...plain } = options;
  const template = readFileSync(join(packageFolder(), "job", "gitlab-ci.yml"), "utf8");
  const start = template.indexOf("{{job}}:");
  const head = fill(template.slice(0, start), { marker: options.marker });
  const alone = sharedWith === undefined;
  const values = {
    ...plain,
    stage: alone ? "deploy" : "$[[ inputs.stage ]]",
    // Before GitLab 17.8 a job does not know whose schedule it runs for: then it runs for all of them.
    condition: alone
      ? scheduled
      : `${scheduled} && ($CI_PIPELINE_SCHEDULE_DESCRIPTION == null || $CI_PIPELINE_SCHEDULE_DESCRIPTION == "${sharedWith}")`,
    tags: tags === undefined ? undefined : `[${tags.map((tag) => JSON.stringify(tag)).join(", ")}]`,
  };
  const own = {
    ...settings,
    APISEC_MIN_LIFETIME: minLifetime,
    APISEC_REPORT: "rotation-report.xml",
    APISEC_METRICS: "rotation-metrics.txt",
    // A variable of that name may be another's, of the group above.
    ...(accountsFile === undefined
      ? {}
      : { APISEC_ACCOUNTS: "", APISEC_ACCOUNTS_FILE: accountsFile }),
  };
  const jobs = Array.from({ length: shards }, (_, position) => {
    const number = position + 1;
    return fill(template.slice(start), {
      ...values,
      // With a blank: `prod-1` may be a stack of its own.
      job: `${alone ? "rotate" : `apisec-${options.stack}`}${shards > 1 ? ` ${number}/${shards}` : ""}`,
      resourceGroup: `apisec-${options.stack}-rotate${shards > 1 ? `-${number}` : ""}`,
      settings: assignments({ ...own, CI_NODE_INDEX: `${number}`, CI_NODE_TOTAL: `${shards}` }),
    });
  });
  return head + (alone ? workflow : stageInput) + jobs.join("\n");
}

/** Whoever includes the file may have no stage `deploy`. */
const stageInput = "spec:\n  inputs:\n    stage:\n      default: deploy\n---\n";

/** The first line of the pipeline file that stacks share: it is of no stack alone. */
export const sharedMarker = "# managed by apisec-credentials for every stack of this project";

/** The `.gitlab-ci.yml` of a rotation project that stacks share: it includes the file of each. */
export function renderRoot(): string {
  return [
    sharedMarker,
    "# The jobs that rotate APIsec's access tokens, a file of each stack. Written by `pulumi up`.",
    `${workflow}include:`,
    "  - local: /apisec/*.yml",
    "",
  ].join("\n");
}

/** One line a variable, as the script's block of YAML wants them. */
function assignments(values: Record<string, string>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${shellQuote(value)} \\\n        `)
    .join("");
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function check(options: PipelineOptions): void {
  const { timeoutMinutes, shards } = options;
  const wrong = Object.entries(shapes)
    .filter(([key, shape]) => {
      const value = options[key as keyof PipelineOptions];
      return typeof value === "string" && !shape.test(value);
    })
    .map(([key]) => key);
  // Nothing that YAML, a shell or a reader of the file could take for the end of a value.
  const settings = Object.entries(options.settings ?? {}).flat();
  if (!settings.every((text) => /^[!-~]*$/.test(text))) wrong.push("settings");
  if (options.tags?.length === 0 || options.tags?.some((tag) => !tagPattern.test(tag))) {
    wrong.push("tags");
  }
  if (parseDuration(options.minLifetime) === undefined) wrong.push("minLifetime");
  if (!Number.isInteger(timeoutMinutes) || timeoutMinutes < 1 || timeoutMinutes > 15) {
    wrong.push("timeoutMinutes (1 to 15)");
  }
  if (!Number.isInteger(shards) || shards < 1 || shards > 100) wrong.push("shards (1 to 100)");
  if (wrong.length > 0) throw new Error(`cannot write the pipeline file: bad ${wrong.join(", ")}`);
}

/** Fills the placeholders in; a line whose value is undefined is left out. */
function fill(template: string, values: Record<string, string | number | undefined>): string {
  const lines = template.split("\n").map((line) => {
    let absent = false;
    const filled = line.replace(/\{\{(\w+)\}\}/g, (_, key: string) => {
      absent ||= values[key] === undefined;
      return String(values[key]);
    });
    return absent ? [] : [filled];
  });
  return lines.flat().join("\n");
}
