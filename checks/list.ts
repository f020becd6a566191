import { checkAccess } from "./access";
import { checkFirstPasswords, checkKeySettings, checkTokenLife, checkTokens } from "./accounts";
import { checkAudit } from "./audit";
import { checkAuthMount } from "./authMount";
import { checkBackend } from "./backend";
import { checkBranch } from "./branch";
import { checkBuild } from "./build";
import { checkConsumers } from "./consumers";
import { checkFiles, checkForeignFiles } from "./files";
import { checkGitlab, checkGitlabRole, isGitlabOpen } from "./gitlabToken";
import type { Finding } from "./finding";
import { checkGroups } from "./groups";
import { checkHosts, checkProxies } from "./hosts";
import { checkMissedRuns } from "./missedRuns";
import { checkMount } from "./mount";
import { checkMoved } from "./moved";
import { checkPasswordReads } from "./passwordReads";
import { checkPasswords, checkVerifications } from "./passwords";
import { checkPolicies } from "./policies";
import { checkOverride, checkProject, isProjectOpen } from "./project";
import { checkForeignVariables } from "./projectVariables";
import { checkPublishedTokens } from "./publishedTokens";
import { checkRoles } from "./roles";
import type { Check, Gates } from "./run";
import { checkSchedule, checkSchedulesOn } from "./schedule";
import { checkStrayAccounts, checkStrayConsumers } from "./strays";
import { checkTools } from "./tools";
import { checkServer, hasServerProblem } from "./vaultServer";
import { checkOwnRights, checkRights, checkToken, isTokenKnown, isTokenOfUse } from "./vaultToken";
import type { Time, World } from "./world";

const before: readonly Time[] = ["before"];
const after: readonly Time[] = ["after"];
const untilUp: readonly Time[] = ["before", "in"];
const always: readonly Time[] = ["before", "in", "after"];
const outside: readonly Time[] = ["before", "after"];

function check(
  id: string,
  subject: string,
  times: readonly Time[],
  needs: Check["needs"],
  ask: (world: World) => Finding[] | Promise<Finding[]>,
): Check {
  return { id, subject, times, needs, ask: async (world) => ask(world) };
}

/** Every check there is, in the order in which their findings are shown. */
export const checks: readonly Check[] = [
  check("tool", "tools", before, undefined, checkTools),
  check("build", "build", before, undefined, () => checkBuild()),
  check("backend", "backend", before, undefined, checkBackend),
  check("proxy", "proxy", before, undefined, (world) => checkProxies(world)),
  check("vault", "Vault", always, undefined, checkServer),
  check("vault.token", "Vault token", always, undefined, checkToken),
  check("vault.rights", "Vault rights", untilUp, "Vault", checkRights),
  check("mount", "mount", always, "Vault", checkMount),
  check("auth-mount", "auth mount", always, "Vault", checkAuthMount),
  check("audit", "audit devices", outside, "Vault", checkAudit),
  check("policy", "policies", always, "Vault", checkPolicies),
  check("access", "who can read and change what", after, "Vault", checkAccess),
  check("group", "groups", always, "Vault", checkGroups),
  check("role", "roles", after, "Vault", checkRoles),
  check("stray-consumer", "consumers that are not in config", after, "Vault", checkStrayConsumers),
  check("vault.own-rights", "this Vault token", after, "Vault", checkOwnRights),
  check("first-password", "passwords", untilUp, "Vault", checkFirstPasswords),
  check("key-settings", "key settings", untilUp, "Vault", checkTokenLife),
  check("key-settings", "key settings", after, "Vault", checkKeySettings),
  check("password", "passwords", after, "Vault", checkPasswords),
  check("verification", "verifications", after, "Vault", checkVerifications),
  check("password-read", "reads of passwords", after, "Vault", checkPasswordReads),
  check("token", "tokens", after, "Vault", checkTokens),
  check("token-runs", "runs for tokens", after, "Vault", checkMissedRuns),
  check("stray-account", "accounts that are not in config", after, "Vault", checkStrayAccounts),
  check("token-at-apisec", "tokens at APIsec", after, "Vault", checkPublishedTokens),
  check("gitlab", "GitLab", always, undefined, checkGitlab),
  check("project", "rotation project", always, "GitLab", checkProject),
  check("gitlab.role", "GitLab role", untilUp, "rotation project", checkGitlabRole),
  check("pipeline-variables", "pipeline variables", outside, "rotation project", checkOverride),
  check("branch", "branch", always, "rotation project", checkBranch),
  check("project-files", "project files", untilUp, "rotation project", checkForeignFiles),
  check("project-files", "project files", after, "rotation project", checkFiles),
  check("project-variable", "CI variables", untilUp, "rotation project", checkForeignVariables),
  check("schedule", "schedules", before, "rotation project", checkSchedulesOn),
  check("schedule", "schedule", after, "rotation project", checkSchedule),
  check("moved", "moved mounts", untilUp, "rotation project", checkMoved),
  check("consumer", "consumers", always, "GitLab", checkConsumers),
  check("apisec", "APIsec", before, undefined, checkHosts),
];

/** What must answer before its checks are worth asking. */
export const gates: Gates = {
  Vault: async (world) => {
    if (await hasServerProblem(world)) return false;
    if (world.vault.token === undefined || !(await isTokenKnown(world))) return false;
    if (world.time !== "after" && !(await isTokenOfUse(world))) return false;
    // A monitor that may not even see the mount has the wrong policy: one line says so.
    if (world.time !== "after") return true;
    const { mount } = world.settings;
    return world.look(`sys/mounts/${mount}`).then(
      () => true,
      () => false,
    );
  },
  GitLab: isGitlabOpen,
  "rotation project": async (world) => (await isGitlabOpen(world)) && (await isProjectOpen(world)),
};
