import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { metricsText } from "../../checks/metrics";
import type { JsonReport } from "../../checks/report";

const folder = join(__dirname, "..", "..", "examples", "monitoring");
const read = (file: string) => readFileSync(join(folder, file), "utf8");

/** The names that `check --metrics` writes, as the text itself lists them. */
const report: JsonReport = {
  schema: 1,
  project: "p",
  stack: "s",
  version: "0.1.0",
  findings: [],
  checkedAt: "2026-11-28T12:00:00Z",
};
const known = [...metricsText([report]).matchAll(/^# TYPE (\S+) gauge$/gm)].map(([, name]) => name);
const namesIn = (text: string) => [...new Set(text.match(/\bapisec_\w+/g))].sort();

interface Rule {
  alert: string;
  expr: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}
const rules = (parse(read("alerts.yml")) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);

test("the metrics are those of the reference in docs/monitoring.md", () => {
  const text = readFileSync(join(__dirname, "..", "..", "docs", "monitoring.md"), "utf8");
  expect(known).toHaveLength(11);
  expect(namesIn(text)).toEqual([...known].sort());
});

test("alerts and dashboard ask for metrics that there are, and the dashboard for every one", () => {
  expect(known).toEqual(expect.arrayContaining(namesIn(read("alerts.yml"))));
  expect(namesIn(read("dashboard.json"))).toEqual([...known].sort());
});

test("every alert says how bad and what, and has a case in which it is silent and one in which it fires", () => {
  const { tests } = parse(read("alerts.test.yml")) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
  };
  const cases = tests.flatMap((one) => one.alert_rule_test);
  for (const { alert, labels, annotations } of rules) {
    expect(["warning", "critical"]).toContain(labels["severity"]);
    expect(annotations["summary"]).toMatch(/\w/);
    const counts = cases
      .filter(({ alertname }) => alertname === alert)
      .map(({ exp_alerts: expected }) => Math.min(1, expected.length));
    expect({ alert, counts: [...new Set(counts)].sort() }).toEqual({ alert, counts: [0, 1] });
  }
  expect(rules.length).toBeGreaterThan(9);
});

test("the dashboard is one that Grafana imports: panels with queries, in no other's place", () => {
  const { panels, templating } = JSON.parse(read("dashboard.json")) as {
    panels: { id: number; gridPos: object; targets: { expr: string }[] }[];
    templating: { list: { name: string }[] };
  };
  expect(panels.every(({ targets }) => targets.length > 0)).toBe(true);
  expect(new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size).toBe(panels.length);
  expect(templating.list.map(({ name }) => name)).toEqual(["source", "project", "stack"]);
});
