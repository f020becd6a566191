import { foreignText } from "../core/redact";
import { ownerMark } from "../desired/names";
import { consumerAccess, stackPolicies } from "../desired/state";
import type { Policy } from "../desired/state";
import { askVault } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { projectOf } from "./gitlabFacts";
import { ofNamesake, ownOwner, whose } from "./owner";
import type { World } from "./world";

/** The stack's policies: nobody else's, and after an `up` word for word what this version of the program writes. */
export async function checkPolicies(world: World): Promise<Finding[]> {
  const { settings } = world;
  const project = await projectOf(world).catch(() => undefined);
  const declared = [
    ...Object.values(stackPolicies(settings, { project })),
    ...consumerAccess(settings, { project, claims: new Map() }).map(({ policy }) => policy),
  ];
  return (await Promise.all(declared.map((policy) => checkPolicy(world, policy)))).flat();
}

function checkPolicy(world: World, { name, text }: Policy): Promise<Finding[]> {
  const { print, time } = world;
  const it = about("policy", `policy ${name}`);
  return askVault(world, it, async () => {
    const found = (await world.look(`sys/policies/acl/${name}`))?.["policy"];
    const isThere = typeof found === "string" && found !== "";
    const owner = await ownOwner(world);
    const [first = ""] = isThere ? found.split("\n", 1) : [];
    const mark = await whose(world, first);
    if (isThere && mark === "namesake") {
      const take = takePolicy(name, ownerMark(owner));
      const { found: of, fix } = ofNamesake(first, "set another policyPrefix", take);
      return [it.problem(of, fix)];
    }
    // A policy write is a silent overwrite: another owner's text must not be lost.
    if (isThere && mark !== "ours") {
      if (time === "after") {
        return [it.problem(policyProblem(text, found) ?? "", print.pulumi("up --refresh"))];
      }
      const fix = "delete it if nobody needs it, or set another policyPrefix";
      return [it.problem(`exists and does not begin with "${ownerMark(owner)}"`, fix)];
    }
    if (time !== "after") return [it.ok(isThere ? "is this stack's" : "is not there yet")];
    // Where GitLab does not show the project, the mark that names it is not known.
    const wanted = owner.instance === undefined ? text.replace(/^.*/, first) : text;
    const problem = policyProblem(wanted, found);
    return problem === undefined
      ? [it.ok("is as declared")]
      : [it.problem(problem, print.pulumi("up --refresh"))];
  });
}

/** The command that gives a policy another first line. */
export function takePolicy(name: string, mark: string): string {
  return `vault policy read ${name} | sed '1s|.*|${mark}|' | vault policy write ${name} -`;
}

/** How a policy's text in Vault differs from the declared one; undefined where it does not. */
export function policyProblem(declared: string, found: unknown): string | undefined {
  if (typeof found !== "string" || found === "") return "is not there";
  const [wanted, actual] = [declared.trim().split("\n"), found.trim().split("\n")];
  if (wanted.join("\n") === actual.join("\n")) return undefined;
  const line = actual.findIndex((text, index) => text !== wanted[index]);
  const at = line < 0 ? actual.length : line;
  const shown = (text = "nothing more") => foreignText(text, []).trim();
  return `differs from line ${at + 1} on: ${shown(actual[at])}; declared: ${shown(wanted[at])}`;
}
