import type { Finding } from "../../checks/finding";
import { findingsExitCode, findingsTable, report } from "../../cli/findings";

const ok: Finding = { what: "node", state: "ok", found: "20.19.0" };
const warning: Finding = { what: "Vault token", state: "warning", found: "ends in 5m0s" };
const problem: Finding = {
  what: "dist/",
  state: "problem",
  found: "is missing:\nrotate.mjs",
  fix: "npm run build",
};

test.each([
  [[], 0],
  [[ok], 0],
  [[ok, warning, ok], 1],
  [[problem, warning, ok], 2],
])("the worst finding sets the exit code (%#)", (findings, code) => {
  expect(findingsExitCode(findings)).toBe(code);
});

test("a line a finding, in columns, with what mends it below", () => {
  expect(findingsTable([ok, warning, problem]).split("\n")).toEqual([
    "ok      node         20.19.0",
    "warning Vault token  ends in 5m0s",
    "PROBLEM dist/        is missing:",
    "                     rotate.mjs",
    "                     -> npm run build",
    "",
    "1 problem, 1 warning",
  ]);
});

test("numbers are spelt as numbers are", () => {
  expect(findingsTable([ok])).toMatch(/0 problems, 0 warnings$/);
});

test.each([
  [false, /^warning .*\n\n1 problem, 1 warning$/],
  [true, /"what": "node"[^]*"what": "Vault token"[^]*"what": "dist\/"/],
])("what is not shown is counted, and in the JSON (%s)", (json, said) => {
  const log = jest.spyOn(console, "log").mockImplementation();
  const before = process.exitCode;
  report([ok, warning, problem], json, [warning]);
  const code = process.exitCode;
  process.exitCode = before;
  expect(log.mock.calls).toEqual([[expect.stringMatching(said)]]);
  expect(code).toBe(2);
  log.mockRestore();
});
