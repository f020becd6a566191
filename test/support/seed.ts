import { isLong } from "./sampled";

/**
 * Of everything random in the tests: the same at each run, so that a merge waits for no luck; a new one in
 * `make test-long`. SEED sets it.
 */
export const seed = Number(process.env["SEED"] ?? (isLong ? Date.now() % 2 ** 31 : 20_261_128));
