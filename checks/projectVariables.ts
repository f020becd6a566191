import { ciVariables } from "../desired/ciVariables";
import type { CiVariable } from "../desired/ciVariables";
import { managedBy } from "../desired/names";
import { ownerNamed } from "../desired/ownership";
import { policyValues } from "../desired/policyValues";
import { isObject } from "../net/http";
import { attempt } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { gitlabOf, projectPath } from "./gitlabFacts";
import { inOrder } from "./inOrder";
import { ownOwner, textOf, whose } from "./owner";
import type { World } from "./world";

/**
 * Before an `up`: no CI variable that it writes is somebody else's. GitLab refuses a second one of a name and
 * environment, in the middle of the `up`. One with this stack's mark that the state does not know was left by a state
 * that was lost: that is `adopt`'s matter.
 */
export async function checkForeignVariables(world: World): Promise<Finding[]> {
  const { settings } = world;
  const it = about("project-variable", "CI variables");
  const variables = ciVariables(
    settings,
    policyValues(settings).publishedAccounts,
    await ownOwner(world),
  );
  return attempt(
    it,
    async () => {
      const foreign = (
        await inOrder(variables, (variable) => foreignFinding(world, variable))
      ).flat();
      return foreign.length > 0 ? foreign : [it.ok("are this stack's, or not there yet")];
    },
    ({ status }) =>
      status === undefined ? undefined : it.skipped("are not shown to this token's user"),
  );
}

async function foreignFinding(
  world: World,
  { key, value, environmentScope }: Pick<CiVariable, "key" | "value" | "environmentScope">,
): Promise<Finding[]> {
  const scope = `filter%5Benvironment_scope%5D=${encodeURIComponent(environmentScope)}`;
  const path = `${await projectPath(world)}/variables/${key}?${scope}`;
  const found = await gitlabOf(world)(path);
  // GitLab before 16.2 keeps no description, and so no mark.
  if (!isObject(found) || !("description" in found)) return [];
  const { description } = found;
  // One that was written before GitLab kept descriptions.
  if (!description && found["value"] === value) return [];
  const owner = await ownOwner(world);
  const isOurs =
    description === managedBy(owner).slice(0, 255) ||
    // In this very project a namesake's is ours, of before GitLab's address changed.
    (await whose(world, description)) !== "another's";
  if (isOurs) return [];
  const of = ownerNamed(textOf(description));
  return [
    about("project-variable", `CI variable ${key}`).problem(
      `of environment ${environmentScope} in project ${world.settings.gitlabProject} ${of === undefined ? "was not made by this program: its description does not begin with `managed by`" : `belongs to ${of}`}`,
      `if nobody needs it, \`glab api -X DELETE "${path}" && ${world.print.pulumi("up --refresh")}\`; else give the stack another name (\`${world.print.pulumi("stack rename …")}\`)`,
    ),
  ];
}
