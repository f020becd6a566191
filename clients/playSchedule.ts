import { foreignText } from "../core/redact";
import { isObject } from "../net/http";
import type { Clock } from "../net/http";
import type { GitlabReader, GitlabWriter } from "./gitlab";

/** What became of a schedule that was played. `isWell`: as far as it was waited for, nothing is wrong. */
export interface Played {
  isWell: boolean;
  found: string;
  /** The pipeline's page. */
  url?: string | undefined;
  /** Of a message that is not well. */
  code?: string;
}

interface GitlabCalls {
  read: GitlabReader;
  write: GitlabWriter;
  clock: Clock;
}

const pollMs = 3_000;
/** GitLab plays a schedule for a user once a minute. */
const pauseMs = 61_000;
const untilPipelineMs = 60_000;
const untilRunnerMs = 120_000;
const untilEndMs = 300_000;

/**
 * Plays a schedule, and waits for its pipeline where `waits`: at most 5 minutes, 1 of them until the pipeline is there,
 * 2 until a runner has begun. It is played only as the schedule's owner: the pipeline runs as whoever plays it, and
 * Vault lets no other in. `schedule`: its API path. Throws as the reader and the writer do.
 */
export async function playSchedule(
  calls: GitlabCalls,
  schedule: string,
  waits: boolean,
): Promise<Played> {
  const [me, found] = await Promise.all([calls.read("user"), calls.read(schedule)]);
  if (!isObject(found)) return bad("not played: GitLab does not show the schedule", "no-schedule");
  if (found["active"] !== true) return well("not played: no account publishes its token");
  const owner = isObject(found["owner"]) ? found["owner"] : {};
  if (!isObject(me) || me["id"] !== owner["id"]) {
    return bad(
      `not played: the schedule runs as ${nameOf(owner)}, and GITLAB_TOKEN is of ${nameOf(me)}, whose run Vault refuses`,
      "other-player",
    );
  }
  const before = lastOf(found)?.id ?? 0;
  if (!(await play(calls, schedule))) {
    return bad(
      "not played: GitLab plays a schedule once a minute, and somebody else has just done so",
      "just-played",
    );
  }
  if (!waits) return well("played");
  return follow(calls, schedule, before);
}

/** False where GitLab says twice that it was played a moment ago. */
async function play({ write, clock }: GitlabCalls, schedule: string): Promise<boolean> {
  for (const isLast of [false, true]) {
    try {
      await write("POST", `${schedule}/play`, {});
      return true;
    } catch (error) {
      if ((error as { status?: number }).status !== 429) throw error;
      if (!isLast) await clock.sleep(pauseMs);
    }
  }
  return false;
}

async function follow(
  { read, clock }: GitlabCalls,
  schedule: string,
  before: number,
): Promise<Played> {
  const begun = clock.now();
  for (;;) {
    const found = await read(schedule);
    const last = isObject(found) ? lastOf(found) : undefined;
    const passed = clock.now() - begun;
    if (last === undefined || last.id <= before) {
      if (passed >= untilPipelineMs) {
        return bad(
          "no pipeline within 60 s: the pipeline file on the branch, or its rules, start none",
          "no-pipeline",
        );
      }
    } else {
      const end = judge(last.status, passed);
      if (end !== undefined) return { ...end, url: last.url };
    }
    await clock.sleep(pollMs);
  }
}

/** Undefined: it is waited for. */
function judge(status: string, passedMs: number): Played | undefined {
  switch (status) {
    case "success":
      return well("the pipeline has rotated the tokens: runner, image, network and login work");
    case "failed":
      return bad("the pipeline failed; its job's log says why", "pipeline-failed");
    case "manual":
      return bad(
        "the pipeline waits for a person, or for an approval of its environment",
        "pipeline-waits",
      );
    case "waiting_for_resource":
      return bad("the pipeline waits for another run to end", "pipeline-waits");
    case "canceled":
    case "canceling":
    case "skipped":
      return bad(
        `the pipeline was ${status === "skipped" ? "skipped" : "canceled"}`,
        "pipeline-stopped",
      );
    case "running":
      return passedMs < untilEndMs
        ? undefined
        : bad("the pipeline has not ended within 5 min", "pipeline-slow");
    default:
      return passedMs < untilRunnerMs
        ? undefined
        : bad("no runner has taken the job within 2 min", "no-runner");
  }
}

const well = (found: string): Played => ({ isWell: true, found });
const bad = (found: string, code: string): Played => ({ isWell: false, found, code });

function nameOf(user: unknown): string {
  const name = isObject(user) ? user["username"] : undefined;
  return typeof name === "string" ? foreignText(name, []) : "nobody";
}

function lastOf(
  schedule: Record<string, unknown>,
): { id: number; status: string; url: string } | undefined {
  const last = schedule["last_pipeline"];
  if (!isObject(last)) return undefined;
  const url = foreignText(String(last["web_url"]), []);
  return { id: Number(last["id"]), status: String(last["status"]), url };
}
