/** GitLab's limit of requests a minute, with its headers: off until the lab is told to have one. */
import type { Reply, Request } from "./http";

const minute = 60_000;

/** Counts the request. @returns the headers of its answer, or the answer of one too many. */
export function countRequest({ app, token }: Request): {
  headers: Record<string, string>;
  exceeded?: Reply;
} {
  const limit = app.rateLimit;
  if (limit === undefined || !token) return { headers: {} };
  const number = Math.floor(app.now() / minute);
  const key = `${token.id} ${number}`;
  const observed = (app.requestCounts.get(key) ?? 0) + 1;
  app.requestCounts.set(key, observed);
  const reset = (number + 1) * minute;
  const headers = {
    "RateLimit-Limit": String(limit),
    "RateLimit-Name": "throttle_authenticated_api",
    "RateLimit-Observed": String(observed),
    "RateLimit-Remaining": String(Math.max(0, limit - observed)),
    "RateLimit-Reset": String(reset / 1_000),
    "RateLimit-ResetTime": new Date(reset).toUTCString(),
  };
  if (observed <= limit) return { headers };
  const wait = { "Retry-After": String(Math.ceil((reset - app.now()) / 1_000)) };
  const type = { "Content-Type": "text/plain" };
  const exceeded = { status: 429, body: Buffer.from("Retry later\n") };
  return { headers, exceeded: { ...exceeded, headers: { ...headers, ...wait, ...type } } };
}
