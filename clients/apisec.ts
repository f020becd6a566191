import { isObject, jsonObject } from "../net/http";
import type { Clock, HttpRequest, HttpResponse, Send, TransportCode } from "../net/http";
import { isAnswer, isBusy, retry, wasNotSent } from "../net/retry";
import type { Outcome } from "../net/retry";

/** Paths of the four calls below an APIsec host. `{orgId}` and `{userId}` are filled in. */
export interface ApisecPaths {
  login: string;
  whoAmI: string;
  change: string;
  probe: string;
}

export type JobPaths = Pick<ApisecPaths, "login" | "probe">;

const login = "/login";
const probe = "/api/v1/projects?page=0&pageSize=1";

/** Those of cloud.apisec.ai that the job needs. */
export const defaultJobPaths = { login, probe };

/** The paths of cloud.apisec.ai; the change call is from APIsec's published source, so a tenant may differ. */
export const defaultApisecPaths: ApisecPaths = {
  login,
  whoAmI: "/api/v1/orgs/login-status",
  change: "/api/v1/orgs/{orgId}/users/{userId}/reset-password",
  probe,
};

/** Who a token belongs to, as APIsec's who-am-I call says. */
export interface Identity {
  username: string;
  userId: string;
  orgId: string;
  orgName: string;
}

/** `why` and `text` may hold foreign text: pass them through `foreignText` before they are shown. */
export type Unknown = { kind: "unknown"; why: string };
/** `notSent`: no connection was made, so that APIsec has counted nothing. */
export type LoginAnswer =
  { kind: "yes"; token: string } | { kind: "no"; text: string } | (Unknown & { notSent?: boolean });
export type WhoAnswer = { kind: "yes"; who: Identity } | { kind: "no"; text: string } | Unknown;
export type ChangeAnswer = { kind: "changed" } | { kind: "refused"; text: string } | Unknown;
export type ProbeAnswer = { kind: "yes" } | { kind: "no"; text: string } | Unknown;

/**
 * APIsec as the program sees it. No call throws: an answer that proves nothing
 * (5xx, 423, 429, HTML, a cut-off body, `data:false`, a timeout, a reset) is `unknown`.
 */
export interface Apisec {
  login(username: string, password: string): Promise<LoginAnswer>;
  whoAmI(token: string): Promise<WhoAnswer>;
  changePassword(token: string, user: Identity, password: string): Promise<ChangeAnswer>;
  probe(token: string): Promise<ProbeAnswer>;
}

const timeoutMs = 20_000;
const maxBytes = 1024 * 1024;
const withinMs = 60_000;

function callsTo(send: Send, host: string, clock: Clock, tries: number) {
  /** Sends a request, again while `isAgain` says so; the default is once. */
  async function exchange(
    request: HttpRequest,
    isAgain: (outcome: Outcome) => boolean = () => false,
  ): Promise<HttpResponse | Unanswered> {
    const again = (outcome: Outcome, tried: number) => tried < tries && isAgain(outcome);
    try {
      return await retry(send, request, clock, { again, withinMs });
    } catch (error) {
      const { code, message } = error as Error & { code: TransportCode };
      return { kind: "unknown", why: message, notSent: notSent.includes(code) };
    }
  }

  function call(
    method: "GET" | "POST",
    path: string,
    token: string | undefined,
    body?: object,
  ): HttpRequest {
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    return {
      method,
      url: host + path,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs,
      maxBytes,
    };
  }

  return { exchange, call };
}

/** What a rotation asks of APIsec: the job needs no more of this file. */
export function apisecLoginAt(
  send: Send,
  host: string,
  paths: JobPaths,
  clock: Clock,
  tries: number,
): Pick<Apisec, "login" | "probe"> {
  const { exchange, call } = callsTo(send, host, clock, tries);
  return {
    async login(username, password) {
      const request = call("POST", paths.login, undefined, { username, password });
      // APIsec counts every login that it was sent: only a connection that was not made is tried again.
      return readLogin(await exchange(request, wasNotSent));
    },
    async probe(token) {
      return readProbe(await exchange(call("GET", paths.probe, token), isPassing));
    },
  };
}

/** No answer came. `notSent`: nor was the request sent. */
type Unanswered = Unknown & { notSent: boolean };

const notSent: readonly TransportCode[] = ["refused", "dns", "tls", "client-certificate", "proxy"];

/** The other side is passing busy, or was not heard. */
function isPassing(outcome: Outcome): boolean {
  return !isAnswer(outcome) || isBusy(outcome);
}

export function unknown(answer: HttpResponse | Unknown): Unknown {
  if (!("status" in answer)) return answer;
  const location = answer.status >= 300 && answer.status < 400 ? " (a redirect)" : "";
  return { kind: "unknown", why: `HTTP ${answer.status}${location} without the expected content` };
}

/** *no* is only a 400, 401 or 403 that carries APIsec's own JSON `message`. */
function readLogin(answer: HttpResponse | Unanswered): LoginAnswer {
  if (!("status" in answer)) return answer;
  const body = jsonObject(answer.body);
  const token = body?.["token"];
  if (answer.status === 200 && typeof token === "string" && token !== "") {
    return { kind: "yes", token };
  }
  const message = body?.["message"];
  // What a duplicated account is told, whatever the status: it says nothing about the password.
  const isUnavailable = typeof message === "string" && /service unavailable/i.test(message);
  if ([400, 401, 403].includes(answer.status) && typeof message === "string" && !isUnavailable) {
    return { kind: "no", text: message };
  }
  if (answer.status === 200 && body !== undefined) {
    return { kind: "unknown", why: "HTTP 200 without a token, as where two-factor login is on" };
  }
  return unknown(answer);
}

interface Envelope {
  errors: boolean;
  data: unknown;
  text: string;
}

/** APIsec's envelope around every answer but login's; undefined where the body is none. */
export function readEnvelope(answer: HttpResponse): Envelope | undefined {
  const body = jsonObject(answer.body);
  if (body === undefined || typeof body["errors"] !== "boolean") return undefined;
  const messages: unknown[] = Array.isArray(body["messages"]) ? body["messages"] : [];
  const texts = messages
    .filter(isObject)
    .filter((message) => message["type"] === "ERROR" && typeof message["value"] === "string")
    .map((message) => message["value"] as string);
  return { errors: body["errors"], data: body["data"], text: texts.join("; ") };
}

export function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 423 && status !== 429;
}

function readWhoAmI(answer: HttpResponse | Unknown): WhoAnswer {
  if (!("status" in answer)) return answer;
  const envelope = readEnvelope(answer);
  if (envelope === undefined) return unknown(answer);
  if ([401, 403].includes(answer.status)) return { kind: "no", text: envelope.text };
  const { data } = envelope;
  if (answer.status !== 200 || envelope.errors || !isObject(data)) return unknown(answer);
  const org = data["org"];
  const user = data["users"];
  if (!isObject(org) || !isObject(user) || typeof user["username"] !== "string") {
    return unknown(answer);
  }
  const [orgId, userId] = [idText(org["id"]), idText(user["id"])];
  if (orgId === undefined || userId === undefined) return unknown(answer);
  const orgName = typeof org["name"] === "string" ? org["name"] : orgId;
  return { kind: "yes", who: { username: user["username"], userId, orgId, orgName } };
}

function idText(id: unknown): string | undefined {
  if (typeof id === "number") return String(id);
  return typeof id === "string" && id !== "" ? id : undefined;
}

function readProbe(answer: HttpResponse | Unknown): ProbeAnswer {
  if (!("status" in answer)) return answer;
  const envelope = readEnvelope(answer);
  if (answer.status === 200 && envelope?.errors === false) return { kind: "yes" };
  // Without an envelope too: a gateway in front refuses a dead token in words of its own.
  if ((answer.status === 200 && envelope?.errors) || isRefusal(answer.status)) {
    return { kind: "no", text: envelope?.text || `HTTP ${answer.status}` };
  }
  return unknown(answer);
}

/**
 * The real APIsec at `host` (origin, no trailing slash). Calls that change nothing are tried up to
 * `tries` times while the answer is `unknown` for a passing reason, a login only where no connection was made; the
 * change call is sent once.
 */
export function apisecAt(
  send: Send,
  host: string,
  paths: ApisecPaths,
  clock: Clock,
  tries: number,
): Apisec {
  const { exchange, call } = callsTo(send, host, clock, tries);
  return {
    ...apisecLoginAt(send, host, paths, clock, tries),
    async whoAmI(token) {
      return readWhoAmI(await exchange(call("GET", paths.whoAmI, token), isPassing));
    },
    async changePassword(token, user, password) {
      const path = paths.change
        .replace("{orgId}", encodeURIComponent(user.orgId))
        .replace("{userId}", encodeURIComponent(user.userId));
      const body = { password, confirmPassword: password };
      return readChange(await exchange(call("POST", path, token, body)));
    },
  };
}

/** Success is `errors === false` and `data === true`, nothing else: HTTP 200 proves nothing here. */
function readChange(answer: HttpResponse | Unknown): ChangeAnswer {
  if (!("status" in answer)) return answer;
  const envelope = readEnvelope(answer);
  if (envelope === undefined) return unknown(answer);
  if (answer.status === 200 && !envelope.errors && envelope.data === true) {
    return { kind: "changed" };
  }
  const refusedInside = answer.status === 200 && envelope.errors && envelope.text !== "";
  if (refusedInside || isRefusal(answer.status)) {
    return { kind: "refused", text: envelope.text || `HTTP ${answer.status}` };
  }
  return unknown(answer);
}
