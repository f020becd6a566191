/** One account in the report. `failure`: why it was not rotated; undefined = it was. */
export interface Case {
  name: string;
  seconds: number;
  failure: string | undefined;
  warnings: string[];
}

/** A JUnit report as GitLab reads it: one test case an account. `suite`: whose report it is. */
export function junit(cases: readonly Case[], suite = "rotation"): string {
  const failures = cases.filter((one) => one.failure !== undefined).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0);
  const counts = `tests="${cases.length}" failures="${failures}" time="${seconds.toFixed(3)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${suite}" ${counts}>`,
    ...cases.map((one) => testCase(one, suite)),
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

function testCase({ name, seconds, failure, warnings }: Case, suite: string): string {
  const inner = [
    ...(failure === undefined ? [] : [`<failure message="${escape(failure)}"/>`]),
    ...(warnings.length === 0 ? [] : [`<system-err>${escape(warnings.join("; "))}</system-err>`]),
  ].join("");
  const head = `    <testcase classname="${suite}" name="${escape(name)}" time="${seconds.toFixed(3)}"`;
  return inner === "" ? `${head}/>` : `${head}>${inner}</testcase>`;
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

/** Also drops what XML 1.0 cannot hold: control characters and lone surrogates. */
function escape(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, " ")
    .replace(/[&<>"']/g, (character) => entities[character] ?? "");
}
