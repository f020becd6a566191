import fc from "../support/fastCheck";
import { gitlabReader } from "../../clients/gitlab";
import { transportError } from "../../net/http";
import type { TransportCode } from "../../net/http";
import { retry, wasNotSent } from "../../net/retry";
import { scripted } from "../support/scripted";
import type { Scripted } from "../support/scripted";

const url = "https://server.example/x";
const request = { method: "GET", url, headers: {}, timeoutMs: 1, maxBytes: 1 } as const;
const failure = (code: TransportCode) => transportError(code, url);

test("the last outcome is given: an answer, or the transport's error", async () => {
  const rules = { again: (_: unknown, tries: number) => tries < 3, withinMs: 60_000 };
  const answered = scripted(failure("reset"), { status: 502 }, { status: 500, body: "x" });
  await expect(retry(answered.send, request, answered.clock, rules)).resolves.toMatchObject({
    status: 500,
  });
  const failed = scripted({ status: 502 }, failure("reset"), failure("timeout"));
  await expect(retry(failed.send, request, failed.clock, rules)).rejects.toThrow(
    "did not answer in time",
  );
  expect([answered.sent.length, failed.sent.length]).toEqual([3, 3]);
});

test("no try begins after the time that the rules leave, however long a server asks to wait", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.option(fc.integer({ min: -5, max: 100_000 })), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 0, max: 90_000 }),
      async (asked, withinMs) => {
        const answers = asked.map((seconds): Scripted => ({
          status: 503,
          headers: seconds === null ? {} : { "retry-after": String(seconds) },
        }));
        const { send, clock, sent, waits } = scripted(...answers);
        const begun = clock.now();
        await retry(send, request, clock, { again: () => true, withinMs });
        expect(clock.now() - begun).toBe(withinMs);
        expect(sent).toHaveLength(waits.length + 1);
        expect(Math.min(...waits, 1)).toBeGreaterThan(0);
      },
    ),
  );
});

test.each([
  ["refused", true],
  ["dns", true],
  ["proxy", true],
  ["reset", false],
  ["timeout", false],
  ["too-large", false],
  ["tls", false],
  ["other", false],
] as const)("a request that ended in %s was not sent: %s", (code, expected) => {
  expect(wasNotSent(failure(code))).toBe(expected);
});

describe("GitLab", () => {
  const read = (...answers: Scripted[]) => {
    const script = scripted(...answers);
    const answer = gitlabReader(script.send, script.clock, "https://g", "glpat-canary")("user");
    return { ...script, answer };
  };

  test("is asked again after a reset, and not before it wants to be", async () => {
    const limited = { status: 429, headers: { "retry-after": "42" } };
    const { answer, waits } = read(failure("reset"), limited, { status: 200, body: { id: 1 } });
    await expect(answer).resolves.toEqual({ id: 1 });
    expect(waits).toEqual([500, 42_000]);
  });

  test("that never answers is an error after five tries", async () => {
    const { answer, sent } = read(failure("timeout"));
    await expect(answer).rejects.toThrow("did not answer in time");
    expect(sent).toHaveLength(5);
  });
});
