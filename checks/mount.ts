import { encodePath } from "../clients/vault";
import { formatDuration } from "../core/duration";
import { mountDescription } from "../desired/names";
import { ownerNamed, useOfMount } from "../desired/ownership";
import { isObject } from "../net/http";
import { askVault } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { ofNamesake, ownOwner, textOf, whose } from "./owner";
import type { World } from "./world";

/** The KV mount: version 2, this stack's or one that it may use, and one that ends no version by itself. */
export function checkMount(world: World): Promise<Finding[]> {
  const { mount, createMount, vaultAddress } = world.settings;
  const it = about("mount", `mount ${mount}/`);
  const { print, time } = world;
  return askVault(world, it, async () => {
    const found = await world.look(`sys/mounts/${encodePath(mount)}`);
    if (found === undefined) return [missing(world)];
    const options = isObject(found["options"]) ? found["options"] : {};
    if (found["type"] !== "kv" || options["version"] !== "2") {
      return [
        it.problem(
          `is not KV version 2 (it is ${JSON.stringify({ type: found["type"], options })})`,
          `choose another \`mount\`, or upgrade it with \`vault kv enable-versioning ${mount}/\``,
        ),
      ];
    }
    const owner = await ownerProblem(world, textOf(found["description"]));
    if (owner !== undefined) return [it.problem(owner.found, owner.fix)];
    const config = await world.look(`${encodePath(mount)}/config`);
    const ends = config?.["delete_version_after"];
    if (ends !== undefined && ends !== "0s") {
      return [
        it.problem(
          `deletes every version after ${JSON.stringify(ends)}, passwords too`,
          `set it to 0s with \`vault write ${mount}/config delete_version_after=0s\`, or choose another \`mount\``,
        ),
      ];
    }
    // Where GitLab does not show the project, the mark that names it is not known.
    const isKnown = (await ownOwner(world)).instance !== undefined;
    const isDeclared =
      !createMount || !isKnown || found["description"] === (await declaredDescription(world));
    const asItIs = it.ok(`KV version 2 at ${vaultAddress}, ends no version`);
    if (isDeclared) return [asItIs];
    if (time === "after") {
      return [it.warning("is not described as declared", print.pulumi("up --refresh"))];
    }
    const reset = ttlsOf(found["config"]);
    return reset === ""
      ? [asItIs]
      : [
          it.warning(
            `has a ${reset} set by hand, which \`up\` sets back to 0 with the new description; KV version 2 gives no leases`,
          ),
        ];
  });
}

/** What was tuned by hand: Vault's plugin sends it as 0 with every other change of the mount. */
function ttlsOf(config: unknown): string {
  const ttls = ["default_lease_ttl", "max_lease_ttl"].flatMap((name) => {
    const seconds = isObject(config) ? Number(config[name] ?? 0) : 0;
    return seconds > 0 ? [`${name} of ${formatDuration(seconds)}`] : [];
  });
  return ttls.join(" and ");
}

function missing({ time, settings, print }: World): Finding {
  const { mount, createMount, vaultAddress } = settings;
  const it = about("mount", `mount ${mount}/`);
  if (time === "after") {
    return it.problem(`is not there at ${vaultAddress}`, print.pulumi("up --refresh"));
  }
  return createMount
    ? it.ok("is not there yet: `pulumi up` makes it")
    : it.problem(
        "does not exist and createMount is false",
        "create it as KV version 2, or set createMount to true",
      );
}

async function declaredDescription(world: World): Promise<string> {
  return mountDescription(await ownOwner(world), world.settings.shareMount);
}

/** Whose the mount is, by its description, where this stack must not use it as it wants to. */
async function ownerProblem(
  world: World,
  description: string,
): Promise<{ found: string; fix: string } | undefined> {
  const { settings, print, time } = world;
  const { mount, createMount } = settings;
  const mark = await whose(world, description);
  if (createMount && mark !== "ours") {
    const tune = `vault secrets tune -description="${await declaredDescription(world)}" ${mount}/`;
    if (mark === "namesake") return ofNamesake(description, "choose another `mount`", tune);
    if (time === "after") return { found: "is not described as this stack's", fix: tune };
    return {
      found: "exists and is not this stack's",
      fix: `set createMount to false to use it, or choose another \`mount\`${handOver(settings, description, tune)}`,
    };
  }
  if (createMount || useOfMount(description) === undefined) return undefined;
  const owner = ownerNamed(description) ?? "";
  const stack = owner.split(" for ")[0]?.split("/").at(-1);
  return {
    found: `belongs to ${owner}, which does not say that other stacks use it: its admins and deployers reach every account`,
    fix: `in the program of ${owner}: \`pulumi config set shareMount true --stack ${stack} && pulumi up --stack ${stack}\`; or choose another \`mount\` (\`${print.pulumi("config set mount …")}\`)`,
  };
}

/** A renamed stack looks like another one of this program: somebody has to say that it is the same. */
export function handOver(
  { project }: World["settings"],
  description: string,
  command: string,
): string {
  const before = ownerNamed(description);
  return before?.startsWith(`${project}/`)
    ? `. If ${before.slice(project.length + 1)} is this stack's former name: \`${command}\``
    : "";
}
