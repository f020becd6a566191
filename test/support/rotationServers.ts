import http from "node:http";
import { accessToken } from "./accessToken";
import type { AddressInfo } from "node:net";

/** Settings of a key as Vault shows them: a number, also where it was written as text. */
export function asVaultKeeps<Settings extends object>(settings: Settings): Settings {
  const versions = (settings as { max_versions?: unknown }).max_versions;
  return versions === undefined ? settings : { ...settings, max_versions: Number(versions) };
}

/** One request as a server saw it. */
export interface Seen {
  method: string;
  path: string;
  headers: http.IncomingHttpHeaders;
  body: Record<string, unknown>;
}

export interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Answers instead of the server; `"reset"` cuts the connection after the server has done its work. */
export type Fault = (seen: Seen) => Answer | "reset" | undefined | Promise<Answer | undefined>;

export interface TestServer {
  url: string;
  seen: Seen[];
  connections(): number;
  fault: Fault;
  close(): void;
}

/** Starts a JSON server on a free port of this machine. */
async function serve(handle: (seen: Seen) => Answer): Promise<TestServer> {
  const seen: Seen[] = [];
  let connections = 0;
  const server = http.createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => (text += part));
    request.on("end", () => {
      void (async () => {
        const { method = "", url: path = "", headers } = request;
        const body = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
        const one: Seen = { method, path, headers, body };
        seen.push(one);
        const fault = await self.fault(one);
        const answer = typeof fault === "object" ? fault : handle(one);
        if (fault === "reset") return request.socket.destroy();
        const content = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
        response.writeHead(answer.status, answer.headers);
        return response.end(answer.body === undefined ? "" : content);
      })();
    });
  });
  server.on("connection", () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const self: TestServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    connections: () => connections,
    fault: () => undefined,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return self;
}

/** A webhook that takes every message. */
export function startWebhook(): Promise<TestServer> {
  return serve(() => ({ status: 200, body: "ok" }));
}

interface Key {
  version: number;
  data: Record<string, unknown>;
}

export interface TestVault extends TestServer {
  keys: Map<string, Key>;
  /** Settings of keys, which are no values. */
  settings: Map<string, Record<string, unknown>>;
  tokens: Set<string>;
  put(path: string, data: Record<string, unknown>): void;
}

/** As much of Vault as the rotation uses: a KV v2 mount `apisec`, a JWT login, revoke-self. */
export async function startVault(): Promise<TestVault> {
  const keys = new Map<string, Key>();
  const settings: TestVault["settings"] = new Map();
  const tokens = new Set(["hvs.given-token"]);
  let logins = 0;

  const server = await serve(({ method, path, headers, body }) => {
    if (path === "/v1/auth/gitlab/login") {
      if (body["role"] !== "rotator") return { status: 400, body: { errors: ["role not found"] } };
      logins += 1;
      const token = `hvs.login-token-${logins}`;
      tokens.add(token);
      return { status: 200, body: { auth: { client_token: token, lease_duration: 900 } } };
    }
    const token = String(headers["x-vault-token"]);
    if (!tokens.has(token)) return { status: 403, body: { errors: ["permission denied"] } };
    if (path === "/v1/auth/token/revoke-self") {
      tokens.delete(token);
      return { status: 204 };
    }
    const ofKey = path.replace("/v1/apisec/metadata/", "");
    if (ofKey !== path) {
      const found = settings.get(ofKey);
      if (method === "POST") settings.set(ofKey, { ...found, ...asVaultKeeps(body) });
      else if (found === undefined) return { status: 404, body: { errors: [] } };
      return method === "POST" ? { status: 204 } : { status: 200, body: { data: found } };
    }
    const name = path.replace("/v1/apisec/data/", "");
    const key = keys.get(name);
    const metadata = (version: number) => ({
      version,
      created_time: new Date().toISOString(),
      deletion_time: name.endsWith("/token") ? new Date(Date.now() + 3600_000).toISOString() : "",
      custom_metadata: settings.get(name)?.["custom_metadata"] ?? null,
    });
    if (method === "GET") {
      if (key === undefined) return { status: 404, body: { errors: [] } };
      const data = { data: key.data, metadata: metadata(key.version) };
      return { status: 200, body: { data } };
    }
    const { cas } = body["options"] as { cas: number };
    if (cas !== (key?.version ?? 0)) {
      const lost = "check-and-set parameter did not match the current version";
      return { status: 400, body: { errors: [lost] } };
    }
    keys.set(name, { version: cas + 1, data: body["data"] as Record<string, unknown> });
    return { status: 200, body: { data: metadata(cas + 1) } };
  });
  return Object.assign(server, {
    keys,
    settings,
    tokens,
    put(path: string, data: Record<string, unknown>) {
      keys.set(path, { version: (keys.get(path)?.version ?? 0) + 1, data });
    },
  });
}

/** As much of APIsec as the rotation uses. The password of `user@acme.example` is `password-user`. */
export async function startApisec(): Promise<TestServer> {
  const issued = new Set<string>();
  return serve(({ path, headers, body }) => {
    if (path === "/login") {
      const username = String(body["username"]);
      if (body["password"] !== `password-${username.split("@")[0]}`) {
        return { status: 401, body: { message: `Bad credentials: ${String(body["password"])}` } };
      }
      const now = Math.floor(Date.now() / 1000);
      const token = accessToken({ sub: `Acme//${username}`, iat: now, exp: now + 24 * 3600 });
      issued.add(token);
      return { status: 200, body: { token } };
    }
    const works = issued.has(String(headers["authorization"]).replace("Bearer ", ""));
    return works
      ? { status: 200, body: { errors: false, messages: [], data: [] } }
      : { status: 401, body: { errors: true, messages: [{ type: "ERROR", value: "expired" }] } };
  });
}
