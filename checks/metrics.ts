import { openMetrics, tokenMetrics } from "../core/openMetrics";
import type { Metric } from "../core/openMetrics";
import type { Finding } from "./finding";
import type { JsonReport } from "./report";
import { timeOf } from "./time";

/** What is known of these stacks as OpenMetrics text: names and labels of contract, no foreign text in any. */
export function metricsText(reports: readonly JsonReport[]): string {
  return openMetrics(merged(reports.flatMap(metricsOf)));
}

/** Metrics of several stacks: each name once. */
function merged(metrics: readonly Metric[]): Metric[] {
  const byName = new Map<string, Metric>();
  for (const metric of metrics) {
    const samples = [...(byName.get(metric.name)?.samples ?? []), ...metric.samples];
    byName.set(metric.name, { ...metric, samples });
  }
  return [...byName.values()];
}

function metricsOf({ project, stack, checkedAt, findings }: JsonReport): Metric[] {
  const place = { project, stack };
  /** A sample for each finding of this id that knows the value. */
  const gauge = (
    name: string,
    help: string,
    id: string,
    of: (finding: Finding) => number | undefined,
  ): Metric => ({
    name: `apisec_${name}`,
    help,
    samples: findings.flatMap((finding) => {
      const value = finding.id === id ? of(finding) : undefined;
      const account: Record<string, string> =
        finding.account === undefined ? {} : { account: finding.account };
      return value === undefined ? [] : [{ labels: { ...place, ...account }, value }];
    }),
  });
  const numberAt = (key: string) => (finding: Finding) => numberOf(finding.values[key]);
  const timeAt = (key: string) => (finding: Finding) => secondsOf(finding.values[key]);
  const tokens = findings
    .filter(({ id, account }) => id === "token" && account !== undefined)
    .map(({ account = "", values }) => ({
      account,
      readableUntil: secondsOf(values["readable_until"]) ?? (values["there"] === 0 ? 0 : undefined),
      issuedAt: secondsOf(values["issued"]),
      lastSuccess: secondsOf(values["issued"]),
    }));
  return [
    ...tokenMetrics(place, tokens),
    gauge(
      "token_runs_missed",
      "How many of the schedule's last ten runs wrote no token.",
      "token-runs",
      numberAt("runs_missed"),
    ),
    gauge(
      "password_changed_timestamp_seconds",
      "When the password was changed; missing where its mark does not say.",
      "password",
      timeAt("changed"),
    ),
    gauge(
      "password_verified_timestamp_seconds",
      "When APIsec took the password last.",
      "verification",
      timeAt("verified"),
    ),
    gauge(
      "password_change_open",
      "Whether a change of the password is open: 1, else 0; missing where there is no mark.",
      "password",
      numberAt("change_open"),
    ),
    gauge("schedule_active", "Whether the schedule is active.", "schedule", numberAt("active")),
    gauge(
      "schedule_next_run_timestamp_seconds",
      "When GitLab starts the next run.",
      "schedule",
      timeAt("next_run"),
    ),
    {
      name: "apisec_finding",
      help: "How many findings of check have this id and state.",
      samples: counted(findings).map(({ labels, value }) => ({
        labels: { ...place, ...labels },
        value,
      })),
    },
    {
      name: "apisec_check_timestamp_seconds",
      help: "When the stack was checked.",
      samples: [{ labels: place, value: Date.parse(checkedAt) / 1000 }],
    },
  ];
}

/** Findings of one id, account and state: some ids have several. */
function counted(findings: readonly Finding[]) {
  const counts = new Map<string, { labels: Record<string, string>; value: number }>();
  for (const { id, account, state } of findings) {
    const labels = { ...(account === undefined ? {} : { account }), id, state };
    const key = JSON.stringify(labels);
    counts.set(key, { labels, value: (counts.get(key)?.value ?? 0) + 1 });
  }
  return [...counts.values()];
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function secondsOf(value: unknown): number | undefined {
  const time = timeOf(value);
  return time === undefined ? undefined : time / 1000;
}
