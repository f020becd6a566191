import fc from "../support/fastCheck";
import { account, withPassword } from "../support/memoryApisec";
import { kvConfigure, kvDelete, kvUndelete } from "../support/memoryVault";
import { events, playEvents } from "../support/randomSchedules";
import type { Backend, Played } from "../support/randomSchedules";
import { seed } from "../support/seed";
import { faultyWays, land, plainWay } from "../support/world";
import type { World } from "../support/world";

const sequences = process.env["EXPLORE"] === "full" ? 20_000 : 1000;

jest.setTimeout(3_600_000);

/** One account with its first password, and the token key's settings of the deployment. */
function memoryBackend(resetEndsTokens: boolean): Backend {
  const username = "svc@acme.example";
  const accounts = [account(username, "first-password", ["ROLE_USER", "ROLE_ADMIN"])];
  const kv = kvConfigure({}, "scanner/token", { deleteAfterMs: 23.5 * 3_600_000 });
  let world: World = { kv, apisec: { accounts, resetEndsTokens }, inFlight: [] };
  let now = Date.UTC(2026, 10, 24, 6);
  const shift = async (minutes: number) => void (now += minutes * 60_000);
  return {
    account: { name: "scanner", username },
    now: () => now,
    shift,
    outwait: shift,
    async world() {
      return world;
    },
    async perform(call, fault) {
      const ways = fault === undefined ? [] : faultyWays(world, call, now);
      const way = ways[(fault ?? 0) % Math.max(ways.length, 1)] ?? plainWay(world, call, now);
      world = way.world;
      return way;
    },
    async land(index) {
      world = land(world, index);
    },
    async deleteSecret(key) {
      world = { ...world, kv: kvDelete(world.kv, key, now) };
    },
    async undeleteSecret(key, version) {
      world = { ...world, kv: kvUndelete(world.kv, key, version) };
    },
    async setPassword(password) {
      world = { ...world, apisec: withPassword(world.apisec, username, password) };
    },
  };
}

test(`${sequences} random sequences of ups, rotations, kills, faults and hands from outside`, async () => {
  const total: Played = { runs: 0, calls: 0, faults: 0, kills: 0 };
  process.stdout.write(`random schedules: SEED=${seed}\n`);
  await fc.assert(
    fc.asyncProperty(events(), fc.boolean(), async (sequence, resetEndsTokens) => {
      const played = await playEvents(sequence, memoryBackend(resetEndsTokens));
      for (const count of ["runs", "calls", "faults", "kills"] as const) {
        total[count] += played[count];
      }
    }),
    { seed, numRuns: sequences },
  );
  process.stdout.write(
    `random schedules: ${sequences} sequences of ${total.runs} runs, ${total.calls} calls, ` +
      `${total.faults} faults, ${total.kills} kills, violations 0\n`,
  );
  expect(total.faults).toBeGreaterThan(sequences);
});
