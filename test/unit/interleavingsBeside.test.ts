import { holds, isFull, printTotals } from "../support/interleavings";
import { explorationsOf, others, threes } from "../support/passwordScenarios";

jest.setTimeout(isFull ? 3_600_000 : 300_000);
afterAll(printTotals);

const besides = others.flatMap((scenario) =>
  // Whether tokens end matters most where one is at hand.
  isFull ? explorationsOf(scenario, 2) : explorationsOf(scenario, 1, scenario.token ? 1 : 0),
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
