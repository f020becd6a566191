import { readEndpoint } from "../net/endpoint";
import { readVaultTls } from "../net/vaultTls";
import type { VaultTls } from "../net/vaultTls";
import { proxyFor, proxyProblem } from "../net/proxy";
import { quote } from "./problems";
import type { ProblemList } from "./problems";
import { urlText } from "./schema";
import type { ConfigSource } from "./settings";

/** GitLab keeps no longer text in a CI variable. */
const longestVariable = 10_000;
/** The job's audience begins with it. */
const longestAddress = 180;

interface VaultSettings {
  address: string;
  namespace: string | undefined;
  ca: string | undefined;
  client: { cert: string; key: string } | undefined;
}

/** Where Vault is and how it is reached, from config and environment. */
export function readVault(source: ConfigSource, problems: ProblemList): VaultSettings {
  if ((source.env["VAULT_TOKEN"] ?? "") === "" && !source.hasTokenFile) {
    problems.addOther(
      "VAULT_TOKEN",
      "is not set, and ~/.vault-token does not exist",
      "a token",
      "log in with `vault login`",
    );
  }
  const namespace = onlyOne("namespace", "VAULT_NAMESPACE", source, problems);
  if (typeof namespace === "string" && !/^[A-Za-z0-9][\w./-]*$/.test(namespace)) {
    problems.addOther(
      "vault:namespace (or VAULT_NAMESPACE)",
      `is ${problems.shown("vault:namespace", namespace)}`,
      "a namespace path such as teams/security",
      `set it with ${problems.pulumi("config set vault:namespace …")}`,
    );
  }
  const { ca, cert, key } = readTls(source, problems);
  return {
    address: readVaultAddress(source, problems),
    namespace: namespace ?? undefined,
    ca,
    client: cert === undefined || key === undefined ? undefined : { cert, key },
  };
}

function readVaultAddress(source: ConfigSource, problems: ProblemList): string {
  const address = onlyOne("address", "VAULT_ADDR", source, problems);
  const complain = (found: string, expected: string) => {
    const fix = `set it with ${problems.pulumi("config set vault:address https://…")}`;
    problems.addOther("vault:address (or VAULT_ADDR)", found, expected, fix);
    return "";
  };
  if (address === null) return "";
  if (address === undefined) return complain("is missing", urlText);
  const found = `is ${problems.shown("vault:address", address)}`;
  const endpoint = readEndpoint(address, "path");
  if ("problem" in endpoint) return complain(`${found}, which ${endpoint.problem}`, urlText);
  if (endpoint.address.length <= longestAddress) return endpoint.address;
  return complain(found, `an address of at most ${longestAddress} characters`);
}

/** What the Vault plugin alone would follow: the rest of the program reads Vault's variables. */
const pluginsOwn: Record<string, string> = {
  skipTlsVerify: "a Vault that has proven who it is; for a private CA set VAULT_CACERT",
  caCertFile: "VAULT_CACERT, the name of a file",
  caCertDir: "VAULT_CACERT, the name of a file",
  clientAuth: "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY, names of files",
  tlsServerName: "an address with a name that Vault's certificate has",
};

function readTls(source: ConfigSource, problems: ProblemList): VaultTls {
  for (const [name, expected] of Object.entries(pluginsOwn)) {
    const key = `vault:${name}`;
    const value = source.values[key];
    if (value === undefined || value === "false") continue;
    problems.addOther(
      key,
      "is set",
      expected,
      `remove it with ${problems.pulumi(`config rm ${key}`)}`,
    );
  }
  const tls = readVaultTls(source.env, source.readText, (variable, found, expected) => {
    const fix = expected.includes("file")
      ? `set it with \`export ${variable}=…\``
      : `\`unset ${variable}\``;
    problems.addOther(variable, `is ${found}`, expected, fix);
  });
  if (tls.ca !== undefined && tls.ca.length > longestVariable) {
    problems.addOther(
      "VAULT_CACERT",
      `is a file of ${tls.ca.length} characters`,
      `those certificates that Vault needs, at most ${longestVariable} characters: the job gets it as a CI variable`,
      "set it with `export VAULT_CACERT=…`",
    );
  }
  return tls;
}

/** Node itself would print every request, with the tokens in it: nothing that runs later can turn that off. */
export function checkDebugging({ env }: ConfigSource, problems: ProblemList): void {
  const value = env["NODE_DEBUG"] ?? "";
  if (value === "") return;
  const expected = "no output of Node's own, which shows tokens and passwords";
  problems.addOther("NODE_DEBUG", `is ${quote(value)}`, expected, "`unset NODE_DEBUG`");
}

/** The ways to Vault and to every APIsec host: a proxy that no way leads through is a problem. */
export function checkProxies(
  addresses: readonly (string | undefined)[],
  source: ConfigSource,
  problems: ProblemList,
): void {
  for (const address of addresses) {
    const proxy = address ? proxyFor(address, source.env) : undefined;
    const expected = proxyProblem(proxy);
    if (proxy === undefined || expected === undefined) continue;
    const { variable } = proxy;
    // The value is not shown: it may hold a password.
    problems.addOther(variable, "is no proxy's address", expected, `\`export ${variable}=…\``);
    return;
  }
}

/**
 * A setting that Pulumi's config and Vault's environment variable may both give, if they agree:
 * undefined where neither gives it, null where they differ (then the problem has been listed).
 */
function onlyOne(
  name: "address" | "namespace",
  variable: string,
  source: ConfigSource,
  problems: ProblemList,
): string | undefined | null {
  const key = `vault:${name}`;
  const configured = source.values[key];
  const exported = source.env[variable] === "" ? undefined : source.env[variable];
  const plain = (value: string) => value.replace(/\/+$/, "");
  const differ =
    configured !== undefined && exported !== undefined && plain(configured) !== plain(exported);
  if (differ) {
    problems.addOther(
      key,
      `is ${problems.shown(key, configured)}, and ${variable} is ${problems.shown(key, exported)}`,
      "one of them, or both alike",
      `keep one: ${problems.pulumi(`config rm ${key}`)} or \`unset ${variable}\``,
    );
    return null;
  }
  return configured ?? exported;
}

/** GitLab's address, without the API's path. */
export function readGitlab(source: ConfigSource, problems: ProblemList): string {
  const configured = source.values["gitlab:baseUrl"] ?? source.env["GITLAB_BASE_URL"];
  const address = configured === undefined || configured === "" ? "https://gitlab.com" : configured;
  const endpoint = readEndpoint(address.replace(/\/api\/v4\/?$/, ""), "path");
  if ("address" in endpoint) return endpoint.address;
  problems.addOther(
    "gitlab:baseUrl (or GITLAB_BASE_URL)",
    `is ${problems.shown("gitlab:baseUrl", address)}, which ${endpoint.problem}`,
    urlText,
    `set it with ${problems.pulumi("config set gitlab:baseUrl https://…")}`,
  );
  return "";
}
