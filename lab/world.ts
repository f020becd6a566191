import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { attachOpenBao, startOpenBao } from "./openbao";
import type { OpenBao, OpenBaoOptions } from "./openbao";
import { commandLine, endProcess, isAlive, ownPortsEnv, waitFor } from "./process";

/** Fixed for `make up`, so that the committed stack file can name them; 0 in tests. */
export interface Ports {
  vault: number;
  apisec: number;
  apisecControl: number;
  gitlab: number;
}

export interface WorldOptions {
  /** Everything the lab writes lies below. */
  dir: string;
  ports: Ports;
  /** The `bao` binary. */
  bao: string;
  /** Directories that jobs need on their PATH. */
  toolPath: string[];
  /** Whether the servers outlive this process. */
  detached: boolean;
  /** How Vault is reached, if not by plain http. */
  vault?: Pick<OpenBaoOptions, "tls" | "names" | "clientCertificates">;
  /** A Vault that runs already, such as a cluster, in place of one of this lab's own. */
  runningVault?: OpenBao;
  /** GitLab's relative URL root, such as `/gitlab`. */
  gitlabPath?: string;
}

/** Made once a lab; in the world outside, APIsec's mail and GitLab's pages would show them. */
export interface Secrets {
  firstPasswords: Record<string, string>;
  gitlabToken: string;
}

export interface World {
  dir: string;
  vault: OpenBao;
  gitlab: { url: string };
  apisec: { url: string; controlUrl: string };
  secrets: Secrets;
  stop(): Promise<void>;
}

const root = path.join(__dirname, "..");
export const rotationProject = "platform/apisec-rotation";

/** The accounts that the lab's APIsec knows, by their name in the stack. */
const labAccounts = {
  admin: { username: "admin@acme.example", userId: "u-1", roles: ["ROLE_USER", "ROLE_ADMIN"] },
  scanner: {
    username: "scanner@acme.example",
    userId: "u-2",
    roles: ["ROLE_USER", "ROLE_PROJECT_MANAGER"],
  },
};

/** Starts what does not run yet: Vault, GitLab and APIsec of this lab; what runs is used as it is. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const { dir, ports } = options;
  fs.mkdirSync(path.join(dir, "log"), { recursive: true });
  const secrets = secretsOf(dir);
  const [vault, apisec, gitlab] = await Promise.all([
    options.runningVault ?? startVault(options),
    startServer<{ url: string; controlUrl: string }>(options, "apisec", apisecSeed(secrets), [
      ...["--accounts", "-", "--dir", path.join(dir, "apisec")],
      ...["--port", `${ports.apisec}`, "--control-port", `${ports.apisecControl}`],
    ]),
    startServer<{ url: string }>(options, "gitlab", gitlabSeed(secrets), [
      ...["--seed", "-", "--dir", path.join(dir, "gitlab"), "--port", `${ports.gitlab}`],
      ...["--path", options.gitlabPath ?? ""],
      ...["--scheduler", ...options.toolPath.flatMap((tool) => ["--tool-path", tool])],
    ]),
  ]);
  const stop = async () => {
    await Promise.all([vault.stop(), stopServer(dir, "apisec"), stopServer(dir, "gitlab")]);
  };
  return { dir, vault, gitlab, apisec, secrets, stop };
}

/** Ends the processes of the lab in `dir`, and no others. True where there were any. */
export async function stopWorld(dir: string): Promise<boolean> {
  const vault = await attachOpenBao(path.join(dir, "openbao"));
  await vault?.stop();
  const ended = [await stopServer(dir, "apisec"), await stopServer(dir, "gitlab")];
  return vault !== undefined || ended.includes(true);
}

async function startVault(options: WorldOptions): Promise<OpenBao> {
  const dir = path.join(options.dir, "openbao");
  const running = await attachOpenBao(dir);
  if (running !== undefined) return running;
  const { bao, detached } = options;
  const port = options.ports.vault === 0 ? undefined : options.ports.vault;
  const at = port === undefined ? {} : { port };
  return startOpenBao({ dir, bao, detached, ...at, ...options.vault });
}

function secretsOf(dir: string): Secrets {
  const file = path.join(dir, "secrets.json");
  if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, "utf8")) as Secrets;
  const text = () => randomBytes(12).toString("base64url");
  const secrets = {
    firstPasswords: { admin: `First-${text()}`, scanner: `First-${text()}` },
    gitlabToken: `glpat-${text()}`,
  };
  fs.writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  return secrets;
}

function apisecSeed(secrets: Secrets): string {
  return JSON.stringify(
    Object.entries(labAccounts).map(([name, account]) => ({
      ...account,
      name,
      org: { id: "org-1", name: "Acme" },
      password: secrets.firstPasswords[name],
    })),
  );
}

/** The rotation project as docs/operations.md has one made. */
function gitlabSeed(secrets: Secrets): string {
  return JSON.stringify({
    users: [{ username: "rotation-bot", tokens: [{ token: secrets.gitlabToken }] }],
    projects: [
      {
        path: rotationProject,
        members: { "rotation-bot": "maintainer" },
        settings: { ci_pipeline_variables_minimum_override_role: "no_one_allowed" },
      },
    ],
  });
}

const pidFile = (dir: string, name: string) => path.join(dir, `${name}.json`);

interface Running {
  pid: number;
  ready: unknown;
}

/** The server of this lab by its note, if that process still is what it was. */
async function runningServer(dir: string, name: string): Promise<Running | undefined> {
  if (!fs.existsSync(pidFile(dir, name))) return undefined;
  const noted = JSON.parse(fs.readFileSync(pidFile(dir, name), "utf8")) as Running;
  const line = isAlive(noted.pid) ? await commandLine(noted.pid) : undefined;
  return line?.includes(`lab/${name}/main.ts`) && line.includes(dir) ? noted : undefined;
}

async function startServer<Ready>(
  options: WorldOptions,
  name: string,
  seed: string,
  args: string[],
): Promise<Ready> {
  const running = await runningServer(options.dir, name);
  if (running !== undefined) return running.ready as Ready;
  const logFile = path.join(options.dir, "log", `${name}.log`);
  fs.writeFileSync(logFile, "");
  const log = fs.openSync(logFile, "a");
  const child = spawn(
    process.execPath,
    ["-r", "./build/typescript.js", path.join("lab", name, "main.ts"), ...args],
    {
      cwd: root,
      detached: options.detached,
      stdio: ["pipe", log, log],
      // No token and no passphrase of whoever starts the lab.
      env: { ...ownPortsEnv(), PATH: process.env["PATH"], HOME: process.env["HOME"] },
    },
  );
  fs.closeSync(log);
  child.stdin?.end(seed);
  let exited = false;
  child.once("exit", () => (exited = true));
  const ready = await waitFor(`start of ${name} (see ${logFile})`, 20_000, () => {
    const text = fs.readFileSync(logFile, "utf8");
    const line = /^\{"url".*\}$/m.exec(text)?.[0];
    if (line === undefined && exited) {
      throw new Error(`${name} did not start (see ${logFile}): ${text.trim().slice(0, 300)}`);
    }
    return line === undefined ? undefined : (JSON.parse(line) as Ready);
  });
  fs.writeFileSync(pidFile(options.dir, name), JSON.stringify({ pid: child.pid, ready }));
  if (options.detached) child.unref();
  return ready;
}

async function stopServer(dir: string, name: string): Promise<boolean> {
  const running = await runningServer(dir, name);
  if (running !== undefined) await endProcess(running.pid, 5_000);
  fs.rmSync(pidFile(dir, name), { force: true });
  return running !== undefined;
}

/**
 * Writes a policy with the root token and gives a token that has it and nothing else; both in `namespace`,
 * if there is one.
 */
export async function tokenWith(
  vault: OpenBao,
  policyName: string,
  policy?: string,
  ttl = "768h",
  namespace?: string,
): Promise<string> {
  const root = namespace === undefined ? "" : `${namespace}/`;
  if (policy !== undefined) {
    await asRoot(vault, "PUT", `${root}sys/policies/acl/${policyName}`, { policy });
  }
  const body = { policies: [policyName], no_default_policy: true, ttl, no_parent: true };
  const answer = await asRoot(vault, "POST", `${root}auth/token/create`, body);
  return (answer as { auth: { client_token: string } }).auth.client_token;
}

async function asRoot(
  vault: OpenBao,
  method: string,
  apiPath: string,
  body: object,
): Promise<unknown> {
  const answer = await vault.request(vault.rootToken, method, apiPath, body);
  if (answer.status >= 400) throw new Error(`${method} ${apiPath}: ${answer.status}`);
  return answer.body;
}
