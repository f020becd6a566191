import fc from "../support/fastCheck";
import { foreignText, redact, secretForms } from "../../core/redact";

const secret = 'p"ä/ss+wörd?';

describe("a known secret", () => {
  test.each([
    ["plain", secret],
    ["as JSON", JSON.stringify({ password: secret })],
    ["in a URL", `https://a.example/?p=${encodeURIComponent(secret)}&q`],
    ["as base64", `Basic ${Buffer.from(secret).toString("base64")}`],
    ["as base64 for URLs", Buffer.from(secret).toString("base64url")],
  ])("is cut out: %s", (_, text) => {
    const clean = redact(`before ${text} after`, [secret]);
    expect(clean).toContain("[secret]");
    for (const form of secretForms(secret)) expect(clean).not.toContain(form);
    expect(clean).toMatch(/^before .* after$/);
  });

  test("is cut out as often as it stands there", () => {
    expect(redact("abcdef abcdef ghijkl", ["abcdef", "ghijkl"])).toBe("[secret] [secret] [secret]");
  });

  test("is left alone where it is too short to be one", () => {
    expect(redact("admin", ["adm", ""])).toBe("admin");
  });

  test("never survives, whatever it is and wherever it stands", () => {
    const text = fc.string({ unit: "grapheme", minLength: 6 });
    fc.assert(
      fc.property(text, fc.string(), fc.string(), (hidden, before, after) => {
        fc.pre(!"[secret]".includes(hidden) && !(before + after).includes(hidden));
        for (const form of secretForms(hidden)) {
          const clean = redact(`${before}\n${form}\n${after}`, [hidden]);
          expect(clean.split("\n")).not.toContain(form);
        }
      }),
    );
  });
});

describe("a text of others", () => {
  test("is cut to 200 characters, after the secrets are out", () => {
    const text = foreignText(`${"x".repeat(190)}${"secret-of-24-characters!"}`, [
      "secret-of-24-characters!",
    ]);
    expect(text).toBe(`${"x".repeat(190)}[secret]`);
    const long = foreignText("y".repeat(500), []);
    expect(long).toHaveLength(200);
    expect(long.endsWith("y…")).toBe(true);
  });

  test("loses its control characters", () => {
    const text = foreignText(" a\r\n::set-env::\u001b[31m\u202eb\u2028c\0 ", []);
    expect(text).toBe("a ::set-env:: [31m b c");
  });
});
