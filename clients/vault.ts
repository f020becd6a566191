import { coded } from "../core/messageCode";
import { foreignText } from "../core/redact";
import { isObject, jsonObject } from "../net/http";
import type { Clock, HttpRequest, HttpResponse, Send } from "../net/http";
import { isAnswer, isBusy, retry } from "../net/retry";
import type { Outcome } from "../net/retry";

/** Where Vault is and who asks. `address` is an origin, or an origin and a path, without a trailing slash. */
export interface VaultConnection {
  send: Send;
  clock: Clock;
  address: string;
  namespace?: string | undefined;
  token?: string | undefined;
  /** What was met so far; a connection made from this one shares it. */
  met?: VaultMet;
}

/** What a connection remembers of Vault's answers. */
export interface VaultMet {
  /** Vault has answered: where it does no longer, it may be electing a leader. */
  answered?: boolean;
  /** `X-Vault-Index` of the newest write: a standby that is older must not answer. */
  index?: string;
}

/** What Vault says of a version beside its value. `custom`: the key's `custom_metadata`. */
export interface VersionFacts {
  createdTime?: string | undefined;
  custom?: unknown;
}

/** One read of a KV v2 key: value and version come in one answer. Times are RFC 3339, or "". */
export type SecretRead =
  | ({
      state: "found";
      version: number;
      data: Record<string, unknown>;
      deletionTime: string;
    } & VersionFacts)
  /** Soft-deleted, destroyed or expired: Vault answers 404 *with* metadata. */
  | ({ state: "deleted"; version: number; deletionTime: string } & VersionFacts)
  | { state: "absent" };

/** `lost`: somebody else wrote since `cas` was read; nothing was written. */
export type SecretWrite =
  | { state: "written"; version: number; deletionTime: string; createdTime?: string | undefined }
  | { state: "lost" };

/** The keys of one KV v2 mount. Reads and writes throw an error made by `vaultError`. */
export interface KvStore {
  read(key: string, version?: number): Promise<SecretRead>;
  /** `cas`: the version read before; 0 for a key that never had one. */
  write(key: string, data: Record<string, unknown>, cas: number): Promise<SecretWrite>;
}

export type VaultProblem = "unreachable" | "denied" | "sealed" | "redirect" | "refused";

export interface VaultError extends Error {
  problem: VaultProblem;
  code: string;
  /** Denied because Vault does not know the token: no policy would help. */
  isTokenUnknown?: boolean;
}

export function vaultError(
  problem: VaultProblem,
  message: string,
  code = `vault-${problem}`,
): VaultError {
  return Object.assign(coded(message, code), { name: "VaultError", problem });
}

const timeoutMs = 15_000;
const maxBytes = 4 * 1024 * 1024;
/** A leader change of three nodes takes up to 8 s. */
const patienceMs = 20_000;
const mostTries = 16;
/** Of a Vault that never answered: most often the address is wrong. */
const triesUnanswered = 4;

/**
 * One call of Vault's HTTP API. Asked again for up to 20 s while no node leads (307, which is never followed),
 * a replica lags (412) or the server is busy (429, 5xx), with `Retry-After` honoured. Every call of this program
 * is safe to repeat: it reads, carries check-and-set, or sets the same once more. After a write a standby that
 * does not know it yet hands every call to the leader.
 * Throws where no answer came, or one that no caller can use; `secrets` are what an answer may quote.
 */
export async function vaultCall(
  vault: VaultConnection,
  method: HttpRequest["method"],
  path: string,
  body?: object,
  secrets: readonly string[] = [],
): Promise<HttpResponse> {
  const { met = {} } = vault;
  const request: HttpRequest = {
    method,
    url: `${vault.address}/v1/${path}`,
    headers: headersOf(vault, body !== undefined),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    timeoutMs,
    maxBytes,
  };
  const again = (outcome: Outcome, tries: number) => {
    const isAnswered = isAnswer(outcome);
    met.answered ||= isAnswered;
    if (tries >= (met.answered ? mostTries : triesUnanswered)) return false;
    return !isAnswered || isPassing(outcome);
  };
  let answer: HttpResponse;
  try {
    answer = await retry(vault.send, request, vault.clock, { again, withinMs: patienceMs });
  } catch (error) {
    throw vaultError("unreachable", `Vault: ${(error as Error).message}`);
  }
  met.index = newerIndex(met.index, answer.headers["x-vault-index"]);
  return usable(answer, `${method} ${path}`, vault, secrets);
}

function headersOf(
  { token, namespace, met }: VaultConnection,
  hasBody: boolean,
): Record<string, string> {
  return {
    "x-vault-request": "true",
    ...(token === undefined ? {} : { "x-vault-token": token }),
    ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
    ...(hasBody ? { "content-type": "application/json" } : {}),
    ...(met?.index === undefined
      ? {}
      : { "x-vault-index": met.index, "x-vault-inconsistent": "forward-active-node" }),
  };
}

/** The later of two: answers come in any order. OpenBao's is `{cluster, value}` as base64. */
function newerIndex(known: string | undefined, answered: string | undefined): string | undefined {
  const valueOf = (index = "") =>
    Number(jsonObject(Buffer.from(index, "base64").toString())?.["value"]);
  return valueOf(answered) < valueOf(known) ? known : (answered ?? known);
}

function isPassing(answer: HttpResponse): boolean {
  const { status } = answer;
  if (status === 400) return isUpgrading(answer);
  return status === 307 || status === 412 || isBusy(answer);
}

/** A KV mount that was just made; the second text is a standby's. */
function isUpgrading(answer: HttpResponse): boolean {
  return /Upgrading from non-versioned|Waiting for the primary to upgrade/.test(
    vaultErrors(answer),
  );
}

/** The `errors` of a Vault answer as one text. Vault quotes no values in them. */
export function vaultErrors(answer: HttpResponse): string {
  const errors = jsonObject(answer.body)?.["errors"];
  return Array.isArray(errors) ? errors.map(String).join("; ") : "";
}

function usable(
  answer: HttpResponse,
  what: string,
  vault: VaultConnection,
  secrets: readonly string[],
): HttpResponse {
  const { status } = answer;
  const text = foreignText(vaultErrors(answer), [...secrets, vault.token ?? ""]);
  if (status === 403) throw denied(what, text);
  const reason = text && `: ${text}`;
  if (status === 503 && /^(Vault is sealed)?$/.test(text)) {
    throw vaultError("sealed", `Vault at ${vault.address} is sealed (503)`);
  }
  if (status >= 300 && status < 400) {
    throw vaultError(
      "redirect",
      `Vault at ${vault.address} redirects ${what} (${status}), as a standby node does whose leader is gone: use the address of the active node or of the load balancer${reason}`,
    );
  }
  if (isBusy(answer) || status === 412) {
    throw vaultError(
      "unreachable",
      `Vault answers ${what} with ${status} for ${patienceMs / 1000} s${reason}`,
      "vault-busy",
    );
  }
  return answer;
}

/**
 * Vault and OpenBao tell a token that they do not know ("permission denied", or "invalid token" among the errors)
 * from one whose policies do not allow the call ("1 error occurred: * permission denied").
 */
function denied(what: string, text: string): VaultError {
  const isTokenUnknown = text === "permission denied" || text.includes("invalid token");
  let why = "the token is not valid, or its policies do not allow it";
  if (text.includes("permission denied")) why = "the token's policies do not allow it";
  if (isTokenUnknown) why = "the token is not valid: it is wrong, or has ended";
  return Object.assign(vaultError("denied", `Vault denies ${what} (403): ${why}`), {
    isTokenUnknown,
  });
}

/** A path for a URL: each segment encoded, the slashes between them kept. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** How often a read is repeated that is older than it can be: a standby is 0.1 s behind. */
const mostStale = 20;
const stalePauseMs = 100;

/**
 * The KV v2 mount `mount` behind `vault`. Reads are never older than what this store has written, or has lost
 * against.
 */
export function kvStore(vault: VaultConnection, mount: string): KvStore {
  const pathOf = (key: string) => `${encodePath(mount)}/data/${encodePath(key)}`;
  const leastVersions = new Map<string, number>();
  const atLeast = (key: string, version: number) =>
    leastVersions.set(key, Math.max(version, leastVersions.get(key) ?? 0));
  async function readOnce(key: string, query: string): Promise<SecretRead> {
    const answer = await vaultCall(vault, "GET", pathOf(key) + query);
    // What stands before Vault may quote a request, token and all.
    return readSecret(answer, `${mount}/data/${key}`, [vault.token ?? ""]);
  }
  return {
    async read(key, version) {
      if (version !== undefined) return readOnce(key, `?version=${version}`);
      const least = leastVersions.get(key) ?? 0;
      for (let stale = 0; ; stale += 1) {
        const read = await readOnce(key, "");
        const isStale = (read.state === "absent" ? 0 : read.version) < least;
        if (!isStale) return read;
        // Or somebody has deleted the key with its metadata since.
        if (stale === mostStale) {
          leastVersions.delete(key);
          return read;
        }
        await vault.clock.sleep(stalePauseMs);
      }
    },
    async write(key, data, cas) {
      const values = Object.values(data).map(String);
      const body = { options: { cas }, data };
      const answer = await vaultCall(vault, "POST", pathOf(key), body, values);
      if (
        answer.status === 400 &&
        vaultErrors(answer).includes("check-and-set parameter did not")
      ) {
        atLeast(key, cas + 1);
        return { state: "lost" };
      }
      const metadata = jsonObject(answer.body)?.["data"];
      // Without a version it is not Vault's answer, and nothing says that the value is stored.
      if (answer.status !== 200 || !isObject(metadata) || !isVersion(metadata["version"])) {
        throw refused(vault, "POST", `${mount}/data/${key}`, answer, values);
      }
      const { version } = metadata;
      atLeast(key, version);
      return {
        state: "written",
        version,
        deletionTime: timeOf(metadata, "deletion_time"),
        createdTime: timeOf(metadata, "created_time"),
      };
    },
  };
}

/**
 * Vault answered what nobody can use: its reason, without the connection's token and `secrets`, which what stands
 * before Vault may quote.
 */
export function refused(
  vault: VaultConnection,
  method: HttpRequest["method"],
  path: string,
  answer: HttpResponse,
  secrets: readonly string[] = [],
): Error {
  const reason = reasonOf(answer, [...secrets, vault.token ?? ""]);
  return vaultError("refused", `Vault answers ${method} ${path} with ${answer.status}${reason}`);
}

/** Vault's own words after a colon, or nothing. */
function reasonOf(answer: HttpResponse, secrets: readonly string[]): string {
  const text = foreignText(vaultErrors(answer), secrets);
  return text && `: ${text}`;
}

function timeOf(metadata: Record<string, unknown>, name: string): string {
  const time = metadata[name];
  return typeof time === "string" ? time : "";
}

function isVersion(version: unknown): version is number {
  return Number.isInteger(version);
}

function readSecret(answer: HttpResponse, path: string, secrets: readonly string[]): SecretRead {
  const outer = jsonObject(answer.body);
  const body = isObject(outer?.["data"]) ? outer["data"] : {};
  const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
  const { version } = metadata;
  const facts = {
    deletionTime: timeOf(metadata, "deletion_time"),
    createdTime: timeOf(metadata, "created_time"),
    custom: metadata["custom_metadata"],
  };
  if (answer.status === 404 && isVersion(version)) return { state: "deleted", version, ...facts };
  // `{"errors":[]}`: no such key, or one that has settings but no value yet. With a text: no such mount.
  const errors = outer?.["errors"];
  if (answer.status === 404 && Array.isArray(errors) && errors.length === 0) {
    return { state: "absent" };
  }
  const { data } = body;
  if (answer.status !== 200 || !isVersion(version) || !isObject(data)) {
    throw vaultError(
      "refused",
      `Vault answers GET ${path} with ${answer.status}, not with a KV version 2 value${reasonOf(answer, secrets)}`,
      "vault-kv",
    );
  }
  return { state: "found", version, data, ...facts };
}

/** A Vault token bought with GitLab's ID token. `leaseSeconds`: how long it lives. */
export interface VaultLogin {
  token: string;
  leaseSeconds: number;
}

/** Logs in at the JWT auth mount `authPath`. A refusal carries Vault's own reason (it names claims, never the token). */
export async function jwtLogin(
  vault: VaultConnection,
  authPath: string,
  role: string,
  jwt: string,
): Promise<VaultLogin> {
  const path = `auth/${encodePath(authPath)}/login`;
  const answer = await vaultCall(vault, "POST", path, { role, jwt }, [jwt]);
  const auth = jsonObject(answer.body)?.["auth"];
  if (answer.status !== 200 || !isObject(auth) || typeof auth["client_token"] !== "string") {
    throw vaultError(
      "denied",
      `Vault refuses the login with role "${role}" at auth/${authPath} (${answer.status})${reasonOf(answer, [jwt])}`,
      "vault-login",
    );
  }
  return { token: auth["client_token"], leaseSeconds: Number(auth["lease_duration"] ?? 0) };
}

/** Ends the own token. */
export async function revokeSelf(vault: VaultConnection): Promise<void> {
  await vaultCall(vault, "POST", "auth/token/revoke-self", {});
}
