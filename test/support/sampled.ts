/** Whether `make test-long` runs, which has time for whole tables and real waits. */
export const isLong = process.env["TEST_LONG"] !== undefined;

const every = 5;

/** Of a large table every fifth case; in `make test-long` all of it. `turn`: which of the five, as for a table's row. */
export function sampled<T>(all: readonly T[], turn = 0): readonly T[] {
  return isLong ? all : all.filter((_, index) => (index + turn) % every === 0);
}
