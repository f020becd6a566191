import { about, foundWithCode } from "../../checks/finding";
import { newsOf } from "../../checks/news";
import { page } from "../../checks/page";
import { checkReport, sentence, table } from "../../checks/report";
import type { JsonReport } from "../../checks/report";
import { asRunError, bothOf } from "../../config/runError";
import { UserError, coded, shown, withCode } from "../../core/messageCode";
import { transportError } from "../../net/http";
import { withShownErrors } from "../../providers/shownErrors";

test.each([
  ["a", "vault.token", "a [APC-VAULT-TOKEN]"],
  ["a\nb\n", "no-account", "a [APC-NO-ACCOUNT]\nb\n"],
  ["a", undefined, "a"],
  // What node says is no code of ours.
  ["a", "ENOENT", "a"],
])("%j with code %s", (text, code, expected) => {
  expect(withCode(text, code)).toBe(expected);
});

test("an error says its code, of a transport as well", () => {
  expect(shown(coded("Which stack?\nUsage", "usage"))).toBe("Which stack? [APC-USAGE]\nUsage");
  expect(shown(new Error("a"))).toBe("a");
  expect(shown(transportError("dns", "https://a.example"))).toMatch(/resolved \[APC-NET-DNS\]$/);
});

describe("a finding that is not well says its code", () => {
  const it = about("vault.token", "Vault token");
  const problem = it.problem("ends soon\nin 1 h", "vault login");
  const report = (...findings: JsonReport["findings"]): JsonReport => ({
    ...{ schema: 1, project: "p", stack: "s", version: "1", checkedAt: "2026-11-24T06:00:00Z" },
    findings,
  });

  test("in each state but ok", () => {
    const all = [it.ok("a"), it.skipped("b"), it.warning("c"), it.problem("d")];
    const code = "[APC-VAULT-TOKEN]";
    expect(all.map(foundWithCode)).toEqual(["a", `b ${code}`, `c ${code}`, `d ${code}`]);
  });

  test("in the table, in a message of `up`, in JUnit and in a notification", () => {
    expect(table([problem])).toMatch(/^PROBLEM Vault token {2}ends soon \[APC-VAULT-TOKEN\]\n/);
    expect(sentence(problem)).toBe(
      "Vault token ends soon [APC-VAULT-TOKEN]\n      in 1 h: `vault login`",
    );
    expect(checkReport([problem])).toContain('message="ends soon [APC-VAULT-TOKEN]');
    expect(newsOf({}, [report(problem)]).begun[0]).toMatch(/: ends soon \[APC-VAULT-TOKEN\]\n/);
  });

  test("on the page, in what is wrong and in all findings", () => {
    const codes = page([report(problem, it.ok("well"))]).match(/\[APC-VAULT-TOKEN\]/g);
    expect(codes).toHaveLength(2);
  });

  test("and --json is what it was", () => {
    expect(JSON.stringify(report(problem))).not.toContain("APC-");
  });
});

test("what the engine is told of a wrong configuration says its code, once", async () => {
  const fails = () =>
    asRunError(() => Promise.reject<never>(new UserError("a\nb", "configuration")));
  const both = bothOf(fails(), Promise.reject<never>(new UserError("c", "usage")));
  await expect(both).rejects.toThrow("a [APC-CONFIGURATION]\nb\nc [APC-USAGE]");
  const wrong = () =>
    asRunError(() => {
      throw new UserError("a\nb", "configuration");
    });
  expect(wrong).toThrow(/^a \[APC-CONFIGURATION\]\nb$/);
});

test("an error of a provider says its code, and keeps what the engine reads of it", async () => {
  const error = Object.assign(coded("denied", "vault-denied"), { id: "a", stack: "" });
  const { read } = withShownErrors({ read: () => Promise.reject<string>(error) });
  await expect(read()).rejects.toBe(error);
  expect(error).toMatchObject({ message: "denied [APC-VAULT-DENIED]", id: "a", stack: "" });
  const { diff } = withShownErrors({ diff: (a: number, b: number) => Promise.resolve(a + b) });
  expect(await diff(1, 2)).toBe(3);
});
