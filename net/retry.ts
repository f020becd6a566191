import { retryAfterMs } from "./http";
import type { Clock, HttpRequest, HttpResponse, Send, TransportCode } from "./http";

/** What became of one try: an answer, or the transport's error. */
export type Outcome = HttpResponse | (Error & { code: TransportCode });

export interface RetryRules {
  /**
   * Whether to ask again after try number `tries`. It must not where the request may have taken effect and
   * asking twice does more than asking once: then only `wasNotSent` is safe.
   */
  again: (outcome: Outcome, tries: number) => boolean;
  /** The last try begins at most so many milliseconds after the first. */
  withinMs: number;
}

const firstWaitMs = 500;
const longestWaitMs = 3_000;

/**
 * Sends a request until its outcome is one that stays. Between two tries it waits as long as `Retry-After` asks,
 * else 0.5, 1, 2, then 3 s each. Gives the last answer; throws the last error of the transport.
 */
export async function retry(
  send: Send,
  request: HttpRequest,
  clock: Clock,
  { again, withinMs }: RetryRules,
): Promise<HttpResponse> {
  const begun = clock.now();
  for (let tries = 1; ; tries += 1) {
    const outcome = await send(request).catch((error: Outcome & Error) => error);
    const left = begun + withinMs - clock.now();
    if (left <= 0 || !again(outcome, tries)) {
      if (isAnswer(outcome)) return outcome;
      throw outcome;
    }
    const backoff = Math.min(firstWaitMs * 2 ** (tries - 1), longestWaitMs);
    const asked = isAnswer(outcome) ? outcome.headers["retry-after"] : undefined;
    const wait = retryAfterMs(asked, clock.now(), withinMs) || backoff;
    await clock.sleep(Math.min(wait, left));
  }
}

export function isAnswer(outcome: Outcome): outcome is HttpResponse {
  return "status" in outcome;
}

/** An answer of a server that is passing busy, or of what stands before it. */
export function isBusy({ status }: HttpResponse): boolean {
  return status === 429 || status >= 500;
}

/** No connection was made, so the request took no effect. A certificate gets no better by asking again. */
export function wasNotSent(outcome: Outcome): boolean {
  return !isAnswer(outcome) && ["refused", "dns", "proxy"].includes(outcome.code);
}
