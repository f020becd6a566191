import { setTimeout as sleep } from "node:timers/promises";
import { eachOf } from "../../core/eachOf";

const items = Array.from({ length: 20 }, (_, index) => index);

test("every item is worked on, so many at once", async () => {
  const done: number[] = [];
  const flying = { now: 0, most: 0 };
  await eachOf(items, 3, async (item) => {
    flying.now += 1;
    flying.most = Math.max(flying.most, flying.now);
    await sleep(item % 3);
    flying.now -= 1;
    done.push(item);
  });
  expect(done.sort((a, b) => a - b)).toEqual(items);
  expect(flying.most).toBe(3);
});

test("the first rejection is thrown, and no item is begun after it", async () => {
  const begun: number[] = [];
  const work = async (item: number) => {
    begun.push(item);
    await sleep(5);
    if (item === 4) throw new Error("no");
  };
  await expect(eachOf(items, 3, work)).rejects.toThrow("no");
  const soFar = begun.length;
  await sleep(50);
  expect(begun).toHaveLength(soFar);
  expect(soFar).toBeLessThan(12);
});
