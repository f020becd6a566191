import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metricsText } from "../../checks/metrics";
import { openMetrics, tokenMetrics } from "../../core/openMetrics";
import { run } from "../../lab/process";
import { ensureOpenMetrics, ensurePromtool } from "../../lab/tools/metricsTools";
import type { Found } from "../../lab/tools/metricsTools";
import { pageReports } from "../support/pageReports";

const monitoring = join(__dirname, "..", "..", "examples", "monitoring");
let folder = "";
let parser: Found;
let promtool: Found;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "metrics-"));
  [parser, promtool] = await Promise.all([ensureOpenMetrics(), ensurePromtool()]);
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true }));

/** The tool's file; where it cannot be had, the run says what it has not shown and why. */
function fileOf(tool: Found, what: string): string | undefined {
  if ("file" in tool) return tool.file;
  process.stderr.write(`NOT TESTED: ${what}: ${tool.why}\n`);
  return undefined;
}

interface Family {
  name: string;
  type: string;
  unit: string;
  help: string;
  samples: { labels: Record<string, string>; value: number }[];
}

/** A foreign name, as an account of somebody who tries. */
const odd = { project: "p", stack: 'a"b\\c\nd' };
const ofJob = openMetrics(
  tokenMetrics(odd, [
    { account: "one", readableUntil: 1_795_500_000, issuedAt: undefined, lastSuccess: 1.5 },
  ]),
);
const ofCheck = metricsText(pageReports);

describe("the OpenMetrics parser of prometheus-client", () => {
  const parse = async (text: string) => {
    const file = fileOf(parser, "the metrics are OpenMetrics text");
    return file === undefined ? undefined : run(file, [], { env: process.env, input: text });
  };
  const familiesOf = (stdout: string) => JSON.parse(stdout) as Family[];

  test("reads what check writes: each name once, its unit, and the values that the findings have", async () => {
    const read = await parse(ofCheck);
    if (read === undefined) return;
    expect([read.code, read.stderr]).toEqual([0, ""]);
    const families = familiesOf(read.stdout);
    expect(families.map(({ name }) => name).sort()).toEqual(
      [...ofCheck.matchAll(/^# TYPE (\S+) gauge$/gm)].map(([, name]) => name).sort(),
    );
    for (const { name, type, unit, help } of families) {
      expect([name, type, unit]).toEqual([name, "gauge", /_seconds$/.test(name) ? "seconds" : ""]);
      expect(help).toMatch(/\w/);
    }
    const counted = families.find(({ name }) => name === "apisec_finding")?.samples ?? [];
    const sum = (stack: string) =>
      counted
        .filter(({ labels }) => labels["stack"] === stack)
        .reduce((total, { value }) => total + value, 0);
    for (const { stack, findings } of pageReports) expect(sum(stack)).toBe(findings.length);
    const until = families.find(({ name }) => name.includes("readable_until"))?.samples ?? [];
    expect(until).toEqual(
      pageReports.flatMap(({ project, stack, findings }) =>
        findings
          .filter(({ id }) => id === "token")
          .map(({ account, values }) => ({
            labels: { project, stack, account },
            value: Date.parse(String(values["readable_until"])) / 1000,
          })),
      ),
    );
  });

  test("reads what the job writes, with labels as they were", async () => {
    const read = await parse(ofJob);
    if (read === undefined) return;
    const families = familiesOf(read.stdout);
    expect(families.map(({ samples }) => samples.map(({ value }) => value))).toEqual([
      [1_795_500_000],
      [],
      [1.5],
    ]);
    expect(families[0]?.samples[0]?.labels).toEqual({ ...odd, account: "one" });
  });

  test("refuses a text that is cut off, or names a metric twice", async () => {
    for (const bad of [ofCheck.replace("# EOF\n", ""), `${ofJob.replace("# EOF\n", "")}${ofJob}`]) {
      const read = await parse(bad);
      if (read !== undefined) expect(read.code).toBe(1);
    }
  });
});

describe("promtool", () => {
  const tell = async (what: string, args: string[], input = "") => {
    const file = fileOf(promtool, what);
    return file === undefined
      ? undefined
      : run(file, args, { env: process.env, input, cwd: monitoring });
  };

  test.each([
    ["check", ofCheck],
    ["the job", ofJob],
  ])("finds nothing to say about the metrics of %s", async (_, text) => {
    const told = await tell("promtool check metrics", ["check", "metrics"], text);
    if (told !== undefined) expect(told).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("runs the tests of the alert rules, and sees one that is wrong", async () => {
    const told = await tell("promtool test rules", ["test", "rules", "alerts.test.yml"]);
    if (told === undefined) return;
    expect([told.code, told.stdout]).toEqual([0, expect.stringContaining("SUCCESS")]);
    const rules = readFileSync(join(monitoring, "alerts.yml"), "utf8");
    writeFileSync(join(folder, "alerts.yml"), rules.replace(/severity: critical/g, "severity: no"));
    const tests = readFileSync(join(monitoring, "alerts.test.yml"), "utf8");
    writeFileSync(join(folder, "alerts.test.yml"), tests);
    const wrong = await tell("", ["test", "rules", join(folder, "alerts.test.yml")]);
    expect(wrong?.code).toBe(1);
  });
});
