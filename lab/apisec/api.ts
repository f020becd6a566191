import { randomUUID } from "node:crypto";
import { type Answer, json, text } from "../faults";
import type { Incoming } from "../faultyServer";
import type { openScans } from "./scans";
import type { Account, Store } from "./state";
import { claimsOf, isSignedWith, signToken } from "./token";

export interface Paths {
  login: string[];
  whoami: string;
  /** With `{orgId}` and `{userId}`. */
  change: string;
  probe: string;
}

export const DEFAULT_PATHS: Paths = {
  login: ["/login", "/auth/login"],
  whoami: "/api/v1/orgs/login-status",
  change: "/api/v1/orgs/{orgId}/users/{userId}/reset-password",
  probe: "/api/v1/projects",
};

type Outcome = Answer & { outcome: string };
type Caller = { account: Account; scopes: string[] };

/** The calls of APIsec's API over `store` and `scans`; `now` in milliseconds. */
export function apisecApi(
  store: Store,
  scans: ReturnType<typeof openScans>,
  paths: Paths,
  now: () => number,
) {
  const changePath = pattern(paths.change);

  function describe(request: Pick<Incoming, "method" | "path" | "headers" | "body">) {
    const path = pathOf(request);
    const change = changePath.exec(path);
    const kind =
      request.method === "POST"
        ? paths.login.includes(path)
          ? "login"
          : change && "change"
        : request.method === "GET"
          ? { [paths.whoami]: "whoami", [paths.probe]: "probe" }[path]
          : undefined;
    const named =
      kind === "login"
        ? stringOf(bodyOf(request).username)
        : claimsOf(bearer(request))?.sub.split("//")[1];
    const username = named && (store.find(named)?.username ?? named);
    const { orgId = "", userId = "" } = change?.groups ?? {};
    const target = change === null ? undefined : store.findById(orgId, userId);
    return { kind: kind ?? "other", username, target: target?.username };
  }

  async function handle(request: Incoming): Promise<Outcome> {
    if (request.kind === "login") return login(request);
    const isApi = pathOf(request).startsWith("/api/v1/");
    if (request.kind === "other" && !isApi) return refusal("not found", 404, "Not found");
    const caller = callerOf(bearer(request));
    if (typeof caller === "string") return refusal(caller, 401, caller);
    if (request.kind === "other") return scanCall(request, caller);
    if (request.kind === "whoami") return whoami(caller);
    if (request.kind === "change") return change(request, caller);
    return projects(request, caller);
  }

  function login(request: Incoming): Outcome {
    const username = stringOf(bodyOf(request).username);
    const password = stringOf(bodyOf(request).password);
    if (username === undefined || password === undefined) {
      return { ...json(400, { message: "Malformed login request" }), outcome: "malformed" };
    }
    const account = store.find(username);
    if (account?.duplicated) {
      return { ...text(503, "Service Unavailable"), outcome: "duplicated" };
    }
    if (!account || !store.isLive(account, password)) {
      return { ...json(401, { message: "Invalid username or password" }), outcome: "failed" };
    }
    const iat = Math.floor(now() / 1000);
    const exp = iat + (account.tokenLifetimeSeconds ?? store.settings.tokenLifetimeSeconds);
    const sub = `${account.org.name}//${account.username}`;
    const scopes = account.roles.join(",");
    const token = signToken({ sub, scopes, iat, exp }, store.tokenKey(account));
    return { ...json(200, { token }), outcome: "succeeded" };
  }

  function callerOf(token: string): Caller | "Unauthorized" | "Token expired" {
    const claims = claimsOf(token);
    const account = store.find(claims?.sub.split("//")[1] ?? "");
    if (!claims || !account || !isSignedWith(token, store.tokenKey(account))) return "Unauthorized";
    if (claims.exp * 1000 <= now()) return "Token expired";
    return { account, scopes: claims.scopes.split(",") };
  }

  function whoami({ account, scopes }: Caller): Outcome {
    const { userId: id, name, username, org } = account;
    const orgRole = scopes.includes("ROLE_ADMIN") ? "ADMIN" : "USER";
    const users = { id, name, username, company: org.name };
    return accepted({ id: `${org.id}-${id}`, org, users, orgRole, status: "ACTIVE" });
  }

  function change(request: Incoming, { account, scopes }: Caller): Outcome {
    const { orgId, userId } = changePath.exec(pathOf(request))?.groups ?? {};
    const { password, confirmPassword } = bodyOf(request);
    const { minPasswordLength, rejectPasswords } = store.settings;
    if (!scopes.includes("ROLE_ADMIN")) return refusal("no admin", 403, "Access is denied");
    if (account.org.id !== orgId) return refusal("other organization", 403, "Access is denied");
    if (typeof password !== "string") return refusal("malformed", 400, "Password is required");
    if (password.length < minPasswordLength) {
      return refusal("refused", 200, `Password should be minimum [${minPasswordLength}] chars`);
    }
    if (password !== confirmPassword) return refusal("refused", 200, "Passwords do not match");
    if (rejectPasswords && new RegExp(rejectPasswords).test(password)) {
      return refusal("refused", 200, "Password does not meet the password policy");
    }
    const target = store.findById(orgId ?? "", userId ?? "");
    if (!target) {
      const messages = [{ type: "ERROR", key: null, value: "User not found" }];
      return { ...envelope({ messages, data: false }), outcome: "no such user" };
    }
    store.setPassword(target, password);
    const messages = [{ type: "INFO", key: null, value: "Password changed" }];
    return { ...envelope({ messages, data: true }), outcome: "changed" };
  }

  function projects(request: Incoming, { account }: Caller): Outcome {
    const page = Number(new URL(request.path, "http://lab").searchParams.get("page") ?? 0);
    const project = { id: `${account.org.id}-project`, name: "Demo", org: account.org };
    const data = page === 0 ? [project] : [];
    return { ...envelope({ data, totalPages: 1, totalElements: 1 }), outcome: "ok" };
  }

  function scanCall(request: Incoming, { account }: Caller): Outcome {
    const url = new URL(request.path, "http://lab");
    const said = scans.handle(request.method, url, bodyOf(request), account.org);
    if (said === undefined) return refusal("not found", 404, "Not found");
    if ("refusal" in said) return refusal("refused", 200, said.refusal);
    return { ...envelope(said), outcome: "ok" };
  }

  function envelope(fields: object, status = 200): Answer {
    const requestTime = new Date(now()).toISOString().replace("Z", "+0000");
    const empty = { errors: false, messages: [], data: null, totalPages: 0, totalElements: 0 };
    return json(status, { requestId: randomUUID(), requestTime, ...empty, ...fields });
  }

  function accepted(data: object): Outcome {
    return { ...envelope({ data }), outcome: "ok" };
  }

  function refusal(outcome: string, status: number, value: string): Outcome {
    const messages = [{ type: "ERROR", key: null, value }];
    return { ...envelope({ errors: true, messages }, status), outcome };
  }

  return { describe, handle };
}

function pathOf({ path }: Pick<Incoming, "path">): string {
  return path.split("?")[0] ?? "";
}

function bodyOf({ body }: Pick<Incoming, "body">): Record<string, unknown> {
  try {
    return Object(JSON.parse(body.toString())) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function bearer({ headers }: Pick<Incoming, "headers">): string {
  return /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
}

function stringOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The expression of a path whose `{name}` parts become groups. */
function pattern(path: string): RegExp {
  const source = path.split(/(\{\w+\})/).map((part) => {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    return name ? `(?<${name}>[^/]+)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${source.join("")}$`);
}
