import { PassThrough } from "node:stream";
import { askFor } from "../../cli/handOver";
import { writeFirstRecord } from "../../clients/firstRecord";
import { passwordKeySettings } from "../../desired/keySettings";
import type { HttpRequest, HttpResponse } from "../../net/http";

const shown: string[] = [];
beforeEach(() => {
  shown.length = 0;
  jest.spyOn(process.stderr, "write").mockImplementation((text) => {
    shown.push(String(text));
    return true;
  });
});
afterEach(() => jest.restoreAllMocks());

/** What a person types, key by key; `isTTY`: at a terminal, which is told not to echo. */
async function typed(text: string, isTTY: boolean) {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY,
    ...(isTTY ? { setRawMode: (isRaw: boolean) => modes.push(isRaw) } : {}),
  });
  const answer = askFor("First password: ", input);
  for (const key of isTTY ? text : [text]) input.write(key);
  if (!isTTY) input.end();
  return { answer: await answer.catch((error: Error) => error.message), modes };
}

test("at a terminal the password is not shown, and may be corrected", async () => {
  const { answer, modes } = await typed("Firsx\u007ft-1 ä\r", true);
  expect(answer).toBe("First-1 ä");
  expect(modes).toEqual([true, false]);
  expect(shown).toEqual(["First password: ", "\n"]);
});

test.each([
  ["First-1\n", "First-1"],
  ["First-1\r\nmore", "First-1"],
  ["First-1", "First-1"],
  [" First-1 \n", " First-1 "],
  ["", "The first password is empty: nothing was written."],
  ["\nFirst-1", "The first password is empty: nothing was written."],
  ["First\t1\n", "The first password holds a control character: nothing was written."],
])("of what is piped in, the first line counts: %j", async (text, expected) => {
  expect(await typed(text, false)).toEqual({ answer: expected, modes: [] });
  expect(shown).toEqual([]);
});

test("Ctrl-C ends it, and the terminal echoes again", async () => {
  const { answer, modes } = await typed("Fir\u0003", true);
  expect(answer).toBe("Interrupted: nothing was written.");
  expect(modes).toEqual([true, false]);
});

test("a mount of version 1 gets neither settings nor password", async () => {
  const asked: string[] = [];
  const send = (request: HttpRequest): Promise<HttpResponse> => {
    asked.push(`${request.method} ${request.url}`);
    const body = JSON.stringify({ data: { type: "kv", options: { version: "1" } } });
    return Promise.resolve({ status: 200, headers: {}, body });
  };
  const vault = {
    send,
    clock: { now: () => 0, sleep: () => Promise.resolve() },
    address: "https://vault.acme.example",
    token: "t",
  };
  const key = { settings: passwordKeySettings, custom: {} };
  const data = { password: "First-1" };
  expect(await writeFirstRecord(vault, "kv", "scanner/password", key, data, [])).toBe(
    "not version 2",
  );
  expect(asked).toEqual(["GET https://vault.acme.example/v1/sys/internal/ui/mounts/kv"]);
});
