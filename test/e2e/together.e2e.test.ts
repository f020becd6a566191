import { eachOf } from "../../core/eachOf";
import { readToken } from "../../core/jwt";
import { startFaultLab } from "../support/faultLab";
import type { FaultLab } from "../support/faultLab";
import type { Call } from "../support/gate";
import { interleave } from "../support/interleave";
import type { Halt, Runner } from "../support/interleave";
import { callsOfChange, changes, openPasswordCase } from "../support/passwordCase";
import type { Start } from "../support/passwordCase";
import { providerPool, startRotation } from "../support/processes";
import type { Provider, ProviderAnswer, ProviderRequest, Rotation } from "../support/processes";
import { sampled } from "../support/sampled";
import { callsOfRotation, openTokenCase } from "../support/tokenCase";
import type { TokenCase, TokenStart } from "../support/tokenCase";

const firstRun: Start = { title: "the first one", live: "first", first: true, wanted: 1 };
const onceMore: Start = {
  title: "once more",
  record: { password: "p1", generation: 1 },
  ...{ live: "p1", wanted: 2 },
};
const older: TokenStart = { title: "older", stored: "older", password: "settled" };

let lab: FaultLab;
let plain: ReturnType<typeof providerPool>;
let hurried: ReturnType<typeof providerPool>;
let cases = 0;
let violations = 0;

beforeAll(async () => {
  lab = await startFaultLab();
  const env = { VAULT_TOKEN: lab.vaultToken };
  plain = providerPool({ env });
  hurried = providerPool({ env, hurried: true });
}, 600_000);

afterAll(async () => {
  process.stderr.write(`two at once: ${cases} cases, ${violations} violations\n`);
  await Promise.all([plain?.close(), hurried?.close()]);
  await lab?.stop();
});

/** The first run stands before its call `n` while the second one goes to its halt, or to its end. */
interface Meeting {
  n: number;
  halt?: Halt;
}

/** Every call of the first run with every halt of the second. */
function meetings(
  first: Call[],
  second: Call[],
  haltsAt: (call: Call) => Halt["what"][],
): Meeting[] {
  const halts = second.flatMap((call) => haltsAt(call).map((what) => ({ n: call.n, what })));
  return first.flatMap(({ n }) => [{ n }, ...halts.map((halt) => ({ n, halt }))]);
}

/** Before the login to Vault, and before its end, the two would only come one after the other. */
const inner = (calls: Call[]) => calls.slice(1, -1);

const lost = { when: "before", action: "reset" } as const;
const answerLost = { when: "after", action: "reset" } as const;
const refused = { when: "before", action: "errorsTrue" } as const;

const isUndisturbed = ({ halt }: Meeting) => halt === undefined || halt.what === "waits";

async function playAll(all: Meeting[], play: (meeting: Meeting) => Promise<string[]>) {
  const found: string[] = [];
  const chosen = sampled(all);
  await eachOf(chosen, 8, async (meeting) => {
    const { n, halt } = meeting;
    const second = halt ? `at its call ${halt.n} ${JSON.stringify(halt.what)}` : "runs to its end";
    const wrong = await play(meeting);
    found.push(
      ...wrong.map((what) => `the first stands before ${n}, the second ${second}: ${what}`),
    );
  });
  cases += chosen.length;
  violations += found.length;
  expect(found).toEqual([]);
}

const runPlain = (request: ProviderRequest) => plain.use((provider) => provider.run(request));

function changing(request: ProviderRequest, provider: Provider): Runner<ProviderAnswer> {
  return { start: () => provider.run(request), kill: () => provider.kill() };
}

function rotating({ env }: TokenCase, prepare = async () => undefined as void): Runner<Rotation> {
  let job: ReturnType<typeof startRotation>;
  return {
    async start() {
      await prepare();
      job = startRotation({ env }, lab.dir);
      return job.ended;
    },
    kill: () => job.kill(),
  };
}

test.each([firstRun, onceMore])(
  "two password changes: $title",
  async (start) => {
    const calls = await callsOfChange(lab, start, false, runPlain);
    const all = meetings(calls, calls, (call) => [
      "waits",
      "is killed",
      ...(changes(call) ? [lost, answerLost] : []),
      ...(call.path.includes("reset-password") ? [refused] : []),
    ]);
    await playAll(all, async (meeting) => {
      const one = await openPasswordCase(lab, start, false);
      const { gate, request } = one;
      one.watch();
      // Two runs may rightly ask for the same change, one after the other.
      gate.before = async () => "pass";
      const [a, b] = await plain.use((first) =>
        (isUndisturbed(meeting) ? plain : hurried).use((second) =>
          interleave(
            gate,
            changing(request, first),
            meeting.n,
            changing(request, second),
            meeting.halt,
          ),
        ),
      );
      one.lookAt(a);
      one.lookAt(b);
      await one.look("after both runs");
      for (const run of isUndisturbed(meeting) ? [a, b] : [a]) {
        if (run.outs === undefined) one.violations.push(`a run failed: ${run.error?.message}`);
      }
      gate.reset();
      one.watch();
      await one.lookAtEnd(await runPlain(request));
      await one.close();
      return one.violations;
    });
  },
  600_000,
);

const day = 24;
test.each([
  { title: "the second gets a token that lives longer", first: day, second: 2 * day, every: true },
  { title: "the first gets a token that lives longer", first: 2 * day, second: day },
  { title: "both get tokens of the same life", first: day, second: day },
])(
  "two rotations: $title",
  async ({ first, second, every = false }) => {
    const calls = await callsOfRotation(lab, older);
    const all = meetings(calls, calls, ({ method, path }) => {
      if (method === "POST" && path.endsWith("/token")) return ["waits", "is killed", answerLost];
      return every ? ["waits"] : [];
    });
    await playAll(all, async (meeting) => {
      const one = await openTokenCase(lab, older);
      one.watch();
      await lab.setTokenLifetime(one.account, first * 3600);
      const longer = () => lab.setTokenLifetime(one.account, second * 3600);
      const { n, halt } = meeting;
      const [a, b] = await interleave(one.gate, rotating(one), n, rotating(one, longer), halt);
      one.lookAt(a);
      one.lookAt(b);
      await one.look("after both runs");
      for (const { code, err } of isUndisturbed(meeting) ? [a, b] : [a]) {
        if (code !== 0) one.violations.push(`a run failed: ${err}`);
      }
      const token = (await lab.read(`${one.account.name}/token`))?.data["token"];
      const claims = readToken(String(token));
      const hours = ((claims?.expiresAt ?? 0) - (claims?.issuedAt ?? 0)) / 3600;
      // The first one's token was bought before the second one's only if its login was.
      const bought = n > (calls.find(({ path }) => path === "/login")?.n ?? 0) ? first : second;
      const best = isUndisturbed(meeting) ? Math.max(bought, second) : bought;
      if (hours < best) one.violations.push(`in the end the stored token lives ${hours} h`);
      one.gate.reset();
      one.watch();
      await one.lookAtEnd(await startRotation({ env: one.env }, lab.dir).ended);
      await one.close();
      return one.violations;
    });
  },
  600_000,
);

describe("a rotation beside a password change", () => {
  async function play(meeting: Meeting, rotationFirst: boolean): Promise<string[]> {
    const change = await openPasswordCase(lab, onceMore, false);
    const { account, gate, passwords, request } = change;
    const token = await openTokenCase(lab, older, { account, gate, live: passwords["p1"] ?? "" });
    change.watch();
    token.watch();
    const [a, b] = await (isUndisturbed(meeting) ? plain : hurried).use(async (provider) => {
      const { n, halt } = meeting;
      const one = changing(request, provider);
      if (rotationFirst) return interleave(gate, rotating(token), n, one, halt);
      const [changed, rotated] = await interleave(gate, one, n, rotating(token), halt);
      return [rotated, changed] as const;
    });
    token.lookAt(a);
    change.lookAt(b);
    await change.look("after both runs");
    await token.look("after both runs");
    if (a.code !== 0) token.violations.push(`the rotation failed: ${a.err}`);
    if (isUndisturbed(meeting) && b.outs === undefined) {
      change.violations.push(`the change failed: ${b.error?.message}`);
    }
    gate.reset();
    change.watch();
    token.watch();
    await change.lookAtEnd(await runPlain(request));
    await token.lookAtEnd(await startRotation({ env: token.env }, lab.dir).ended);
    await token.close();
    return [...change.violations, ...token.violations];
  }

  test("the change comes in the middle of the rotation", async () => {
    const all = meetings(
      inner(await callsOfRotation(lab, older)),
      await callsOfChange(lab, onceMore, false, runPlain),
      (call) => [
        "waits",
        "is killed",
        ...(call.path.includes("reset-password") ? [lost, answerLost] : []),
      ],
    );
    await playAll(all, (meeting) => play(meeting, true));
  }, 600_000);

  test("the rotation comes in the middle of the change", async () => {
    const calls = await callsOfChange(lab, onceMore, false, runPlain);
    await playAll(
      meetings(calls, [], () => []),
      (meeting) => play(meeting, false),
    );
  }, 600_000);
});
