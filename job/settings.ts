import { defaultJobPaths } from "../clients/apisec";
import { coded } from "../core/messageCode";
import { parseDuration } from "../core/duration";
import { readEndpoint, secretPart } from "../net/endpoint";
import { jsonObject } from "../net/http";
import { foreignText } from "../core/redact";
import { readVaultTls } from "../net/vaultTls";
import { proxyFor, proxyProblem } from "../net/proxy";
import type { JobPaths } from "../clients/apisec";
import type { Report, VaultTls } from "../net/vaultTls";

export interface Settings {
  vault: { address: string; namespace: string | undefined; tls: VaultTls };
  login:
    | { kind: "idToken"; idToken: string; authPath: string; role: string }
    | { kind: "token"; token: string };
  mount: string;
  /** The accounts of this shard, in the order given, each once. */
  accounts: string[];
  apisecUrl: string | undefined;
  paths: JobPaths;
  concurrency: number;
  minLifetimeSeconds: number;
  /** Whether Vault deletes a token before it expires. */
  tokenEndsInVault: boolean;
  /** The longest time from one run to the next; undefined = nobody says. */
  largestGapSeconds: number | undefined;
  /** After so many seconds no account is begun any more. */
  deadlineSeconds: number;
  reportFile: string;
  /** Where the metrics go; undefined = nowhere. */
  metricsFile: string | undefined;
  /** Whose tokens they are. */
  owner: { project: string; stack: string };
  source: string;
}

/** What the settings need to know of the machine. `readText` throws where a file cannot be read. */
export interface Machine {
  readText(path: string): string;
}

type Environment = Record<string, string | undefined>;

/**
 * Reads every setting from the environment. Throws one error that lists all problems; it never
 * holds the value of a secret. An empty variable counts as unset: GitLab sets such variables.
 */
export function readSettings(env: Environment, machine: Machine): Settings {
  const problems: string[] = [];
  const secrets = [
    ...["VAULT_TOKEN", "VAULT_ID_TOKEN"].map((variable) => env[variable] ?? ""),
    ...["APISEC_WEBHOOK", "APISEC_HEARTBEAT"].map((variable) => secretPart(env[variable] ?? "")),
  ];
  const report: Report = (variable, found, expected) => {
    problems.push(`${variable}: found ${foreignText(found, secrets)}, expected ${expected}`);
  };

  refuseDangers(env, report);
  const settings: Settings = {
    vault: {
      address: vaultAddress(env, report),
      namespace: env["VAULT_NAMESPACE"] || undefined,
      tls: readVaultTls(env, (path) => machine.readText(path), report),
    },
    login: loginOf(env, report),
    mount: pathOf(env, "APISEC_MOUNT", report),
    accounts: shardOf(accountsOf(env, machine, report), env, report),
    apisecUrl: apisecUrl(env, report),
    paths: pathsOf(env, report),
    concurrency: wholeNumber(env, "APISEC_CONCURRENCY", 16, 1, 256, report),
    minLifetimeSeconds: durationOf(env, "APISEC_MIN_LIFETIME", "1h", report),
    tokenEndsInVault: tokenEnds(env, report),
    largestGapSeconds: env["APISEC_LARGEST_GAP"]
      ? durationOf(env, "APISEC_LARGEST_GAP", "", report)
      : undefined,
    deadlineSeconds: durationOf(env, "APISEC_DEADLINE", "12m", report),
    reportFile: env["APISEC_REPORT"] || "rotation-report.xml",
    metricsFile: env["APISEC_METRICS"] || undefined,
    owner: ownerOf(env),
    source: env["CI_PIPELINE_URL"] || "pulumi up",
  };
  if (settings.vault.namespace !== undefined && !/^[!-~]+$/.test(settings.vault.namespace)) {
    report("VAULT_NAMESPACE", quoted(settings.vault.namespace), "a namespace path");
  }
  for (const address of [settings.vault.address, settings.apisecUrl ?? ""]) {
    const proxy = address === "" ? undefined : proxyFor(address, env);
    const expected = proxyProblem(proxy);
    // The value is not shown: it may hold a password.
    if (expected !== undefined) report(proxy?.variable ?? "", "something else", expected);
  }

  if (problems.length > 0) {
    const lines = problems.map((problem) => `  ${problem}`).join("\n");
    throw coded(`settings are wrong, nothing was tried:\n${lines}`, "settings");
  }
  return settings;
}

const quoted = (text: string) => `"${text}"`;

function refuseDangers(env: Environment, report: Report): void {
  if (!["", "false", "0"].includes(env["CI_DEBUG_TRACE"] ?? "")) {
    report(
      "CI_DEBUG_TRACE",
      "it switched on",
      "it off: the log would show every secret of the job",
    );
  }
  if (env["NODE_TLS_REJECT_UNAUTHORIZED"] === "0") {
    report("NODE_TLS_REJECT_UNAUTHORIZED", "0", "it unset; for a private CA set VAULT_CACERT");
  }
}

function vaultAddress(env: Environment, report: Report): string {
  const variable =
    env["VAULT_ADDR"] || !env["VAULT_SERVER_URL"] ? "VAULT_ADDR" : "VAULT_SERVER_URL";
  const text = env[variable];
  const expected = "the https address of Vault, as https://vault.example.com:8200";
  if (!text) {
    report(variable, "nothing", expected);
    return "";
  }
  return endpoint(variable, text, "path", expected, report) ?? "";
}

function apisecUrl(env: Environment, report: Report): string | undefined {
  const text = env["APISEC_URL"];
  const expected = "the https address of APIsec without a path, or nothing";
  return text ? endpoint("APISEC_URL", text, "origin", expected, report) : undefined;
}

function endpoint(
  variable: string,
  text: string,
  path: "path" | "origin",
  expected: string,
  report: Report,
): string | undefined {
  const read = readEndpoint(text, path);
  if ("address" in read) return read.address;
  // The text is shown without what stands before an @: it could be a password.
  report(variable, `${quoted(text.replace(/\/\/.*@/, "//…@"))}, which ${read.problem}`, expected);
  return undefined;
}

/** GitLab's ID token wins over a token, and never falls back to it. */
function loginOf(env: Environment, report: Report): Settings["login"] {
  const idToken = env["VAULT_ID_TOKEN"];
  if (idToken) {
    secretText("VAULT_ID_TOKEN", idToken, report);
    const role = env["VAULT_AUTH_ROLE"] ?? "";
    if (!/^[\w.-]+$/.test(role)) {
      const found = role === "" ? "nothing" : quoted(role);
      report("VAULT_AUTH_ROLE", found, "the name of the role to log in with VAULT_ID_TOKEN");
    }
    return { kind: "idToken", idToken, authPath: pathOf(env, "VAULT_AUTH_PATH", report), role };
  }
  const token = env["VAULT_TOKEN"] ?? "";
  if (token === "") {
    report(
      "VAULT_ID_TOKEN",
      "nothing",
      "GitLab's ID token (id_tokens: of the job), or VAULT_TOKEN",
    );
  } else {
    secretText("VAULT_TOKEN", token, report);
  }
  return { kind: "token", token };
}

function secretText(variable: string, value: string, report: Report): void {
  if (/^[!-~]+$/.test(value)) return;
  report(variable, "blanks or control characters in it", "one line without blanks");
}

/** The path of a mount, without slashes at its ends. */
function pathOf(env: Environment, variable: string, report: Report): string {
  const text = env[variable] ?? "";
  const path = text.replace(/^\/+|\/+$/g, "");
  const good = path.split("/").every((part) => /^[\w.-]+$/.test(part) && !/^\.+$/.test(part));
  if (!good) report(variable, text === "" ? "nothing" : quoted(text), "the path of a Vault mount");
  return path;
}

const accountName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

function accountsOf(env: Environment, machine: Machine, report: Report): string[] {
  const [list, file] = [env["APISEC_ACCOUNTS"], env["APISEC_ACCOUNTS_FILE"]];
  if (list && file) {
    report("APISEC_ACCOUNTS", "APISEC_ACCOUNTS_FILE beside it", "only one of the two");
    return [];
  }
  const variable = file ? "APISEC_ACCOUNTS_FILE" : "APISEC_ACCOUNTS";
  const expected = "names of small letters, digits and inner hyphens, at most 63 long";
  let text = list ?? "";
  if (file) {
    try {
      text = machine.readText(file);
    } catch {
      report(
        variable,
        `the unreadable file ${quoted(file)}`,
        "a file with one account name a line",
      );
      return [];
    }
  }
  const names = text
    .split(file ? /\r?\n/ : ",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) report(variable, "no account", `${expected}, at least one`);
  const wrong = names.filter((name) => !accountName.test(name));
  if (wrong.length > 0) report(variable, wrong.slice(0, 5).map(quoted).join(", "), expected);
  return [...new Set(names)];
}

/** Every `CI_NODE_TOTAL`-th account. GitLab sets a total of 1 and no index for a job without shards. */
function shardOf(accounts: string[], env: Environment, report: Report): string[] {
  const total = wholeNumber(env, "CI_NODE_TOTAL", 1, 1, 10_000, report);
  const index = wholeNumber(env, "CI_NODE_INDEX", total === 1 ? 1 : 0, 1, total, report);
  if (index === 0) report("CI_NODE_INDEX", "nothing", `the shard, 1 to ${total} (CI_NODE_TOTAL)`);
  return accounts.filter((_, position) => position % total === index - 1);
}

function wholeNumber(
  env: Environment,
  variable: string,
  preset: number,
  least: number,
  most: number,
  report: Report,
): number {
  const text = env[variable];
  if (!text) return preset;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  report(variable, quoted(text), `a whole number from ${least} to ${most}`);
  return least;
}

function durationOf(env: Environment, variable: string, preset: string, report: Report): number {
  const text = env[variable] || preset;
  const seconds = parseDuration(text);
  if (seconds === undefined) {
    report(variable, quoted(text), "a duration such as 1h, 23h30m or 90s");
  }
  return seconds ?? 0;
}

function tokenEnds(env: Environment, report: Report): boolean {
  const text = env["APISEC_TOKEN_ENDS"] || "vault";
  if (text !== "vault" && text !== "expiry") {
    report("APISEC_TOKEN_ENDS", quoted(text), "vault, or expiry where Vault deletes no token");
  }
  return text !== "expiry";
}

/** `project/stack`. */
function ownerOf(env: Environment): Settings["owner"] {
  const [project = "", stack = ""] = (env["APISEC_STACK"] ?? "").split("/");
  return { project, stack };
}

/** `login=/auth/login,probe=/ping`, the two paths in this order without names, or a JSON object. */
function pathsOf(env: Environment, report: Report): JobPaths {
  const paths = { ...defaultJobPaths };
  const text = (env["APISEC_PATHS"] ?? "").trim();
  if (text === "") return paths;
  for (const [key, path] of pathEntries(text)) {
    const known = key === "login" || key === "probe";
    // Two slashes, or none, and the host would be another one.
    if (known && typeof path === "string" && /^\/(?![/\\])[!-~]*$/.test(path)) {
      paths[key] = path;
    } else {
      const expected = "login=/PATH,probe=/PATH, each path beginning with one slash";
      report("APISEC_PATHS", quoted(text), expected);
      break;
    }
  }
  return paths;
}

function pathEntries(text: string): [string, unknown][] {
  if (text.startsWith("{")) return Object.entries(jsonObject(text) ?? { "": text });
  return text.split(",").map((part, position): [string, unknown] => {
    const entry = part.trim();
    const [, key, path] = /^(\w+)=(.*)$/.exec(entry) ?? [];
    return key === undefined ? [["login", "probe"][position] ?? "", entry] : [key, path];
  });
}
