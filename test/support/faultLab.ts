import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApisec } from "../../lab/apisec/server";
import { startOpenBao } from "../../lab/openbao";
import type { BaoAnswer, OpenBao } from "../../lab/openbao";
import { waitFor } from "../../lab/process";
import { ensureTools } from "../../lab/tools";

/** One account: its name in Vault, its user name at APIsec. */
export interface TestAccount {
  name: string;
  username: string;
}

export type Data = Record<string, unknown>;

/** A version of a key; `custom`: what stands beside all of them. */
export interface Value {
  data: Data;
  version: number;
  createdTime: string;
  custom: unknown;
}

/** A real OpenBao with storage, and the lab's APIsec, for any number of accounts. */
export interface FaultLab {
  vault: OpenBao;
  apisecUrl: string;
  dir: string;
  /** May read and write below the mount, as deployer and rotator may. */
  vaultToken: string;
  asRoot(method: string, path: string, body?: object): Promise<BaoAnswer>;
  /** A fresh account with this password at APIsec, and the settings of its keys in Vault. */
  account(password: string, roles?: string[]): Promise<TestAccount>;
  setPassword(account: TestAccount, password: string): Promise<void>;
  setTokenLifetime(account: TestAccount, seconds: number): Promise<void>;
  isLive(account: TestAccount, password: unknown): Promise<boolean>;
  /** The newest value of a key, or of an older `version`; undefined where there is none. */
  read(key: string, version?: number): Promise<Value | undefined>;
  /** Writes the key's next version. */
  write(key: string, data: Data): Promise<void>;
  /** All versions that a key still has, oldest first; `history`: their values. */
  versions(key: string): Promise<Value[]>;
  history(key: string): Promise<Data[]>;
  /** What GitLab's job logs in with: role `rotator` at the auth mount `gitlab`. */
  idToken(): string;
  /** What else is to be ended by `stop`: a test that failed half-way leaves nothing open. */
  onStop: (() => Promise<void>)[];
  stop(): Promise<void>;
}

const policy = `path "apisec/data/*" { capabilities = ["create", "read", "update"] }
path "apisec/metadata/*" { capabilities = ["create", "read", "update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }`;

/** `tls`: OpenBao speaks https, with an authority of its own. */
export async function startFaultLab({ tls = false } = {}): Promise<FaultLab> {
  const dir = mkdtempSync(join(tmpdir(), "apisec-faults-"));
  const { vault: bao } = await ensureTools({ log: () => undefined });
  const [vault, apisec] = await Promise.all([
    startOpenBao({ dir: join(dir, "openbao"), bao, tls }),
    startApisec({ accounts: [] }),
  ]);
  const asRoot: FaultLab["asRoot"] = (method, path, body) =>
    vault.request(vault.rootToken, method, path, body);

  async function must(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await asRoot(method, path, body);
    if (answer.status >= 400) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  async function control(method: string, path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(`${apisec.controlUrl}/-/lab/${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
    return answer.json();
  }

  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await must("POST", "sys/mounts/apisec", { type: "kv", options: { version: "2" } });
  await waitFor("the mount", 10_000, async () => {
    const { status } = await asRoot("GET", "apisec/config");
    return status === 200 ? true : undefined;
  });
  await must("PUT", "sys/policies/acl/both", { policy });
  await must("POST", "sys/auth/gitlab", { type: "jwt" });
  await must("POST", "auth/gitlab/config", {
    jwt_validation_pubkeys: [publicKey.export({ type: "spki", format: "pem" })],
  });
  await must("POST", "auth/gitlab/role/rotator", {
    role_type: "jwt",
    user_claim: "project_id",
    bound_audiences: ["lab"],
    token_policies: ["both"],
    token_no_default_policy: true,
  });
  const created = (await must("POST", "auth/token/create", {
    policies: ["both"],
    no_default_policy: true,
    no_parent: true,
  })) as { auth: { client_token: string } };

  const lab: FaultLab = {
    vault,
    apisecUrl: apisec.url,
    dir,
    vaultToken: created.auth.client_token,
    asRoot,
    async account(password, roles = ["ROLE_USER", "ROLE_ADMIN"]) {
      const name = `a-${randomBytes(6).toString("hex")}`;
      const username = `${name}@acme.example`;
      const org = { id: "org-1", name: "Acme" };
      await control("POST", "accounts", [{ username, password, roles, org, userId: name, name }]);
      await must("POST", `apisec/metadata/${name}/password`, {
        cas_required: true,
        max_versions: 10,
      });
      return { name, username };
    },
    async setPassword({ username }, password) {
      await control("POST", `accounts/${username}/password`, { password });
    },
    async setTokenLifetime({ username }, seconds) {
      await control("PATCH", `accounts/${username}`, { tokenLifetimeSeconds: seconds });
    },
    async isLive({ username }, password) {
      if (typeof password !== "string") return false;
      const answer = await control("POST", `accounts/${username}/check`, { password });
      return (answer as { live: boolean }).live;
    },
    async read(key, version) {
      const query = version === undefined ? "" : `?version=${version}`;
      const { status, body } = await asRoot("GET", `apisec/data/${key}${query}`);
      if (status === 404) return undefined;
      if (status !== 200) throw new Error(`reading ${key}: ${status}`);
      const { data } = body as {
        data: {
          data: Data;
          metadata: { version: number; created_time: string; custom_metadata: unknown };
        };
      };
      const { version: number, created_time: createdTime, custom_metadata: custom } = data.metadata;
      return { data: data.data, version: number, createdTime, custom };
    },
    async write(key, data) {
      const { body } = await asRoot("GET", `apisec/metadata/${key}`);
      const cas = (body as { data: { current_version: number } }).data.current_version;
      await must("POST", `apisec/data/${key}`, { options: { cas }, data });
    },
    async versions(key) {
      const newest = await lab.read(key);
      const values: Value[] = [];
      for (let version = 1; version <= (newest?.version ?? 0); version += 1) {
        const value = await lab.read(key, version);
        if (value !== undefined) values.push(value);
      }
      return values;
    },
    async history(key) {
      return (await lab.versions(key)).map(({ data }) => data);
    },
    idToken() {
      const seconds = Math.floor(Date.now() / 1000);
      const claims = { iss: "gitlab", aud: "lab", project_id: "42", iat: seconds };
      const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const text = `${encode({ alg: "RS256", typ: "JWT" })}.${encode({ ...claims, exp: seconds + 600 })}`;
      return `${text}.${sign("RSA-SHA256", Buffer.from(text), privateKey).toString("base64url")}`;
    },
    onStop: [],
    async stop() {
      await Promise.all(lab.onStop.map((end) => end()));
      await Promise.all([vault.kill(), apisec.close()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return lab;
}
