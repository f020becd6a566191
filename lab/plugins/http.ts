import { setTimeout as sleep } from "node:timers/promises";
import type { HttpRequest, Send } from "../../net/http";
import { proxyTo } from "../../net/proxy";
import { nodeSend } from "../../net/transport";

export interface Answer {
  status: number;
  /** The parsed JSON, or undefined where the body is empty or no JSON. */
  body: unknown;
}

const timeoutMs = 20_000;
const maxBytes = 16 * 1024 * 1024;
const tries = 2;

const plain = nodeSend({ proxyFor: proxyTo });

/**
 * One HTTP call with a JSON body, tried again once after 429, a server error or no answer at all.
 * @throws where there is no answer; the message names method and URL, never headers or body.
 */
export async function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  body?: unknown,
  transport: Send = plain,
): Promise<Answer> {
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
      const passing = answer.status === 429 || (answer.status >= 500 && answer.status !== 501);
      if (!passing || attempt === tries) {
        return { status: answer.status, body: parsed(answer.body) };
      }
    } catch (error) {
      if (attempt === tries) {
        throw new Error(`${method} ${url}: ${(error as Error).message}`, { cause: error });
      }
    }
    await sleep(500 * attempt);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
