import { progress } from "../../cli/progress";

/** What is shown of three accounts, each of which takes so many seconds and prints a line. */
function shown(isTTY: boolean | undefined, seconds: number, total = 3): string {
  let text = "";
  let now = 0;
  const write = (part: string) => (text += part);
  const bar = progress("verify", total, { isTTY, write }, () => now);
  for (let account = 1; account <= total; account += 1) {
    now += seconds * 1_000;
    bar.done(() => write(`account ${account}\n`));
  }
  bar.end();
  return text;
}

/** The lines of a terminal that knows `\r` and "erase to the end of the line". */
function onScreen(text: string): string[] {
  const lines = [""];
  for (const part of text.replaceAll("\r\u001b[K", "\f").split(/(\f|\n)/)) {
    if (part === "\n") lines.push("");
    else if (part === "\f") lines[lines.length - 1] = "";
    else lines[lines.length - 1] += part;
  }
  return lines;
}

test("a terminal has one line that is written anew below what is printed, and in the end none", () => {
  const text = shown(true, 1);
  expect(onScreen(text)).toEqual(["account 1", "account 2", "account 3", ""]);
  expect(text.match(/verify: \d of 3/g)).toEqual([0, 1, 2, 3].map((n) => `verify: ${n} of 3`));
  const half = text.slice(0, text.indexOf("verify: 2") + "verify: 2 of 3".length);
  expect(onScreen(half)).toEqual(["account 1", "account 2", "verify: 2 of 3"]);
});

test.each([undefined, false])("elsewhere (%s) it is plain lines, twice a minute", (isTTY) => {
  expect(shown(isTTY, 20, 5)).toBe(
    "account 1\naccount 2\nverify: 2 of 5\naccount 3\naccount 4\nverify: 4 of 5\naccount 5\n",
  );
});

test("what is quick, and what is one, says nothing but its own lines", () => {
  expect(shown(undefined, 1)).toBe("account 1\naccount 2\naccount 3\n");
  expect(shown(true, 1, 1).replaceAll("\r\u001b[K", "")).toBe("account 1\n");
});
