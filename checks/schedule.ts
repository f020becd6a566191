import type { Settings } from "../config/settings";
import { differences } from "../core/differences";
import type { GitlabReader } from "../clients/gitlab";
import { isObject } from "../net/http";
import { foreignText } from "../core/redact";
import { pipelineSchedule } from "../desired/pipelineSchedule";
import { scheduleGaps } from "../desired/schedule";
import { asked, maintainerFix } from "./attempt";
import type { Finding } from "./finding";
import type { GitlabFacts, Json } from "./gitlab";
import { soonMs, span, timeText } from "./time";

const hourMs = 3_600_000;
const developer = 30;
const underWay = ["created", "waiting_for_resource", "preparing", "pending", "running"];

/** The schedule, the pipeline that it started last, and the user that it runs as. */
export async function checkSchedule(
  get: GitlabReader,
  settings: Settings,
  facts: GitlabFacts,
  now: number,
): Promise<Finding[]> {
  const what = "schedule";
  const fix = `pulumi up --refresh --stack ${settings.stack}`;
  const project = `projects/${facts.project?.id}`;
  return asked(what, async () => {
    const { description } = pipelineSchedule(settings);
    const all = await get(`${project}/pipeline_schedules?per_page=100`);
    const ours = (Array.isArray(all) ? all : [])
      .filter(isObject)
      .filter((schedule) => schedule["description"] === description);
    const [first] = ours;
    if (first === undefined) {
      return [{ what, state: "problem", found: `none is called "${description}"`, fix }];
    }
    const schedule = await get(`${project}/pipeline_schedules/${String(first["id"])}`);
    if (!isObject(schedule)) {
      return [{ what, state: "problem", found: `${String(first["id"])} has gone`, fix }];
    }
    const owner = isObject(schedule["owner"]) ? schedule["owner"] : undefined;
    if (owner !== undefined) facts.owner = String(owner["id"]);
    return [
      scheduleFinding(settings, schedule, ours.length),
      lastPipelineFinding(settings, schedule, now),
      ...(await asked("schedule's owner", async () => [
        await ownerFinding(get, project, settings, owner, now),
      ])),
    ];
  });
}

/** The schedule as GitLab has it, against the declared one. `count`: schedules of that name. */
export function scheduleFinding(settings: Settings, schedule: Json, count: number): Finding {
  const what = "schedule";
  const fix = `pulumi up --refresh --stack ${settings.stack}`;
  const { ref, cron, cronTimezone: cron_timezone, active } = pipelineSchedule(settings);
  const variables = Array.isArray(schedule["variables"]) ? schedule["variables"] : [];
  const keys = variables.filter(isObject).map(({ key }) => foreignText(String(key), []));
  const wrong = [
    ...(schedule["active"] === active
      ? []
      : [
          active
            ? "is inactive: nothing rotates the tokens"
            : "is active, and its job has nothing to do: no account publishes its token",
        ]),
    ...differences({ ref, cron, cron_timezone }, schedule),
    ...(keys.length > 0 ? [`has variables, which win over the project's: ${keys.join(", ")}`] : []),
    ...(count > 1 ? [`is there ${count} times`] : []),
  ];
  if (wrong.length > 0) return { what, state: "problem", found: wrong.join("; "), fix };
  if (!active) {
    return { what, state: "ok", found: "inactive, as no account publishes its token" };
  }
  const next = schedule["next_run_at"];
  const when = typeof next === "string" ? timeText(Date.parse(next)) : "unknown";
  const found = `${cron} ${cron_timezone}, next run ${when}`;
  if (Array.isArray(schedule["variables"])) return { what, state: "ok", found };
  const unknown = `${found}; whether it has variables is not shown to this token's user`;
  return { what, state: "warning", found: unknown, fix: maintainerFix };
}

/** The last pipeline's end, and whether the next one is overdue. */
export function lastPipelineFinding(settings: Settings, schedule: Json, now: number): Finding {
  const what = "last pipeline";
  const fix = `npm run rotate -- --stack ${settings.stack}`;
  const { largest } = scheduleGaps(settings.cron, settings.cronTimezone, now);
  const last = isObject(schedule["last_pipeline"]) ? schedule["last_pipeline"] : undefined;
  const began = Date.parse(String((last ?? schedule)["created_at"]));
  const age = now - began;
  if (!pipelineSchedule(settings).active) {
    return { what, state: "ok", found: "none is due: no account publishes its token" };
  }
  const every = `the schedule leaves at most ${span(largest * hourMs)} between two runs`;
  if (!(age <= (largest + 1) * hourMs)) {
    const found =
      last === undefined ? `there is none; ${every}` : `began ${span(age)} ago; ${every}`;
    return { what, state: "problem", found, fix };
  }
  if (last === undefined) return { what, state: "ok", found: "none yet: the first is to come" };
  const status = String(last["status"]);
  const url = foreignText(String(last["web_url"]), []);
  const found = `${foreignText(status, [])}, began ${span(age)} ago`;
  if (status === "success" || (underWay.includes(status) && age < hourMs)) {
    return { what, state: "ok", found };
  }
  const state = status === "failed" ? "problem" : "warning";
  return { what, state, found: `${found}: ${url}`, fix: `see its job at ${url}, then: ${fix}` };
}

/** The user that the schedule runs as: where he ends, so does the rotation. */
export async function ownerFinding(
  get: GitlabReader,
  project: string,
  { stack }: Settings,
  owner: Json | undefined,
  now: number,
): Promise<Finding> {
  const what = "schedule's owner";
  // Whoever deploys takes the schedule over.
  const fix = `pulumi up --refresh --stack ${stack}   (with the GITLAB_TOKEN of a user who stays)`;
  if (owner === undefined) return { what, state: "problem", found: "is gone", fix };
  const name = foreignText(String(owner["username"]), []);
  const state = String(owner["state"]);
  if (state !== "active" || owner["locked"] === true) {
    const found = `${name} is ${state === "active" ? "locked" : foreignText(state, [])}`;
    return { what, state: "problem", found, fix };
  }
  const member = await get(`${project}/members/all/${String(owner["id"])}`);
  if (!isObject(member) || Number(member["access_level"]) < developer) {
    const found = `${name} ${isObject(member) ? "is no Developer of the project any more" : "is no member of the project any more"}`;
    return { what, state: "problem", found, fix };
  }
  // GitLab deletes such a user when its token has ended.
  if (!/^(project|group)_\d+_bot/.test(name))
    return { what, state: "ok", found: `${name}, active` };
  const ends = name.startsWith("project_") ? await botEnd(get, project, owner["id"]) : undefined;
  if (ends === undefined) {
    const found = `${name} is the user of an access token and ends with it; when is not shown to this token's user`;
    return { what, state: "warning", found, fix };
  }
  const left = ends - now;
  const found = `${name} ends with its access token on ${timeText(ends).slice(0, 10)}`;
  if (left <= 0) return { what, state: "problem", found, fix };
  return left < soonMs
    ? { what, state: "warning", found: `${found}, in ${span(left)}`, fix }
    : { what, state: "ok", found };
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
