/** The pipeline file: expanded by gitlab-ci-local, filtered by its rules, one plan a job. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { version } from "gitlab-ci-local/package.json";
import { parse, parseAllDocuments } from "yaml";
import { writeWhole } from "../../cli/wholeFile";
import type { App } from "./app";
import { evaluate, type Variables } from "./ciRules";
import { text } from "./http";
import type { JobPlan, JobYaml, Plan, Rule } from "./plan";
import { checkOut, fileAt, readBlob, treeOf } from "./repository";

interface Config {
  stages: string[];
  workflow?: { rules?: Rule[] };
  variables?: Record<string, unknown>;
  jobs: Record<string, JobYaml>;
}

/** What stops a pipeline from being created; the text goes to the user. */
export class ConfigError extends Error {}

export const gitlabCiLocal = join(
  dirname(require.resolve("gitlab-ci-local/package.json")),
  "src/index.js",
);

/** What a job's process gets of this process's environment. */
export const childEnvironment = (app: App, home: string) => ({
  PATH: [...app.toolPath, process.env["PATH"] ?? ""].join(delimiter),
  HOME: home,
  LANG: "C.UTF-8",
});

const cache = join(__dirname, "..", "..", ".lab", "ci-config");

/** Reads and expands the pipeline file of a commit. */
async function readConfig(app: App, dir: string, sha: string, file: string): Promise<Config> {
  const found = await fileAt(dir, sha, file);
  if (!found) throw new ConfigError("Missing CI config file");
  const text = (await readBlob(dir, found.blob)).toString();
  const output = await expanded(app, dir, sha, file);
  return toConfig(parse(output) as Record<string, unknown>, defaultsOf(text));
}

/**
 * What gitlab-ci-local makes of the pipeline file, or says against it, rests on the commit's files alone. It takes most
 * of a second of processor time at every push, so that it is kept, for other labs of this checkout too.
 */
async function expanded(app: App, dir: string, sha: string, file: string): Promise<string> {
  const key = JSON.stringify([version, await treeOf(dir, sha), file]);
  const kept = join(cache, createHash("sha256").update(key).digest("hex"));
  let answer = await readFile(kept, "utf8")
    .then((text) => JSON.parse(text) as Answer)
    .catch(() => undefined);
  if (answer === undefined) {
    answer = await runGitlabCiLocal(app, dir, sha, file);
    await mkdir(cache, { recursive: true });
    writeWhole(kept, JSON.stringify(answer));
  }
  if ("wrong" in answer) throw new ConfigError(answer.wrong);
  return answer.output;
}

type Answer = { output: string } | { wrong: string };

async function runGitlabCiLocal(app: App, dir: string, sha: string, file: string): Promise<Answer> {
  const scratch = await mkdtemp(join(app.store.dir, "expand-"));
  try {
    const checkout = join(scratch, "repository");
    await checkOut(dir, sha, checkout, "http://localhost/group/project.git");
    const args = [gitlabCiLocal, "--preview", "--no-color", "--home", scratch, "--file", file];
    return await new Promise<Answer>((resolve, reject) =>
      execFile(
        process.execPath,
        args,
        { cwd: checkout, env: childEnvironment(app, scratch), maxBuffer: 2 ** 26 },
        (error, stdout, stderr) => {
          if (!error) resolve({ output: stdout });
          else if (typeof error.code === "number") resolve({ wrong: complaint(stderr) });
          else reject(new Error(error.message));
        },
      ),
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** gitlab-ci-local's own words without its remarks and its stack. */
const complaint = (output: string): string =>
  output
    .split("\n")
    .filter(
      (row) => !/^(\s+at |Using fallback |Unable to retrieve default |parsing and )/.test(row),
    )
    .join("\n")
    .trim();

/** gitlab-ci-local drops these keywords of `default:`. */
function defaultsOf(text: string): JobYaml {
  const root = parseAllDocuments(text, { logLevel: "silent" }).at(-1)?.toJSON() as
    { default?: JobYaml } | undefined;
  const { id_tokens: tokens, timeout } = root?.default ?? {};
  return { ...(tokens && { id_tokens: tokens }), ...(timeout && { timeout }) };
}

function toConfig(root: Record<string, unknown>, defaults: JobYaml): Config {
  const { stages, workflow, variables, ...jobs } = root;
  for (const [name, job] of Object.entries(jobs as Record<string, JobYaml>)) {
    for (const keyword of ["only", "except", "trigger"]) {
      if (keyword in job) throw new ConfigError(`jobs:${name}: ${keyword} is not supported here`);
    }
    jobs[name] = { ...inherited(defaults, job.inherit?.default), ...job };
  }
  return { stages, workflow, variables, jobs } as Config;
}

/** Decides which jobs of the commit's pipeline file run, given the variables rules may look at. */
export async function planPipeline(
  app: App,
  commit: { dir: string; sha: string; file: string },
  variables: { predefined: Variables; override: Variables },
): Promise<Plan> {
  const config = await readConfig(app, commit.dir, commit.sha, commit.file);
  const global = texts(config.variables);
  const { predefined, override } = variables;
  const workflow = config.workflow?.rules
    ? firstRule(config.workflow.rules, { ...predefined, ...global, ...override })
    : {};
  if (!workflow || workflow.when === "never") {
    throw new ConfigError("Pipeline filtered out by workflow rules.");
  }
  const fromWorkflow = texts(workflow.variables);

  const jobs = Object.entries(config.jobs).flatMap(([name, yaml]): JobPlan[] => {
    const own = {
      ...inherited({ ...global, ...fromWorkflow }, yaml.inherit?.variables),
      ...texts(yaml.variables),
    };
    const known = { ...predefined, CI_JOB_NAME: name, ...own, ...override };
    const rule = yaml.rules ? firstRule(yaml.rules, known) : {};
    const when = rule?.when ?? yaml.when ?? "on_success";
    if (!rule || when === "never") return [];
    const plan = {
      name,
      stage: yaml.stage ?? "test",
      when,
      allowFailure: mayFail(rule, yaml),
      variables: { ...own, ...texts(rule.variables) },
      yaml,
    };
    if (yaml.parallel === undefined) return [plan];
    if (typeof yaml.parallel !== "number") {
      throw new ConfigError(`jobs:${name}: parallel:matrix is not supported here`);
    }
    const total = yaml.parallel;
    return Array.from({ length: total }, (_, at) => ({
      ...plan,
      name: `${name} ${at + 1}/${total}`,
      node: { index: at + 1, total },
    }));
  });
  if (jobs.length === 0) {
    throw new ConfigError(
      "The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.",
    );
  }
  const order = (plan: JobPlan) => config.stages.indexOf(plan.stage);
  return { stages: config.stages, jobs: jobs.sort((a, b) => order(a) - order(b)) };
}

/** A manual job may be left alone, unless a rule made it manual: then the pipeline waits for it. */
const mayFail = (rule: Rule, yaml: JobYaml): boolean =>
  rule.allow_failure ??
  (yaml.allow_failure === undefined
    ? yaml.when === "manual" && !yaml.rules
    : Boolean(yaml.allow_failure));

function firstRule(rules: Rule[], variables: Variables): Rule | undefined {
  return rules.find((rule) => {
    if (rule.exists) throw new ConfigError("rules:exists is not supported here");
    try {
      return rule.if === undefined || evaluate(rule.if, variables);
    } catch (error) {
      throw new ConfigError(`rules: ${(error as Error).message}`);
    }
  });
}

/** What a job takes of `default:` or the global variables. */
function inherited<T>(all: Record<string, T>, wanted: boolean | string[] = true) {
  const taken = Object.entries(all).filter(([key]) =>
    Array.isArray(wanted) ? wanted.includes(key) : wanted,
  );
  return Object.fromEntries(taken) as Record<string, T>;
}

/** Variables as text; in the long form the value alone. */
function texts(variables: Record<string, unknown> | undefined): Variables {
  const plain = Object.entries(variables ?? {}).map(([key, entry]) => {
    const value =
      typeof entry === "object" && entry !== null ? (entry as { value?: unknown }).value : entry;
    return [key, text(value) ?? ""] as const;
  });
  return Object.fromEntries(plain);
}

/** `1h 30m`, `10 minutes`, `90` (seconds) in seconds. */
export function seconds(text: string): number {
  const units: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };
  let total = 0;
  for (const [, amount, unit = "s"] of text.matchAll(/(\d+(?:\.\d+)?)\s*([smhdw])?[a-z]*/gi)) {
    total += Number(amount) * (units[unit.toLowerCase()] ?? 1);
  }
  return total;
}

/** Replaces `$NAME` and `${NAME}`; `$$` stands for a dollar sign. */
export const expand = (text: string, variables: Variables): string =>
  text.replace(/\$\$|\$(\w+)|\$\{(\w+)\}/g, (whole: string, name?: string, braced?: string) =>
    whole === "$$" ? "$" : (variables[name ?? braced ?? ""] ?? ""),
  );
