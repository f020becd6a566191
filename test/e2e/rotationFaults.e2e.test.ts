import { setTimeout as sleep } from "node:timers/promises";
import type { FaultInput } from "../../lab/faults";
import { readToken } from "../../core/jwt";
import { accessToken } from "../support/accessToken";
import { startFaultLab } from "../support/faultLab";
import type { FaultLab } from "../support/faultLab";
import type { Side } from "../support/gate";
import { eachOf } from "../../core/eachOf";
import { startRotation } from "../support/processes";
import { sampled } from "../support/sampled";
import { arm, strikes, waitForRefused } from "../support/strikes";
import type { Strike } from "../support/strikes";
import { callsOfRotation, openTokenCase } from "../support/tokenCase";
import type { TokenStart } from "../support/tokenCase";

/** `onlyKills`: what answers do is the same as in the others. */
const starts: (TokenStart & { onlyKills?: true })[] = [
  { title: "a new token in place of an older one", stored: "older", password: "settled" },
  { title: "in the middle of a password change", stored: "older", password: "being changed" },
  { title: "a stored token that lives longer", stored: "later", password: "settled" },
  { title: "the first token", stored: "none", password: "settled", onlyKills: true },
  { title: "after the token has ended", stored: "ended", password: "settled", onlyKills: true },
];

const settled: TokenStart = { title: "settled", stored: "older", password: "settled" };

let lab: FaultLab;
let cases = 0;
let violations = 0;

beforeAll(async () => {
  lab = await startFaultLab();
}, 600_000);

afterAll(async () => {
  process.stderr.write(`rotation faults: ${cases} cases, ${violations} violations\n`);
  await lab?.stop();
});

async function play(
  start: TokenStart,
  sides: Side[],
  n: number,
  strike: Strike,
): Promise<string[]> {
  const one = await openTokenCase(lab, start);
  const { gate, env } = one;
  try {
    one.watch();
    const held = arm(gate, strike, n, sides, () => job.kill());
    const job = startRotation({ env, hurried: true }, lab.dir);
    one.lookAt(await job.ended);
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
    const rotation = await startRotation({ env }, lab.dir).ended;
    if (strike.late === 2) await deliver();
    await one.lookAtEnd(rotation);
  } finally {
    await one.close();
  }
  return one.violations;
}

test.each(starts)(
  "$title: readers never lose a good token",
  async (start) => {
    const calls = await callsOfRotation(lab, start);
    const sides = calls.map(({ side }) => side);
    const all = calls.flatMap((call) =>
      strikes(call.method === "POST" && call.path.endsWith("/token"), start === starts[0])
        .filter(({ kill }) => kill !== undefined || !start.onlyKills)
        // A refusal of the stored token, and no fault: such a token has to make way.
        .filter(({ fault }) => fault?.action !== "errorsTrue" || start.stored !== "later")
        .map((strike) => ({ call, strike })),
    );
    const found: string[] = [];
    const chosen = start === starts[0] ? all : sampled(all);
    await eachOf(chosen, 12, async ({ call, strike }) => {
      const wrong = await play(start, sides, call.n, strike);
      found.push(
        ...wrong.map((what) => `${call.n} ${call.method} ${call.path}: ${strike.title}: ${what}`),
      );
    });
    cases += chosen.length;
    violations += found.length;
    expect(found).toEqual([]);
  },
  600_000,
);

describe("what is no good token is not stored", () => {
  const seconds = () => Math.floor(Date.now() / 1000);
  const sub = (username: string) => `Acme//${username}`;
  const tokens: [string, (username: string) => unknown][] = [
    ["no token", () => undefined],
    ["an empty one", () => ""],
    ["no JWT", () => "secret-that-is-none"],
    ["an expired one", (name) => accessToken({ sub: sub(name), iat: 0, exp: seconds() - 1 })],
    [
      "a short-lived one",
      (name) => accessToken({ sub: sub(name), iat: seconds(), exp: seconds() + 3600 }),
    ],
    [
      "one of another user",
      () => accessToken({ sub: sub("root"), iat: seconds(), exp: seconds() + 86_400 }),
    ],
    [
      "one that does not work",
      (name) => accessToken({ sub: sub(name), iat: seconds(), exp: seconds() + 86_400 }),
    ],
  ];
  const answers: [string, (username: string) => FaultInput["action"]][] = [
    ...tokens.map(([title, token]): (typeof answers)[number] => [
      `the login gives ${title}`,
      (name) => ({ status: 200, body: { token: token(name) } }),
    ]),
    ["the login is refused", () => ({ status: 401, body: { message: "Bad credentials" } })],
  ];

  test.each(answers)("%s: the old one stays, the exit code is 1", async (_, action) => {
    const one = await openTokenCase(lab, settled);
    const before = await lab.read(`${one.account.name}/token`);
    one.watch();
    one.gate.before = async ({ path }) =>
      path === "/login" ? { action: action(one.account.username) } : "pass";
    const rotation = await startRotation({ env: one.env }, lab.dir).ended;
    one.lookAt(rotation);
    expect(rotation.code).toBe(1);
    expect(await lab.read(`${one.account.name}/token`)).toEqual(before);
    await one.close();
    expect(one.violations).toEqual([]);
  });
});

test.each([
  ["is no JWT", () => "planted"],
  [
    "is a forged one",
    (username: string) => accessToken({ sub: `Acme//${username}`, iat: 0, exp: 4e9 }),
  ],
])("a planted token that %s makes way", async (_, planted) => {
  const one = await openTokenCase(lab, { ...settled, stored: "none" });
  const { name, username } = one.account;
  await lab.write(`${name}/token`, {
    token: planted(username),
    expires_at: "2099-01-01T00:00:00Z",
  });
  expect((await startRotation({ env: one.env }, lab.dir).ended).code).toBe(0);
  const claims = readToken(String((await lab.read(`${name}/token`))?.data["token"]));
  expect(claims?.username).toBe(username);
  expect(claims?.expiresAt).toBeLessThan(4e9);
  await one.close();
});
