import { holds, isFull, printTotals } from "../support/interleavings";
import { explorationsOf, others, threes } from "../support/passwordScenarios";
import type { Scenario } from "../support/passwordScenarios";
import { sampled } from "../support/sampled";

jest.setTimeout(isFull ? 3_600_000 : 300_000);
afterAll(printTotals);

const largeWithFaults = sampled(others.filter(({ isLarge }) => isLarge));

function quickly(scenario: Scenario) {
  if (scenario.isLarge && !largeWithFaults.includes(scenario)) return explorationsOf(scenario, 0);
  // Whether tokens end matters most where one is at hand.
  return explorationsOf(scenario, 1, scenario.token ? 1 : 0);
}

const besides = others.flatMap((scenario) =>
  isFull ? explorationsOf(scenario, 2) : quickly(scenario),
);

test.each(besides)(
  "beside a rotation, with a changing account, moves and outside changes: %s",
  (_, exploration) => holds(exploration),
);

// A minute each: `make test` has three at once in random schedules alone.
if (isFull) {
  const all = threes.flatMap((scenario) => explorationsOf(scenario, 1));
  test.each(all)("three runs at once: %s", (_, exploration) => holds(exploration));
}
