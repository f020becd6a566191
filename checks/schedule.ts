import { differences } from "../core/differences";
import type { GitlabReader } from "../clients/gitlab";
import { isObject } from "../net/http";
import { foreignText } from "../core/redact";
import { pipelineSchedule } from "../desired/pipelineSchedule";
import { nextRuns, scheduleGaps } from "../desired/schedule";
import { askGitlab, maintainerFix } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { gitlabOf, projectPath, scheduleOf, schedulesOf } from "./gitlabFacts";
import type { Json } from "./gitlabFacts";
import { soonMs, span, timeText } from "./time";
import type { World } from "./world";

const hourMs = 3_600_000;
const developer = 30;
const underWay = ["created", "waiting_for_resource", "preparing", "pending", "running"];

/** The schedule, the pipeline that it started last, and the user that it runs as. */
export function checkSchedule(world: World): Promise<Finding[]> {
  const it = about("schedule", "schedule");
  const ofOwner = about("schedule-owner", "schedule's owner");
  const fix = world.print.pulumi("up --refresh");
  return askGitlab(world, it, async () => {
    const all = await schedulesOf(world);
    if (all.length === 0) {
      const { description } = pipelineSchedule(world.settings);
      return [it.problem(`none is called "${description}"`, fix)];
    }
    const schedule = await scheduleOf(world);
    if (schedule === undefined) return [it.problem(`${String(all[0]?.["id"])} has gone`, fix)];
    const project = await projectPath(world);
    return [
      scheduleFinding(world, project, schedule, all),
      lastPipelineFinding(world, schedule),
      ...(await askGitlab(world, ofOwner, async () => [
        await ownerFinding(gitlabOf(world), project, schedule, world),
      ])),
    ];
  });
}

/** Before an `up`: whether schedules can be listed at all. */
export function checkSchedulesOn(world: World): Promise<Finding[]> {
  const it = about("schedule", "schedules");
  return askGitlab(world, it, async () => {
    const all = await gitlabOf(world)(
      `${await projectPath(world)}/pipeline_schedules?per_page=100`,
    );
    return Array.isArray(all)
      ? [it.ok(`${all.length} in the project`)]
      : [it.problem("cannot be listed", "turn CI/CD on: Settings > General > Visibility > CI/CD")];
  });
}

/** The schedule as GitLab has it, against the declared one. `all`: the schedules of that name. */
export function scheduleFinding(
  { settings, print }: World,
  project: string,
  schedule: Json,
  all: readonly Json[] = [schedule],
): Finding {
  const it = about("schedule", "schedule");
  const { ref, cron, cronTimezone: cron_timezone, active } = pipelineSchedule(settings);
  const variables = Array.isArray(schedule["variables"]) ? schedule["variables"] : [];
  const keys = variables.filter(isObject).map(({ key }) => foreignText(String(key), []));
  const isActive = schedule["active"] === active;
  const drifted = [
    ...(isActive
      ? []
      : [
          active
            ? "is inactive: nothing rotates the tokens"
            : "is active, and its job has nothing to do: no account publishes its token",
        ]),
    ...differences({ ref, cron, cron_timezone }, schedule),
  ];
  const wrong = [
    ...drifted,
    ...(keys.length > 0 ? [`has variables, which win over the project's: ${keys.join(", ")}`] : []),
    ...(all.length > 1 ? [`is there ${all.length} times`] : []),
  ];
  const next = schedule["next_run_at"];
  const nextAt = typeof next === "string" ? timeText(Date.parse(next)) : undefined;
  const values = {
    active: Number(schedule["active"] === true),
    ...(nextAt === undefined ? {} : { next_run: nextAt, ...laterRuns(settings, nextAt) }),
  };
  if (wrong.length > 0) {
    const place = `${project}/pipeline_schedules`;
    const remove = (path: string) => `glab api -X DELETE ${place}/${path}`;
    // Of those that are alike the state knows one, and GitLab does not say which: all go, and one comes back.
    const fixes =
      all.length > 1
        ? all.map(({ id }) => remove(String(id)))
        : keys.map((key) => remove(`${String(schedule["id"])}/variables/${key}`));
    if (drifted.length > 0 || all.length > 1) fixes.push(print.pulumi("up --refresh"));
    return it.problem(wrong.join("; "), fixes.join(" && "), values);
  }
  if (!active) return it.ok("inactive, as no account publishes its token", values);
  const found = `${cron} ${cron_timezone}, next run ${nextAt ?? "unknown"}`;
  if (Array.isArray(schedule["variables"])) return it.ok(found, values);
  return it.warning(
    `${found}; whether it has variables is not shown to this token's user`,
    maintainerFix,
    values,
  );
}

/** The three runs after the next one. */
function laterRuns({ cron, cronTimezone }: World["settings"], next: string) {
  const times = nextRuns(cron, cronTimezone, Date.parse(next), 3);
  return Object.fromEntries(times.map((time, index) => [`next_run_${index + 2}`, timeText(time)]));
}

/** The last pipeline's end, and whether the next one is overdue. */
export function lastPipelineFinding(
  { settings, print, now }: Pick<World, "settings" | "print" | "now">,
  schedule: Json,
): Finding {
  const it = about("last-pipeline", "last pipeline");
  const fix = print.own("rotate");
  const { largest } = scheduleGaps(settings.cron, settings.cronTimezone, now);
  const last = isObject(schedule["last_pipeline"]) ? schedule["last_pipeline"] : undefined;
  const began = Date.parse(String((last ?? schedule)["created_at"]));
  const age = now - began;
  if (!pipelineSchedule(settings).active) {
    return it.ok("none is due: no account publishes its token");
  }
  const every = `the schedule leaves at most ${span(largest * hourMs)} between two runs`;
  if (!(age <= (largest + 1) * hourMs)) {
    const found =
      last === undefined ? `there is none; ${every}` : `began ${span(age)} ago; ${every}`;
    return it.problem(found, fix);
  }
  if (last === undefined) return it.ok("none yet: the first is to come");
  const values = { began: timeText(began) };
  const status = String(last["status"]);
  const url = foreignText(String(last["web_url"]), []);
  const found = `${foreignText(status, [])}, began ${span(age)} ago`;
  if (status === "success" || (underWay.includes(status) && age < hourMs)) {
    return it.ok(found, values);
  }
  const see = `see its job at ${url}, then: \`${fix}\``;
  return status === "failed"
    ? it.problem(`${found}: ${url}`, see, values)
    : it.warning(`${found}: ${url}`, see, values);
}

/** The user that the schedule runs as: where he ends, so does the rotation. */
export async function ownerFinding(
  get: GitlabReader,
  project: string,
  schedule: Json,
  { print, now }: Pick<World, "print" | "now">,
): Promise<Finding> {
  const it = about("schedule-owner", "schedule's owner");
  const owner = isObject(schedule["owner"]) ? schedule["owner"] : undefined;
  // Whoever deploys takes the schedule over.
  const fix = `${print.pulumi("up --refresh")}   (with the GITLAB_TOKEN of a user who stays)`;
  if (owner === undefined) return it.problem("is gone", fix);
  const name = foreignText(String(owner["username"]), []);
  const state = String(owner["state"]);
  if (state !== "active" || owner["locked"] === true) {
    const found = `${name} is ${state === "active" ? "locked" : foreignText(state, [])}`;
    return it.problem(found, fix);
  }
  const member = await get(`${project}/members/all/${String(owner["id"])}`);
  if (!isObject(member) || Number(member["access_level"]) < developer) {
    const found = `${name} ${isObject(member) ? "is no Developer of the project any more" : "is no member of the project any more"}`;
    return it.problem(found, fix);
  }
  // GitLab deletes such a user when its token has ended.
  if (!/^(project|group)_\d+_bot/.test(name)) return it.ok(`${name}, active`);
  const ends = name.startsWith("project_") ? await botEnd(get, project, owner["id"]) : undefined;
  if (ends === undefined) {
    const found = `${name} is the user of an access token and ends with it; when is not shown to this token's user`;
    return it.warning(found, fix);
  }
  const left = ends - now;
  const found = `${name} ends with its access token on ${timeText(ends).slice(0, 10)}`;
  if (left <= 0) return it.problem(found, fix);
  return left < soonMs ? it.warning(`${found}, in ${span(left)}`, fix) : it.ok(found);
}

/** When the last of a bot's access tokens ends, in milliseconds since 1970. Only Maintainers are told. */
async function botEnd(
  get: GitlabReader,
  project: string,
  userId: unknown,
): Promise<number | undefined> {
  let tokens: unknown;
  try {
    tokens = await get(`${project}/access_tokens?per_page=100`);
  } catch (error) {
    if ((error as { status?: number }).status === 403) return undefined;
    throw error;
  }
  const ends = (Array.isArray(tokens) ? tokens : [])
    .filter(isObject)
    .filter(({ user_id, active }) => user_id === userId && active === true)
    .map(({ expires_at }) => Date.parse(String(expires_at)));
  const last = Math.max(...ends);
  return Number.isFinite(last) ? last : undefined;
}
