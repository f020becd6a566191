import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { commandLine, endProcess, freePort, isAlive, isFree, run, waitFor } from "./process";

export interface OpenBaoOptions {
  /** Everything the server keeps lies here: storage, configuration, keys, logs. */
  dir: string;
  /** The `bao` executable, or HashiCorp's `vault`. */
  bao: string;
  /** Default: the port of the last start in this directory, else a free one. */
  port?: number;
  /** Address to listen on, default 127.0.0.1. */
  listen?: string;
  /** Serve https with a certificate of the lab's own CA. */
  tls?: boolean;
  /** Further host names of that certificate. */
  names?: string[];
  /** Answer only those who show a client certificate of that CA. */
  clientCertificates?: boolean;
  /** Let the server outlive this process; otherwise it ends when this process exits. */
  detached?: boolean;
  cluster?: ClusterMember;
}

/** A node's place in a cluster: a name of its own, which nodes it may join, and the keys that they have. */
interface ClusterMember {
  node: string;
  join: string[];
  keys?: Keys;
}

export interface OpenBao {
  readonly address: string;
  readonly rootToken: string;
  readonly unsealKeys: string[];
  readonly pid: number;
  readonly auditLog: string;
  /** The CA certificate's file, where the server speaks https. */
  readonly caFile?: string;
  /** A client certificate and its key, where the server asks for one. */
  readonly client?: { certFile: string; keyFile: string };
  /** One request; see `baoRequest`. */
  request(
    token: string | undefined,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<BaoAnswer>;
  /** Ends the server; its data stay. */
  stop(): Promise<void>;
  /** Stops, starts on the same address and unseals. */
  restart(): Promise<void>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Ends the server as a power cut would. */
  kill(): Promise<void>;
}

/** What a client trusts and shows: PEM texts. */
export interface BaoTls {
  ca?: string | Buffer | undefined;
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
}

export interface BaoAnswer {
  status: number;
  /** The parsed JSON, or undefined for an empty answer. */
  body: unknown;
}

/**
 * A request to a Vault or OpenBao server; `path` without `/v1/`. Any status is an answer, but that of a KV
 * version 2 mount which has just been made: it is asked again until it can be used.
 * @throws when the server cannot be reached or does not answer within 10 s.
 */
export async function baoRequest(...request: Parameters<typeof requestOnce>): Promise<BaoAnswer> {
  const until = Date.now() + 10_000;
  for (;;) {
    const answer = await requestOnce(...request);
    const text = answer.status === 400 ? JSON.stringify(answer.body) : "";
    if (!text.includes("Upgrading from non-versioned") || Date.now() > until) return answer;
    await sleep(100);
  }
}

function requestOnce(
  address: string,
  token: string | undefined,
  method: string,
  path: string,
  body?: unknown,
  tls: BaoTls = {},
): Promise<BaoAnswer> {
  const url = new URL(`/v1/${path}`, address);
  const headers: Record<string, string> = { "X-Vault-Request": "true" };
  if (token) headers["X-Vault-Token"] = token;
  const payload = body === undefined ? undefined : JSON.stringify(body);
  if (payload) {
    headers["Content-Type"] =
      method === "PATCH" ? "application/merge-patch+json" : "application/json";
  }
  return new Promise((resolve, reject) => {
    const client = url.protocol === "https:" ? https : http;
    const request = client.request(url, { method, headers, ...tls, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject);
      response.on("end", () => {
        try {
          const parsed: unknown = text.trim() === "" ? undefined : JSON.parse(text);
          resolve({ status: response.statusCode ?? 0, body: parsed });
        } catch {
          reject(new Error(`${method} ${path}: answer is not JSON`));
        }
      });
    });
    request.setTimeout(10_000, () => request.destroy(new Error(`${method} ${path}: no answer`)));
    request.on("error", reject);
    request.end(payload);
  });
}

/** What a later start, or another process, must know of a server. */
interface Settings {
  bao: string;
  /** HashiCorp Vault: no audit device in its configuration, and with raft `disable_mlock` has to be named. */
  isVault: boolean;
  listen: string;
  port: number;
  clusterPort: number;
  tls: boolean;
  names: string[];
  clientCertificates: boolean;
  cluster?: ClusterMember;
}

interface Keys {
  rootToken: string;
  unsealKeys: string[];
}

const files = {
  settings: "server.json",
  config: "openbao.hcl",
  keys: "init.json",
  pid: "openbao.pid",
  log: "openbao.log",
  audit: "audit.log",
  ca: "tls/ca.pem",
  clientCert: "tls/client.pem",
  clientKey: "tls/client.key",
};

/**
 * Starts a server with raft storage in `dir`; the first start initialises it (1 to 2 s: raft waits
 * that long before it elects its only member), later ones unseal it with the keys kept there.
 * @throws when one is running there already, or the end of the server's log when it does not start.
 */
export async function startOpenBao(options: OpenBaoOptions): Promise<OpenBao> {
  const dir = path.resolve(options.dir);
  if (await runningPid(dir)) throw new Error(`OpenBao is running already in ${dir}`);
  fs.mkdirSync(path.join(dir, "raft"), { recursive: true });
  fs.chmodSync(dir, 0o700);
  const last = readJson<Settings>(path.join(dir, files.settings));
  const listen = options.listen ?? last?.listen ?? "127.0.0.1";
  const settings: Settings = {
    bao: path.resolve(options.bao),
    isVault: await isHashicorpVault(options.bao),
    listen,
    port: options.port ?? last?.port ?? (await freePort(listen)),
    clusterPort: last?.clusterPort ?? (await freePort(clusterHost(listen))),
    tls: options.tls ?? last?.tls ?? false,
    names: options.names ?? last?.names ?? [],
    clientCertificates: options.clientCertificates ?? last?.clientCertificates ?? false,
  };
  const cluster = options.cluster ?? last?.cluster;
  if (cluster) settings.cluster = cluster;
  if (cluster?.keys) putKeys(dir, cluster.keys);
  if (settings.tls) await ensureCertificates(dir, [settings.listen, ...settings.names]);
  const detached = options.detached ?? false;
  for (let attempt = 1; ; attempt++) {
    fs.writeFileSync(path.join(dir, files.settings), JSON.stringify(settings, undefined, 2));
    try {
      const pid = await launch(dir, settings, detached);
      return handle(dir, settings, pid, detached);
    } catch (error) {
      // A port that was free when it was chosen may be taken by now.
      const taken = error instanceof Error && error.message.includes("address already in use");
      if (!taken || attempt === 3) throw error;
      if (!options.port) settings.port = await freePort(listen);
      settings.clusterPort = await freePort(clusterHost(listen));
    }
  }
}

/** The server that runs in `dir`, or undefined. It is a detached one from now on. */
export async function attachOpenBao(dir: string): Promise<OpenBao | undefined> {
  const absolute = path.resolve(dir);
  const pid = await runningPid(absolute);
  const settings = readJson<Settings>(path.join(absolute, files.settings));
  if (!pid || !settings) return undefined;
  return handle(absolute, settings, pid, true);
}

function handle(dir: string, settings: Settings, firstPid: number, detached: boolean): OpenBao {
  let pid = firstPid;
  const keys = readJson<Keys>(path.join(dir, files.keys));
  if (!keys)
    throw new Error(`${path.join(dir, files.keys)} is missing: OpenBao was never initialised`);
  const address = addressOf(settings);
  const end = async (graceMs: number) => {
    await endProcess(pid, graceMs);
    // A process of several threads counts as ended a moment before its ports are free.
    const { listen, port, clusterPort } = settings;
    await waitFor(`port ${port} to be free`, 10_000, () => isFree(port, listen));
    const host = clusterHost(listen);
    await waitFor(`port ${clusterPort} to be free`, 10_000, () => isFree(clusterPort, host));
    fs.rmSync(path.join(dir, files.pid), { force: true });
  };
  return {
    address,
    ...keys,
    get pid() {
      return pid;
    },
    auditLog: path.join(dir, files.audit),
    ...(settings.tls ? { caFile: path.join(dir, files.ca) } : {}),
    ...(settings.clientCertificates
      ? {
          client: {
            certFile: path.join(dir, files.clientCert),
            keyFile: path.join(dir, files.clientKey),
          },
        }
      : {}),
    request: (token, method, apiPath, body) => ask(dir, settings, method, apiPath, body, token),
    stop: () => end(10_000),
    kill: () => end(0),
    restart: async () => {
      await end(10_000);
      pid = await launch(dir, settings, detached);
    },
    seal: async () => {
      const { status } = await ask(dir, settings, "PUT", "sys/seal", undefined, keys.rootToken);
      if (status !== 204) throw new Error(`sealing OpenBao answered ${status}`);
    },
    unseal: () => unseal(dir, settings, keys),
  };
}

function ask(
  dir: string,
  settings: Settings,
  method: string,
  apiPath: string,
  body?: unknown,
  token?: string,
): Promise<BaoAnswer> {
  const read = (file: string) => fs.readFileSync(path.join(dir, file));
  const tls = settings.tls
    ? { ca: read(files.ca), cert: read(files.clientCert), key: read(files.clientKey) }
    : {};
  return baoRequest(addressOf(settings), token, method, apiPath, body, tls);
}

/** Where nodes of a cluster meet: the server's own loopback address, if it has one. */
function clusterHost(listen: string): string {
  return listen.startsWith("127.") ? listen : "127.0.0.1";
}

function addressOf({ tls, listen, port }: Settings): string {
  const host = ["0.0.0.0", "::"].includes(listen) ? "127.0.0.1" : listen;
  return `${tls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Starts the process, waits for its answer, initialises it if need be, and unseals it. */
async function launch(dir: string, settings: Settings, detached: boolean): Promise<number> {
  const config = path.join(dir, files.config);
  fs.writeFileSync(config, configuration(settings));
  const logFile = path.join(dir, files.log);
  const log = fs.openSync(logFile, "a", 0o600);
  const logStart = fs.fstatSync(log).size;
  // Its own directory as working directory, and relative paths in the configuration: OpenBao refuses
  // to start with an audit device whose path has changed, as it would when the checkout is moved.
  const child = spawn(settings.bao, ["server", `-config=${config}`], {
    cwd: dir,
    detached,
    env: { PATH: process.env.PATH, HOME: dir },
    stdio: ["ignore", log, log],
  });
  fs.closeSync(log);
  let failure: string | undefined;
  child.once("error", (error) => (failure = error.message));
  child.once("exit", (code) => (failure ??= `ended with code ${code}`));
  child.unref();
  if (child.pid) fs.writeFileSync(path.join(dir, files.pid), `${child.pid}\n`);
  if (!detached) endWithThisProcess(child);
  try {
    // Not "something answers": that may be another server, which holds the port.
    await waitFor("the start of its listener", 15_000, () => {
      if (failure) throw new Error(failure);
      return textFrom(logFile, logStart).match(/^==> \w+ server started!/m) ?? undefined;
    });
    const keys = await initialise(dir, settings);
    await unseal(dir, settings, keys);
    if (settings.isVault) await enableAudit(dir, settings, keys);
    return child.pid!;
  } catch (error) {
    child.kill("SIGKILL");
    fs.rmSync(path.join(dir, files.pid), { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `OpenBao did not start (${reason}):\n${lastLines(textFrom(logFile, logStart))}`,
      {
        cause: error,
      },
    );
  }
}

function endWithThisProcess(child: ReturnType<typeof spawn>): void {
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
}

async function initialise(dir: string, settings: Settings): Promise<Keys> {
  const keysFile = path.join(dir, files.keys);
  const kept = readJson<Keys>(keysFile);
  if (kept) return kept;
  const { status, body } = await ask(dir, settings, "PUT", "sys/init", {
    secret_shares: 1,
    secret_threshold: 1,
  });
  if (status !== 200) throw new Error(`its initialisation answered ${status}`);
  const answer = body as { keys_base64: string[]; root_token: string };
  const keys = { rootToken: answer.root_token, unsealKeys: answer.keys_base64 };
  putKeys(dir, keys);
  return keys;
}

function putKeys(dir: string, keys: Keys): void {
  const keysFile = path.join(dir, files.keys);
  // Renamed into place, so that a kill in between leaves no half file.
  fs.writeFileSync(`${keysFile}.new`, JSON.stringify(keys, undefined, 2), { mode: 0o600 });
  fs.renameSync(`${keysFile}.new`, keysFile);
}

async function unseal(dir: string, settings: Settings, keys: Keys): Promise<void> {
  const { cluster } = settings;
  for (const key of keys.unsealKeys) {
    let status = 0;
    // A node of a cluster can be unsealed only once it has reached another.
    await waitFor("unsealing", 60_000, async () => {
      ({ status } = await ask(dir, settings, "PUT", "sys/unseal", { key }));
      return status === 200 || !cluster ? true : undefined;
    });
    if (status !== 200) throw new Error(`unsealing OpenBao answered ${status}`);
  }
  // 429: unsealed, but not the active server, or not yet.
  const ready = cluster ? [200, 429] : [200];
  await waitFor("OpenBao as the active server", 60_000, async () => {
    const { status } = await ask(dir, settings, "GET", "sys/health");
    return ready.includes(status) ? true : undefined;
  });
}

async function isHashicorpVault(binary: string): Promise<boolean> {
  const { stdout } = await run(binary, ["version"]);
  return /^Vault\b/i.test(stdout);
}

/** Vault takes no audit device from its configuration: it is enabled by a request, once, and kept in its storage. */
async function enableAudit(dir: string, settings: Settings, { rootToken }: Keys): Promise<void> {
  const { body } = await ask(dir, settings, "GET", "sys/audit", undefined, rootToken);
  if (body !== null && typeof body === "object" && "file/" in body) return;
  const device = { type: "file", options: { file_path: files.audit } };
  const { status } = await ask(dir, settings, "PUT", "sys/audit/file", device, rootToken);
  if (status !== 204) throw new Error(`enabling its audit device answered ${status}`);
}

const auditDevice = `
audit "file" "file" {
  options {
    file_path = "${files.audit}"
  }
}
`;

function configuration(settings: Settings): string {
  const { listen, port, clusterPort, tls, clientCertificates, isVault, cluster } = settings;
  const quoted = JSON.stringify;
  const host = listen.includes(":") ? `[${listen}]` : listen;
  return `ui = false
${isVault ? "disable_mlock = true\n" : ""}api_addr = ${quoted(addressOf(settings))}
cluster_addr = "https://${clusterHost(listen)}:${clusterPort}"

storage "raft" {
  path = "raft"
  node_id = ${quoted(cluster?.node ?? "lab")}
  # The shortest time until the only member elects itself.
  performance_multiplier = 1
${(cluster?.join ?? []).map((at) => `  retry_join {\n    leader_api_addr = ${quoted(at)}\n  }\n`).join("")}}

listener "tcp" {
  address = ${quoted(`${host}:${port}`)}
  cluster_address = "${clusterHost(listen)}:${clusterPort}"
  ${tls ? 'tls_cert_file = "tls/server.pem"\n  tls_key_file = "tls/server.key"' : "tls_disable = true"}
  ${clientCertificates ? `tls_client_ca_file = "${files.ca}"\n  tls_require_and_verify_client_cert = true` : ""}
}
${isVault ? "" : auditDevice}`;
}

/** The process of the pid file, if it is still a server with this directory's configuration. */
async function runningPid(dir: string): Promise<number | undefined> {
  let pid: number;
  try {
    pid = Number(fs.readFileSync(path.join(dir, files.pid), "utf8"));
  } catch {
    return undefined;
  }
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return undefined;
  const command = await commandLine(pid);
  return command?.includes(`server -config=${path.join(dir, files.config)}`) ? pid : undefined;
}

/** A CA, a server certificate for the loopback names and `hosts`, and a client's, in `dir/tls`, made once. */
async function ensureCertificates(dir: string, hosts: string[]): Promise<void> {
  const tls = path.join(dir, "tls");
  if (fs.existsSync(path.join(dir, files.clientCert))) return;
  fs.mkdirSync(tls, { recursive: true, mode: 0o700 });
  const names = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"];
  for (const host of hosts) {
    if (["127.0.0.1", "::1", "localhost"].includes(host)) continue;
    names.push(`${/^[\d.]+$|:/.test(host) ? "IP" : "DNS"}:${host}`);
  }
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const authority = ["-x509", "-days", "3650", "-subj", "/CN=apisec-credentials lab CA"];
  const constraints = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  fs.writeFileSync(
    path.join(tls, "server.ext"),
    `subjectAltName=${names.join(",")}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`,
  );
  fs.writeFileSync(path.join(tls, "client.ext"), "extendedKeyUsage=clientAuth\n");
  const sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650"];
  const commands = [
    ["req", ...authority, ...newKey, ...constraints, "-keyout", "ca.key", "-out", "ca.pem"],
    ["req", "-subj", "/CN=localhost", ...newKey, "-keyout", "server.key", "-out", "server.csr"],
    ["x509", "-req", "-in", "server.csr", ...sign, "-extfile", "server.ext", "-out", "server.pem"],
    ["req", "-subj", "/CN=deployer", ...newKey, "-keyout", "client.key", "-out", "client.csr"],
    ["x509", "-req", "-in", "client.csr", ...sign, "-extfile", "client.ext", "-out", "client.pem"],
  ];
  for (const args of commands) {
    const { code, stderr } = await run("openssl", args, { cwd: tls });
    if (code !== 0) {
      throw new Error(
        code === 127 ? "openssl is needed for tls: install it" : `openssl: ${stderr}`,
      );
    }
  }
}

function readJson<T>(file: string): T | undefined {
  if (!fs.existsSync(file)) return undefined;
  return JSON.parse(fs.readFileSync(file, "utf8")) as T;
}

function textFrom(file: string, offset: number): string {
  return fs.readFileSync(file).subarray(offset).toString();
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-10).join("\n");
}
