import type { Answer } from "../../lab/faults";
import { startFaultyServer } from "../../lab/faultyServer";
import type { FaultyServer, FaultyServerOptions, Incoming } from "../../lab/faultyServer";
import { forward } from "./proxy";

/** What the front says it is. */
export const vaultVersion = "1.21.4";

export interface VaultFrontOptions extends Pick<
  FaultyServerOptions,
  "onRequest" | "onResponse" | "host" | "port" | "tls"
> {
  /** OpenBao's base URL, plain http. */
  target: string;
}

export interface VaultFront extends FaultyServer {
  /**
   * From now on all requests, reads too, get what Vault's standbys answer while the leader changes: 307 to a
   * node that is dead. For `ms`, or without an end until `leaderIsThere`.
   */
  leaderIsGone(ms?: number): void;
  leaderIsThere(): void;
}

/**
 * OpenBao behind a front that differs as HashiCorp Vault Community does: no namespaces (their header is
 * ignored, and there is no way to make one), `enterprise` in sys/health, 500 for a policy that is too large, and
 * 307 to reads, too, while the leader changes. All else is OpenBao's.
 */
export async function startVaultFront({
  target,
  ...options
}: VaultFrontOptions): Promise<VaultFront> {
  let goneUntil = 0;
  const server = await startFaultyServer({
    ...options,
    async handle(request) {
      if (Date.now() < goneUntil) return toDeadNode(request);
      if (/^\/v1\/sys\/namespaces(\/|\?|$)/.test(request.path)) return json(404, { errors: [] });
      const headers = without("x-vault-namespace", request.headers);
      return likeVault(request, await forward(target, undefined, { ...request, headers }));
    },
  });
  return {
    ...server,
    leaderIsGone: (ms = Infinity) => (goneUntil = Date.now() + ms),
    leaderIsThere: () => (goneUntil = 0),
  };
}

type Handled = Answer & { outcome: string };

function json(status: number, body: object, headers = {}): Handled {
  return {
    status,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    outcome: String(status),
  };
}

function toDeadNode({ path }: Incoming): Handled {
  // Nobody listens at port 1.
  const location = `http://127.0.0.1:1${path}`;
  return { status: 307, headers: { location }, body: "", outcome: "307" };
}

function likeVault({ method, path }: Incoming, answer: Handled): Handled {
  const text = answer.body.toString();
  if (/^\/v1\/sys\/(health|seal-status)\b/.test(path) && text.startsWith("{")) {
    const own = {
      version: vaultVersion,
      ...(path.includes("health") ? { enterprise: false } : {}),
    };
    const body = JSON.stringify({ ...(JSON.parse(text) as object), ...own });
    return { ...answer, headers: without("content-length", answer.headers), body };
  }
  const isPolicyWrite = method !== "GET" && /^\/v1\/sys\/polic(y|ies\/acl)\//.test(path);
  if (isPolicyWrite && answer.status === 400 && /too large|exceeds/.test(text)) {
    return { ...answer, status: 500, outcome: "500" };
  }
  return answer;
}

function without<T extends object>(name: string, headers: T): T {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)) as T;
}
