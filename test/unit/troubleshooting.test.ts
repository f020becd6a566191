import { readFileSync } from "node:fs";
import { join } from "node:path";
import { withCode } from "../../core/messageCode";
import { findingIds, messageCodes, messages } from "../support/messages";
import type { Message } from "../support/messages";

const text = readFileSync(join(__dirname, "..", "..", "docs", "troubleshooting.md"), "utf8");
const findings = "Findings";

/** A row of the page: the codes that it is of, and how their messages read. */
interface Row {
  section: string;
  codes: string[];
  quotes: string[];
  line: string;
}

const rows: Row[] = text
  .split(/^## /m)
  .slice(1)
  .flatMap((part) => {
    const section = part.split("\n")[0] ?? "";
    return part.split("\n").flatMap((line) => {
      const [codes = "", says = ""] = line.split(" | ");
      const found = [...codes.matchAll(/`(APC-[^`]+)`/g)].map(([, code = ""]) => code);
      const quotes = [...says.matchAll(/`([^`]+)`/g)].map(([, quote = ""]) => quote);
      return found.length === 0 ? [] : [{ section, codes: found, quotes, line }];
    });
  });

const all = messages();
const shownCode = (code: string) => withCode("", code).slice(2, -1);
const ids = findingIds().filter((id) => id !== "tool");

/** Messages that nobody can do anything about who has not changed the code, or that say all themselves. */
const internal: Record<string, string> = {
  "GitLab is not asked: GITLAB_TOKEN is not set": "without a token these checks are skipped",
  "Claim … of role … is not known.": "index.ts looks for every consumer first",
  "A key of the schema has no description.": "for who adds a key",
  "The id of identity group … is not known.": "index.ts asks Vault for every group first",
  "a record needs a password to be staged": "the state machine comes there with one only",
  "Account … …. …": "the frame of the lines that have codes",
  "Vault at … is not ready for stack …; nothing was touched.": "its lines have codes",
  "GitLab at … is not ready for stack …; nothing was touched.": "its lines have codes",
  "…  failed  …": "the reason has a code",
  "…  warning  …": "the reason has a code",
  "…failed     …": "the reason has a code",
  "…warning    …": "the reason has a code",
  "… answers with …": "the reason of a message that has a code",
  timeout: "ends a request to a proxy, which says so in its own words",
  "A policy placeholder cannot be filled: …": "config/checks.ts lets no such value through",
  "cannot write the pipeline file: bad …": "config/checks.ts lets no such value through",
  'CHANGELOG.md: no section "## … (YYYY-MM-DD)": write what is new, and give it a date':
    "for who makes a release",
  "docs/… has lost the comments that mark its …": "for who edits it",
  "docs/…: its … is out of date: npm run doc-tables": "for who edits it",
};

/** Whether a message begins as the row says; `…` in the row stands for anything. */
function fits(quote: string, message: string): boolean {
  const parts = quote.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^(…|Account … )?${parts.join(".*")}`, "s").test(
    message.replaceAll("`", "'").replaceAll("\n", " "),
  );
}

const rowsOf = (code: string) => rows.filter(({ codes }) => codes.includes(shownCode(code)));
const isOfFinding = ({ code }: Message) => code !== undefined && ids.includes(code);

test("every error and warning has a code, or a reason to have none", () => {
  const without = all.filter(({ code }) => code === undefined);
  // Give it a code, which its row in docs/troubleshooting.md has; or say above why nobody meets it.
  expect(without.filter((one) => !(one.text in internal))).toEqual([]);
  const texts = without.map((one) => one.text);
  expect(Object.keys(internal).filter((one) => !texts.includes(one))).toEqual([]);
});

test("every code has one row, and every row is of codes that the code has", () => {
  const codes = [...new Set([...messageCodes(), ...ids])];
  expect(codes.filter((code) => !/^[a-z]+([.-][a-z]+)*$/.test(code))).toEqual([]);
  expect(codes.filter((code) => rowsOf(code).length !== 1)).toEqual([]);
  const known = codes.map(shownCode);
  expect(known).toEqual([...new Set(known)]);
  expect(rows.flatMap((row) => row.codes).filter((code) => !known.includes(code))).toEqual([]);
  expect(known.length).toBeGreaterThan(140);
});

test("every message reads as the row of its code says, and every row as a message of its code", () => {
  const ofRows = all.filter((one) => one.code !== undefined && !isOfFinding(one));
  const differing = ofRows.filter(
    ({ code = "", text: message }) =>
      !rowsOf(code).some(({ quotes }) => quotes.some((quote) => fits(quote, message))),
  );
  expect(differing).toEqual([]);
  const unread = rows.flatMap(({ section, codes, quotes }) => {
    const texts = ofRows.filter(({ code = "" }) => codes.includes(shownCode(code)));
    const isFit = (quote: string) => texts.some((one) => fits(quote, one.text));
    return section === findings ? [] : quotes.filter((quote) => !isFit(quote));
  });
  expect(unread).toEqual([]);
});

test("no row is so short that it fits by chance", () => {
  const quotes = rows.filter(({ section }) => section !== findings).flatMap((row) => row.quotes);
  expect(quotes.filter((quote) => quote.replaceAll("…", "").trim().length < 5)).toEqual([]);
});

test("every finding's id stands beside its code", () => {
  const ofFindings = rows.filter(({ section }) => section === findings);
  const listed = ofFindings.flatMap(({ quotes }) => quotes);
  // The list of checks names some by the beginning of their ids.
  expect([...listed].sort()).toEqual([...ids].sort());
  const wrong = ofFindings.filter(
    ({ codes, quotes }) => quotes.map(shownCode).join() !== codes.join(),
  );
  expect(wrong).toEqual([]);
});

test("every code can be linked", () => {
  const missing = rows.flatMap(({ codes, line }) =>
    codes.filter((code) => !line.includes(`<a id="${code.toLowerCase()}"></a>\`${code}\``)),
  );
  expect(missing).toEqual([]);
});
