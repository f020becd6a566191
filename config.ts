import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { defaultApisecPaths } from "./core/apisec";
import type { ApisecPaths } from "./core/apisec";
import { parseDuration } from "./core/duration";
import { readEndpoint } from "./core/endpoint";
import { scheduleGaps } from "./core/schedule";

/** One service account as configured, defaults filled in. */
export interface Account {
  name: string;
  username: string;
  host: string;
  organization?: string | undefined;
  passwordGeneration: number;
  changedBy?: string | undefined;
  acceptAdminToken: boolean;
  publishToken: boolean;
  renamedFrom?: string | undefined;
}

/** The stack's whole configuration, checked. No field is a secret. Durations are in seconds. */
export interface Settings {
  project: string;
  stack: string;
  accounts: Account[];
  /** Accounts whose first password still stands in config. */
  firstPasswordsFor: string[];
  /** The host of accounts that name none. */
  apisecUrl: string;
  mount: string;
  createMount: boolean;
  authPath: string;
  createAuth: boolean;
  jwksUrl?: string | undefined;
  jwtPublicKeys?: string[] | undefined;
  policyPrefix: string;
  gitlabProject: string;
  gitlabBranch: string;
  manageProjectFiles: boolean;
  jobImage?: string | undefined;
  cron: string;
  cronTimezone: string;
  tokenLifetime: number;
  apisecPaths: ApisecPaths;
  vaultAddress: string;
  vaultNamespace?: string | undefined;
  /** PEM text of the certificate authorities that Vault is checked against (VAULT_CACERT). */
  vaultCa?: string | undefined;
  gitlabUrl: string;
  warnings: string[];
}

const mostAccounts = 2_000;
const mostGapHours = 12;
/** A token leaves Vault this long before APIsec ends it. */
export const tokenMarginSeconds = 30 * 60;
const shortestLifetime = 2 * 3600;

const segment = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?";
const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const pathPattern = new RegExp(`^${segment}(?:/${segment})*$`);
const noControls = /^[^\p{Cc}\p{Cf}\u2028\u2029]+$/u;

const nameText =
  "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";
const pathText =
  "a path of lower-case letters, digits, - and _ without a slash at its ends, such as apisec";
const urlText =
  "an https:// address without user, query or trailing path (http:// on this machine only)";

function text(expected: string, pattern: RegExp, most = 255) {
  return z.string({ error: expected }).max(most, expected).regex(pattern, expected);
}

const origin = z.string({ error: urlText }).transform((value, context) => {
  const endpoint = readEndpoint(value, "origin");
  if ("address" in endpoint) return endpoint.address;
  context.addIssue({ code: "custom", message: urlText });
  return z.NEVER;
});

const flag = z.boolean({ error: "true or false" });
const apiPath = text("a path that begins with one slash", /^\/(?!\/)[A-Za-z0-9_\-./?=&{}%]*$/, 500);

const accountSchema = z.strictObject(
  {
    name: text(nameText, namePattern),
    username: text("the user name that APIsec mailed", /^[^\s\p{Cc}/]+$/u),
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
  },
  { error: "an object with name and username" },
);

const pathsSchema = z.strictObject(
  {
    login: apiPath.optional(),
    whoAmI: apiPath.optional(),
    change: apiPath.optional(),
    probe: apiPath.optional(),
  },
  { error: "an object with login, whoAmI, change or probe" },
);

const pem = /^-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY)-----[\sA-Za-z0-9+/=]+-----END \1-----\s*$/;

const schema = z.strictObject({
  accounts: z
    .array(accountSchema, { error: "a list of accounts" })
    .min(1, "at least one account")
    .max(mostAccounts, `at most ${mostAccounts} accounts a stack`),
  firstPasswords: z
    .record(z.string(), z.string().min(1), {
      error: "a secret object of account name and password",
    })
    .default({}),
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
    .array(z.string().regex(pem, "a public key in PEM form"), { error: "a list of PEM keys" })
    .min(1, "at least one PEM key")
    .optional(),
  policyPrefix: text(nameText, namePattern).default("apisec"),
  gitlabProject: z
    .union(
      [z.int().positive(), z.string().regex(/^(\d+|[A-Za-z0-9_][\w.-]*(\/[A-Za-z0-9_][\w.-]*)+)$/)],
      {
        error: "the rotation project's id or full path, such as platform/apisec-rotation",
      },
    )
    .transform(String),
  gitlabBranch: text(
    "a branch name",
    /^(?!.*(\.\.|\/\/|@\{))[A-Za-z0-9_][A-Za-z0-9_./-]*$/,
  ).default("main"),
  manageProjectFiles: flag.default(true),
  jobImage: text(
    "a container image with node 20 or newer",
    /^[a-z0-9][A-Za-z0-9_.:/@-]*$/,
  ).optional(),
  cron: text("five cron fields, such as 17 */6 * * *", /^\s*\S+(\s+\S+){4}\s*$/).default(
    "17 */6 * * *",
  ),
  cronTimezone: text("a time zone such as UTC or Europe/Berlin", /^[A-Za-z0-9_+/-]+$/).default(
    "UTC",
  ),
  tokenLifetime: z
    .string({ error: "a duration such as 24h" })
    .transform((value) => parseDuration(value) ?? 0)
    .refine((seconds) => seconds >= shortestLifetime, "a duration of 2h or more, such as 24h")
    .default(24 * 3600),
  apisecPaths: pathsSchema.default({}),
});

type Parsed = z.output<typeof schema>;

/** What config is read from: the raw values, which of them are secret, and the environment. */
export interface ConfigSource {
  project: string;
  stack: string;
  /** All keys with their namespace, such as `apisec-credentials:mount`; objects as JSON text. */
  values: Record<string, string>;
  secretKeys: readonly string[];
  env: Record<string, string | undefined>;
  hasTokenFile: boolean;
  /** Reads a file; throws where it cannot. */
  readText: (path: string) => string;
  /** Milliseconds since 1970. */
  now: number;
}

/** Reads and checks the stack's configuration. Throws one RunError that lists every problem. */
export function loadConfig(): Settings {
  return readConfig({
    project: pulumi.getProject(),
    stack: pulumi.getStack(),
    values: pulumi.runtime.allConfig(),
    secretKeys: JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]") as string[],
    env: process.env,
    hasTokenFile: existsSync(join(homedir(), ".vault-token")),
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  });
}

/** `loadConfig` over any source: pure. The message names key, value (never a secret's), expectation and fix. */
export function readConfig(source: ConfigSource): Settings {
  const problems: string[] = [];
  const parsed = parse(source, problems);
  const vault = readVault(source, problems);
  const gitlabUrl = readGitlab(source, problems);
  if (!namePattern.test(source.stack)) {
    problems.push(`stack name ${quote(source.stack)}: expected ${nameText}`);
  }
  const accounts = parsed === undefined ? [] : withDefaults(parsed);
  if (parsed !== undefined) {
    checkAccounts(accounts, source.project, problems);
    checkFirstPasswords(parsed, source, problems);
    checkKeys(parsed, source.project, problems);
  }
  const warnings = parsed === undefined ? [] : checkSchedule(parsed, source, problems);
  if (parsed === undefined || problems.length > 0) throw configError(source.stack, problems);
  const { firstPasswords, apisecPaths, ...rest } = parsed;
  return {
    ...rest,
    project: source.project,
    stack: source.stack,
    accounts,
    firstPasswordsFor: Object.keys(firstPasswords),
    apisecPaths: { ...defaultApisecPaths, ...withoutUndefined(apisecPaths) },
    vaultAddress: vault.address,
    vaultNamespace: vault.namespace,
    vaultCa: vault.ca,
    gitlabUrl,
    warnings,
  };
}

function withoutUndefined(paths: Parsed["apisecPaths"]): Partial<ApisecPaths> {
  return Object.fromEntries(Object.entries(paths).filter(([, path]) => path !== undefined));
}

function withDefaults(parsed: Parsed): Account[] {
  return parsed.accounts.map((account) => ({ ...account, host: account.host ?? parsed.apisecUrl }));
}

function configError(stack: string, problems: string[]): pulumi.RunError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new pulumi.RunError(
    `The configuration of stack ${stack} has ${count}; nothing was touched.\n` +
      problems.map((problem) => `  - ${problem}`).join("\n") +
      "\nREADME.md, section Configuration, lists every key.",
  );
}

function parse(source: ConfigSource, problems: string[]): Parsed | undefined {
  const raw: Record<string, unknown> = {};
  const prefix = `${source.project}:`;
  for (const [key, value] of Object.entries(source.values)) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    raw[name] = asWritten(name, value);
  }
  const result = schema.safeParse(raw, { reportInput: true });
  if (result.success) return result.data;
  for (const issue of result.error.issues) problems.push(...describe(issue, source));
  return undefined;
}

const textKeys = new Set([
  "apisecUrl",
  "mount",
  "authPath",
  "jwksUrl",
  "policyPrefix",
  "gitlabProject",
  "gitlabBranch",
  "jobImage",
  "cron",
  "cronTimezone",
  "tokenLifetime",
]);

/** The engine hands every value over as text; what is no text by its key is JSON. */
function asWritten(name: string, value: string): unknown {
  if (textKeys.has(name)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function describe(issue: z.core.$ZodIssue, source: ConfigSource): string[] {
  const key = `${source.project}:${String(issue.path[0] ?? "")}`;
  const at = pathAt(issue.path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((extra) => {
      const where = pathAt([...issue.path, extra]);
      return `${source.project}:${where}: no such key; remove it with \`pulumi config rm --path '${where}'\``;
    });
  }
  const isSecret = source.secretKeys.includes(key) || issue.path[0] === "firstPasswords";
  const found = issue.input === undefined ? "is missing" : `is ${quote(issue.input)}`;
  return [
    `${source.project}:${at}: ${isSecret ? "is not as expected" : found}; expected ${expectation(issue)}; set it with \`pulumi config set ${issue.path.length > 1 ? `--path '${at}'` : at}${isSecret ? " --secret" : ""} …\``,
  ];
}

function expectation(issue: z.core.$ZodIssue): string {
  return issue.path[0] === "firstPasswords"
    ? "a secret object of account names and non-empty passwords"
    : issue.message;
}

/** A path as Pulumi's `--path` reads it, such as `accounts[0].name`. */
function pathAt(path: readonly PropertyKey[]): string {
  return path.reduce<string>((at, part) => {
    if (typeof part === "number") return `${at}[${part}]`;
    const name = String(part);
    const plain = /^[A-Za-z][A-Za-z0-9_-]*$/.test(name);
    if (plain) return at === "" ? name : `${at}.${name}`;
    return `${at}[${quote(name)}]`;
  }, "");
}

function quote(value: unknown): string {
  const json = (JSON.stringify(value) ?? "undefined").replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, " ");
  return json.length > 80 ? `${json.slice(0, 79)}…` : json;
}

function checkAccounts(accounts: Account[], project: string, problems: string[]): void {
  const names = new Map<string, number>();
  const identities = new Map<string, number>();
  accounts.forEach((account, index) => {
    const at = `${project}:accounts[${index}]`;
    const twin = names.get(account.name);
    if (twin !== undefined) {
      problems.push(
        `${at}.name: is ${quote(account.name)}, as accounts[${twin}]; expected a name of its own`,
      );
    }
    names.set(account.name, index);
    const identity = `${account.host} ${account.username.toLowerCase()}`;
    const same = identities.get(identity);
    if (same !== undefined) {
      problems.push(
        `${at}: has host and username of accounts[${same}]; one account has one password, so it stands here once`,
      );
    }
    identities.set(identity, index);
  });
  accounts.forEach((account, index) => {
    problems.push(...checkChanger(account, accounts, `${project}:accounts[${index}]`));
    if (account.renamedFrom !== undefined && names.has(account.renamedFrom)) {
      problems.push(
        `${project}:accounts[${index}].renamedFrom: is ${quote(account.renamedFrom)}, which is still an account; expected a former name`,
      );
    }
  });
}

function checkChanger(account: Account, accounts: Account[], at: string): string[] {
  if (account.changedBy === undefined) return [];
  const changer = accounts.find((other) => other.name === account.changedBy);
  const found = `${at}.changedBy: is ${quote(account.changedBy)}`;
  if (changer === undefined || changer === account) {
    return [`${found}; expected another account of this stack`];
  }
  const problems: string[] = [];
  if (changer.host !== account.host)
    problems.push(`${found}, at another host; expected one at ${account.host}`);
  if (
    changer.organization !== undefined &&
    account.organization !== undefined &&
    changer.organization !== account.organization
  ) {
    problems.push(
      `${found}, of another organization; expected one of ${quote(account.organization)}`,
    );
  }
  if (changer.publishToken) {
    problems.push(
      `${found}, whose token developers read; expected an account with publishToken: false (its token can reset passwords)`,
    );
  }
  if (changer.changedBy !== undefined) {
    problems.push(
      `${found}, which is changed by another itself; expected an account that changes its own password`,
    );
  }
  return problems;
}

function checkFirstPasswords(parsed: Parsed, source: ConfigSource, problems: string[]): void {
  const key = `${source.project}:firstPasswords`;
  if (source.values[key] !== undefined && !source.secretKeys.includes(key)) {
    problems.push(
      `${key}: stands in clear; expected a secret; remove it, have the passwords changed, and set it with \`pulumi config set --secret --path 'firstPasswords.<name>'\``,
    );
  }
  const names = new Set(parsed.accounts.map((account) => account.name));
  for (const name of Object.keys(parsed.firstPasswords)) {
    if (names.has(name)) continue;
    problems.push(
      `${key}: has ${quote(name)}; expected names of accounts; remove it with \`pulumi config rm --path 'firstPasswords[${quote(name)}]'\``,
    );
  }
}

function checkKeys(parsed: Parsed, project: string, problems: string[]): void {
  if (parsed.jwksUrl !== undefined && parsed.jwtPublicKeys !== undefined) {
    problems.push(`${project}:jwksUrl: stands beside jwtPublicKeys; expected one of them`);
  }
}

/** The cron's gaps: over 12 h is a problem; no spare run within a token's life is a warning. */
function checkSchedule(parsed: Parsed, source: ConfigSource, problems: string[]): string[] {
  const { cron, cronTimezone, tokenLifetime } = parsed;
  let gaps;
  try {
    gaps = scheduleGaps(cron, cronTimezone, source.now);
  } catch {
    problems.push(
      `${source.project}:cron: ${quote(cron)} in zone ${quote(cronTimezone)} cannot be read; expected five cron fields and a time zone, such as "17 */6 * * *" and "UTC"`,
    );
    return [];
  }
  const hours = (value: number) => `${Math.round(value * 10) / 10} h`;
  if (gaps.largest > mostGapHours) {
    problems.push(
      `${source.project}:cron: ${quote(cron)} leaves ${hours(gaps.largest)} between two runs; expected at most ${mostGapHours} h, such as "17 */6 * * *"`,
    );
    return [];
  }
  const lifetimeHours = tokenLifetime / 3600;
  if (gaps.largest >= lifetimeHours) {
    problems.push(
      `${source.project}:cron: ${quote(cron)} leaves ${hours(gaps.largest)} between two runs, and a token lives ${hours(lifetimeHours)}; expected runs before it ends`,
    );
    return [];
  }
  const left = lifetimeHours - gaps.largestWithOneMissed;
  if (left > tokenMarginSeconds / 3600) return [];
  return [
    `One missed run of ${quote(cron)} leaves readers ${left <= 0 ? "without a valid token" : `only ${hours(left)}`}: runs lie up to ${hours(gaps.largest)} apart and a token lives ${hours(lifetimeHours)}. Four runs a day ("17 */6 * * *") survive two misses.`,
  ];
}

interface VaultSettings {
  address: string;
  namespace: string | undefined;
  ca: string | undefined;
}

function readVault(source: ConfigSource, problems: string[]): VaultSettings {
  const { env, values } = source;
  if ((env["VAULT_TOKEN"] ?? "") === "" && !source.hasTokenFile) {
    problems.push(
      "VAULT_TOKEN: is not set, and ~/.vault-token does not exist; log in with `vault login`",
    );
  }
  const namespace = onlyOne("namespace", "VAULT_NAMESPACE", source, problems);
  if (namespace !== undefined && !/^[A-Za-z0-9][\w./-]*$/.test(namespace)) {
    problems.push(
      `vault:namespace: is ${quote(namespace)}; expected a namespace path such as teams/security`,
    );
  }
  const ca = readCa(source, problems);
  const address = onlyOne("address", "VAULT_ADDR", source, problems);
  if (address === undefined) {
    if (values["vault:address"] === undefined && (env["VAULT_ADDR"] ?? "") === "") {
      problems.push(
        "vault:address: is missing, and VAULT_ADDR is not set; set one with `pulumi config set vault:address https://…`",
      );
    }
    return { address: "", namespace, ca };
  }
  const endpoint = readEndpoint(address, "path");
  if ("problem" in endpoint) {
    problems.push(
      `vault:address (or VAULT_ADDR): ${quote(withoutUser(address))} ${endpoint.problem}; expected ${urlText}`,
    );
    return { address: "", namespace, ca };
  }
  return { address: endpoint.address, namespace, ca };
}

function readCa(source: ConfigSource, problems: string[]): string | undefined {
  const file = source.env["VAULT_CACERT"] ?? "";
  if (file === "") return undefined;
  try {
    const pemText = source.readText(file);
    if (pemText.includes("-----BEGIN CERTIFICATE-----")) return pemText;
  } catch {
    // Said below: a missing file and a file of something else have one remedy.
  }
  problems.push(`VAULT_CACERT: is ${quote(file)}; expected a readable file with PEM certificates`);
  return undefined;
}

/** A setting that Pulumi's config and Vault's environment variable may both give, if they agree. */
function onlyOne(
  key: string,
  variable: string,
  source: ConfigSource,
  problems: string[],
): string | undefined {
  const configured = source.values[`vault:${key}`];
  const exported = source.env[variable] === "" ? undefined : source.env[variable];
  if (configured !== undefined && exported !== undefined) {
    const plain = (value: string) => value.replace(/\/+$/, "");
    if (plain(configured) !== plain(exported)) {
      problems.push(
        `vault:${key}: is ${quote(withoutUser(configured))}, ${variable} is ${quote(withoutUser(exported))}; expected one of them or both alike`,
      );
      return undefined;
    }
  }
  return configured ?? exported;
}

function withoutUser(address: string): string {
  return address.replace(/\/\/[^/@]*@/, "//…@");
}

function readGitlab(source: ConfigSource, problems: string[]): string {
  const configured = source.values["gitlab:baseUrl"] ?? source.env["GITLAB_BASE_URL"];
  const text = configured === undefined || configured === "" ? "https://gitlab.com" : configured;
  const endpoint = readEndpoint(text.replace(/\/api\/v4\/?$/, ""), "path");
  if ("address" in endpoint) return endpoint.address;
  problems.push(
    `gitlab:baseUrl (or GITLAB_BASE_URL): ${quote(withoutUser(text))} ${endpoint.problem}; expected ${urlText}`,
  );
  return "";
}

/** The account with this name; only for names that config has checked. */
export function accountNamed(settings: Settings, name: string): Account {
  const account = settings.accounts.find((candidate) => candidate.name === name);
  if (account === undefined) throw new Error(`No account ${name}`);
  return account;
}
