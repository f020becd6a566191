import { existsSync, readFileSync } from "node:fs";
import { projectOf, scheduleOf } from "../checks/gitlabFacts";
import { readStackFile } from "../checks/stackFile";
import { worldOf } from "../checks/world";
import { callersGitlab, callersVault } from "../clients/callers";
import { gitlabReader, gitlabWriter } from "../clients/gitlab";
import { playSchedule } from "../clients/playSchedule";
import type { Played } from "../clients/playSchedule";
import { printed } from "../core/printed";
import { firstRunVariable } from "../desired/firstRun";
import type { FirstRunWish } from "../desired/firstRun";
import { runner } from "../desired/packageFolder";
import { systemClock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, stackSettings } from "./stackSettings";
import { coded, shown, withCode } from "../core/messageCode";

const usage = `${calledFor.own("first-run")}
Plays the stack's schedule now, as GITLAB_TOKEN, and waits for its pipeline: runner, image, network and login are proven
without waiting for the next run. \`pulumi up\` does it by itself where the job has changed (\`firstRun\` in config).
Exit code: 0 the tokens were rotated, 1 they were not.`;

export const firstRun: Command = {
  summary: "play the schedule now, and see whether its job works",
  usage,
  async run(args) {
    const ofUp = process.env[firstRunVariable];
    if (ofUp !== undefined) {
      await forUp(JSON.parse(ofUp) as FirstRunWish);
      return 0;
    }
    const { values } = parsed(usage, args, { options: { stack: { type: "string" } } });
    const wish = await wishOf(chosenStack(values.stack));
    const played = await play(wish);
    console.log(sentence(played));
    return played.isWell ? 0 : 1;
  },
};

/** No `up` fails for it: all that it made is there. */
async function forUp(wish: FirstRunWish): Promise<void> {
  const played = await play(wish).catch((error: Error): Played => ({
    isWell: false,
    found: `not played: ${shown(error)}`,
  }));
  const again = printed(wish.stack, runner()).own("first-run");
  console.log(
    played.isWell
      ? `First run: ${sentence(played)}`
      : `warning: First run: ${sentence(played)}. Once that is well: \`${again}\``,
  );
}

function sentence({ found, code, url }: Played): string {
  const text = withCode(found, code);
  return url === undefined ? text : `${text}: ${url}`;
}

async function play(wish: FirstRunWish): Promise<Played> {
  const { gitlabUrl, project, schedule, waits, caFile } = wish;
  const token = gitlabToken();
  const ca = caFile !== undefined && existsSync(caFile) ? readFileSync(caFile, "utf8") : undefined;
  const send = nodeSend({ ca, proxyFor: proxyTo });
  const calls = {
    read: gitlabReader(send, systemClock, gitlabUrl, token),
    write: gitlabWriter(send, systemClock, gitlabUrl, token),
    clock: systemClock,
  };
  // In a job of that project the pipeline would wait for the runner that waits for it.
  const isInside = process.env["CI_PROJECT_ID"] === project;
  return playSchedule(
    calls,
    `projects/${project}/pipeline_schedules/${schedule}`,
    waits && !isInside,
  );
}

function gitlabToken(): string {
  const token = process.env["GITLAB_TOKEN"];
  if (token) return token;
  throw coded("GITLAB_TOKEN is not set: the schedule is played with it.", "no-gitlab-token");
}

async function wishOf(stack: string): Promise<FirstRunWish> {
  const settings = stackSettings(stack);
  const { caFile } = readStackFile(settings.stack).gitlab;
  const gitlab = callersGitlab(settings, gitlabToken(), caFile);
  const world = worldOf({ time: "after", settings, stack, vault: callersVault(settings), gitlab });
  const project = await projectOf(world);
  const schedule = project && (await scheduleOf(world));
  if (project === undefined || schedule === undefined) {
    throw coded(
      `GitLab shows no schedule of stack ${stack} in ${settings.gitlabProject}: \`${world.print.pulumi("up")}\` makes it.`,
      "no-schedule",
    );
  }
  const { gitlabUrl } = settings;
  const id = Number(schedule["id"]);
  return { stack, gitlabUrl, project: project.id, schedule: id, waits: true, caFile };
}
