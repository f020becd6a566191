import { holds, isFull, printTotals } from "../support/interleavings";
import { explorationsOf, pairs } from "../support/passwordScenarios";
import type { Scenario } from "../support/passwordScenarios";

jest.setTimeout(isFull ? 3_600_000 : 300_000);
afterAll(printTotals);

/** With a fault beside its late change, this one alone takes as long as all the others. */
const isLargest = ({ late, wishes }: Scenario) =>
  late?.[0] === "pending-1" && wishes.every(({ generation }) => generation === 2);

const cases = pairs.flatMap((scenario) =>
  isFull ? explorationsOf(scenario, 2) : explorationsOf(scenario, isLargest(scenario) ? 0 : 1, 0),
);

test.each(cases)("two runs at once: %s", (_, exploration) => holds(exploration));

if (isFull) {
  const small = pairs.filter(({ late }) => late === undefined);
  const three = small.flatMap((scenario) => explorationsOf(scenario, 3));
  test.each(three)("two runs at once, three faults: %s", (_, exploration) => holds(exploration));
}
