import fc from "../support/fastCheck";
import { foreignText, redact } from "../../core/redact";
import { isLong } from "../support/sampled";

const secret = 'p"ä/ss+wörd?';
const each = (text: string, write: (character: string) => string) => [...text].map(write).join("");
const hex = (text: string) => Buffer.from(text).toString("hex");
const bytesOf = (text: string) => [...Buffer.from(text)];

/** Ways to quote, each written without a look at how the program reads it. */
const quotings: Record<string, (text: string) => string> = {
  plain: (text) => text,
  JSON: (text) => JSON.stringify({ password: text }),
  "JSON in JSON": (text) => JSON.stringify({ body: JSON.stringify({ password: text }) }),
  "JSON of another library": (text) =>
    each(text, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`),
  "a URL": encodeURIComponent,
  "a form": (text) => new URLSearchParams({ p: text }).toString(),
  "a URL, every byte": (text) =>
    bytesOf(text)
      .map((b) => `%${b.toString(16).padStart(2, "0")}`)
      .join(""),
  "a URL in JSON": (text) => JSON.stringify(`https://a.example/?p=${encodeURIComponent(text)}`),
  HTML: (text) =>
    text
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("'", "&#39;"),
  "HTML, decimal": (text) => each(text, (c) => `&#${c.codePointAt(0)};`),
  "HTML, hexadecimal": (text) =>
    each(text, (c) => `&#x${c.codePointAt(0)?.toString(16).toUpperCase()};`),
  "JSON in HTML": (text) =>
    JSON.stringify({ p: text }).replaceAll("&", "&amp;").replaceAll('"', "&#34;"),
  "\\x of bytes": (text) =>
    bytesOf(text)
      .map((b) => `\\x${b.toString(16).padStart(2, "0")}`)
      .join(""),
  "octal escapes": (text) =>
    bytesOf(text)
      .map((b) => `\\${b.toString(8).padStart(3, "0")}`)
      .join(""),
  "a shell": (text) => text.replaceAll(/[^\w]/gu, "\\$&"),
  SQL: (text) => `'${text.replaceAll("'", "''")}'`,
  CSV: (text) => `"${text.replaceAll('"', '""')}"`,
  "quoted-printable": (text) =>
    bytesOf(text)
      .map((b) => `=${b.toString(16).padStart(2, "0").toUpperCase()}`)
      .join(""),
  hex: hex,
  "upper-case hex": (text) => hex(text).toUpperCase(),
  "hex behind a digit": (text) => `a${hex(text)}f`,
  "hex with colons": (text) =>
    bytesOf(text)
      .map((b) => b.toString(16).padStart(2, "0"))
      .join(":"),
  "node's buffer": (text) =>
    `<Buffer ${bytesOf(text)
      .map((b) => b.toString(16).padStart(2, "0"))
      .join(" ")}>`,
  "C bytes": (text) =>
    bytesOf(text)
      .map((b) => `0x${b.toString(16).padStart(2, "0")}`)
      .join(", "),
  "Go's bytes": (text) => `[${bytesOf(text).join(" ")}]`,
  "JSON's bytes": (text) => JSON.stringify({ type: "Buffer", data: bytesOf(text) }),
  base64: (text) => Buffer.from(text).toString("base64"),
  "base64 for URLs": (text) => Buffer.from(text).toString("base64url"),
  "base64 behind one byte": (text) => Buffer.from(`:${text}`).toString("base64"),
  "base64 behind two bytes": (text) => Buffer.from(`u:${text}@`).toString("base64url"),
  "base64 of JSON": (text) => Buffer.from(JSON.stringify({ p: text })).toString("base64"),
  "base64 in lines": (text) =>
    Buffer.from(`${"x".repeat(50)}${text}`)
      .toString("base64")
      .replaceAll(/.{76}/g, "$&\r\n"),
  "base64 in a URL": (text) => encodeURIComponent(Buffer.from(text).toString("base64")),
};
const byName = Object.entries(quotings);

describe("a known secret", () => {
  test.each(byName)("is cut out, and nothing of it is left: %s", (_, quote) => {
    const clean = redact(`before: ${quote(secret)} . after`, [secret]);
    expect(clean).toContain("[secret]");
    expect(clean).toMatch(/^before: .* \. after$/s);
    const left = clean.replaceAll("[secret]", "");
    expect(left.length).toBeLessThan(left.includes("eHh4eHh4") ? 110 : 50);
  });

  test("is cut out as often as it stands there", () => {
    expect(redact("abcdef abcdef ghijkl", ["abcdef", "ghijkl"])).toBe("[secret] [secret] [secret]");
  });

  test("is left alone where it is too short to be one", () => {
    expect(redact("admin", ["adm", ""])).toBe("admin");
  });

  test("is cut out where eight characters of it are left, and not where seven are", () => {
    const whole = "kV7mQ2xR9tB4wZ6s";
    expect(redact(`a ${whole.slice(3, 11)} b`, [whole])).toBe("a [secret] b");
    expect(redact(`a ${whole.slice(0, 12)}… b`, [whole])).toBe("a [secret]… b");
    const few = `a ${whole.slice(3, 10)} b`;
    expect(redact(few, [whole])).toBe(few);
  });

  test("is one even if it could be read as an escape, or as what stands for secrets", () => {
    for (const odd of [
      "%41%42%43%44",
      "\\x41\\x42\\x43",
      "&amp;&lt;&gt;",
      "[secret][secret]",
      "''''''''",
    ]) {
      for (const [, quote] of byName) {
        expect(redact(`a ${quote(odd)} b`, [odd])).not.toContain(odd);
      }
    }
  });

  const character = fc.integer({ min: 33, max: 126 }).map((n) => String.fromCharCode(n));
  const visible = fc.string({ unit: character, minLength: 12, maxLength: 40 });
  /** Seven characters of a word are no secret: these say how much a text still gives away. */
  const runsIn = (text: string, hidden: string) =>
    Array.from({ length: hidden.length - 7 }, (_, at) => hidden.slice(at, at + 8)).filter((run) =>
      text.includes(run),
    );

  test("never survives, whatever it is, however it is quoted and wherever it is cut", () => {
    fc.assert(
      fc.property(
        visible,
        fc.constantFrom(...byName),
        fc.string({ maxLength: 20 }),
        fc.string({ maxLength: 20 }),
        fc.nat({ max: 40 }),
        fc.nat({ max: 40 }),
        (hidden, [name, quote], before, after, from, length) => {
          const part = hidden.slice(from, from + 8 + length);
          fc.pre(part.length >= 8);
          const quoted = quote(part);
          const clean = redact(`${before} ${quoted} ${after}`, ["another-secret", hidden]);
          expect([name, clean]).toEqual([name, expect.stringContaining("[secret]")]);
          expect(clean).not.toContain(quoted);
          expect(runsIn(clean, hidden)).toEqual([]);
        },
      ),
      { numRuns: isLong ? 20_000 : 1_000 },
    );
  });

  test("of a text without any of it nothing is taken", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), visible, (text, hidden) => {
        fc.pre(runsIn(text, hidden).length === 0);
        expect(redact(text, [hidden])).toBe(text);
      }),
    );
    const words = "Vault answers POST apisec/data/scanner/token with 400: added 12 of 1,024 facade";
    expect(redact(words, ["Zx9-Qm4.Tt7_Wk2", "hvs.CAESIJ8mS2v3c1"])).toBe(words);
  });

  test("is found in a token's worth of text, too", () => {
    const token = Buffer.from("x".repeat(3_000).replaceAll("x", () => Math.random().toString(36)))
      .toString("base64url")
      .slice(0, 2_000);
    expect(redact(`Bearer ${token}, ${token.slice(700, 900)}`, [token])).toBe(
      "Bearer [secret], [secret]",
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

  test("shows no piece of a secret at its end, wherever the text is cut", () => {
    const hidden = "kV7mQ2xR9tB4wZ6skV8";
    for (let padding = 180; padding < 205; padding += 1) {
      const text = foreignText(`${"- ".repeat(padding / 2)}${hidden}`, [hidden]);
      expect(text).not.toMatch(/kV7mQ2/);
    }
    // Of a megabyte no more is looked through than can be shown.
    expect(foreignText(`${hidden} `.repeat(60_000), [hidden])).not.toContain("kV7mQ2x");
  });

  test("loses its control characters", () => {
    const text = foreignText(" a\r\n::set-env::\u001b[31m\u202eb\u2028c\0 ", []);
    expect(text).toBe("a ::set-env:: [31m b c");
  });
});
