import type { Finding } from "../checks/finding";

const marks = { ok: "ok      ", warning: "warning ", problem: "PROBLEM " };

/** 0 where all is well, 1 with a warning, 2 with a problem. */
export function findingsExitCode(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ state }) => state === "problem")) return 2;
  return findings.some(({ state }) => state === "warning") ? 1 : 0;
}

/** A line a finding, what mends it below, and a last line that counts `all`, shown or not. */
export function findingsTable(findings: readonly Finding[], all = findings): string {
  const width = Math.max(0, ...findings.map(({ what }) => what.length)) + 2;
  const indent = marks.ok.length + width;
  const hanging = (text: string) => text.split("\n").join(`\n${" ".repeat(indent)}`);
  const lines = findings.map(({ what, state, found, fix }) => {
    const line = `${marks[state]}${what.padEnd(width)}${hanging(found)}`;
    return fix === undefined ? line : `${line}\n${" ".repeat(indent)}-> ${hanging(fix)}`;
  });
  const count = (state: Finding["state"], one: string) => {
    const number = all.filter((finding) => finding.state === state).length;
    return `${number} ${number === 1 ? one : `${one}s`}`;
  };
  return [...lines, `\n${count("problem", "problem")}, ${count("warning", "warning")}`].join("\n");
}

/** Prints the findings, as a table of those `shown` or as JSON of all, and sets the exit code of this process. */
export function report(findings: readonly Finding[], json: boolean, shown = findings): void {
  console.log(json ? JSON.stringify(findings, undefined, 2) : findingsTable(shown, findings));
  process.exitCode = findingsExitCode(findings);
}
