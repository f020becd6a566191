import type { HttpRequest, Send } from "../../net/http";
import { proxyTo } from "../../net/proxy";
import { nodeSend } from "../../net/transport";
import { pause } from "./waits";

export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string | undefined>;
  /** The parsed JSON, or undefined where the body is empty or no JSON. */
  body: unknown;
}

/** When a call is tried again, and how long that is waited for. */
export interface Tries {
  /** In all. */
  tries?: number;
  /** Which statuses; a call without an answer is tried again in any case. */
  again?: (status: number) => boolean;
  /** Before the next try; `attempt` counts from 1. */
  waitMs?: (attempt: number) => number;
}

const timeoutMs = 20_000;
const maxBytes = 16 * 1024 * 1024;
const passing = (status: number) => status === 429 || (status >= 500 && status !== 501);

const plain = nodeSend({ proxyFor: proxyTo });

/**
 * One HTTP call with a JSON body, tried again after 429, a server error or no answer at all.
 * @throws where there is no answer; the message names method and URL, never headers or body.
 */
export async function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  body?: unknown,
  options: Tries & { transport?: Send } = {},
): Promise<Answer> {
  const {
    transport = plain,
    tries = 2,
    again = passing,
    waitMs = (attempt) => attempt * 1_000,
  } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await transport({
        method: method as HttpRequest["method"],
        url,
        headers: { ...headers, "Content-Type": "application/json", Accept: "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        timeoutMs,
        maxBytes,
      });
      if (!again(answer.status) || attempt === tries) {
        return { ...answer, body: parsed(answer.body) };
      }
    } catch (error) {
      if (attempt === tries) {
        throw new Error(`${method} ${url}: ${(error as Error).message}`, { cause: error });
      }
    }
    await pause(waitMs(attempt));
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
