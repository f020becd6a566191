import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "../support/fastCheck";
import { isLoopback } from "../../net/endpoint";
import { proxyFor, proxyTo } from "../../net/proxy";
import { readSettings } from "../../job/settings";
import type { Machine } from "../../job/settings";

const pem = (path: string) => readFileSync(join(__dirname, path), "utf8");
const files: Record<string, string> = {
  "ca.pem": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
  "empty.pem": "",
  "client.pem": pem("../support/tls/localhost.pem"),
  "client.key": pem("../support/tls/localhost.key"),
  "other.key": generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  }).privateKey,
  "locked.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n-----END ENCRYPTED PRIVATE KEY-----\n",
  accounts: "scanner\r\n\n  build-7  \nscanner\n",
};
const machine: Machine = {
  readText(path) {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT ${path}`);
    return text;
  },
};

const idToken = "eyJhbGciOiJSUzI1NiJ9.canary.signature";
const job = {
  VAULT_ADDR: "https://vault.example.com:8200",
  VAULT_ID_TOKEN: idToken,
  VAULT_AUTH_PATH: "gitlab",
  VAULT_AUTH_ROLE: "apisec-dev-rotator",
  APISEC_MOUNT: "apisec",
  APISEC_ACCOUNTS: "scanner",
};

const read = (env: Record<string, string | undefined>) => readSettings({ ...job, ...env }, machine);

function problemOf(env: Record<string, string | undefined>): string {
  try {
    read(env);
  } catch (error) {
    expect(error).toMatchObject({ code: "settings" });
    expect((error as Error).message).not.toContain("canary");
    return (error as Error).message;
  }
  throw new Error("accepted");
}

test("a job's settings, with the defaults", () => {
  expect(read({ CI_PIPELINE_URL: "https://gitlab.example.com/p/-/pipelines/1" })).toEqual({
    vault: { address: "https://vault.example.com:8200", namespace: undefined, tls: {} },
    login: { kind: "idToken", idToken, authPath: "gitlab", role: "apisec-dev-rotator" },
    mount: "apisec",
    accounts: ["scanner"],
    apisecUrl: undefined,
    paths: expect.objectContaining({
      login: "/login",
      probe: expect.any(String) as string,
    }) as object,
    concurrency: 16,
    minLifetimeSeconds: 3600,
    tokenEndsInVault: true,
    largestGapSeconds: undefined,
    deadlineSeconds: 720,
    reportFile: "rotation-report.xml",
    metricsFile: undefined,
    owner: { project: "", stack: "" },
    source: "https://gitlab.example.com/p/-/pipelines/1",
  });
});

test.each<[string, Record<string, string>, object]>([
  [
    "GitLab's name of the address",
    { VAULT_ADDR: "", VAULT_SERVER_URL: "https://v.example/x/" },
    { vault: { address: "https://v.example/x" } },
  ],
  [
    "VAULT_ADDR before GitLab's",
    { VAULT_SERVER_URL: "https://other.example" },
    { vault: { address: "https://vault.example.com:8200" } },
  ],
  [
    "http on this machine",
    { VAULT_ADDR: "http://127.0.0.1:8200" },
    { vault: { address: "http://127.0.0.1:8200" } },
  ],
  [
    "http on this machine, v6",
    { VAULT_ADDR: "http://[::1]:8200" },
    { vault: { address: "http://[::1]:8200" } },
  ],
  [
    "namespace and CA",
    { VAULT_NAMESPACE: "team/a", VAULT_CACERT: "ca.pem" },
    { vault: { namespace: "team/a", tls: { ca: files["ca.pem"] } } },
  ],
  ["the ID token before a token", { VAULT_TOKEN: "hvs.canary" }, { login: { kind: "idToken" } }],
  [
    "a token",
    { VAULT_ID_TOKEN: "", VAULT_TOKEN: "hvs.canary" },
    { login: { kind: "token", token: "hvs.canary" } },
  ],
  ["a path with slashes at its ends", { APISEC_MOUNT: "/kv/apisec/" }, { mount: "kv/apisec" }],
  ["several accounts, each once", { APISEC_ACCOUNTS: " a, b ,a,," }, { accounts: ["a", "b"] }],
  [
    "a file of accounts",
    { APISEC_ACCOUNTS: "", APISEC_ACCOUNTS_FILE: "accounts" },
    { accounts: ["scanner", "build-7"] },
  ],
  [
    "APISEC_URL",
    { APISEC_URL: "https://Cloud.apisec.ai/" },
    { apisecUrl: "https://cloud.apisec.ai" },
  ],
  [
    "named paths",
    { APISEC_PATHS: "probe=/ping?a=b, login=/auth/login" },
    { paths: { login: "/auth/login", probe: "/ping?a=b" } },
  ],
  [
    "one named path",
    { APISEC_PATHS: "probe=/ping" },
    { paths: { login: "/login", probe: "/ping" } },
  ],
  [
    "paths in order",
    { APISEC_PATHS: "/auth/login,/ping?a=b" },
    { paths: { login: "/auth/login", probe: "/ping?a=b" } },
  ],
  [
    "paths as JSON",
    { APISEC_PATHS: '{"login":"/auth/login"}' },
    { paths: { login: "/auth/login" } },
  ],
  [
    "a total without an index, as GitLab sets it",
    { CI_NODE_TOTAL: "1" },
    { accounts: ["scanner"] },
  ],
  ["a shard without accounts", { CI_NODE_INDEX: "2", CI_NODE_TOTAL: "2" }, { accounts: [] }],
  ["a duration", { APISEC_MIN_LIFETIME: "23h30m" }, { minLifetimeSeconds: 84600 }],
  [
    "what the pipeline file's script says beside",
    {
      ...{ APISEC_TOKEN_ENDS: "expiry", APISEC_LARGEST_GAP: "6h0m0s", APISEC_DEADLINE: "90s" },
      ...{ APISEC_METRICS: "m.txt", APISEC_STACK: "apisec-credentials/dev" },
    },
    {
      ...{ tokenEndsInVault: false, largestGapSeconds: 21_600, deadlineSeconds: 90 },
      ...{ metricsFile: "m.txt", owner: { project: "apisec-credentials", stack: "dev" } },
    },
  ],
  ["a duration in seconds", { APISEC_MIN_LIFETIME: "90s" }, { minLifetimeSeconds: 90 }],
  [
    "a client certificate and its key",
    { VAULT_CLIENT_CERT: "client.pem", VAULT_CLIENT_KEY: "client.key" },
    { vault: { tls: { cert: files["client.pem"], key: files["client.key"] } } },
  ],
  ["checks that are not skipped", { VAULT_SKIP_VERIFY: "false" }, { concurrency: 16 }],
  [
    "a folder of CAs that the file beats",
    { VAULT_CAPATH: "/etc/ca", VAULT_CACERT: "ca.pem" },
    { vault: { tls: { ca: files["ca.pem"] } } },
  ],
  ["a proxy", { HTTPS_PROXY: "http://u:canary@proxy:3128" }, { concurrency: 16 }],
  ["a proxy without a scheme", { https_proxy: "proxy:3128" }, { concurrency: 16 }],
  ["tracing that is off", { CI_DEBUG_TRACE: "false" }, { concurrency: 16 }],
  [
    "concurrency and report",
    { APISEC_CONCURRENCY: "4", APISEC_REPORT: "r.xml" },
    { concurrency: 4, reportFile: "r.xml" },
  ],
])("accepts %s", (_, env, expected) => {
  expect(read(env)).toMatchObject(expected);
});

test.each<[string, Record<string, string>, string]>([
  ["no address", { VAULT_ADDR: "" }, "VAULT_ADDR: found nothing, expected the https address"],
  [
    "http elsewhere",
    { VAULT_ADDR: "http://vault.example.com" },
    'VAULT_ADDR: found "http://vault.example.com", which is not https',
  ],
  [
    "http to a name like localhost",
    { VAULT_ADDR: "http://127.0.0.1.evil.example" },
    "which is not https",
  ],
  [
    "an address that is none",
    { VAULT_SERVER_URL: "vault", VAULT_ADDR: "" },
    'VAULT_SERVER_URL: found "vault", which is not a URL',
  ],
  [
    "a password in the address",
    { VAULT_ADDR: "https://me:canary@vault.example.com" },
    'found "https://…@vault.example.com", which carries a user',
  ],
  [
    "no role",
    { VAULT_AUTH_ROLE: "", VAULT_TOKEN: "hvs.canary" },
    "VAULT_AUTH_ROLE: found nothing, expected the name of the role",
  ],
  ["no auth path", { VAULT_AUTH_PATH: "" }, "VAULT_AUTH_PATH: found nothing"],
  [
    "an auth path that climbs",
    { VAULT_AUTH_PATH: "gitlab/../token" },
    'VAULT_AUTH_PATH: found "gitlab/../token"',
  ],
  [
    "no credential",
    { VAULT_ID_TOKEN: "" },
    "VAULT_ID_TOKEN: found nothing, expected GitLab's ID token",
  ],
  [
    "a broken token",
    { VAULT_ID_TOKEN: "", VAULT_TOKEN: "hvs.canary\nx" },
    "VAULT_TOKEN: found blanks or control",
  ],
  ["no mount", { APISEC_MOUNT: "" }, "APISEC_MOUNT: found nothing"],
  ["a mount with a wildcard", { APISEC_MOUNT: "ap+sec" }, 'APISEC_MOUNT: found "ap+sec"'],
  ["no accounts", { APISEC_ACCOUNTS: " , " }, "APISEC_ACCOUNTS: found no account"],
  [
    "account names",
    { APISEC_ACCOUNTS: "a,B,../x,c+" },
    'APISEC_ACCOUNTS: found "B", "../x", "c+", expected names',
  ],
  [
    "two lists",
    { APISEC_ACCOUNTS_FILE: "accounts" },
    "APISEC_ACCOUNTS: found APISEC_ACCOUNTS_FILE beside it",
  ],
  [
    "no such list",
    { APISEC_ACCOUNTS: "", APISEC_ACCOUNTS_FILE: "nowhere" },
    'APISEC_ACCOUNTS_FILE: found the unreadable file "nowhere"',
  ],
  [
    "a key as text, which is not repeated",
    { VAULT_CLIENT_CERT: "client.pem", VAULT_CLIENT_KEY: "-----BEGIN PRIVATE KEY-----\ncanary" },
    "VAULT_CLIENT_KEY: found the unreadable file (its text: in GitLab, use type File)",
  ],
  ["no such CA", { VAULT_CACERT: "nowhere" }, 'VAULT_CACERT: found the unreadable file "nowhere"'],
  [
    "an empty CA",
    { VAULT_CACERT: "empty.pem" },
    'VAULT_CACERT: found "empty.pem", which holds no such thing, expected a readable file with PEM',
  ],
  ["http APIsec", { APISEC_URL: "http://cloud.apisec.ai" }, "APISEC_URL: found"],
  ["APIsec with a path", { APISEC_URL: "https://cloud.apisec.ai/x" }, "which has a path"],
  [
    "a path with two slashes",
    { APISEC_PATHS: "login=//evil.example/login" },
    "APISEC_PATHS: found",
  ],
  ["a path without a slash", { APISEC_PATHS: ".evil.example/login" }, "APISEC_PATHS: found"],
  ["a third path", { APISEC_PATHS: "change=/x" }, "APISEC_PATHS: found"],
  ["paths that are no JSON", { APISEC_PATHS: '{"login":' }, "APISEC_PATHS: found"],
  [
    "no concurrency",
    { APISEC_CONCURRENCY: "0" },
    'APISEC_CONCURRENCY: found "0", expected a whole number from 1',
  ],
  ["a broken concurrency", { APISEC_CONCURRENCY: "1e1" }, "APISEC_CONCURRENCY: found"],
  [
    "a shard from 0",
    { CI_NODE_INDEX: "0", CI_NODE_TOTAL: "2" },
    'CI_NODE_INDEX: found "0", expected a whole number from 1 to 2',
  ],
  ["a shard beyond", { CI_NODE_INDEX: "3", CI_NODE_TOTAL: "2" }, "CI_NODE_INDEX: found"],
  ["no shard", { CI_NODE_TOTAL: "2" }, "CI_NODE_INDEX: found nothing, expected the shard, 1 to 2"],
  [
    "a duration of days",
    { APISEC_MIN_LIFETIME: "1d" },
    'APISEC_MIN_LIFETIME: found "1d", expected a duration such as',
  ],
  ["a duration without unit", { APISEC_MIN_LIFETIME: "3600" }, "APISEC_MIN_LIFETIME: found"],
  [
    "another end of tokens",
    { APISEC_TOKEN_ENDS: "never" },
    'APISEC_TOKEN_ENDS: found "never", expected vault, or expiry',
  ],
  ["a deadline without unit", { APISEC_DEADLINE: "720" }, "APISEC_DEADLINE: found"],
  ["tracing", { CI_DEBUG_TRACE: "true" }, "CI_DEBUG_TRACE: found it switched on"],
  [
    "certificates unchecked",
    { NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    "NODE_TLS_REJECT_UNAUTHORIZED: found 0",
  ],
  [
    "a proxy that is none",
    { HTTPS_PROXY: "socks5://u:canary@proxy:1080" },
    "HTTPS_PROXY: found something else, expected a proxy such as http://proxy.example.com:3128",
  ],
  [
    "a proxy whose password has a bare %",
    { HTTPS_PROXY: "http://u:canary%@proxy:3128" },
    "with each % of its user and password as %25",
  ],
  [
    "no proxy to APIsec",
    { https_proxy: "http://", NO_PROXY: ".example.com", APISEC_URL: "https://cloud.apisec.ai" },
    "https_proxy: found something else",
  ],
  [
    "a client certificate without a key",
    { VAULT_CLIENT_CERT: "client.pem" },
    "VAULT_CLIENT_KEY: found nothing, expected a file's name, as for VAULT_CLIENT_CERT",
  ],
  [
    "a client key without a certificate",
    { VAULT_CLIENT_KEY: "client.key" },
    "VAULT_CLIENT_CERT: found nothing, expected a file's name",
  ],
  [
    "a client key of another certificate",
    { VAULT_CLIENT_CERT: "client.pem", VAULT_CLIENT_KEY: "other.key" },
    "VAULT_CLIENT_KEY: found a key that does not fit, expected the key of VAULT_CLIENT_CERT",
  ],
  [
    "a client key with a passphrase",
    { VAULT_CLIENT_CERT: "client.pem", VAULT_CLIENT_KEY: "locked.key" },
    'VAULT_CLIENT_KEY: found "locked.key", which holds no such thing, expected a readable file with the PEM key',
  ],
  [
    "unchecked Vault",
    { VAULT_SKIP_VERIFY: "1" },
    "VAULT_SKIP_VERIFY: found set, expected it unset",
  ],
  [
    "a folder of CAs",
    { VAULT_CAPATH: "/etc/ca" },
    "VAULT_CAPATH: found set, expected VAULT_CACERT instead, one file",
  ],
  ["another server name", { VAULT_TLS_SERVER_NAME: "vault" }, "VAULT_TLS_SERVER_NAME: found set"],
  ["Vault's own proxy", { VAULT_PROXY_ADDR: "http://p:1" }, "VAULT_PROXY_ADDR: found set"],
  [
    "a secret in the wrong place",
    { VAULT_NAMESPACE: `a ${idToken}` },
    'VAULT_NAMESPACE: found "a [secret]"',
  ],
])("refuses %s", (_, env, problem) => {
  expect(problemOf(env)).toContain(problem);
});

test("all problems stand in one message", () => {
  const lines = problemOf(Object.fromEntries(Object.keys(job).map((name) => [name, ""])));
  for (const name of ["VAULT_ADDR", "VAULT_ID_TOKEN", "APISEC_MOUNT", "APISEC_ACCOUNTS"]) {
    expect(lines).toContain(`\n  ${name}: found n`);
  }
});

test("shards split the accounts: each exactly once", () => {
  const all = Array.from({ length: 103 }, (_, i) => `account-${i}`);
  const shards = [1, 2, 3, 4].map(
    (index) =>
      read({
        APISEC_ACCOUNTS: all.join(","),
        CI_NODE_INDEX: String(index),
        CI_NODE_TOTAL: "4",
      }).accounts,
  );
  expect(shards.map((shard) => shard.length)).toEqual([26, 26, 26, 25]);
  expect(shards.flat().sort()).toEqual([...all].sort());
});

test.each([
  ["https://vault.example.com", "", "HTTPS_PROXY"],
  ["https://127.0.0.1:8200", "", undefined],
  ["https://localhost", "", undefined],
  ["https://vault.example.com", "*", undefined],
  ["https://vault.example.com", "vault.example.com", undefined],
  ["https://vault.example.com", "other, .example.com", undefined],
  ["https://vault.example.com", "*.example.com", undefined],
  ["https://vault.example.com", "EXAMPLE.com", undefined],
  ["https://vault.example.com", "vault.example.com:443", undefined],
  ["https://vault.example.com:8200", "vault.example.com:443", "HTTPS_PROXY"],
  ["https://myvault.example.com", "vault.example.com", "HTTPS_PROXY"],
  ["https://vault.example.com.evil", "example.com", "HTTPS_PROXY"],
  ["https://example.com", ".example.com, *.example.com", "HTTPS_PROXY"],
  ["https://10.1.2.3", "10.0.0.0/8", undefined],
  ["https://10.1.2.3:8200", "192.168.0.0/16,10.200.0.1/8", undefined],
  ["https://11.1.2.3", "10.0.0.0/8", "HTTPS_PROXY"],
  ["https://10.1.2.3", "0.0.0.0/0", undefined],
  ["https://10.1.2.3", "10.1.2.3:443", undefined],
  ["https://10.1.2.3", "10.1.2.3:8200", "HTTPS_PROXY"],
  ["https://10.1.2.3", "10.0.0.0/33,10.0.0.0/,10.0.0.0/x,10.0.0.0/8/8,10/8,/8", "HTTPS_PROXY"],
  ["https://10.1.2.3", "192.0.2.1 10.1.2.3", "HTTPS_PROXY"],
  ["https://10.1.2.3", "10.0.0.0/8:443", "HTTPS_PROXY"],
  ["https://10.1.2.3", "1.2.3", undefined],
  ["https://vault.example.com", " .other.example , , .example.com ", undefined],
  ["https://vault.bücher.example", "bücher.example", undefined],
  ["https://[fd00::1]", "[fd00::1]", "HTTPS_PROXY"],
  ["https://10.example.com", "10.0.0.0/8", "HTTPS_PROXY"],
  ["https://[fdab::1]:8200", "fd00::/8", undefined],
  ["https://[fe80::1]", "fd00::/8", "HTTPS_PROXY"],
  ["https://[fd00::1]", "fd00::/129,::/0/0", "HTTPS_PROXY"],
  ["https://[FD00:0::1]", "fd00:0:0::1", undefined],
  ["https://[fd00::2]", "fd00::1", "HTTPS_PROXY"],
  ["https://[fd00::1]:8200", "[fd00::1]:8200", undefined],
  ["https://[fd00::1]:8200", "[fd00::1]:443", "HTTPS_PROXY"],
  ["https://10.1.2.3", "::/0", "HTTPS_PROXY"],
  ["https://[fd00::1]", "0.0.0.0/0", "HTTPS_PROXY"],
])("proxy on the way to %s with NO_PROXY '%s': %s", (address, noProxy, variable) => {
  const env = { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: noProxy };
  expect(proxyFor(address, env)?.variable).toBe(variable);
});

/** An address of so many bits, as it stands in a URL. */
function addressOf(bits: string[]): string {
  const isSix = bits.length === 128;
  const size = isSix ? 16 : 8;
  const parts = Array.from({ length: bits.length / size }, (_, i) =>
    parseInt(bits.slice(i * size, (i + 1) * size).join(""), 2).toString(isSix ? 16 : 10),
  );
  return isSix ? `[${parts.join(":")}]` : parts.join(".");
}

test("an address is direct where its first bits are the network's, and nowhere else", () => {
  const anyCase = fc.constantFrom(32, 128).chain((length) =>
    fc.record({
      network: fc.array(fc.constantFrom("0", "1"), { minLength: length, maxLength: length }),
      firstOther: fc.nat({ max: length }),
      prefix: fc.nat({ max: length }),
    }),
  );
  fc.assert(
    fc.property(anyCase, ({ network, firstOther, prefix }) => {
      const turned = network.map((bit, i) => (i === firstOther ? String(1 - Number(bit)) : bit));
      const host = addressOf(turned);
      fc.pre(!isLoopback(host));
      const entry = `${addressOf(network).replace(/[[\]]/g, "")}/${prefix}`;
      const env = { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: entry };
      expect(proxyFor(`https://${host}`, env) === undefined).toBe(firstOther >= prefix);
    }),
  );
});

test("the proxy of this process's environment", () => {
  const before = { ...process.env };
  process.env = { HTTPS_PROXY: "http://proxy.example.com:3128", NO_PROXY: "vault.example.com" };
  expect(proxyTo("https://cloud.apisec.ai")).toBe("http://proxy.example.com:3128");
  expect(proxyTo("https://vault.example.com")).toBeUndefined();
  process.env = before;
});
