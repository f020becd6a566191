import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import type { JsonReport } from "../../checks/report";
import { startForwardProxy } from "../support/forwardProxy";
import type { ForwardProxy } from "../support/forwardProxy";
import { findExecutable, run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { followFix } from "../support/followFix";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { sampled } from "../support/sampled";
import type { TestStack } from "../support/stack";
import { textOf } from "../support/textOf";

// Vault has a name that only the proxy knows, a private CA, and asks for client certificates; all is in a
// namespace of it; GitLab lives below a path.
const vaultName = "vault.lab.example";
const namespace = "teams/security";

let lab: TestLab;
let proxy: ForwardProxy;
let stack: TestStack;
let output = "";
let scheduleId: number | undefined;
const key = () => readFileSync(lab.world.vault.client?.keyFile ?? "", "utf8");

beforeAll(async () => {
  lab = await startTestLab({
    vault: { tls: true, names: [vaultName], clientCertificates: true },
    gitlabPath: "/gitlab",
  });
  const { address, caFile, client } = lab.world.vault;
  const port = Number(new URL(address).port);
  proxy = await startForwardProxy({
    route: (target) =>
      target.startsWith(`${vaultName}:`) ? { host: "127.0.0.1", port } : undefined,
  });
  Object.assign(lab.env, {
    VAULT_ADDR: `https://${vaultName}:${port}`,
    VAULT_NAMESPACE: namespace,
    VAULT_CACERT: caFile,
    VAULT_CLIENT_CERT: client?.certFile,
    VAULT_CLIENT_KEY: client?.keyFile,
    HTTPS_PROXY: proxy.url,
    GITLAB_BASE_URL: `${lab.world.gitlab.url}/`,
  });
  await createNamespace(namespace);
  stack = await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
});

afterAll(async () => {
  await lab?.stop();
  await proxy?.close();
});

async function up(options: { refresh?: boolean } = {}): Promise<void> {
  output += (await stack.up(options)).printed;
}

async function createNamespace(path: string): Promise<void> {
  const parts = path.split("/");
  for (const index of parts.keys()) {
    const [above, name] = [parts.slice(0, index), parts[index]];
    const { status } = await lab.asRoot(
      "POST",
      [...above, "sys", "namespaces", name].join("/"),
      {},
    );
    expect(status).toBe(200);
  }
}

describe("one thing is missing: pulumi says which, and nothing is touched", () => {
  const missing: [string, Record<string, string>, string][] = [
    ["the CA", { VAULT_CACERT: "" }, "has a certificate that is not trusted here"],
    [
      "the client certificate",
      { VAULT_CLIENT_CERT: "", VAULT_CLIENT_KEY: "" },
      "asks for a client certificate, or refuses the one that it was shown",
    ],
    ["the client key", { VAULT_CLIENT_KEY: "" }, "VAULT_CLIENT_KEY: is nothing; expected a file's"],
    ["the proxy", { HTTPS_PROXY: "" }, "has a host name that cannot be resolved"],
    ["the proxy, by NO_PROXY", { NO_PROXY: ".lab.example" }, "has a host name that cannot be"],
    ["a proxy that is there", { HTTPS_PROXY: "http://127.0.0.1:9" }, "through the proxy (ECONNREF"],
    ["a namespace that is there", { VAULT_NAMESPACE: "teams/other" }, "is not ready for stack dev"],
    [
      "a checked Vault",
      { VAULT_SKIP_VERIFY: "true" },
      "VAULT_SKIP_VERIFY: is set; expected it uns",
    ],
  ];

  test.each(sampled(missing))("%s", async (_, env, words) => {
    const refused = await lab.pulumi(["preview", "--color", "never"], env);
    expect(refused.code).not.toBe(0);
    expect(textOf(refused)).toContain(words);
    expect(textOf(refused)).toContain("nothing was touched");
  });
});

test("up with all of them: preflight, plugin, passwords and first tokens", async () => {
  await up();
  const { status, body } = await lab.asRoot("GET", `${namespace}/apisec/data/scanner/token`);
  expect(status).toBe(200);
  expect(body).toMatchObject({ data: { data: { source: "pulumi up" } } });
  // What is in the namespace is nowhere else.
  expect((await lab.asRoot("GET", "sys/mounts/apisec")).status).not.toBe(200);
  expect(new Set(proxy.targets())).toEqual(new Set([new URL(lab.env["VAULT_ADDR"] ?? "").host]));
});

test("the client's key is in no output and not in the state", async () => {
  const { stdout } = await lab.pulumi(["stack", "export", "--show-secrets"]);
  const [line = ""] = key().split("\n").slice(1);
  expect(line.length).toBeGreaterThan(40);
  expect(stdout).not.toContain(line);
  expect(output).not.toContain(line);
  expect(stdout).toContain("BEGIN CERTIFICATE");
});

test("howToReadToken works as it is printed", async () => {
  const { howToReadToken } = await stack.outputs();
  const command = (howToReadToken as Record<string, string>)["scanner"] ?? "";
  expect(command).toMatch(/^vault kv get /);
  const bin = join(lab.world.dir, "bin");
  mkdirSync(bin);
  symlinkSync(findExecutable("bao", lab.env["PATH"] ?? "") ?? "", join(bin, "vault"));
  const { vault } = lab.world;
  const token = await tokenWith(vault, "apisec-dev-developer", undefined, "1h", namespace);
  const env = { ...lab.env, PATH: `${bin}:${lab.env["PATH"]}`, VAULT_TOKEN: token };
  // Whoever reads need not know the namespace.
  Reflect.deleteProperty(env, "VAULT_NAMESPACE");
  const read = await run("sh", ["-c", command], { env });
  expect(read.stderr).toBe("");
  expect(read.stdout).toMatch(/^eyJ[\w.-]+\s*$/);
});

/** Runs the schedule once. */
async function rotate(): Promise<{ status: string; trace: string }> {
  // A token of the same second would not expire later than the stored one.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  scheduleId ??= Number((await stack.outputs())["scheduleId"]);
  const pipeline = await lab.runSchedule(scheduleId);
  output += pipeline.trace;
  return pipeline;
}

/** A variable that the platform team sets in the project itself. */
const setVariable = (name: string, value: string, type = "env_var") =>
  lab.gitlab("POST", "variables", {
    key: name,
    value,
    variable_type: type,
    protected: true,
    environment_scope: "apisec/dev",
  });

describe("the scheduled job", () => {
  test("without a proxy: the name cannot be resolved", async () => {
    const { status, trace } = await rotate();
    expect(trace).toContain("has a host name that cannot be resolved");
    expect(status).toBe("failed");
  });

  test("with the proxy, without a client certificate: said so", async () => {
    await setVariable("HTTPS_PROXY", proxy.url);
    const { status, trace } = await rotate();
    expect(trace).toContain("asks for a client certificate, or refuses the one that it was shown");
    expect(status).toBe("failed");
  });

  test("with the client certificate as file variables: rotates, and the CA is up's", async () => {
    const { certFile = "", keyFile = "" } = lab.world.vault.client ?? {};
    await setVariable("VAULT_CLIENT_CERT", readFileSync(certFile, "utf8"), "file");
    await setVariable("VAULT_CLIENT_KEY", readFileSync(keyFile, "utf8"), "file");
    const { status, trace } = await rotate();
    expect(trace).toMatch(/^scanner {2}rotated/m);
    expect(status).toBe("success");
    const { body } = await lab.asRoot("GET", `${namespace}/auth/gitlab/config`);
    expect(body).toMatchObject({ data: { oidc_discovery_url: lab.world.gitlab.url } });
  });

  test("without the CA's variable: not trusted", async () => {
    const scope = "filter%5Benvironment_scope%5D=apisec%2Fdev";
    expect((await lab.gitlab("DELETE", `variables/VAULT_CACERT?${scope}`)).status).toBe(204);
    const { status, trace } = await rotate();
    expect(trace).toContain("has a certificate that is not trusted here");
    expect(status).toBe("failed");
    // Taken away by hand: put back as any drift is.
    await up({ refresh: true });
    expect((await rotate()).status).toBe("success");
  });
});

async function upWith(config: object): Promise<void> {
  stack = await lab.stack("dev", { ...devConfig(lab.world), ...config });
  await up();
}

async function expectRotation(config: object): Promise<void> {
  const { body } = await lab.asRoot("GET", `${namespace}/auth/gitlab/config`);
  expect(body).toMatchObject({ data: { ...config, bound_issuer: lab.world.gitlab.url } });
  const { status, trace } = await rotate();
  expect(trace).toMatch(/^scanner {2}rotated/m);
  expect(status).toBe("success");
}

describe("Vault gets GitLab's keys another way", () => {
  test("at a URL (jwksUrl): the job logs in", async () => {
    await upWith({ jwksUrl: `${lab.world.gitlab.url}/oauth/discovery/keys` });
    await expectRotation({ oidc_discovery_url: "", jwt_validation_pubkeys: [] });
  });

  test("as given (jwtPublicKeys): others' are refused; the command of docs/networks fixes that", async () => {
    const { publicKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    await upWith({ jwtPublicKeys: [publicKey] });
    const { status, trace } = await rotate();
    expect(trace).toMatch(/Vault refuses the login with role "apisec-dev-rotator".*signature/);
    expect(status).toBe("failed");

    const page = readFileSync(join(__dirname, "../../docs/networks.md"), "utf8");
    const [command = ""] = /^pulumi config set jwtPublicKeys [^]*?keys\)"$/m.exec(page) ?? [];
    const set = command.replace("https://gitlab.example.com", lab.world.gitlab.url);
    const { code, stderr } = await run("sh", ["-c", set], { cwd: lab.program, env: lab.env });
    expect([code, stderr]).toEqual([0, ""]);
    await up();
    await expectRotation({ oidc_discovery_url: "", jwks_url: "" });
  });
});

test("the login of Pulumi's own job takes the same way", async () => {
  const { code, stderr } = await run(
    process.execPath,
    ["-r", "./build/typescript.js", "cli/vaultLogin.ts"],
    {
      cwd: lab.program,
      env: { ...lab.env, VAULT_ROLE: "apisec-dev-rotator", VAULT_ID_TOKEN: "no.id.token" },
    },
  );
  expect(stderr).toMatch(/^Vault (refuses the login|denies POST auth\/gitlab\/login)/);
  expect(code).toBe(1);
});

test("another stack in a namespace that config names, not the environment", async () => {
  await createNamespace("security");
  for (const [name, password] of Object.entries(lab.world.secrets.firstPasswords)) {
    await lab.apisec("POST", `accounts/${name}@acme.example/password`, { password });
  }
  lab.env["VAULT_NAMESPACE"] = "security";
  const config = {
    ...devConfig(lab.world),
    "vault:namespace": "security",
    manageProjectFiles: false,
  };
  await lab.stack("qa", config, lab.world.secrets.firstPasswords);
  const args = ["up", "--yes", "--skip-preview", "--color", "never", "--stack", "qa"];
  const done = await lab.pulumi(args, { VAULT_NAMESPACE: "" });
  const command = "vault kv get -namespace=security -mount=apisec -field=token scanner/token";
  expect([done.code, textOf(done)]).toEqual([0, expect.stringContaining(command)]);
  expect((await lab.asRoot("GET", "security/apisec/data/scanner/token")).status).toBe(200);
});

test("a token of the namespace above: what it lacks is named with the policy for it, then it works", async () => {
  const policies = ["default", "apisec-qa-deployer"];
  const root = (path: string, body: object) => lab.asRoot("POST", path, body);
  const { body } = await root("auth/token/create", { policies, ttl: "1h" });
  const { client_token: token } = (body as { auth: { client_token: string } }).auth;
  const env = { ...lab.env, VAULT_TOKEN: token, VAULT_NAMESPACE: "" };
  const ofVault = async () => {
    const args = ["cli/bin.js", "doctor", "--stack", "qa", "--json"];
    const said = await run(process.execPath, args, { cwd: lab.program, env });
    const { findings } = JSON.parse(said.stdout) as JsonReport;
    return findings.filter(
      ({ id, state }) => state !== "ok" && /^(vault|mount|auth-mount|policy)/.test(id),
    );
  };
  const [lacking, ...more] = await ofVault();
  expect(lacking).toMatchObject({ id: "vault.token", state: "problem" });
  expect(lacking?.found).toMatch(
    /^policies .*apisec-qa-deployer.*; of the root namespace, and opens nothing in namespace security$/,
  );
  expect(more.every(({ state }) => state === "skipped")).toBe(true);
  const args = ["up", "--yes", "--skip-preview", "--color", "never", "--stack", "qa"];
  const refused = await lab.pulumi(args, env);
  expect(textOf(refused)).toContain("nothing was touched");
  expect(textOf(refused)).toContain("opens nothing in namespace security");
  await followFix(lab, lacking?.fix ?? "");
  expect(await ofVault()).toEqual([]);
  const done = await lab.pulumi(args, env);
  expect([done.code, textOf(done)]).toEqual([0, expect.stringContaining("unchanged")]);
});

test.each(["nowhere", "security/cubbyhole"])("a namespace that is not there: %s", async (name) => {
  const args = ["preview", "--color", "never", "--stack", "dev"];
  const refused = await lab.pulumi(args, { VAULT_NAMESPACE: name });
  expect(textOf(refused)).toContain(
    `namespace ${name} does not exist: \`unset VAULT_NAMESPACE; pulumi config rm vault:namespace --stack dev\``,
  );
  expect(textOf(refused)).toContain("nothing was touched");
});
