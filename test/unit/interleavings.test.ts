import { explore } from "../support/explore";
import type { Exploration, Report } from "../support/explore";
import type { Facts } from "../support/passwordPromises";
import { explorationsOf, pairs, others, threes } from "../support/passwordScenarios";
import type { Scenario } from "../support/passwordScenarios";

/**
 * The real password change in every interleaving of several runs with every fault and kill, within
 * the bounds below. EXPLORE=full goes further: some minutes.
 */
const isFull = process.env["EXPLORE"] === "full";
const totals: Report = { schedules: 0, walked: 0, states: 0, steps: 0, violations: [] };

jest.setTimeout(isFull ? 3_600_000 : 300_000);

afterAll(() => {
  const { schedules, walked, states, steps, violations } = totals;
  process.stdout.write(
    `interleavings: ${schedules.toLocaleString("en")} schedules through ${states.toLocaleString("en")} states ` +
      `(${walked.toLocaleString("en")} walked, ${steps} steps of the real code), violations ${violations.length}\n`,
  );
});

async function holds(exploration: Exploration<Facts>): Promise<void> {
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

function cases(scenarios: readonly Scenario[], faults: (scenario: Scenario) => number) {
  return scenarios.flatMap((scenario) => explorationsOf(scenario, faults(scenario)));
}

describe("two runs at once", () => {
  /** With a fault beside its late change, this one alone takes as long as all the others. */
  const isLargest = ({ late, wishes }: Scenario) =>
    late?.[0] === "pending-1" && wishes.every(({ generation }) => generation === 2);
  const faults = (scenario: Scenario) => (isLargest(scenario) ? 0 : 1);
  test.each(cases(pairs, (scenario) => (isFull ? 2 : faults(scenario))))("%s", (_, exploration) =>
    holds(exploration),
  );
});

describe("beside a rotation, with a changing account, moves and outside changes", () => {
  test.each(cases(others, () => (isFull ? 2 : 1)))("%s", (_, exploration) => holds(exploration));
});

describe("three runs at once", () => {
  const chosen = isFull ? threes : threes.slice(1);
  test.each(cases(chosen, () => (isFull ? 1 : 0)))("%s", (_, exploration) => holds(exploration));
});

if (isFull) {
  describe("two runs at once, three faults", () => {
    const small = pairs.filter(({ late }) => late === undefined);
    test.each(cases(small, () => 3))("%s", (_, exploration) => holds(exploration));
  });
}
