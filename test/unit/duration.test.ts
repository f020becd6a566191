import fc from "../support/fastCheck";
import { formatDuration, parseDuration } from "../../core/duration";

test.each([
  ["24h", 86_400],
  ["23h30m", 84_600],
  ["1h0m5s", 3_605],
  ["90s", 90],
  ["0s", 0],
])("%s is %d seconds", (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(["", "24", "h", "1d", "1h 5m", "5m1h", "-1h", "1.5h", "1H", "1h\n", "9999999h"])(
  "%j is no duration",
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

test.each([
  [84_600, "23h30m0s"],
  [3_600, "1h0m0s"],
  [90, "1m30s"],
  [5, "5s"],
  [0, "0s"],
])("%d seconds are written as %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test("what is written is read back", () => {
  fc.assert(
    fc.property(fc.nat(3_000_000_000), (seconds) => {
      expect(parseDuration(formatDuration(seconds))).toBe(seconds);
    }),
  );
});
