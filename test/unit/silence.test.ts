import type { Finding } from "../../checks/finding";
import { checks } from "../../checks/list";
import { readMetadata } from "../../checks/keys";
import { newsOf } from "../../checks/news";
import type { Told } from "../../checks/news";
import { runChecks } from "../../checks/run";
import { worldOf } from "../../checks/world";
import { readConfig } from "../../config/readConfig";
import { pipelineSchedule } from "../../desired/pipelineSchedule";
import { sourceOf } from "../support/configSource";
import { scripted } from "../support/scripted";

const hour = 3_600_000;
const now = Date.UTC(2026, 10, 24, 12);
const text = (ms: number) => new Date(ms).toISOString();
const settings = readConfig(sourceOf());

/** The last run of the schedule that wrote a token, and what GitLab says; `undefined`: it gives no answer. */
async function checked(
  lastWrite: number,
  gitlab: { active: boolean; status: string; began: number } | undefined,
): Promise<Finding[]> {
  const writes = [5, 4, 3, 2, 1, 0].map((runs) => lastWrite - runs * 6 * hour);
  const versions = writes.map((time, index): [string, object] => [
    `${index + 1}`,
    { created_time: text(time), deletion_time: text(time + 23.5 * hour), destroyed: false },
  ]);
  const metadata = { current_version: 6, versions: Object.fromEntries(versions) };
  expect(readMetadata(metadata).versions).toHaveLength(6);
  const schedule = gitlab && {
    ...{ id: 7, description: pipelineSchedule(settings).description, ref: "refs/heads/main" },
    ...{ cron: settings.cron, cron_timezone: "UTC", active: gitlab.active, variables: [] },
    ...{ created_at: text(now - 90 * 24 * hour), updated_at: text(now - 90 * 24 * hour) },
    last_pipeline: {
      ...{ status: gitlab.status, web_url: "https://gitlab.example.com/1" },
      created_at: text(gitlab.began),
    },
    owner: { id: 9, username: "bot", state: "active" },
  };
  const world = worldOf({
    ...{ time: "after", settings, now },
    vault: {
      ...scripted({ status: 200, body: { data: metadata } }),
      address: "https://v.example.com",
    },
    gitlab: async (path) => {
      if (schedule === undefined) {
        throw Object.assign(new Error("GitLab refused the connection"), { code: "refused" });
      }
      if (path.includes("pipeline_schedules?")) return [schedule];
      if (path.includes("pipeline_schedules/")) return schedule;
      if (path.includes("/members/")) return { access_level: 40 };
      if (path.includes("personal_access_tokens"))
        return { scopes: ["read_api"], expires_at: null };
      return { id: 3, username: "monitor", path_with_namespace: "a/b" };
    },
  });
  const ofRuns = checks.filter(({ id }) => ["gitlab", "schedule", "token-runs"].includes(id));
  const open = async () => true;
  return runChecks(world, ofRuns, {
    Vault: open,
    GitLab: async () => schedule !== undefined,
    "rotation project": async () => schedule !== undefined,
  });
}

test("schedule off, runner gone, GitLab gone: three alarms by three ways, and each once over", async () => {
  const well = () =>
    checked(now - 5.7 * hour, { active: true, status: "success", began: now - 5.7 * hour });
  const dayAgo = now - 29.7 * hour;
  const runs: [string, () => Promise<Finding[]>][] = [
    ["well", well],
    ["off for a day", () => checked(dayAgo, { active: false, status: "success", began: dayAgo })],
    ["well", well],
    [
      "no runner",
      () => checked(dayAgo, { active: true, status: "pending", began: now - 5.7 * hour }),
    ],
    ["well", well],
    ["no GitLab", () => checked(now - 5.7 * hour, undefined)],
    ["none for a day", () => checked(dayAgo, undefined)],
    ["well", well],
  ];
  let state: Told = {};
  const told: unknown[] = [];
  for (const [when, run] of runs) {
    const report = {
      schema: 1,
      project: "p",
      stack: "s",
      version: "1",
      checkedAt: text(now),
    } as const;
    const { begun, over, told: next } = newsOf(state, [{ ...report, findings: await run() }]);
    state = next;
    const subject = (line: string) => line.replace(/^(problem|warning) /, "").split(":")[0];
    told.push([when, begun.map(subject), over.map(subject)]);
  }
  const ofVault = "runs for token scanner";
  expect(told).toEqual([
    ["well", [], []],
    ["off for a day", [ofVault, "schedule", "last pipeline"], []],
    ["well", [], [ofVault, "schedule", "last pipeline"]],
    ["no runner", [ofVault, "last pipeline"], []],
    ["well", [], [ofVault, "last pipeline"]],
    ["no GitLab", ["GitLab"], []],
    // What only Vault shows is seen without GitLab, too.
    ["none for a day", [ofVault], []],
    ["well", [], [ofVault, "GitLab"]],
  ]);
});
