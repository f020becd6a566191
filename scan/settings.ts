import { parseArgs } from "node:util";
import { parseDuration } from "../core/duration";
import { foreignText } from "../core/redact";
import { readEndpoint } from "../net/endpoint";
import { readVaultTls } from "../net/vaultTls";
import type { VaultTls } from "../net/vaultTls";
import { coded } from "../core/messageCode";

/** APIsec's severities, the worst first (APIsec's published scripts). */
export const severities = [
  "Critical",
  "High",
  "Major",
  "Medium",
  "Minor",
  "Low",
  "Trivial",
] as const;
export type Severity = (typeof severities)[number];

/** Where the access token comes from: Vault, with the job's ID token, or the environment. */
export type TokenSource =
  | { kind: "given"; token: string; host: string }
  | {
      kind: "vault";
      address: string;
      namespace: string | undefined;
      tls: VaultTls;
      idToken: string;
      authPath: string;
      role: string;
      mount: string;
      account: string;
    };

/** A specification to register or reload: an address that APIsec fetches, or the text of a file. */
export type Specification = { kind: "url"; url: string } | { kind: "text"; text: string };

export interface ScanSettings {
  source: TokenSource;
  /** The API's name at APIsec. */
  project: string;
  specification: Specification | undefined;
  scan: boolean;
  profile: string;
  scanner: string | undefined;
  /** From this severity on the job fails; undefined: it never fails for a finding. */
  failOn: Severity | undefined;
  /** How long the scan may take, in milliseconds. */
  timeoutMs: number;
  sarifFile: string;
  junitFile: string;
}

export type ScanEnvironment = Record<string, string | undefined>;

export const usage = `Usage: node scan.mjs --project NAME [options]

Registers or reloads an API at APIsec, scans it, and fails the job for what it finds.

  --project NAME      the API's name at APIsec (APISEC_PROJECT)
  --spec URL|FILE     its OpenAPI specification: registers the API, or reloads it (APISEC_SPEC)
  --no-scan           register or reload only
  --profile NAME      the scan's profile, default Master (APISEC_PROFILE)
  --scanner NAME      the scanner, default APIsec's own choice (APISEC_SCANNER)
  --fail-on SEVERITY  critical, high, major, medium, minor, low, trivial or never; default high (APISEC_FAIL_ON)
  --timeout DURATION  how long the scan may take, default 60m (APISEC_TIMEOUT)
  --sarif FILE        default apisec.sarif
  --junit FILE        default apisec-scan.xml

The token comes from Vault (VAULT_ADDR, VAULT_ID_TOKEN, VAULT_AUTH_PATH, VAULT_AUTH_ROLE, APISEC_MOUNT,
APISEC_ACCOUNT), or from APISEC_TOKEN and APISEC_HOST.

Exit code: 0 no finding at or above the severity · 1 findings · 2 settings wrong · 3 APIsec or Vault failed.
`;

/**
 * Reads the settings from arguments and environment; an empty variable counts as unset. Throws one
 * `SettingsError` that lists every problem and holds no secret. `readText` throws where there is no file.
 */
export function readScanSettings(
  args: readonly string[],
  env: ScanEnvironment,
  readText: (path: string) => string,
): ScanSettings {
  const problems: string[] = [];
  const report = (what: string, found: string, expected: string) => {
    problems.push(`${what}: found ${found}, expected ${expected}`);
  };
  const values = optionsOf(args, report);
  const text = (option: keyof typeof values, variable: string): string | undefined =>
    (values[option] as string | undefined) || env[variable] || undefined;

  if (!["", "false", "0"].includes(env["CI_DEBUG_TRACE"] ?? "")) {
    report("CI_DEBUG_TRACE", "it switched on", "it off: the log would show the token");
  }
  const settings: ScanSettings = {
    source: sourceOf(env, readText, report),
    project: text("project", "APISEC_PROJECT") ?? "",
    specification: specificationOf(text("spec", "APISEC_SPEC"), readText, report),
    scan: values["no-scan"] !== true,
    profile: text("profile", "APISEC_PROFILE") ?? "Master",
    scanner: text("scanner", "APISEC_SCANNER"),
    failOn: failOnOf(text("fail-on", "APISEC_FAIL_ON") ?? "high", report),
    timeoutMs: durationOf(text("timeout", "APISEC_TIMEOUT") ?? "60m", report),
    sarifFile: values.sarif ?? "apisec.sarif",
    junitFile: values.junit ?? "apisec-scan.xml",
  };
  if (!/^[^\p{Cc}\p{Cf}]{1,255}$/u.test(settings.project)) {
    report("--project", settings.project === "" ? "nothing" : "another text", "the API's name");
  }
  if (!settings.scan && settings.specification === undefined) {
    report("--no-scan", "it without --spec", "a specification: there is nothing to do otherwise");
  }
  if (problems.length === 0) return settings;
  const lines = problems.map((problem) => `  ${problem}`).join("\n");
  throw coded(`settings are wrong, nothing was sent:\n${lines}`, "scan-settings");
}

type Report = (what: string, found: string, expected: string) => void;

const options = {
  project: { type: "string" },
  spec: { type: "string" },
  "no-scan": { type: "boolean" },
  profile: { type: "string" },
  scanner: { type: "string" },
  "fail-on": { type: "string" },
  timeout: { type: "string" },
  sarif: { type: "string" },
  junit: { type: "string" },
} as const;

function optionsOf(args: readonly string[], report: Report) {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    report("arguments", foreignText((error as Error).message, []), "those of --help");
    return {};
  }
}

function sourceOf(
  env: ScanEnvironment,
  readText: (path: string) => string,
  report: Report,
): TokenSource {
  const { APISEC_TOKEN: token, APISEC_HOST: host, VAULT_ID_TOKEN: idToken } = env;
  if (!idToken) {
    if (!token || !/^[!-~]+$/.test(token)) {
      report("APISEC_TOKEN", token ? "blanks in it" : "nothing", "a token, or VAULT_ID_TOKEN");
    }
    return { kind: "given", token: token ?? "", host: hostOf("APISEC_HOST", host, report) };
  }
  const named = (variable: string, pattern: RegExp, expected: string): string => {
    const value = env[variable] ?? "";
    if (!pattern.test(value)) report(variable, value === "" ? "nothing" : "another text", expected);
    return value.replace(/^\/|\/$/g, "");
  };
  const path = /^\/?[\w .-]+(\/[\w .-]+)*\/?$/;
  const read = readEndpoint(env["VAULT_ADDR"] ?? "", "path");
  if (!("address" in read)) report("VAULT_ADDR", "another text", "Vault's https address");
  return {
    kind: "vault",
    address: "address" in read ? read.address : "",
    namespace: env["VAULT_NAMESPACE"] || undefined,
    tls: readVaultTls(env, readText, report),
    idToken,
    authPath: named("VAULT_AUTH_PATH", path, "the path of the JWT auth mount"),
    role: named("VAULT_AUTH_ROLE", /^[\w.-]+$/, "the consumer's role"),
    mount: named("APISEC_MOUNT", path, "the KV mount"),
    account: named("APISEC_ACCOUNT", /^[a-z0-9-]+$/, "the account whose token is read"),
  };
}

/** The address that a token is sent to. Throws nothing: a problem is reported. */
function hostOf(what: string, text: string | undefined, report: Report): string {
  const read = readEndpoint(text ?? "", "origin");
  if ("address" in read) return read.address;
  report(what, text ? "another text" : "nothing", "APIsec's https address without a path");
  return "";
}

function specificationOf(
  text: string | undefined,
  readText: (path: string) => string,
  report: Report,
): Specification | undefined {
  if (text === undefined) return undefined;
  if (/^https?:\/\//i.test(text)) {
    if (URL.canParse(text) && new URL(text).username === "") return { kind: "url", url: text };
    report("--spec", "an address with a user, or none at all", "an https:// address, or a file");
    return undefined;
  }
  try {
    const content = readText(text);
    if (content.trim() !== "") return { kind: "text", text: content };
    report("--spec", "an empty file", "an OpenAPI specification");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    report("--spec", `a file that cannot be read (${code ?? "unknown"})`, "a file, or an address");
  }
  return undefined;
}

function failOnOf(text: string, report: Report): Severity | undefined {
  if (text.toLowerCase() === "never") return undefined;
  const found = severities.find((one) => one.toLowerCase() === text.toLowerCase());
  if (found === undefined) {
    report("--fail-on", `"${foreignText(text, [])}"`, `${severities.join(", ")} or never`);
  }
  return found;
}

function durationOf(text: string, report: Report): number {
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds >= 60 && seconds <= 24 * 3600) return seconds * 1000;
  report("--timeout", `"${foreignText(text, [])}"`, "a duration from 1m to 24h");
  return 0;
}
