import { generateKeyPairSync, sign } from "node:crypto";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "../net/http";
import { passwordKey } from "../core/passwordRecord";
import { kvStore, vaultCall } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { startOpenBao } from "../lab/openbao";
import type { OpenBao } from "../lab/openbao";
import { nodeSend } from "../net/transport";
import { startForwarder } from "./forwarder";

const root = join(__dirname, "..");

type AsRoot = (method: "POST" | "PUT", path: string, body: object) => Promise<void>;

/** A Vault and an APIsec on this machine, with accounts whose passwords are in both. */
export interface BenchWorld {
  dir: string;
  vault: OpenBao;
  apisecUrl: string;
  /** What the job and its peers find in their environment to rotate the first `count` accounts. */
  environment(count: number): Promise<Record<string, string>>;
  /** The same, with both servers `delayMs` away. */
  distantEnvironment(count: number, delayMs: number): Promise<Distant>;
  /** An ID token that logs in at auth/gitlab with role `rotator`, as GitLab would give it to a job. */
  idToken: string;
  /** The requests that APIsec has seen since the last call of this function. */
  requests(): Promise<ApisecRequest[]>;
  stop(): Promise<void>;
}

export interface Distant {
  env: Record<string, string>;
  /** Connections taken by Vault and by APIsec. */
  connections(): { vault: number; apisec: number };
  close(): void;
}

export interface ApisecRequest {
  kind: string;
  username?: string;
}

export async function startBenchWorld(bao: string): Promise<BenchWorld> {
  const dir = mkdtempSync(join(tmpdir(), "apisec-bench-world-"));
  const vault = await startOpenBao({ dir: join(dir, "openbao"), bao });
  const apisec = await startApisec();
  const connection: VaultConnection = {
    send: nodeSend(),
    clock: systemClock,
    address: vault.address,
    token: vault.rootToken,
  };
  const asRoot: AsRoot = async (method, path, body) => {
    const { status } = await vaultCall(connection, method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status}`);
  };
  const idToken = await letIn(asRoot);

  const control = async (method: string, path: string, body?: object): Promise<unknown> => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${apisec.controlUrl}/-/lab/${path}`, {
      method,
      ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
    return answer.json();
  };

  let known = 0;
  async function knowAtApisec(count: number): Promise<void> {
    const accounts = numbers(known + 1, count).map((number) => ({
      ...{ name: nameOf(number), username: userOf(number), password: passwordOf(number) },
      ...{ userId: `u-${number}`, org: { id: "org-1", name: "Acme" }, roles: ["ROLE_USER"] },
    }));
    known = Math.max(known, count);
    for (let from = 0; from < accounts.length; from += 2_000) {
      await control("POST", "accounts", accounts.slice(from, from + 2_000));
    }
  }

  /** Accounts in each mount. */
  const stored = new Map<string, number>();
  /** A file with `count` account names, whose passwords are in `mount` from then on. */
  async function accountsIn(mount: string, host: string, count: number): Promise<string> {
    await knowAtApisec(count);
    if (!stored.has(mount)) {
      await asRoot("POST", `sys/mounts/${mount}`, { type: "kv", options: { version: "2" } });
      // One setting for the mount instead of one for each key: what a write costs is the same.
      const settings = { cas_required: true, delete_version_after: "23h30m" };
      await asRoot("POST", `${mount}/config`, settings);
    }
    const store = kvStore(connection, mount);
    const queue = numbers((stored.get(mount) ?? 0) + 1, count).values();
    stored.set(mount, Math.max(stored.get(mount) ?? 0, count));
    const worker = async () => {
      for (const number of queue) {
        const record = { username: userOf(number), password: passwordOf(number), host };
        await store.write(passwordKey(nameOf(number)), record, 0);
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    const file = join(dir, `accounts-${count}`);
    writeFileSync(file, `${numbers(1, count).map(nameOf).join("\n")}\n`);
    return file;
  }

  function environment(mount: string, vaultUrl: string, file: string): Record<string, string> {
    return {
      PATH: [dirname(bao), process.env["PATH"]].join(delimiter),
      HOME: dir,
      VAULT_ADDR: vaultUrl,
      VAULT_TOKEN: vault.rootToken,
      APISEC_MOUNT: mount,
      APISEC_ACCOUNTS_FILE: file,
      APISEC_MIN_LIFETIME: "23h30m",
      APISEC_REPORT: join(dir, "report.xml"),
    };
  }

  return {
    dir,
    vault,
    apisecUrl: apisec.url,
    idToken,
    async environment(count) {
      const file = await accountsIn("apisec", apisec.url, count);
      return environment("apisec", vault.address, file);
    },
    async distantEnvironment(count, delayMs) {
      const toVault = await startForwarder(vault.address, delayMs);
      const toApisec = await startForwarder(apisec.url, delayMs);
      const mount = `apisec-${new URL(toApisec.url).port}`;
      const file = await accountsIn(mount, toApisec.url, count);
      return {
        env: environment(mount, toVault.url, file),
        connections: () => ({ vault: toVault.connections(), apisec: toApisec.connections() }),
        close() {
          toVault.close();
          toApisec.close();
        },
      };
    },
    async requests() {
      const { requests } = (await control("GET", "requests")) as { requests: ApisecRequest[] };
      await control("DELETE", "requests");
      return requests;
    },
    async stop() {
      apisec.stop();
      await vault.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const numbers = (first: number, last: number) =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
const nameOf = (number: number) => `account-${String(number).padStart(5, "0")}`;
const userOf = (number: number) => `${nameOf(number)}@acme.example`;
const passwordOf = (number: number) => `password-of-${nameOf(number)}`;

/** The lab's APIsec in a process of its own, its state in memory. */
async function startApisec(): Promise<{ url: string; controlUrl: string; stop: () => void }> {
  const child = spawn(process.execPath, ["-r", "./build/typescript.js", "lab/apisec/main.ts"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => child.kill());
  for await (const line of createInterface({ input: child.stdout })) {
    const { url, controlUrl } = JSON.parse(line) as { url: string; controlUrl: string };
    return { url, controlUrl, stop: () => void child.kill() };
  }
  throw new Error("the lab's APIsec did not start");
}

/** An auth mount and a role as `pulumi up` makes them, with a key of our own; gives an ID token for them. */
async function letIn(asRoot: AsRoot): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await asRoot("POST", "sys/auth/gitlab", { type: "jwt" });
  await asRoot("POST", "auth/gitlab/config", {
    jwt_validation_pubkeys: [publicKey.export({ type: "spki", format: "pem" })],
  });
  const policy = `path "+/data/*" { capabilities = ["create", "read", "update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }`;
  await asRoot("PUT", "sys/policies/acl/rotator", { policy });
  await asRoot("POST", "auth/gitlab/role/rotator", {
    role_type: "jwt",
    user_claim: "project_id",
    bound_audiences: ["bench"],
    token_policies: ["rotator"],
    token_no_default_policy: true,
    token_type: "service",
    token_ttl: "15m",
  });
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { aud: "bench", project_id: "1", iat: now, nbf: now, exp: now + 3600 };
  const text = `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${sign("sha256", Buffer.from(text), privateKey).toString("base64url")}`;
}

/** The size of Vault's audit log now, and by that the place where what comes next begins. */
export const auditEnd = (vault: OpenBao) => statSync(vault.auditLog).size;

/** How often each kind of call, such as `update token`, stands in Vault's audit log from byte `from` on. */
export function vaultCalls(vault: OpenBao, from: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of readFileSync(vault.auditLog).subarray(from).toString().split("\n")) {
    if (line === "") continue;
    const { type, request } = JSON.parse(line) as {
      type: string;
      request: { operation: string; path: string };
    };
    if (type !== "request") continue;
    const key = /(metadata)?\/[^/]+\/(password|token)$/.exec(request.path);
    const kind = key === null ? request.path : [key[1], key[2]].filter(Boolean).join(" ");
    // A key's first value is a "create", every other an "update".
    const verb = request.operation === "create" ? "update" : request.operation;
    counts[`${verb} ${kind}`] = (counts[`${verb} ${kind}`] ?? 0) + 1;
  }
  return counts;
}
