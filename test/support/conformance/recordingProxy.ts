import type { RecordedRequest } from "../../recordings/expand";
import { startProxy } from "../proxy";

export interface SeenRequest extends Omit<RecordedRequest, "during" | "times"> {
  /** The call during which it came; undefined outside an operation. */
  phase: string;
}

export interface Strike {
  /** Which request: its number in the phase, counted from 1. */
  at: (request: { phase: string; n: number; line: string }) => boolean;
  /** 0: the connection is closed. */
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export type RecordingProxy = Awaited<ReturnType<typeof startRecordingProxy>>;

/** Stands in front of a real server, writes down what it is asked and how it answers, and strikes where told. */
export async function startRecordingProxy(target: string) {
  let seen: SeenRequest[] = [];
  let strike: Strike | undefined;
  let phase = "";
  const byNumber = new Map<number, SeenRequest>();
  const server = await startProxy({
    target,
    async onRequest({ n, method, path, headers, body }) {
      const [pathname = "", query] = path.split("?");
      const entry: SeenRequest = { phase, method, path: pathname, status: 0 };
      if (query) entry.query = query;
      if (body.length > 0) entry.body = JSON.parse(body.toString()) as unknown;
      const namespace = headers["x-vault-namespace"];
      if (namespace) entry.namespace = String(namespace);
      const token = headers["x-vault-token"] ?? headers.authorization?.replace(/^Bearer /, "");
      if (token) entry.token = String(token);
      seen.push(entry);
      byNumber.set(n, entry);
      const count = seen.filter((one) => one.phase === phase).length;
      if (!strike?.at({ phase, n: count, line: `${method} ${pathname}` })) return "pass";
      const { status, body: answer = {}, headers: more = {} } = strike;
      Object.assign(entry, { status, injected: true });
      return { action: status === 0 ? "refuse" : { status, body: answer, headers: more } };
    },
    async onResponse({ n }, { status }) {
      const entry = byNumber.get(n);
      if (entry) entry.status = status;
    },
  });
  return {
    url: server.url,
    during(name: string) {
      phase = name;
    },
    strikeWith(fault: Strike | undefined) {
      strike = fault;
    },
    /** What has come since the last time. */
    take(): SeenRequest[] {
      const taken = seen;
      seen = [];
      return taken;
    },
    close: () => server.close(),
  };
}
