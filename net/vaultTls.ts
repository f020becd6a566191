/** PEM texts: whom Vault is checked against, and what it is shown of us. */
export interface VaultTls {
  /** Certificate authorities that replace the system's. */
  ca?: string | undefined;
  /** The client certificate and its key: both or neither. */
  cert?: string | undefined;
  key?: string | undefined;
}

/** Notes one problem: the variable, what was found, what was expected. */
export type Report = (variable: string, found: string, expected: string) => void;

type Environment = Record<string, string | undefined>;

/** Variables that the Vault CLI follows and this program does not: what to set instead. */
const instead: Record<string, string> = {
  VAULT_SKIP_VERIFY:
    "it unset: passwords go only to a Vault that has proven who it is; for a private CA set VAULT_CACERT",
  VAULT_CAPATH:
    "VAULT_CACERT instead, one file: `cat $VAULT_CAPATH/*.pem > ca.pem` and `export VAULT_CACERT=$PWD/ca.pem`",
  VAULT_CACERT_BYTES: "VAULT_CACERT instead, the name of a file",
  VAULT_TLS_SERVER_NAME: "it unset, and Vault's address with a name that its certificate has",
  VAULT_PROXY_ADDR: "HTTPS_PROXY instead",
  VAULT_HTTP_PROXY: "HTTPS_PROXY instead",
};

/**
 * Reads VAULT_CACERT, VAULT_CLIENT_CERT and VAULT_CLIENT_KEY (names of files, as for the Vault CLI).
 * Reports what is wrong with them, and what else would have to be followed and is not.
 */
export function readVaultTls(
  env: Environment,
  readText: (path: string) => string,
  report: Report,
): VaultTls {
  refuseOthers(env, report);
  const read = (variable: string, label: string, what: string) => {
    const file = env[variable];
    if (!file) return undefined;
    // A key's text is a secret.
    const quoted = file.includes("-----BEGIN")
      ? "(its text: in GitLab, use type File)"
      : JSON.stringify(file);
    const expected = `a readable file with ${what}`;
    try {
      const text = readText(file);
      if (new RegExp(`-----BEGIN ${label}-----`).test(text)) return text;
      report(variable, `${quoted}, which holds no such thing`, expected);
    } catch {
      report(variable, `the unreadable file ${quoted}`, expected);
    }
    return undefined;
  };
  const ca = read("VAULT_CACERT", "CERTIFICATE", "PEM certificates");
  const cert = read("VAULT_CLIENT_CERT", "CERTIFICATE", "a PEM certificate");
  const key = read(
    "VAULT_CLIENT_KEY",
    "(RSA |EC )?PRIVATE KEY",
    "the PEM key of VAULT_CLIENT_CERT, without a passphrase",
  );
  checkPair(env, cert, key, report);
  return { ca, cert, key };
}

/** `readVaultTls` for those who have no list of problems. Throws one error that names them all. */
export function vaultTls(env: Environment, readText: (path: string) => string): VaultTls {
  const problems: string[] = [];
  const tls = readVaultTls(env, readText, (variable, found, expected) => {
    problems.push(`${variable}: found ${found}, expected ${expected}`);
  });
  if (problems.length > 0) {
    throw Object.assign(new Error(problems.join("\n")), { code: "configuration" });
  }
  return tls;
}

function checkPair(
  env: Environment,
  cert: string | undefined,
  key: string | undefined,
  report: Report,
): void {
  const names = ["VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"] as const;
  const [missing] = names.filter((name) => !env[name]);
  const [given] = names.filter((name) => env[name]);
  if (missing !== undefined && given !== undefined) {
    report(missing, "nothing", `a file's name, as for ${given}: Vault is shown both or neither`);
  }
  if (cert === undefined || key === undefined) return;
  try {
    process.getBuiltinModule("node:tls").createSecureContext({ cert, key });
  } catch {
    report("VAULT_CLIENT_KEY", "a key that does not fit", "the key of VAULT_CLIENT_CERT");
  }
}

function refuseOthers(env: Environment, report: Report): void {
  for (const [variable, expected] of Object.entries(instead)) {
    const value = env[variable] ?? "";
    const isOff = variable === "VAULT_SKIP_VERIFY" ? /^(0|f|false)?$/i.test(value) : value === "";
    // As for the Vault CLI, the file beats the folder.
    const isBeaten = variable === "VAULT_CAPATH" && Boolean(env["VAULT_CACERT"]);
    if (!isOff && !isBeaten) report(variable, "set", expected);
  }
}
