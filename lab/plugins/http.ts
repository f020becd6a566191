import { setTimeout as sleep } from "node:timers/promises";

export interface Answer {
  status: number;
  /** The parsed JSON, or undefined where the body is empty or no JSON. */
  body: unknown;
}

const timeoutMs = 20_000;
const tries = 2;

/**
 * One HTTP call with a JSON body, tried again once after 429, a server error or no answer at all.
 * @throws where there is no answer; the message names method and URL, never headers or body.
 */
export async function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetch(url, {
        method,
        headers: { ...headers, "Content-Type": "application/json", Accept: "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await answer.text();
      const passing = answer.status === 429 || (answer.status >= 500 && answer.status !== 501);
      if (!passing || attempt === tries) {
        return { status: answer.status, body: parsed(text) };
      }
    } catch (error) {
      if (attempt === tries) {
        throw new Error(`${method} ${url}: ${reason(error)}`, { cause: error });
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

function reason(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string } };
  return name === "TimeoutError" ? `no answer in ${timeoutMs / 1000} s` : (cause?.code ?? message);
}
