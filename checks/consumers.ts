import { about } from "./finding";
import type { Finding } from "./finding";
import { askGitlab, gitlabFix } from "./attempt";
import { claimOf } from "./gitlabFacts";
import type { World } from "./world";

/** The projects and groups whose pipelines read tokens: their roles are bound to their ids. */
export async function checkConsumers(world: World): Promise<Finding[]> {
  const { time, isPreview, settings } = world;
  const findings = settings.consumers.map((consumer) => {
    const { name, project, group = "" } = consumer;
    const it = about("consumer", `consumer ${name}`);
    const place = `${project === undefined ? "group" : "project"} ${project ?? group}`;
    return askGitlab(world, it, async () => {
      if ((await claimOf(world, consumer)) !== undefined) return [it.ok(place)];
      const found = `${place} is not there, or not shown to this token's user`;
      if (time === "in" && isPreview) return [it.skipped(`not checked yet: ${found}`)];
      const fix = `correct its path in \`consumers\`; ${gitlabFix(world)}`;
      return [time === "after" ? it.warning(found, fix) : it.problem(found, fix)];
    });
  });
  return (await Promise.all(findings)).flat();
}
