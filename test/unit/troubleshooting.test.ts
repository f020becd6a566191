import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findingIds, messages } from "../support/messages";
import type { Message } from "../support/messages";

const text = readFileSync(join(__dirname, "..", "..", "docs", "troubleshooting.md"), "utf8");
const sections = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((part) => [part.split("\n")[0] ?? "", rowsOf(part)]),
);
const ofOthers = "Words of Pulumi, of a plugin or of GitLab";
const findings = "Findings";

/** Messages that nobody can do anything about who has not changed the code, or that say all themselves. */
const internal: Record<string, string> = {
  "GitLab is not asked: GITLAB_TOKEN is not set": "without a token these checks are skipped",
  "Claim … of role … is not known.": "index.ts looks for every consumer first",
  "A key of the schema has no description.": "for who adds a key",
  "The id of identity group … is not known.": "index.ts asks Vault for every group first",
  "a record needs a password to be staged": "the state machine comes there with one only",
  "Account … …. …": "the frame of the lines that have rows",
  timeout: "ends a request to a proxy, which says so in its own words",
  "A policy placeholder cannot be filled: …": "config/checks.ts lets no such value through",
  "cannot write the pipeline file: bad …": "config/checks.ts lets no such value through",
  'CHANGELOG.md: no section "## … (YYYY-MM-DD)": write what is new, and give it a date':
    "for who makes a release",
  "docs/… has lost the comments that mark its …": "for who edits it",
  "docs/…: its … is out of date: npm run doc-tables": "for who edits it",
};

/** The quoted texts at the beginning of a section's rows. */
function rowsOf(section: string): string[] {
  return section.split("\n").flatMap((line) => {
    const quoted = /^\| ((?:`[^`]+`(?:, )?)+) \|/.exec(line)?.[1] ?? "";
    return [...quoted.matchAll(/`([^`]+)`/g)].map(([, row = ""]) => row);
  });
}

/** Whether a message begins as the row says; `…` in the row stands for anything. */
function fits(row: string, message: string): boolean {
  const parts = row.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^(…|Account … )?${parts.join(".*")}`, "s").test(
    message.replaceAll("`", "'").replaceAll("\n", " "),
  );
}

const unmatched = (some: readonly Message[], rows: readonly string[]) =>
  some.filter((one) => !rows.some((row) => fits(row, one.text)));
const pulumiNames = "What a preview's names stand for";
const apart = [ofOthers, pulumiNames, findings];
const rows = [...sections].flatMap(([title, found]) => (apart.includes(title) ? [] : found));

test("every error and warning has a row, or a reason to have none", () => {
  const unknown = unmatched(messages(), rows).filter((one) => !(one.text in internal));
  // Say in docs/troubleshooting.md what it means and what to do; or above, why nobody meets it.
  expect(unknown).toEqual([]);
});

test("every row, and every reason, is of a message that the code has", () => {
  const texts = messages().map((message) => message.text);
  expect(rows.filter((row) => !texts.some((one) => fits(row, one)))).toEqual([]);
  expect(Object.keys(internal).filter((one) => !texts.includes(one))).toEqual([]);
  expect(rows.length).toBeGreaterThan(50);
});

test("no row is so short that it fits by chance", () => {
  expect(rows.filter((row) => row.replaceAll("…", "").trim().length < 5)).toEqual([]);
});

test("every finding's id has a row, and every row an id", () => {
  const listed = sections.get(findings) ?? [];
  // The list of checks names some by the beginning of their ids.
  const known = findingIds().filter((id) => id !== "tool");
  expect([...listed].sort()).toEqual(known.sort());
});
