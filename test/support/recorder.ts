import { startProxy } from "./proxy";
import type { FaultInput } from "../../lab/faults";
import { startFaultyServer } from "../../lab/faultyServer";
import type { Incoming } from "../../lab/faultyServer";

/** One exchange, whole. */
export interface Exchange {
  method: string;
  path: string;
  headers: Incoming["headers"];
  body: string;
  answer: string;
}

export interface Recorder {
  url: string;
  exchanges: Exchange[];
  close(): Promise<void>;
}

/**
 * Stands before `target` and writes down everything that passes, secrets and all. `fault` may answer
 * in the target's place, or after it has done its work.
 */
export async function startRecorder(
  target: string,
  fault: (request: Incoming) => FaultInput | undefined = () => undefined,
): Promise<Recorder> {
  const exchanges: Exchange[] = [];
  const keep = (request: Incoming, answer: string) =>
    exchanges.push({ ...request, body: String(request.body), answer });
  const server = await startProxy({
    target,
    async onRequest(request) {
      const wanted = fault(request);
      // Without its effect the target never sees it.
      if (wanted !== undefined && wanted.when !== "after") keep(request, "");
      return wanted ?? "pass";
    },
    async onResponse(request, answer) {
      keep(request, String(answer.body));
    },
  });
  return { url: server.url, exchanges, close: () => server.close() };
}

/** An attacker's server: whoever calls it is answered as Vault and as APIsec would, and recorded. */
export async function startTrap(): Promise<Recorder> {
  const exchanges: Exchange[] = [];
  const server = await startFaultyServer({
    async handle(request) {
      const body = JSON.stringify(answerTo(request, server.url));
      exchanges.push({ ...request, body: String(request.body), answer: body });
      return {
        status: 200,
        headers: { "content-type": "application/json" },
        body,
        outcome: "caught",
      };
    },
  });
  return { url: server.url, exchanges, close: () => server.close() };
}

function answerTo({ path }: Incoming, url: string): object {
  if (path.endsWith("/login") && path.startsWith("/v1/auth/")) {
    return { auth: { client_token: "hvs.of-the-trap", lease_duration: 900 } };
  }
  const record = { username: "scanner@acme.example", password: "of-the-trap", host: url };
  return { data: { data: record, metadata: { version: 1 } }, token: "of-the-trap" };
}
