import { z } from "zod";
import { parseDuration } from "../core/duration";
import { isWebhook, readEndpoint, shardPlaceholder } from "../net/endpoint";
import { commitMessage, usualCommitMessage } from "../desired/commitMessage";
import { tagPattern } from "../desired/pipelineFile";
import { nextRuns } from "../desired/schedule";
import { key, metaOf } from "./keys";

const mostAccounts = 2_000;
const shortestLifetime = 2 * 3600;
const daySeconds = 24 * 3600;

const segment = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?";
export const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** The path of a mount that this stack makes. */
export const ownPathPattern = new RegExp(`^${segment}(?:/${segment})*$`);
const noControls = /^[^\p{Cc}\p{Cf}\u2028\u2029]+$/u;

export const nameText =
  "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";
export const ownPathText =
  "a path of lower-case letters, digits, - and _ without a slash at its ends, such as apisec";
const pathText =
  "the path of a mount: letters, digits, dots, - and _ without a slash at its ends, such as jwt/gitlab.example.com";
export const urlText =
  "an https:// address without user, query or trailing path (http:// on this machine only)";
export const cronText = "five cron fields, such as 17 */6 * * *";
const cronRangeText =
  "minute 0-59, hour 0-23, day 1-31, month 1-12 and weekday 0-7, such as 17 */6 * * *";
const lifetimeText = "a duration of 2h or more, such as 24h";
const ageText = "a number of days, such as 90d";
const webhookText = "an https:// address without user or blanks, set with --secret";
const zoneText = "a time zone such as UTC or Europe/Berlin";
const tagText = "a runner's tag, such as docker: letters, digits, blanks inside and _ . : / @ + -";
const commitText =
  "one to ten lines of text, in which {path}, {project} and {stack} stand for the file's path, this project and this stack";

/** `pulumi config set --path` makes a number of what looks like one: that is a text, too. Blanks at the ends are none of it. */
function trimmed(value: unknown): unknown {
  if (typeof value === "string") return value.trim();
  return Number.isSafeInteger(value) ? String(value) : value;
}

/** A text without blanks at its ends. */
function text(expected: string, pattern: RegExp, most = 255) {
  return z.preprocess(
    trimmed,
    z.string({ error: expected }).max(most, expected).regex(pattern, expected),
  );
}

/** A server's address as it is asked: without a slash at its end. */
function endpoint(path: "path" | "origin") {
  return z.string({ error: urlText }).transform((value, context) => {
    const read = readEndpoint(value.trim(), path);
    if ("address" in read) return read.address;
    context.addIssue({ code: "custom", message: urlText });
    return z.NEVER;
  });
}

/** A duration, or a number of days, of at least so many seconds; read as seconds. */
function duration(expected: string, least: number) {
  return z.string({ error: expected }).transform((value, context) => {
    const given = value.trim();
    const days = /^(\d{1,5})d$/.exec(given)?.[1];
    const seconds = days === undefined ? parseDuration(given) : Number(days) * daySeconds;
    if (seconds !== undefined && seconds >= least) return seconds;
    context.addIssue({ code: "custom", message: expected });
    return z.NEVER;
  });
}

const flag = () => z.boolean({ error: "true or false" });
const apiPath = () =>
  text("a path that begins with one slash", /^\/(?!\/)[A-Za-z0-9_\-./?=&{}%]*$/, 500).optional();
const cronField = "(?:[\\d*,/-]|[A-Za-z]{3})+";

/** As Vault stores it: lines that end in one way, and none at the end. */
const pem = z.preprocess(
  (value) => (typeof value === "string" ? value.trim().replaceAll(/[ \t]*\r?\n\s*/g, "\n") : value),
  z
    .string({ error: "a public key in PEM form" })
    .regex(
      /^-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY)-----\n[A-Za-z0-9+/=\n]+\n-----END \1-----$/,
      "a public key in PEM form",
    ),
);

/** A secret address that the job asks. */
const secretAddress = () =>
  z.preprocess(
    trimmed,
    z
      .string({ error: webhookText })
      .max(2_000, webhookText)
      .refine((value) => isWebhook(value.replaceAll(shardPlaceholder, "1")), webhookText),
  );

export const accountShape = {
  name: key(
    text(nameText, namePattern),
    "its folder in Vault: lower-case letters, digits and hyphens",
  ),
  username: key(
    text("the user name that APIsec mailed", /^[^\s\p{Cc}\p{Cf}/]+$/u),
    "user name at APIsec",
  ),
  host: key(endpoint("origin").optional(), "APIsec host", { otherwise: "`apisecUrl`" }),
  organization: key(
    text("the organisation's name or id", noControls).optional(),
    "name or id; a login that belongs to another organisation is refused",
    { otherwise: "as APIsec says" },
  ),
  passwordGeneration: key(
    z
      .int({ error: "a whole number of 1 or more" })
      .min(1, "a whole number of 1 or more")
      .max(1_000_000, "a whole number of at most 1000000")
      .default(1),
    "raise it to have the password changed",
  ),
  changedBy: key(
    text("the name of another account of this stack", namePattern).optional(),
    "the account whose token makes the change",
    { otherwise: "itself" },
  ),
  acceptAdminToken: key(
    flag().default(false),
    "publish the token although it carries `ROLE_ADMIN`",
  ),
  publishToken: key(flag().default(true), "whether developers read its token"),
  renamedFrom: key(
    text("the account's former name", namePattern).optional(),
    "former `name`: the record is copied to the new one",
  ),
};

const projectPath = "[A-Za-z0-9_][\\w.-]*";
const projectPattern = new RegExp(`^(\\d+|${projectPath}(/${projectPath})+)$`);

/** A GitLab project, or the projects of a group, whose pipelines read tokens. */
export const consumerShape = {
  name: key(
    text(nameText, namePattern),
    "its role and policy are named `<prefix>-<stack>-consumer.<name>`",
  ),
  project: key(
    text("a GitLab project's id or full path, such as payments/api", projectPattern).optional(),
    "GitLab project, id or full path; this or `group`",
  ),
  group: key(
    text(
      "a GitLab group's id or full path, such as payments",
      new RegExp(`^(\\d+|${projectPath}(/${projectPath})*)$`),
    ).optional(),
    "the projects directly in a GitLab group, id or full path; this or `project`",
  ),
  accounts: key(
    z
      .array(text("the name of an account of this stack", namePattern), {
        error: "a list of accounts",
      })
      .min(1, "at least one account, or no list at all: then it reads all tokens")
      .optional(),
    "whose tokens it reads",
    { otherwise: "all published" },
  ),
};

// Everything that Vault's API finds by name, but for what a policy cannot name exactly: `*` at the end, a segment
// `+`, and templates.
const group =
  /^(?![\s/])(?!(?:.*\/)?(?:\.{0,2}|\+)(?:\/|$))(?!.*(?:\{\{|\}\}))[^\p{Cc}\p{Cf}\u2028\u2029]*[^\p{Cc}\p{Cf}\s/*]$/u;
const groupText =
  "the name of a Vault identity group, without *, {{ or }}, and without blanks or slashes at its ends";
const groups = () => z.array(untrimmed(groupText, group), { error: "a list of identity groups" });

/** A text in which blanks at the ends are a mistake: Vault would keep them. */
function untrimmed(expected: string, pattern: RegExp) {
  return z.preprocess(
    (value) => (Number.isSafeInteger(value) ? String(value) : value),
    z.string({ error: expected }).max(255, expected).regex(pattern, expected),
  );
}

export const pathsShape = {
  login: key(apiPath(), "path of the login"),
  whoAmI: key(apiPath(), "path that says whose token it is"),
  change: key(apiPath(), "path that changes a password"),
  probe: key(apiPath(), "path that a new token is tried at"),
};

/** Every key. `accounts`, `consumers` and `apisecPaths` are read field by field, with the shapes above. */
export const shape = {
  accounts: key(
    z
      .array(z.unknown(), { error: "a list of accounts" })
      .min(1, "at least one account")
      .max(mostAccounts, `at most ${mostAccounts} accounts a stack`),
    "the service accounts, at most 2,000; fields below",
  ),
  firstPasswords: key(
    z.record(z.string(), z.string().min(1)).default({}),
    "account name → the password that APIsec mailed; needed until it has been changed",
    { secret: true },
  ),
  apisecUrl: key(
    endpoint("origin").prefault("https://cloud.apisec.ai"),
    "APIsec host of accounts that name none",
  ),
  mount: key(
    text(pathText, mountPattern()).default("apisec"),
    "KV version 2 mount for passwords and tokens",
  ),
  createMount: key(flag().default(true), "whether this stack owns the mount, or only uses it"),
  shareMount: key(
    flag().default(false),
    "whether other stacks may use the mount that this stack owns",
  ),
  authPath: key(
    text(pathText, mountPattern()).default("gitlab"),
    "JWT auth mount that GitLab's jobs log in at",
  ),
  createAuth: key(flag().default(true), "whether this stack owns the auth mount, or only uses it"),
  jwksUrl: key(
    endpoint("path").optional(),
    "where Vault finds GitLab's keys if it cannot reach GitLab; this or `jwtPublicKeys`",
    { otherwise: "discovery at `gitlab:baseUrl`" },
  ),
  jwtPublicKeys: key(
    z.array(pem, { error: "a list of PEM keys" }).min(1, "at least one PEM key").optional(),
    "GitLab's keys themselves, in PEM form; these or `jwksUrl`",
    { otherwise: "discovery at `gitlab:baseUrl`" },
  ),
  policyPrefix: key(
    text(nameText, namePattern).default("apisec"),
    "policies and roles are named `<prefix>-<stack>-<admin|developer|rotator>`",
  ),
  gitlabProject: key(
    text(
      "the rotation project's id or full path, such as platform/apisec-rotation",
      projectPattern,
    ),
    "the rotation project, id or full path",
  ),
  gitlabBranch: key(
    text("a branch name", /^(?!.*(\.\.|\/\/|@\{))[A-Za-z0-9_][A-Za-z0-9_./-]*$/).default("main"),
    "protected branch of the rotation project that the schedule runs on",
  ),
  manageProjectFiles: key(
    flag().default(true),
    "whether to deliver pipeline file and script into the rotation project",
  ),
  pipelineFile: key(
    z.enum(["own", "shared", "included"], { error: "own, shared or included" }).default("own"),
    "`own`: `.gitlab-ci.yml` is this stack's; `shared`: it includes every stack's job; `included`: it is yours and includes this stack's",
  ),
  commitMessage: key(
    z
      .string({ error: commitText })
      .transform((value) => value.replaceAll("\r\n", "\n").trim())
      .refine(isCommitMessage, commitText)
      .default(usualCommitMessage),
    "message of the commits into the rotation project, with `{path}`, `{project}` and `{stack}`; keep `[skip ci]` where pushes to that project run pipelines",
  ),
  jobImage: key(
    text(
      "a container image with node 20 or newer and an exact version or digest, such as node:26.11.1-alpine3.24",
      /^[a-z0-9][\w./:-]*(:[\w-]*\d[\w.-]*|@sha256:[0-9a-f]{64})$/,
    ).optional(),
    "image of the job; needs node 20.19 or newer and nothing else",
    { otherwise: "`node` 22, pinned" },
  ),
  jobTags: key(
    z
      .array(text(tagText, tagPattern, 100), { error: "a list of runner tags" })
      .min(1, "at least one tag, or no list at all")
      .max(20, "at most 20 tags")
      .optional(),
    "tags of the runner that the job needs",
    { otherwise: "none" },
  ),
  cron: key(
    z
      .preprocess(
        (value) => (typeof value === "string" ? value.trim().replaceAll(/\s+/g, " ") : value),
        z
          .string({ error: cronText })
          .max(255, cronText)
          .regex(new RegExp(`^${cronField}(?: ${cronField}){4}$`), { error: cronText, abort: true })
          .refine(isCron, cronRangeText),
      )
      .default("17 */6 * * *"),
    "when the tokens are rotated: five cron fields, at least twice a day; a gap over 12 h is refused, and no spare run is a warning",
  ),
  cronTimezone: key(
    text(zoneText, /^[A-Za-z][A-Za-z0-9_+/-]*$/)
      .refine(isTimeZone, zoneText)
      .default("UTC"),
    "time zone of `cron`",
  ),
  firstRun: key(
    z.enum(["wait", "start", "off"], { error: "wait, start or off" }).default("wait"),
    "after an `up` that changed what the job depends on, its schedule is played once: `wait` for the pipeline, only `start` it, or `off`",
  ),
  tokenLifetime: key(
    duration(lifetimeText, shortestLifetime).prefault("24h"),
    "how long APIsec's tokens live; a shorter one is not stored",
  ),
  tokenEndsInVault: key(
    flag().default(true),
    "whether Vault deletes a token before it ends; `false` where readers take a future `deletion_time` for deleted ([which ones](consumers.md#readers-that-misread-a-future-deletion-time)): then `expires_at` alone says when it ends",
  ),
  passwordMaxAge: key(
    duration(ageText, daySeconds).optional(),
    "how old a password may become, such as `90d`: past it `check` reports a problem, and `renew --due` has it changed",
    { otherwise: "any age" },
  ),
  apisecPaths: key(
    z.unknown(),
    "`login`, `whoAmI`, `change` and `probe`, where a tenant's API differs",
    { otherwise: "APIsec's" },
  ),
  adminGroups: key(
    groups().default([]),
    "Vault identity groups whose members are given the policy `-admin`",
  ),
  developerGroups: key(
    groups().default([]),
    "Vault identity groups whose members are given the policy `-developer`",
  ),
  consumers: key(
    z.array(z.unknown(), { error: "a list of consumers" }).default([]),
    "GitLab projects or groups whose pipelines read tokens; fields below",
  ),
  webhookUrl: key(
    secretAddress().optional(),
    "`https://` address that the job tells of failures, see [Monitor and alert](monitoring.md)",
    {
      secret: true,
    },
  ),
  heartbeatUrl: key(
    secretAddress().optional(),
    "`https://` address that the job asks after a run in which every account is fresh, with `/fail` after any other; `{shard}` in it stands for the number of the job, where several share more than 500 accounts",
    { secret: true },
  ),
};

/** Names of the keys that are secret. */
export const secretNames: readonly string[] = Object.entries(shape)
  .filter(([, type]) => metaOf(type).secret)
  .map(([name]) => name);

/** A mount of whomever: what a policy's path and a shell command name as it is. */
function mountPattern(): RegExp {
  const part = "[A-Za-z0-9_][\\w.-]*";
  return new RegExp(`^(?!.*\\.\\.)${part}(?:/${part})*$`);
}

function isCommitMessage(value: string): boolean {
  const known = commitMessage(value, { path: "x", project: "x", stack: "x" });
  return (
    value !== "" &&
    value.length <= 1_000 &&
    value.split("\n").length <= 10 &&
    !/[{}]|[^\P{Cc}\n]|\p{Cf}/u.test(known)
  );
}

function isCron(value: string): boolean {
  return works(() => nextRuns(value, "UTC", 0, 1));
}

function isTimeZone(value: string): boolean {
  return works(() => new Intl.DateTimeFormat("en-US", { timeZone: value }));
}

function works(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
