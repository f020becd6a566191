import { junit } from "../job/report";
import type { Finding } from "./finding";

/** Lines of one kind and state that a screen shows; JSON and JUnit have all of them. */
const mostAlike = 20;

/** The findings for the screen: of many that are alike, the first and a line that counts the others. */
export function shortened(findings: readonly Finding[]): Finding[] {
  const kindOf = ({ what, state }: Finding) => `${what.split(" ")[0]} ${state}`;
  const seen = new Map<string, number>();
  const shown = findings.filter((finding) => {
    const count = (seen.get(kindOf(finding)) ?? 0) + 1;
    seen.set(kindOf(finding), count);
    return count <= mostAlike;
  });
  const counted = [...seen].filter(([, count]) => count > mostAlike);
  return [
    ...shown,
    ...counted.map(([kind, count]): Finding => {
      const [what = "", state] = kind.split(" ");
      const found = `${count - mostAlike} more of these`;
      return { what, state: state as Finding["state"], found };
    }),
  ];
}

/** A JUnit report: one test case a finding; problems are failures. */
export function checkReport(findings: readonly Finding[]): string {
  const cases = findings.map(({ what, state, found, fix }) => {
    const text = fix === undefined ? found : `${found}. ${fix}`;
    return {
      name: what,
      seconds: 0,
      failure: state === "problem" ? text : undefined,
      warnings: state === "warning" ? [text] : [],
    };
  });
  return junit(cases, "check");
}
