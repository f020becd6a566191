import { refusedArguments, text, type Props } from "../resource";
import { call, segment, unable } from "./connection";

const snake = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The answer's values under the plugin's names; null is "". */
const taken = (names: string, from: Props): Props =>
  Object.fromEntries(names.split(/\s+/).map((name) => [name, from[snake(name)] ?? ""]));

const projectOutputs =
  "analyticsAccessLevel archived autoCancelPendingPipelines autoDevopsDeployStrategy autoDevopsEnabled " +
  "autocloseReferencedIssues buildGitStrategy buildTimeout buildsAccessLevel ciConfigPath ciDefaultGitDepth " +
  "ciSeparatedCaches containerRegistryAccessLevel defaultBranch description emailsDisabled " +
  "environmentsAccessLevel externalAuthorizationClassificationLabel featureFlagsAccessLevel " +
  "forkingAccessLevel httpUrlToRepo importUrl infrastructureAccessLevel issuesAccessLevel issuesEnabled " +
  "keepLatestArtifact mergeCommitTemplate mergePipelinesEnabled mergeRequestsAccessLevel " +
  "mergeRequestsEnabled mergeTrainsEnabled monitorAccessLevel name path pathWithNamespace publicBuilds " +
  "releasesAccessLevel removeSourceBranchAfterMerge repositoryAccessLevel repositoryStorage " +
  "requestAccessEnabled requirementsAccessLevel resolveOutdatedDiffDiscussions " +
  "restrictUserDefinedVariables runnersToken securityAndComplianceAccessLevel snippetsAccessLevel " +
  "snippetsEnabled squashCommitTemplate sshUrlToRepo suggestionCommitMessage topics webUrl " +
  "wikiAccessLevel wikiEnabled";

export async function getProject(args: Props): Promise<Props> {
  const { id, pathWithNamespace } = args;
  onlyKnown("getProject", args, ["id", "pathWithNamespace"]);
  if ((id === undefined) === (pathWithNamespace === undefined)) {
    throw refusedArguments("exactly one of `id,path_with_namespace` must be specified");
  }
  const found = await call("GET", `projects/${segment(id ?? pathWithNamespace)}`);
  // Without a licence, or the right, there are none.
  const path = `projects/${text(found.id)}/push_rule`;
  const rules = await call("GET", path, undefined, 1).catch(() => ({}));
  const { name_regex: regex, ...policy } = (found.container_expiration_policy ?? {}) as Props;
  return {
    ...taken(projectOutputs, found),
    containerExpirationPolicies: [
      {
        ...taken("cadence enabled keepN nameRegexKeep nextRunAt olderThan", policy),
        nameRegex: regex ?? "",
        nameRegexDelete: regex ?? "",
      },
    ],
    id: text(found.id),
    namespaceId: (found.namespace as { id: number }).id,
    pipelinesEnabled: found.jobs_enabled,
    pushRules:
      "id" in rules ? [taken("commitMessageRegex branchNameRegex authorEmailRegex", rules)] : [],
    visibilityLevel: found.visibility,
  };
}

export async function getGroup(args: Props): Promise<Props> {
  const { groupId, fullPath } = args;
  onlyKnown("getGroup", args, ["groupId", "fullPath"]);
  if ((groupId === undefined) === (fullPath === undefined)) {
    throw new Error("one and only one of group_id or full_path must be set");
  }
  const found = await call("GET", `groups/${segment(groupId ?? fullPath)}`);
  return {
    ...taken("defaultBranchProtection description fullName fullPath name path webUrl", found),
    extraSharedRunnersMinutesLimit: found.extra_shared_runners_minutes_limit ?? 0,
    groupId: found.id,
    id: text(found.id),
    lfsEnabled: found.lfs_enabled ?? false,
    membershipLock: found.membership_lock ?? false,
    parentId: found.parent_id ?? 0,
    preventForkingOutsideGroup: found.prevent_forking_outside_group ?? false,
    requestAccessEnabled: found.request_access_enabled ?? false,
    runnersToken: found.runners_token ?? "",
    sharedRunnersMinutesLimit: found.shared_runners_minutes_limit ?? 0,
    visibilityLevel: found.visibility,
  };
}

export async function getRepositoryFile(args: Props): Promise<Props> {
  const { project, ref, filePath } = args;
  onlyKnown("getRepositoryFile", args, ["project", "ref", "filePath"]);
  const path = `projects/${segment(project)}/repository/files/${segment(filePath)}`;
  const found = await call("GET", `${path}?ref=${encodeURIComponent(text(ref))}`).catch(
    unable("read project repository file"),
  );
  return {
    ...taken(
      "blobId commitId content contentSha256 encoding executeFilemode fileName filePath lastCommitId ref size",
      found,
    ),
    id: [project, ref, filePath].map(text).join(":"),
    project,
  };
}

function onlyKnown(name: string, args: Props, known: string[]): void {
  const surplus = Object.keys(args).find((key) => !known.includes(key));
  if (surplus !== undefined) {
    throw new Error(`this stand-in does not know the argument ${surplus} of ${name}`);
  }
}
