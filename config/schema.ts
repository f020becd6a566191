import { z } from "zod";
import { parseDuration } from "../core/duration";
import { isWebhook, readEndpoint } from "../net/endpoint";
import { commitMessage, usualCommitMessage } from "../desired/commitMessage";
import { tagPattern } from "../desired/pipelineFile";
import { nextRuns } from "../desired/schedule";

const mostAccounts = 2_000;
const shortestLifetime = 2 * 3600;

const segment = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?";
export const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const pathPattern = new RegExp(`^${segment}(?:/${segment})*$`);
const noControls = /^[^\p{Cc}\p{Cf}\u2028\u2029]+$/u;

export const nameText =
  "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";
const pathText =
  "a path of lower-case letters, digits, - and _ without a slash at its ends, such as apisec";
export const urlText =
  "an https:// address without user, query or trailing path (http:// on this machine only)";
export const cronText = "five cron fields, such as 17 */6 * * *";
const lifetimeText = "a duration of 2h or more, such as 24h";
const webhookText = "an https:// address without user or blanks, set with --secret";
const tagText = "a runner's tag, such as docker: letters, digits, blanks inside and _ . : / @ + -";
const commitText =
  "one to ten lines of text, in which {path}, {project} and {stack} stand for the file's path, this project and this stack";
const zoneText = "a time zone such as UTC or Europe/Berlin";

/** A text of one line. `pulumi config set --path` makes a number of what looks like one: that is a text, too. */
function text(expected: string, pattern: RegExp, most = 255) {
  return z.preprocess(
    (value) => (Number.isSafeInteger(value) ? String(value) : value),
    z.string({ error: expected }).max(most, expected).regex(pattern, expected),
  );
}

const origin = z.string({ error: urlText }).transform((value, context) => {
  const endpoint = readEndpoint(value, "origin");
  if ("address" in endpoint) return endpoint.address;
  context.addIssue({ code: "custom", message: urlText });
  return z.NEVER;
});

const flag = z.boolean({ error: "true or false" });
const apiPath = text("a path that begins with one slash", /^\/(?!\/)[A-Za-z0-9_\-./?=&{}%]*$/, 500);
const pem = /^-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY)-----[\sA-Za-z0-9+/=]+-----END \1-----\s*$/;
const cronField = "(?:[\\d*,/-]|[A-Za-z]{3})+";

export const accountShape = {
  name: text(nameText, namePattern),
  username: text("the user name that APIsec mailed", /^[^\s\p{Cc}\p{Cf}/]+$/u),
  host: origin.optional(),
  organization: text("the organisation's name or id", noControls).optional(),
  passwordGeneration: z
    .int({ error: "a whole number of 1 or more" })
    .min(1, "a whole number of 1 or more")
    .max(1_000_000, "a whole number of at most 1000000")
    .default(1),
  changedBy: text("the name of another account of this stack", namePattern).optional(),
  acceptAdminToken: flag.default(false),
  publishToken: flag.default(true),
  renamedFrom: text("the account's former name", namePattern).optional(),
};

const projectPath = "[A-Za-z0-9_][\\w.-]*";
const projectPattern = new RegExp(`^(\\d+|${projectPath}(/${projectPath})+)$`);

/** A GitLab project, or the projects of a group, whose pipelines read tokens. */
export const consumerShape = {
  name: text(nameText, namePattern),
  project: text(
    "a GitLab project's id or full path, such as payments/api",
    projectPattern,
  ).optional(),
  group: text(
    "a GitLab group's id or full path, such as payments",
    new RegExp(`^(\\d+|${projectPath}(/${projectPath})*)$`),
  ).optional(),
  accounts: z
    .array(text("the name of an account of this stack", namePattern), {
      error: "a list of accounts",
    })
    .min(1, "at least one account, or no list at all: then it reads all tokens")
    .optional(),
};

// No wildcard of a policy path, and nothing that HCL or a URL reads as something else.
const groupPart = "[\\p{L}\\p{N}](?:[\\p{L}\\p{N}_ .,:=@-]*[\\p{L}\\p{N}_@-])?";
const groups = z
  .array(
    text(
      "the name of a Vault identity group: letters, digits, blanks and . , : = @ / _ -",
      new RegExp(`^${groupPart}(?:/${groupPart})*$`, "u"),
    ),
    { error: "a list of identity groups" },
  )
  .default([]);

export const pathsShape = {
  login: apiPath.optional(),
  whoAmI: apiPath.optional(),
  change: apiPath.optional(),
  probe: apiPath.optional(),
};

/** Every key. `accounts`, `consumers` and `apisecPaths` are read field by field, with the shapes above. */
export const shape = {
  accounts: z
    .array(z.unknown(), { error: "a list of accounts" })
    .min(1, "at least one account")
    .max(mostAccounts, `at most ${mostAccounts} accounts a stack`),
  firstPasswords: z.record(z.string(), z.string().min(1)).default({}),
  apisecUrl: origin.default("https://cloud.apisec.ai"),
  mount: text(pathText, pathPattern).default("apisec"),
  createMount: flag.default(true),
  authPath: text(pathText, pathPattern).default("gitlab"),
  createAuth: flag.default(true),
  jwksUrl: z
    .string({ error: urlText })
    .refine((value) => "address" in readEndpoint(value, "path"), urlText)
    .optional(),
  jwtPublicKeys: z
    .array(z.string({ error: "a public key in PEM form" }).regex(pem, "a public key in PEM form"), {
      error: "a list of PEM keys",
    })
    .min(1, "at least one PEM key")
    .optional(),
  policyPrefix: text(nameText, namePattern).default("apisec"),
  gitlabProject: text(
    "the rotation project's id or full path, such as platform/apisec-rotation",
    projectPattern,
  ),
  gitlabBranch: text(
    "a branch name",
    /^(?!.*(\.\.|\/\/|@\{))[A-Za-z0-9_][A-Za-z0-9_./-]*$/,
  ).default("main"),
  manageProjectFiles: flag.default(true),
  pipelineFile: z
    .enum(["own", "shared", "included"], { error: "own, shared or included" })
    .default("own"),
  jobImage: text(
    "a container image with node 20 or newer and an exact version or digest, such as node:22.21.1-alpine3.22",
    /^[a-z0-9][\w./:-]*(:[\w-]*\d[\w.-]*|@sha256:[0-9a-f]{64})$/,
  ).optional(),
  jobTags: z
    .array(text(tagText, tagPattern, 100), { error: "a list of runner tags" })
    .min(1, "at least one tag, or no list at all")
    .max(20, "at most 20 tags")
    .optional(),
  commitMessage: z
    .string({ error: commitText })
    .transform((value) => value.replaceAll("\r\n", "\n").trim())
    .refine(isCommitMessage, commitText)
    .default(usualCommitMessage),
  cron: text(cronText, new RegExp(`^\\s*${cronField}(?:\\s+${cronField}){4}\\s*$`))
    .refine(isCron, cronText)
    .default("17 */6 * * *"),
  cronTimezone: text(zoneText, /^[A-Za-z][A-Za-z0-9_+/-]*$/)
    .refine(isTimeZone, zoneText)
    .default("UTC"),
  tokenLifetime: z
    .string({ error: lifetimeText })
    .refine((value) => (parseDuration(value) ?? 0) >= shortestLifetime, lifetimeText)
    .transform((value) => parseDuration(value) ?? 0)
    .default(24 * 3600),
  tokenEndsInVault: flag.default(true),
  apisecPaths: z.unknown(),
  adminGroups: groups,
  developerGroups: groups,
  consumers: z.array(z.unknown(), { error: "a list of consumers" }).default([]),
  webhookUrl: z
    .string({ error: webhookText })
    .max(2_000, webhookText)
    .refine(isWebhook, webhookText)
    .optional(),
  heartbeatUrl: z
    .string({ error: webhookText })
    .max(2_000, webhookText)
    .refine(isWebhook, webhookText)
    .optional(),
};

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
