import * as pulumi from "@pulumi/pulumi";
import { preflight as lookAround } from "../checks/preflight";
import type { Readiness } from "../checks/preflight";
import { worldOf } from "../checks/world";
import { callersGitlab, callersVault } from "../clients/callers";
import type { Settings } from "../config/settings";
import { runError } from "../config/runError";
import { UserError, shown } from "../core/messageCode";

/**
 * Looks at Vault and GitLab before anything is registered; reads only, in `preview` and in `up`. Throws one RunError
 * that lists every problem, each with what fixes it; what is no reason to stop is a warning of the engine.
 */
export async function preflight(settings: Settings): Promise<Readiness> {
  // What the GitLab plugin reads, too.
  const { "gitlab:token": configured, "gitlab:cacertFile": caFile } = pulumi.runtime.allConfig();
  const world = worldOf({
    time: "in",
    settings,
    vault: callersVault(settings),
    gitlab: callersGitlab(settings, process.env["GITLAB_TOKEN"] || configured, caFile),
    isPreview: pulumi.runtime.isDryRun(),
  });
  try {
    const ready = await lookAround(world);
    for (const warning of ready.warnings) void pulumi.log.warn(warning);
    return ready;
  } catch (error) {
    throw error instanceof UserError ? runError(shown(error)) : error;
  }
}
