import { about } from "../../checks/finding";
import { exitCodeOf, jsonOf, sentence, table } from "../../checks/report";
import { asReport } from "../../cli/reports";

const ok = about("tool.node", "node").ok("20.19.0");
const warning = about("vault.token", "Vault token").warning("ends in 5m0s");
const problem = about("build", "dist/").problem("is missing:\nrotate.mjs", "npm run build");
const skipped = ["mount", "policies", "roles"].map((subject) =>
  about("x", subject).skipped("not checked: see the line about Vault"),
);

test.each([
  [[], 0],
  [[ok], 0],
  [[ok, warning, ok], 1],
  [[problem, warning, ok], 2],
  [[ok, ...skipped], 1],
  [[problem, ...skipped], 2],
])("the worst finding sets the exit code (%#)", (findings, code) => {
  expect(exitCodeOf(findings)).toBe(code);
});

test("a line a finding, in columns, with what fixes it below", () => {
  expect(table([ok, warning, problem]).split("\n")).toEqual([
    "ok      node         20.19.0",
    "warning Vault token  ends in 5m0s [APC-VAULT-TOKEN]",
    "PROBLEM dist/        is missing [APC-BUILD]:",
    "                     rotate.mjs",
    "                     -> npm run build",
    "",
    "1 problem, 1 warning",
  ]);
});

test("numbers are spelt as numbers are", () => {
  expect(table([ok])).toMatch(/0 problems, 0 warnings$/);
});

test("what was skipped for one reason is one line, and counted", () => {
  expect(table([ok, ...skipped]).split("\n")).toEqual([
    "ok      node   20.19.0",
    "skipped mount  not checked: see the line about Vault (nor policies, roles) [APC-X]",
    "",
    "0 problems, 0 warnings, 3 skipped",
  ]);
});

test("what is not shown is counted", () => {
  expect(table([warning], [ok, warning, problem])).toMatch(/^warning .*\n\n1 problem, 1 warning$/);
});

test("a finding in a sentence has its command in backticks", () => {
  expect([problem, warning].map(sentence)).toEqual([
    "dist/ is missing [APC-BUILD]:\n      rotate.mjs: `npm run build`",
    "Vault token ends in 5m0s [APC-VAULT-TOKEN]",
  ]);
});

test("the JSON says of what it is, of which form, by which version and when", () => {
  const place = { project: "apisec-credentials", stack: "prod" };
  const text = jsonOf([asReport(place, [ok, problem], Date.UTC(2026, 10, 28, 12))]);
  expect(JSON.parse(text)).toEqual({
    ...{ schema: 1, ...place, checkedAt: "2026-11-28T12:00:00Z" },
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
    findings: [
      { id: "tool.node", subject: "node", state: "ok", found: "20.19.0", values: {} },
      {
        ...{ id: "build", subject: "dist/", state: "problem", fix: "npm run build", values: {} },
        found: "is missing:\nrotate.mjs",
      },
    ],
  });
});
