import { expand, seconds } from "../../lab/gitlab/ciConfig";
import { evaluate } from "../../lab/gitlab/ciRules";
import { selectVariables, tierOf } from "../../lab/gitlab/ciVariables";
import { nextRun } from "../../lab/gitlab/cron";
import { pipelineStatus } from "../../lab/gitlab/pipelineStatus";
import { runnerFor } from "../../lab/gitlab/runners";
import type { JobStatus, Project, ProjectVariable, Schedule } from "../../lab/gitlab/store";

describe("rules:if", () => {
  const variables = { SOURCE: "schedule", EMPTY: "", REF: "feature/x", PATTERN: "/^feat/" };

  test.each([
    ['$SOURCE == "schedule"', true],
    ["$SOURCE == 'push'", false],
    ['$SOURCE != "push"', true],
    ["$SOURCE", true],
    ["${SOURCE}", true],
    ["$EMPTY", false],
    ["$MISSING", false],
    ["$MISSING == null", true],
    ["$EMPTY == null", false],
    ['$MISSING == ""', false],
    ["$REF =~ /^feature\\/.+$/", true],
    ["$REF =~ /^FEATURE/i", true],
    ["$REF =~ /^FEATURE/", false],
    ["$REF !~ /^main$/", true],
    ["$REF =~ $PATTERN", true],
    ["$MISSING =~ /./", false],
    ["$MISSING !~ /./", true],
    ['$SOURCE == "push" || $REF =~ /x/ && $EMPTY == ""', true],
    ['($SOURCE == "push" || $REF =~ /x/) && $EMPTY == "no"', false],
  ])("%s is %s", (expression, expected) => {
    expect(evaluate(expression, variables)).toBe(expected);
  });

  test.each(["$A ==", '$A == "x" extra', "( $A", "&& $A", "$A = 1", '$A =~ "no slashes"'])(
    "%s is a syntax error",
    (expression) => {
      expect(() => evaluate(expression, { A: "x" })).toThrow("invalid expression syntax");
    },
  );
});

test.each([
  ["10 minutes", 600],
  ["1h 30m", 5_400],
  ["90", 90],
  ["90 seconds", 90],
  ["2 days", 172_800],
  ["3 hours 5 mins", 11_100],
])("timeout %s is %i s", (text, expected) => {
  expect(seconds(text)).toBe(expected);
});

test("variables in names: $X, ${X}, and $$ for a dollar sign", () => {
  expect(expand("a/$X-${X}$$X$NONE", { X: "1" })).toBe("a/1-1$X");
});

test.each([
  ["apisec/dev", "development"],
  ["apisec/staging", "staging"],
  ["apisec/prod", "production"],
  ["blue", "other"],
])("the tier of %s is %s", (name, tier) => {
  expect(tierOf(name)).toBe(tier);
});

describe("next run", () => {
  const after = Date.parse("2026-11-24T06:00:00Z");
  test.each([
    ["17 */6 * * *", "UTC", "2026-11-24T06:17:00.000Z"],
    ["0 12 * * *", "America/Los_Angeles", "2026-11-24T20:00:00.000Z"],
    ["0 12 * * *", "Pacific Time (US & Canada)", "2026-11-24T20:00:00.000Z"],
    ["99 * * * *", "UTC", undefined],
    ["0 0 0 * * *", "UTC", undefined],
    ["0 * * * *", "Mars", undefined],
  ])("%s in %s", (cron, zone, expected) => {
    expect(nextRun(cron, zone, after)).toBe(expected);
  });
});

describe("which variables a job gets", () => {
  const variable = (value: string, scope = "*", isProtected = false): ProjectVariable => ({
    ...{ key: "K", value, variable_type: "env_var", raw: false, description: null },
    ...{ protected: isProtected, masked: false, hidden: false, environment_scope: scope },
  });
  const project = (...variables: ProjectVariable[]) => ({ variables }) as Project;
  const select = (
    from: Project,
    environment: string | undefined,
    protectedRef = true,
    schedule?: Schedule,
  ) =>
    selectVariables(from, { protectedRef, environment, schedule, own: [] }).map(
      ({ value }) => value,
    );

  test("protected ones only on a protected ref", () => {
    expect(select(project(variable("secret", "*", true)), undefined, false)).toEqual([]);
    expect(select(project(variable("secret", "*", true)), undefined, true)).toEqual(["secret"]);
  });

  test("the most specific scope that matches the environment wins, in any order", () => {
    const exact = variable("exact", "apisec/dev");
    const group = variable("group", "apisec/*");
    const other = variable("other", "review/*");
    for (const all of [
      [exact, group, variable("any"), other],
      [other, variable("any"), group, exact],
    ]) {
      expect(select(project(...all), "apisec/dev")).toEqual(["exact"]);
      expect(select(project(...all), "apisec/prod")).toEqual(["group"]);
      expect(select(project(...all), "blue")).toEqual(["any"]);
      expect(select(project(...all), undefined)).toEqual(["any"]);
    }
  });

  test("the project's beat what it inherits, whatever the scopes; an inner group's beat an outer one's", () => {
    const options = { protectedRef: true, environment: "apisec/dev", schedule: undefined, own: [] };
    const chosen = (from: Project, ...inherited: ProjectVariable[][]) =>
      selectVariables(from, { ...options, inherited }).map(({ value }) => value);
    const [any, exact] = [variable("any"), variable("exact", "apisec/dev")];
    expect(chosen(project(), [variable("instance")], [exact])).toEqual(["exact"]);
    expect(chosen(project(), [exact], [any])).toEqual(["any"]);
    expect(chosen(project(any), [exact])).toEqual(["any"]);
    expect(chosen(project(variable("other", "apisec/prod")), [exact])).toEqual(["exact"]);
  });

  test("the schedule's beat the project's", () => {
    const schedule = { variables: [variable("schedule")] } as unknown as Schedule;
    expect(select(project(variable("exact", "dev")), "dev", true, schedule)).toEqual(["schedule"]);
  });
});

describe("a pipeline's status", () => {
  // A job's status, with a "?" if it may fail.
  test.each([
    ["success success", "success"],
    ["success skipped", "success"],
    ["skipped", "skipped"],
    ["success failed?", "success"],
    ["success manual?", "success"],
    ["manual?", "skipped"],
    ["success failed", "failed"],
    ["failed skipped", "failed"],
    ["failed canceled", "failed"],
    ["success canceled", "canceled"],
    ["created created", "created"],
    ["pending created", "pending"],
    ["success pending", "running"],
    ["failed running", "running"],
    ["success created", "running"],
    ["success waiting_for_resource", "waiting_for_resource"],
    ["running waiting_for_resource", "running"],
    ["success manual created", "manual"],
    ["success scheduled", "scheduled"],
  ])("of jobs that are %s is %s", (statuses, expected) => {
    const jobs = statuses.split(" ").map((status) => ({
      status: status.replace("?", "") as JobStatus,
      allow_failure: status.endsWith("?"),
    }));
    expect(pipelineStatus(jobs)).toBe(expected);
  });
});

test.each([
  ["without tags, a runner that takes such", [], "bare"],
  ["with a tag, a runner that has it", ["docker"], "tagged"],
  ["with two tags, a runner that has both", ["docker", "vault"], "tagged"],
  ["with a tag that no runner has, none", ["gpu", "docker"], undefined],
  ["with a paused runner's tag, none", ["paused"], undefined],
])("a job %s", (_, tags, expected) => {
  const common = { id: 1, run_untagged: false, paused: false };
  const runners = [
    { ...common, description: "tagged", tag_list: ["docker", "vault"] },
    { ...common, description: "off", tag_list: ["paused"], paused: true, run_untagged: true },
    { ...common, description: "bare", tag_list: [], run_untagged: true },
  ];
  expect(runnerFor(runners, tags)?.description).toBe(expected);
});
