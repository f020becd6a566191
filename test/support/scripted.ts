import type { Clock, HttpRequest, HttpResponse, Send } from "../../net/http";

/** One answer of the script: a status and a body (as JSON unless it is a text), or an error. */
export type Scripted = { status: number; body?: unknown; headers?: Record<string, string> } | Error;

export interface Script {
  send: Send;
  clock: Clock;
  /** The requests so far. */
  sent: HttpRequest[];
  /** The waits so far, in milliseconds; they pass at once. */
  waits: number[];
}

/** A `Send` that gives these answers one after the other, the last one again and again. */
export function scripted(...answers: Scripted[]): Script {
  const sent: HttpRequest[] = [];
  const waits: number[] = [];
  let now = Date.UTC(2026, 0, 1);
  return {
    sent,
    waits,
    async send(request): Promise<HttpResponse> {
      const answer = answers[Math.min(sent.length, answers.length - 1)];
      sent.push(request);
      if (answer === undefined) throw new Error("The script is empty");
      if (answer instanceof Error) throw answer;
      const { status, body = "", headers = {} } = answer;
      return { status, headers, body: typeof body === "string" ? body : JSON.stringify(body) };
    },
    clock: {
      now: () => now,
      async sleep(ms) {
        waits.push(ms);
        now += ms;
      },
    },
  };
}
