import { foreignText } from "../core/redact";
import { isObject, jsonObject, retryAfterMs } from "../net/http";
import type { Clock, HttpRequest, HttpResponse, Send } from "../net/http";

/** Where Vault is and who asks. `address` is an origin, or an origin and a path, without a trailing slash. */
export interface VaultConnection {
  send: Send;
  clock: Clock;
  address: string;
  namespace?: string | undefined;
  token?: string | undefined;
}

/** One read of a KV v2 key: value and version come in one answer. `deletionTime` is RFC 3339 or "". */
export type SecretRead =
  | { state: "found"; version: number; data: Record<string, unknown>; deletionTime: string }
  /** Soft-deleted, destroyed or expired: Vault answers 404 *with* metadata. */
  | { state: "deleted"; version: number; deletionTime: string }
  | { state: "absent" };

/** `lost`: somebody else wrote since `cas` was read; nothing was written. */
export type SecretWrite =
  { state: "written"; version: number; deletionTime: string } | { state: "lost" };

/** The keys of one KV v2 mount. Reads and writes throw an error made by `vaultError`. */
export interface SecretStore {
  read(key: string, version?: number): Promise<SecretRead>;
  /** `cas`: the version read before; 0 for a key that never had one. */
  write(key: string, data: Record<string, unknown>, cas: number): Promise<SecretWrite>;
}

export type VaultProblem = "unreachable" | "denied" | "sealed" | "redirect" | "refused";

export function vaultError(
  problem: VaultProblem,
  message: string,
): Error & { problem: VaultProblem } {
  return Object.assign(new Error(message), { name: "VaultError", problem });
}

const timeoutMs = 15_000;
const maxBytes = 4 * 1024 * 1024;
const tries = 4;
const longestWaitMs = 20_000;

/**
 * One call of Vault's HTTP API, tried up to 4 times on 412 (a replica that lags), 429 and 5xx, with
 * `Retry-After` honoured. Every write of this program is safe to repeat: it carries check-and-set.
 * Throws where no answer came or the answer was one that no caller can use.
 */
export async function vaultCall(
  vault: VaultConnection,
  method: HttpRequest["method"],
  path: string,
  body?: object,
): Promise<HttpResponse> {
  const headers: Record<string, string> = { "x-vault-request": "true" };
  if (vault.token !== undefined) headers["x-vault-token"] = vault.token;
  if (vault.namespace !== undefined) headers["x-vault-namespace"] = vault.namespace;
  if (body !== undefined) headers["content-type"] = "application/json";
  const request: HttpRequest = {
    method,
    url: `${vault.address}/v1/${path}`,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    timeoutMs,
    maxBytes,
  };
  for (let attempt = 1; ; attempt += 1) {
    let answer: HttpResponse | undefined;
    let failure = "";
    try {
      answer = await vault.send(request);
    } catch (error) {
      failure = (error as Error).message;
    }
    if (answer !== undefined && !isPassing(answer)) return usable(answer, method, path, vault);
    if (attempt === tries) {
      if (answer === undefined) throw vaultError("unreachable", `Vault: ${failure}`);
      return usable(answer, method, path, vault);
    }
    const wait = retryAfterMs(answer?.headers["retry-after"], vault.clock.now(), longestWaitMs);
    await vault.clock.sleep(wait > 0 ? wait : 200 * 2 ** attempt);
  }
}

function isPassing(answer: HttpResponse): boolean {
  if (answer.status === 400) return vaultErrors(answer).includes("Upgrading from non-versioned");
  return answer.status === 412 || answer.status === 429 || answer.status >= 500;
}

/** The `errors` of a Vault answer as one text. Vault quotes no values in them. */
export function vaultErrors(answer: HttpResponse): string {
  const errors = jsonObject(answer.body)?.["errors"];
  return Array.isArray(errors) ? errors.map(String).join("; ") : "";
}

function usable(
  answer: HttpResponse,
  method: string,
  path: string,
  vault: VaultConnection,
): HttpResponse {
  const { status } = answer;
  const what = `${method} ${path}`;
  if (status === 403) {
    throw vaultError(
      "denied",
      `Vault denies ${what} (403): the token is not valid, or its policies do not allow it`,
    );
  }
  if (status === 503) throw vaultError("sealed", `Vault at ${vault.address} is sealed (503)`);
  if (status >= 300 && status < 400) {
    throw vaultError(
      "redirect",
      `Vault at ${vault.address} redirects ${what} (${status}), as a standby node does: use the address of the active node or of the load balancer`,
    );
  }
  if (status >= 500 || status === 412 || status === 429) {
    throw vaultError(
      "unreachable",
      `Vault answers ${what} with ${status}, ${tries} times in a row`,
    );
  }
  return answer;
}

/** A path for a URL: each segment encoded, the slashes between them kept. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** The KV v2 mount `mount` behind `vault`. */
export function kvStore(vault: VaultConnection, mount: string): SecretStore {
  const pathOf = (key: string) => `${encodePath(mount)}/data/${encodePath(key)}`;
  // What stands before Vault may quote a request, token and all.
  const own = vault.token === undefined ? [] : [vault.token];
  return {
    async read(key, version) {
      const query = version === undefined ? "" : `?version=${version}`;
      const answer = await vaultCall(vault, "GET", pathOf(key) + query);
      return readSecret(answer, `${mount}/data/${key}`, own);
    },
    async write(key, data, cas) {
      const answer = await vaultCall(vault, "POST", pathOf(key), { options: { cas }, data });
      if (
        answer.status === 400 &&
        vaultErrors(answer).includes("check-and-set parameter did not")
      ) {
        return { state: "lost" };
      }
      const metadata = jsonObject(answer.body)?.["data"];
      // Without a version it is not Vault's answer, and nothing says that the value is stored.
      if (answer.status !== 200 || !isObject(metadata) || !isVersion(metadata["version"])) {
        const values = Object.values(data).map(String);
        throw refused(vault, "POST", `${mount}/data/${key}`, answer, values);
      }
      return {
        state: "written",
        version: metadata["version"],
        deletionTime: deletionTimeOf(metadata),
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
  const text = foreignText(vaultErrors(answer), [...secrets, vault.token ?? ""]);
  return vaultError(
    "refused",
    `Vault answers ${method} ${path} with ${answer.status}${text === "" ? "" : `: ${text}`}`,
  );
}

function deletionTimeOf(metadata: Record<string, unknown>): string {
  const time = metadata["deletion_time"];
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
  const deletionTime = deletionTimeOf(metadata);
  if (answer.status === 404 && isVersion(version)) {
    return { state: "deleted", version, deletionTime };
  }
  // `{"errors":[]}`: no such key, or one that has settings but no value yet. With a text: no such mount.
  const errors = outer?.["errors"];
  if (answer.status === 404 && Array.isArray(errors) && errors.length === 0) {
    return { state: "absent" };
  }
  const { data } = body;
  if (answer.status !== 200 || !isVersion(version) || !isObject(data)) {
    const text = foreignText(vaultErrors(answer), secrets);
    throw vaultError(
      "refused",
      `Vault answers GET ${path} with ${answer.status}, not with a KV version 2 value${text === "" ? "" : `: ${text}`}`,
    );
  }
  return { state: "found", version, data, deletionTime };
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
  const answer = await vaultCall(vault, "POST", path, { role, jwt });
  const auth = jsonObject(answer.body)?.["auth"];
  if (answer.status !== 200 || !isObject(auth) || typeof auth["client_token"] !== "string") {
    const text = foreignText(vaultErrors(answer), [jwt]);
    throw vaultError(
      "denied",
      `Vault refuses the login with role "${role}" at auth/${authPath} (${answer.status}): ${text}`,
    );
  }
  return { token: auth["client_token"], leaseSeconds: Number(auth["lease_duration"] ?? 0) };
}

/** Ends the connection's own token. */
export async function revokeSelf(vault: VaultConnection): Promise<void> {
  await vaultCall(vault, "POST", "auth/token/revoke-self", {});
}
