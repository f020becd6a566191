import type { Socket } from "node:net";
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

const Reply = z.strictObject({
  status: z.int().min(200).max(599),
  /** Sent as it is when a string, else as JSON. */
  body: z.unknown().optional(),
  headers: z.record(z.string(), z.string()).optional(),
});

const Action = z.union([
  z.enum([
    "reset", // the connection is reset (RST)
    "refuse", // the connection ends without an answer (FIN); only "before"
    "hang", // no answer, ever
    "truncate", // the announced length is never reached
    "html", // 200 with a sign-in page
    "redirect", // 307 to the same path with `?redirected`
    "errorsTrue", // 200, an APIsec envelope with errors:true
    "dataFalse", // 200, an APIsec envelope with errors:false, data:false
    "empty", // 200 without a body
    "slowBody", // the body drips, a byte every 200 ms
  ]),
  z.strictObject({ delayMs: z.int().min(0) }), // the true answer, delayed before or after its effect
  z.strictObject({ hugeBytes: z.int().min(1) }), // 200 with a body of that many bytes
  Reply,
]);

const Match = z.strictObject({
  kind: z.enum(["login", "whoami", "change", "probe", "other"]).optional(),
  method: z.string().optional(),
  /** A regular expression over path and query. */
  path: z.string().refine(isRegExp, "not a regular expression").optional(),
  /** The caller, or the account that is changed. */
  username: z.string().optional(),
});

/**
 * One fault. `when` says what becomes of the request's effect: "before" = it has none, "after" = it
 * takes effect and then the answer goes wrong, "late" = it takes effect `lateMs` after the answer.
 * It strikes the `nth` matching request since it was set (1-based) and the `times - 1` after it.
 */
export const Fault = z
  .strictObject({
    match: Match.default({}),
    nth: z.int().min(1).default(1),
    times: z.int().min(1).default(1),
    when: z.enum(["before", "after", "late"]).default("before"),
    lateMs: z.int().min(0).default(0),
    action: Action,
  })
  .refine((fault) => fault.action !== "refuse" || fault.when === "before", {
    error: '"refuse" happens only "before"',
  })
  .refine((fault) => !isDelay(fault.action) || fault.when !== "late", {
    error: 'a delay happens "before" or "after"',
  });

export type Fault = z.infer<typeof Fault>;
export type FaultInput = z.input<typeof Fault>;
type Action = z.infer<typeof Action>;

export interface Answer {
  status: number;
  headers: OutgoingHttpHeaders;
  body: Buffer | string;
}

export interface Matchable {
  method: string;
  path: string;
  kind?: string;
  username?: string;
  target?: string;
}

/** A list of faults that counts the requests each of them has matched and struck. */
export function faultPlan() {
  let entries: { fault: Fault; seen: number; struck: number }[] = [];
  return {
    /** @throws ZodError when one of them is not a fault; then none is added. */
    add(faults: FaultInput[]) {
      const parsed = z.array(Fault).parse(faults);
      entries.push(...parsed.map((fault) => ({ fault, seen: 0, struck: 0 })));
    },
    clear() {
      entries = [];
    },
    list() {
      return entries.map((entry) => ({ ...entry }));
    },
    /** The fault that strikes this request; where several are due, the first one set. */
    next(request: Matchable): Fault | undefined {
      const matching = entries.filter((entry) => matches(entry.fault, request));
      for (const entry of matching) entry.seen += 1;
      const due = matching.find(
        ({ fault, seen }) => seen >= fault.nth && seen < fault.nth + fault.times,
      );
      if (due) due.struck += 1;
      return due?.fault;
    },
  };
}

function matches({ match }: Fault, request: Matchable): boolean {
  return (
    (match.kind === undefined || match.kind === request.kind) &&
    (match.method === undefined || match.method.toUpperCase() === request.method) &&
    (match.path === undefined || new RegExp(match.path).test(request.path)) &&
    (match.username === undefined || [request.username, request.target].includes(match.username))
  );
}

/** Runs `effect` (or not, or later) and answers as the fault says. */
export async function play(
  fault: Fault,
  path: string,
  effect: () => Promise<Answer>,
  response: ServerResponse,
): Promise<void> {
  const { action, when } = fault;
  if (isDelay(action)) {
    if (when === "before") await pause(action.delayMs);
    const answer = await effect();
    if (when === "after") await pause(action.delayMs);
    return send(response, answer);
  }
  if (when === "late")
    void pause(fault.lateMs)
      .then(effect)
      .catch(() => undefined);
  const answer = when === "after" ? await effect() : json(200, envelope(false, true));
  return misanswer(action, path, answer, response);
}

async function misanswer(
  action: Exclude<Action, { delayMs: number }>,
  path: string,
  answer: Answer,
  response: ServerResponse,
): Promise<void> {
  if (typeof action === "object") {
    if ("hugeBytes" in action) return sendHuge(response, action.hugeBytes);
    const { status, body = "", headers } = action;
    const answer = typeof body === "string" ? text(status, body) : json(status, body);
    return send(response, { ...answer, headers: { ...answer.headers, ...headers } });
  }
  switch (action) {
    case "reset":
      return resetConnection(response.socket);
    case "refuse":
      response.socket?.destroy();
      return;
    case "hang":
      return;
    case "truncate":
      return sendHalf(response, answer);
    case "html":
      return send(response, {
        ...text(200, "<!doctype html><html><body>Please sign in</body></html>"),
        headers: { "content-type": "text/html; charset=utf-8" },
      });
    case "redirect": {
      const location = `${path}${path.includes("?") ? "&" : "?"}redirected`;
      return send(response, { status: 307, headers: { location }, body: "" });
    }
    case "errorsTrue":
      return send(response, json(200, envelope(true, false, "Request was refused")));
    case "dataFalse":
      return send(response, json(200, envelope(false, false, "Request could not be processed")));
    case "empty":
      return send(response, text(200, ""));
    case "slowBody":
      return sendSlowly(response, answer);
  }
}

export function json(status: number, body: unknown): Answer {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

export function text(status: number, body: string): Answer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}

function envelope(errors: boolean, data: boolean, error?: string) {
  const messages = error ? [{ type: "ERROR", key: null, value: error }] : [];
  return { requestId: "fault", errors, messages, data, totalPages: 0, totalElements: 0 };
}

export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed) return;
  const hasLength = "content-length" in headers || status === 204 || status === 304;
  response.writeHead(
    status,
    hasLength ? headers : { ...headers, "content-length": Buffer.byteLength(body) },
  );
  response.end(body);
}

function sendHalf(response: ServerResponse, answer: Answer): void {
  const body = Buffer.from(answer.body);
  const whole = body.length > 1 ? body : Buffer.from(JSON.stringify(envelope(false, true)));
  response.writeHead(200, { ...answer.headers, "content-length": whole.length });
  response.write(whole.subarray(0, whole.length / 2), () => response.socket?.destroy());
}

async function sendSlowly(response: ServerResponse, answer: Answer): Promise<void> {
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, { ...answer.headers, "content-length": body.length });
  for (let i = 0; i < body.length && !response.destroyed; i += 1) {
    response.write(body.subarray(i, i + 1));
    await pause(200);
  }
  response.end();
}

async function sendHuge(response: ServerResponse, bytes: number): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, "x");
  function* chunks() {
    for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left);
  }
  response.writeHead(200, { "content-type": "application/json" });
  // A client that has seen enough hangs up: no error of ours.
  await pipeline(Readable.from(chunks()), response).catch(() => undefined);
}

/** TLS sockets cannot send RST themselves: those just end. */
export function resetConnection(socket: Socket | null): void {
  if (!socket) return;
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}

/** Does not keep the process alive. */
function pause(ms: number): Promise<void> {
  return sleep(ms, undefined, { ref: false });
}

function isDelay(action: Action): action is { delayMs: number } {
  return typeof action === "object" && "delayMs" in action;
}

function isRegExp(source: string): boolean {
  try {
    return Boolean(new RegExp(source));
  } catch {
    return false;
  }
}
