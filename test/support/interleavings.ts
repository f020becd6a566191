import { explore } from "./explore";
import type { Exploration, Report } from "./explore";
import type { Facts } from "./passwordPromises";

/** Whether the explorations go further than `make test` has time for: some minutes more. */
export const isFull = process.env["EXPLORE"] === "full";

const totals: Report = { schedules: 0, walked: 0, states: 0, steps: 0, violations: [] };

/** The real password change in every interleaving of several runs with every fault and kill, within its bounds. */
export async function holds(exploration: Exploration<Facts>): Promise<void> {
  const report = await explore(exploration);
  totals.schedules += report.schedules;
  totals.walked += report.walked;
  totals.states += report.states;
  totals.steps += report.steps;
  totals.violations.push(...report.violations);
  const texts = report.violations.map(({ what, schedule }) => [what, ...schedule].join("\n  "));
  expect(texts).toEqual([]);
  expect(report.schedules).toBeGreaterThan(0);
}

/** What a file's explorations came to. */
export function printTotals(): void {
  const { schedules, walked, states, steps, violations } = totals;
  process.stdout.write(
    `interleavings: ${schedules.toLocaleString("en")} schedules through ${states.toLocaleString("en")} states ` +
      `(${walked.toLocaleString("en")} walked, ${steps} steps of the real code), violations ${violations.length}\n`,
  );
}
