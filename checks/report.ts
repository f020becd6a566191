import { junit } from "../job/report";
import { foundWithCode } from "./finding";
import type { Finding, State } from "./finding";

/** Lines of one kind and state that a screen shows; JSON and JUnit have all of them. */
const mostAlike = 20;
const marks: Record<State, string> = {
  ok: "ok      ",
  warning: "warning ",
  problem: "PROBLEM ",
  skipped: "skipped ",
};

/** Whether a fix is a command to be run as it stands, and no text around one. */
export function isCommand(fix: string): boolean {
  return /^(pulumi|vault|npm|npx|glab|export|unset) /.test(fix) && !fix.includes("`");
}

/** A finding as one line of a message: what, what is wrong, and what fixes it. */
export function sentence(finding: Finding): string {
  const { subject, found, fix } = finding;
  const isMessage = /^(Vault|GitLab) (at|answers|denies)|^Vault: /.test(found);
  const text = foundWithCode(finding);
  const what = (isMessage ? text : `${subject} ${text}`).split("\n").join("\n      ");
  if (fix === undefined) return what;
  return `${what}: ${isCommand(fix) ? `\`${fix}\`` : fix}`;
}

/** 0 where all is well, 1 with a warning, 2 with a problem. What was skipped is not well: something kept it from being seen. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ state }) => state === "problem")) return 2;
  return findings.some(({ state }) => state !== "ok") ? 1 : 0;
}

/** A line a finding, what fixes it below, and a last line that counts `all`, shown or not. */
export function table(findings: readonly Finding[], all = findings): string {
  const shown = together(findings);
  const width = Math.max(0, ...shown.map(({ subject }) => subject.length)) + 2;
  const indent = marks.ok.length + width;
  const hanging = (text: string) => text.split("\n").join(`\n${" ".repeat(indent)}`);
  const lines = shown.map((finding) => {
    const { subject, state, fix } = finding;
    const line = `${marks[state]}${subject.padEnd(width)}${hanging(foundWithCode(finding))}`;
    return fix === undefined ? line : `${line}\n${" ".repeat(indent)}-> ${hanging(fix)}`;
  });
  const count = (state: State, one: string, many = `${one}s`) => {
    const number = all.filter((finding) => finding.state === state).length;
    return `${number} ${number === 1 ? one : many}`;
  };
  const counted = [count("problem", "problem"), count("warning", "warning")];
  if (all.some(({ state }) => state === "skipped"))
    counted.push(count("skipped", "skipped", "skipped"));
  return [...lines, `\n${counted.join(", ")}`].join("\n");
}

/** What was skipped for one reason is one line, where the first of them stands. */
function together(findings: readonly Finding[]): Finding[] {
  const alike = ({ found }: Finding) =>
    findings.filter((one) => one.state === "skipped" && one.found === found);
  return findings.flatMap((finding) => {
    if (finding.state !== "skipped") return [finding];
    const all = alike(finding);
    if (all[0] !== finding) return [];
    const [first, ...others] = all.map(({ subject }) => subject);
    const more = others.length === 0 ? "" : ` (nor ${others.join(", ")})`;
    return [{ ...finding, subject: first ?? "", found: finding.found + more }];
  });
}

/** The findings for the screen: of many that are alike, the first and a line that counts the others. */
export function shortened(findings: readonly Finding[]): Finding[] {
  const kindOf = ({ id, state }: Finding) => `${id} ${state}`;
  const seen = new Map<string, Finding[]>();
  for (const finding of findings) {
    seen.set(kindOf(finding), [...(seen.get(kindOf(finding)) ?? []), finding]);
  }
  const many = [...seen.values()].filter((alike) => alike.length > mostAlike);
  const hidden = new Set(many.flatMap((alike) => alike.slice(mostAlike)));
  return [
    ...findings.filter((finding) => !hidden.has(finding)),
    ...many.flatMap(([first, ...others]): Finding[] => {
      if (first === undefined) return [];
      const { id, subject, state } = first;
      const found = `${others.length + 1 - mostAlike} more of these`;
      return [{ id, subject: subject.split(" ")[0] ?? "", state, found, values: {} }];
    }),
  ];
}

/** What `--json` prints: all that is known of a stack at one time. `checkedAt`: RFC 3339. */
export interface JsonReport {
  /** Of this form; it changes where a reader of the last one would be wrong. */
  schema: 1;
  project: string;
  stack: string;
  /** Of the program that checked. */
  version: string;
  checkedAt: string;
  findings: readonly Finding[];
}

/** The findings of `--json`, with what they are of: of one stack an object, of several a list. */
export function jsonOf(reports: readonly JsonReport[]): string {
  return JSON.stringify(reports.length === 1 ? reports[0] : reports, undefined, 2);
}

/** A JUnit report: one test case a finding; problems are failures. */
export function checkReport(findings: readonly Finding[]): string {
  const cases = findings.map((finding) => {
    const { subject, state, fix } = finding;
    const found = foundWithCode(finding);
    const text = fix === undefined ? found : `${found}. ${fix}`;
    return {
      name: subject,
      seconds: 0,
      failure: state === "problem" ? text : undefined,
      warnings: state === "warning" || state === "skipped" ? [text] : [],
    };
  });
  return junit(cases, "check");
}
