import { inTurn, median } from "./measure";
import { counted, seconds } from "./report";
import { rotation } from "./rotate";
import type { Row } from "./report";
import type { BenchWorld } from "./world";

const sizes = [
  { count: 1, rounds: 5 },
  { count: 10, rounds: 5 },
  { count: 100, rounds: 3 },
  { count: 1_000, rounds: 3 },
  { count: 10_000, rounds: 1 },
];

/** Time and memory of one job by its number of accounts, and how they grow. */
export async function benchGrowth(world: BenchWorld): Promise<Row[]> {
  const points: { count: number; wall: number; memory: number }[] = [];
  for (const { count, rounds } of sizes) {
    const [samples = []] = await inTurn([rotation(await world.environment(count), count)], rounds);
    const wall = median(samples.map((sample) => sample.wall));
    points.push({ count, wall, memory: median(samples.map((sample) => sample.memory)) });
  }
  const name = (count: number) => `rotate ${count.toLocaleString("en")} accounts in one job`;
  // Below 100 accounts the start of node is most of it.
  const large = points.filter(({ count }) => count >= 100);
  return [
    ...points.map(({ count, wall, memory }) =>
      counted("growth", name(count), memory, "MB", undefined, seconds(wall)),
    ),
    counted("growth", "exponent of the time, 100 to 10,000 accounts", exponent(large, "wall"), ""),
    counted("growth", "exponent of the memory, 100 to 10,000", exponent(large, "memory"), ""),
  ];
}

/** The slope of the line through the points on logarithmic scales: 1 = it grows with the accounts. */
function exponent<Key extends string>(
  points: readonly ({ count: number } & Record<Key, number>)[],
  of: Key,
): number {
  const xs = points.map(({ count }) => Math.log(count));
  const ys = points.map((point) => Math.log(point[of]));
  const mean = (values: number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [x0, y0] = [mean(xs), mean(ys)];
  const across = xs.reduce((sum, x, index) => sum + (x - x0) * ((ys[index] ?? NaN) - y0), 0);
  return across / xs.reduce((sum, x) => sum + (x - x0) ** 2, 0);
}
