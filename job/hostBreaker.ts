import { coded } from "../core/messageCode";
import type { Send } from "../net/http";

/** So many accounts without an answer, and none with one in between, say that a host is down. */
const mostSilent = 3;

/** The hosts of one run. */
export interface Hosts {
  /** How one account asks its host; `done` is called when that account has ended. */
  account(): { send: Send; done(): void };
  /** Throws where the host has been given up for this run. */
  check(host: string): void;
}

/** Notes which hosts answer, so that one that is down costs the others no time. */
export function hostBreaker(send: Send): Hosts {
  const silent = new Map<string, number>();
  const check = (host: string) => {
    if ((silent.get(host) ?? 0) < mostSilent) return;
    throw coded(
      `${host} gave no answer to ${mostSilent} accounts: it is not asked again in this run`,
      "host-silent",
    );
  };
  return {
    check,
    account() {
      let asked: string | undefined;
      let isAnswered = false;
      return {
        async send(request) {
          const host = new URL(request.url).origin;
          check(host);
          asked = host;
          const answer = await send(request);
          isAnswered = true;
          // A host that was given up stays so: what comes late was asked before.
          if ((silent.get(host) ?? 0) < mostSilent) silent.set(host, 0);
          return answer;
        },
        done() {
          if (asked !== undefined && !isAnswered) silent.set(asked, (silent.get(asked) ?? 0) + 1);
        },
      };
    },
  };
}
