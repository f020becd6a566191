import { createHash } from "node:crypto";
import type { Evidence } from "./evidence";
import { document, escaped, htmlTable } from "./html";
import { coded } from "../core/messageCode";

/** The three forms of one evidence; each shows the hash of the first. */
export interface EvidenceFiles {
  sha256: string;
  json: string;
  csv: string;
  html: string;
}

/**
 * The hash is that of the JSON file's second line, which holds all of the evidence with its keys in order: standard tools
 * can compute it, and so can who has the file in another layout.
 */
export function evidenceFiles(evidence: Evidence): EvidenceFiles {
  const line = `${canonical(evidence)}\n`;
  const sha256 = hashOf(line);
  return {
    sha256,
    json: `{"sha256":"${sha256}","evidence":\n${line}}\n`,
    csv: csv(evidence, sha256),
    html: html(evidence, sha256),
  };
}

/** JSON without blanks, with the keys of each object in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  const members = entries
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`);
  return `{${members.join(",")}}`;
}

const columns = ["kind", "time", "until", "account", "what", "by"] as const;
type Row = Partial<Record<(typeof columns)[number], string | undefined>>;

/** All of it as rows of one table. */
function rowsOf(evidence: Evidence, sha256: string): Row[] {
  const { project, stack, from, to, madeAt, version, sources, events, access } = evidence;
  return [
    {
      ...{ kind: "evidence", time: from, until: to },
      what: `${project}/${stack}, made at ${madeAt} by version ${version}, SHA-256 ${sha256}`,
    },
    ...sources.map(({ subject, state, found }) => ({
      ...{ kind: "source", time: madeAt, what: `${state} ${subject}: ${found}` },
    })),
    ...events,
    ...access.map(({ who, policy, secret, capabilities, accounts, how }) => ({
      ...{ kind: "access", time: madeAt, account: accounts.join(" "), by: who },
      what: `${secret}: ${capabilities.join(", ")} (${how}; policy ${policy})`,
    })),
    ...evidence.controls.map(({ id, asks, here, not }) => ({
      ...{ kind: "control", what: `${id}: ${asks} Here: ${here}. Not here: ${not}.` },
    })),
  ];
}

/**
 * RFC 4180. What a spreadsheet would take for a formula begins with an apostrophe, also after what another one takes for
 * the end of a cell.
 */
function csv(evidence: Evidence, sha256: string): string {
  const cell = (text = "") => {
    const safe = text.replace(/(^|[;|\t\r\n])(?=\s*[=+\-@\t\r＝＋－＠])/g, "$1'");
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = rowsOf(evidence, sha256).map((row) => columns.map((key) => cell(row[key])));
  return [columns, ...lines].map((cells) => `${cells.join(",")}\r\n`).join("");
}

function html(evidence: Evidence, sha256: string): string {
  const { project, stack, from, to, madeAt, version } = evidence;
  const title = `Evidence: ${project}/${stack}, ${from} to ${to}`;
  const section = (name: string, head: readonly string[], rows: readonly (readonly string[])[]) =>
    `<section><h2>${name}</h2>${rows.length === 0 ? "<p>Nothing.</p>" : htmlTable(head, rows)}</section>`;
  const events = evidence.events.map(({ time, until = "", kind, account = "", what, by = "" }) => [
    ...[time, until, kind, account, what, by],
  ]);
  return document(
    title,
    `<p>Made at ${escaped(madeAt)} by version ${escaped(version)}. SHA-256 of the JSON file's second line: <code>${sha256}</code></p>`,
    [
      section(
        "What it is made of",
        ["source", "state", "found"],
        evidence.sources.map(({ subject, state, found }) => [subject, state, found]),
      ),
      section("What happened", ["time", "until", "kind", "account", "what", "by"], events),
      section(
        "Who may do what in Vault",
        ["who", "secret", "may", "accounts", "how it is known", "policy"],
        evidence.access.map(({ who, secret, capabilities, accounts, how, policy }) => [
          ...[who, secret, capabilities.join(", "), accounts.join(", "), how, policy],
        ]),
      ),
      section(
        "Controls it speaks to",
        ["control", "what it asks, in our words", "what is here", "what is not"],
        evidence.controls.map(({ id, asks, here, not }) => [id, asks, here, not]),
      ),
      "<p>Whether a control is met is for your auditor to say.</p>",
    ].join("\n"),
  );
}

/** What is wrong with the files of an evidence, its JSON first; nothing where they are as they were made. */
export function evidenceProblems(
  files: readonly { name: string; text: string }[],
  version: string,
): { sha256: string; problems: string[] } {
  const [first, ...others] = files;
  const read = first && parsedEvidence(first.text);
  if (read === undefined) {
    throw coded(
      `${first?.name ?? "no file"}: found something else, expected the JSON file of \`evidence\``,
      "wrong-file",
    );
  }
  const { sha256 } = read;
  const actual = hashOf(`${canonical(read.evidence)}\n`);
  if (actual !== sha256) {
    return { sha256, problems: [`${first?.name} was changed: its SHA-256 is ${actual}`] };
  }
  const made = evidenceFiles(read.evidence);
  const by =
    read.evidence.version === version ? "" : ` (it was made by version ${read.evidence.version})`;
  const problems = others.flatMap(({ name, text }) =>
    text === made.csv || text === made.html
      ? []
      : [`${name} is not what this version makes of ${first?.name}${by}`],
  );
  return { sha256, problems };
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function parsedEvidence(text: string): { sha256: string; evidence: Evidence } | undefined {
  try {
    const { sha256, evidence } = JSON.parse(text) as { sha256: unknown; evidence: Evidence };
    const isWhole = typeof sha256 === "string" && typeof evidence === "object" && evidence !== null;
    return isWhole ? { sha256, evidence } : undefined;
  } catch {
    return undefined;
  }
}
