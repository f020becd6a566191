import { eachOf } from "../../core/eachOf";
import { setTimeout as sleep } from "node:timers/promises";
import { startFaultLab } from "../support/faultLab";
import type { FaultLab } from "../support/faultLab";
import type { Call } from "../support/gate";
import {
  callsOfChange,
  changes,
  inTheEnd,
  openPasswordCase,
  titleOf,
} from "../support/passwordCase";
import type { Start } from "../support/passwordCase";
import { providerPool } from "../support/processes";
import type { ProviderRequest } from "../support/processes";
import { sampled } from "../support/sampled";
import { arm, strikes, waitForRefused } from "../support/strikes";
import type { Strike } from "../support/strikes";

const starts: Start[] = [
  { title: "first run", live: "first", first: true, wanted: 1 },
  {
    title: "again, the change was not made",
    record: { password: "first", generation: 0, pending: ["p1", 1] },
    ...{ live: "first", first: true, wanted: 1 },
  },
  {
    title: "again, the change was made",
    record: { password: "first", generation: 0, pending: ["p1", 1] },
    ...{ live: "p1", first: true, wanted: 1 },
  },
  {
    title: "once more",
    record: { password: "p1", generation: 1 },
    ...{ live: "p1", wanted: 2 },
  },
  {
    title: "once more, over an open change",
    record: { password: "first", generation: 0, pending: ["p1", 1] },
    ...{ live: "first", first: true, wanted: 2 },
  },
  {
    title: "taken back after a reset by APIsec",
    record: { password: "p1", generation: 1, pending: ["p2", 2] },
    ...{ live: "first", first: true, wanted: 2 },
  },
  {
    title: "nothing to do",
    record: { password: "p1", generation: 1 },
    ...{ live: "p1", wanted: 1 },
  },
];

let lab: FaultLab;
let hurried: ReturnType<typeof providerPool>;
let plain: ReturnType<typeof providerPool>;
let cases = 0;
let violations: string[] = [];

beforeAll(async () => {
  lab = await startFaultLab();
  const env = { VAULT_TOKEN: lab.vaultToken };
  hurried = providerPool({ env, hurried: true });
  plain = providerPool({ env });
}, 600_000);

afterAll(async () => {
  process.stderr.write(`kill matrix: ${cases} cases, ${violations.length} violations\n`);
  await Promise.all([hurried?.close(), plain?.close()]);
  await lab?.stop();
});

async function play(
  start: Start,
  changedBy: boolean,
  sides: ("vault" | "apisec")[],
  n: number,
  strike: Strike,
): Promise<string[]> {
  const one = await openPasswordCase(lab, start, changedBy);
  const { gate, request } = one;
  try {
    one.watch();
    const held = await hurried.use(async (provider) => {
      const kept = arm(gate, strike, n, sides, () => provider.kill());
      one.lookAt(await inTheEnd(request, (again) => provider.run(again)));
      return kept;
    });
    await one.look("after the run");
    const deliver = async () => {
      for (const call of held) {
        await gate.deliver(call);
        await one.look("after the late effect");
      }
    };
    if (strike.late === 1) await deliver();
    if (strike.refuse) await sleep(waitForRefused);
    gate.reset();
    one.watch();
    const answer = await inTheEnd(request, (again) => plain.use((provider) => provider.run(again)));
    if (strike.late === 2) await deliver();
    await one.lookAtEnd(answer);
  } finally {
    await one.close();
  }
  return one.violations;
}

/** With another account's token, all calls are the same but those from its record to the change. */
function isNew({ n }: Call, calls: Call[]): boolean {
  const accountOf = (path = "") => /([^/]+)\/password/.exec(path)?.[1];
  const other = calls.find(
    ({ side, path }) => side === "vault" && accountOf(path) !== accountOf(calls[0]?.path),
  );
  const change = calls.find(({ path }) => path.includes("reset-password"));
  return n >= (other?.n ?? Infinity) && n <= (change?.n ?? 0);
}

describe.each([
  ["with its own token", false],
  ["with another account's token", true],
])("%s", (_, changedBy) => {
  test.each(starts)(
    "$title",
    async (start) => {
      const calls = await callsOfChange(lab, start, changedBy, (request) =>
        plain.use((provider) => provider.run(request)),
      );
      const sides = calls.map(({ side }) => side);
      const all = calls.flatMap((call) =>
        strikes(changes(call), start === starts[0])
          .filter(({ kill }) => kill !== undefined || !changedBy || isNew(call, calls))
          .map((strike) => ({ call, strike })),
      );
      const chosen = sampled(all);
      const found: string[] = [];
      await eachOf(chosen, 16, async ({ call, strike }) => {
        const wrong = await play(start, changedBy, sides, call.n, strike);
        found.push(...wrong.map((what) => `${call.n} ${titleOf(call)}: ${strike.title}: ${what}`));
      });
      cases += chosen.length;
      violations = [...violations, ...found];
      expect(found).toEqual([]);
    },
    600_000,
  );
});

test("a change of before that lands in the middle of a later one: nothing is lost, and it heals", async () => {
  const [start] = starts.filter(({ title }) => title === "once more, over an open change");
  if (start === undefined) throw new Error("no such start");
  const run = (request: ProviderRequest) => plain.use((provider) => provider.run(request));
  const calls = await callsOfChange(lab, start, false, run);
  const found: string[] = [];
  await eachOf(calls, 8, async ({ n }) => {
    const one = await openPasswordCase(lab, start, false);
    const { account, gate, passwords, request } = one;
    const key = `${account.name}/password`;
    gate.before = async (call) => {
      if (call.n === n) await lab.setPassword(account, passwords["p1"] ?? "");
      return "pass";
    };
    await hurried.use((provider) => provider.run(request));
    const stored = (await lab.history(key)).flatMap((data) => [
      data["password"],
      data["pending_password"],
    ]);
    const live = await Promise.all(stored.map((password) => lab.isLive(account, password)));
    if (!live.includes(true)) found.push(`${n}: no version has the password that logs in`);
    let answer = await inTheEnd(request, run);
    if (answer.error?.code === "changed-outside") {
      const raised = { ...request, inputs: { ...request.inputs, generation: 3 } };
      answer = await inTheEnd(raised, run);
    }
    const newest = (await lab.read(key))?.data;
    if (answer.outs === undefined) found.push(`${n}: ${answer.error?.message}`);
    if (!(await lab.isLive(account, newest?.["password"]))) found.push(`${n}: locked out`);
    await one.close();
  });
  cases += calls.length;
  violations = [...violations, ...found];
  expect(found).toEqual([]);
}, 600_000);
