import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as gitlab from "@pulumi/gitlab";
import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { Settings } from "../config";
import { runError } from "../config/runError";
import { formatDuration } from "../core/duration";
import { packageFolder } from "../desired/packageFolder";
import { ownerMarker, policyName } from "../desired/policies";
import type { RotationProject } from "../checks/findInGitlab";
import { pathsSetting } from "../job/environment";
import { defaultImage, renderPipeline, renderRoot, sharedMarker } from "../desired/pipelineFile";
import { audience, jobLogin, timeoutMinutes } from "./jobLogin";
import type { LoginRole } from "./jobLogin";

/** See README, Configuration; `settingsFrom` of config.ts fills the defaults in. */
export type RotationSettings = Pick<
  Settings,
  | "project"
  | "stack"
  | "policyPrefix"
  | "mount"
  | "vaultAddress"
  | "vaultNamespace"
  | "vaultCa"
  | "authPath"
  | "createAuth"
  | "jwksUrl"
  | "jwtPublicKeys"
  | "gitlabUrl"
  | "gitlabBranch"
  | "manageProjectFiles"
  | "pipelineFile"
  | "jobImage"
  | "cron"
  | "cronTimezone"
  | "apisecPaths"
  | "webhookUrl"
>;

export interface TokenRotationArgs {
  settings: RotationSettings;
  project: RotationProject;
  /** Accounts whose tokens the job keeps fresh. */
  accounts: readonly string[];
  mount: pulumi.Input<string>;
  /** The least life of a token that the job accepts, in seconds. */
  minLifetimeSeconds: number;
  /** The policy of the job's Vault token. */
  policy: pulumi.Input<string>;
}

/** GitLab stores at most 10,000 characters in a CI variable; a longer list goes into a file. */
const longestVariable = 8_000;
const accountsPerJob = 500;

/** The GitLab side: the schedule that rotates the tokens, its job, and the job's login at Vault. */
export class TokenRotation extends pulumi.ComponentResource {
  public readonly scheduleId: pulumi.Output<number>;
  /** Name of the Vault role that the job logs in with. */
  public readonly role: pulumi.Output<string>;
  /** The JWT auth mount of GitLab's jobs. */
  public readonly authPath: pulumi.Output<string>;

  constructor(name: string, args: TokenRotationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:TokenRotation", name, {}, opts);
    const { settings, project } = args;
    const files = settings.manageProjectFiles ? this.createFiles(name, args) : [];
    const schedule = new gitlab.PipelineSchedule(
      name,
      {
        project: project.id,
        ...scheduleFields(settings),
        takeOwnership: true,
      },
      { parent: this, dependsOn: files },
    );
    this.scheduleId = schedule.pipelineScheduleId;
    this.createVariables(name, args);
    this.authPath = settings.createAuth
      ? this.createAuth(name, settings).path.apply((path) => path ?? settings.authPath)
      : pulumi.output(settings.authPath);
    this.role = this.createRole(name, args, schedule.owner);
    this.registerOutputs({ scheduleId: this.scheduleId, role: this.role });
  }

  /** Each file stands before the one that calls for it. */
  private createFiles(name: string, args: TokenRotationArgs): gitlab.RepositoryFile[] {
    const { settings, project } = args;
    const made: gitlab.RepositoryFile[] = [];
    for (const { suffix, path, content } of projectFiles(args)) {
      const file = new gitlab.RepositoryFile(
        `${name}-${suffix}`,
        {
          project: project.id,
          branch: settings.gitlabBranch,
          filePath: path,
          content,
          encoding: "text",
          commitMessage: `Deliver ${path} from ${settings.project}/${settings.stack} [skip ci]`,
          overwriteOnCreate: true,
        },
        {
          parent: this,
          dependsOn: made.slice(-1),
          // Other stacks may need it, or somebody has made it his own since: then nobody is asked.
          retainOnDelete: path === project.pipelineFile,
        },
      );
      made.push(file);
    }
    return made.slice(-1);
  }

  private createVariables(name: string, args: TokenRotationArgs): void {
    const { settings, project, accounts, mount } = args;
    const create = (
      key: string,
      value: pulumi.Input<string>,
      variableType = "env_var",
      masked = false,
    ) =>
      new gitlab.ProjectVariable(
        `${name}-${key.toLowerCase().replaceAll("_", "-")}`,
        {
          project: project.id,
          key,
          value,
          variableType,
          protected: true,
          masked,
          raw: true,
          environmentScope: environmentName(settings.stack),
          description: ownerMarker(settings.project, settings.stack).slice(2),
        },
        { parent: this },
      );
    for (const [key, value] of Object.entries(jobSettings(settings))) {
      if (value !== "") create(key, key === "APISEC_MOUNT" ? mount : value);
    }
    if (!needsFile(accounts)) create("APISEC_ACCOUNTS", accounts.join(","));
    if (settings.vaultCa !== undefined) create("VAULT_CACERT", settings.vaultCa, "file");
    if (settings.webhookUrl !== undefined) {
      create("APISEC_WEBHOOK", pulumi.secret(settings.webhookUrl), "env_var", true);
    }
  }

  private createRole(
    name: string,
    args: TokenRotationArgs,
    owner: pulumi.Output<number>,
  ): pulumi.Output<string> {
    const { settings, project, policy } = args;
    const role = rotatorRole<pulumi.Input<string>>(settings, project, owner.apply(String), policy);
    return jobLogin(name, { ...role, backend: this.authPath }, { parent: this }).roleName;
  }

  private createAuth(name: string, settings: RotationSettings): vault.jwt.AuthBackend {
    return new vault.jwt.AuthBackend(
      name,
      {
        type: "jwt",
        path: settings.authPath,
        description: authDescription(settings.project, settings.stack),
        ...authKeys(settings),
      },
      { parent: this },
    );
  }
}

/** The auth mount's description in Vault, by which its owner is known. */
export function authDescription(project: string, stack: string): string {
  return `Logins of GitLab jobs, managed by ${project}/${stack}`;
}

/** The schedule as declared. */
export function scheduleFields(settings: RotationSettings) {
  return {
    description: scheduleDescription(settings),
    ref: `refs/heads/${settings.gitlabBranch}`,
    cron: settings.cron,
    cronTimezone: settings.cronTimezone,
    active: true,
  };
}

/** Only this project's protected branch, this pipeline file, and a schedule of this owner may log in. */
export function rotatorRole<Value>(
  settings: RotationSettings,
  project: RotationProject,
  owner: Value,
  policy: Value,
): LoginRole<Value> {
  return {
    roleName: roleName(settings),
    audience: audience(settings.vaultAddress, settings.stack),
    claims: {
      project_id: project.id,
      ref: settings.gitlabBranch,
      ref_type: "branch",
      ref_protected: "true",
      pipeline_source: "schedule",
      user_id: owner,
      // Where that file only includes the job, it is named all the same.
      ci_config_ref_uri: `${project.uri}//${project.pipelineFile}@refs/heads/${settings.gitlabBranch}`,
      environment: environmentName(settings.stack),
    },
    policy,
  };
}

/** Where Vault finds GitLab's keys: by discovery, at a URL, or as given. */
export function authKeys(settings: RotationSettings) {
  const keys =
    settings.jwksUrl !== undefined
      ? { jwksUrl: settings.jwksUrl }
      : settings.jwtPublicKeys !== undefined
        ? { jwtValidationPubkeys: settings.jwtPublicKeys }
        : { oidcDiscoveryUrl: settings.gitlabUrl };
  return { boundIssuer: settings.gitlabUrl, ...keys };
}

function roleName(settings: RotationSettings): string {
  return policyName(settings.policyPrefix, settings.stack, "rotator");
}

function scheduleDescription({ project, stack }: RotationSettings): string {
  return `Rotate the APIsec tokens of ${project}/${stack} into Vault`;
}

function environmentName(stack: string): string {
  return `apisec/${stack}`;
}

/** Where the job logs in and what it calls; "" = not set, whatever else might set it. */
function jobSettings(settings: RotationSettings): Record<string, string> {
  return {
    VAULT_ADDR: settings.vaultAddress,
    VAULT_NAMESPACE: settings.vaultNamespace ?? "",
    VAULT_AUTH_PATH: settings.authPath,
    VAULT_AUTH_ROLE: roleName(settings),
    APISEC_MOUNT: settings.mount,
    APISEC_PATHS: pathsSetting(settings.apisecPaths),
  };
}

function needsFile(accounts: readonly string[]): boolean {
  return accounts.join(",").length > longestVariable;
}

interface ProjectFile {
  /** Of the resource's name. */
  suffix: string;
  path: string;
  content: string;
}

/** The files of the rotation project, in the order in which they are written. */
export function projectFiles(
  args: Pick<TokenRotationArgs, "settings" | "project" | "accounts" | "minLifetimeSeconds">,
): ProjectFile[] {
  const { settings, project, accounts } = args;
  const { stack, pipelineFile } = settings;
  const alone = pipelineFile === "own";
  const scriptPath = alone ? "rotate.mjs" : `apisec/${stack}.mjs`;
  const accountsPath = alone ? `apisec-accounts-${stack}.txt` : `apisec/${stack}.txt`;
  const job = renderPipeline({
    marker: ownerMarker(settings.project, stack),
    stack,
    audience: audience(settings.vaultAddress, stack),
    image: settings.jobImage ?? defaultImage,
    minLifetime: formatDuration(args.minLifetimeSeconds),
    timeoutMinutes,
    shards: Math.max(1, Math.ceil(accounts.length / accountsPerJob)),
    accountsFile: needsFile(accounts) ? accountsPath : undefined,
    script: scriptPath,
    ...(alone ? {} : { sharedWith: scheduleDescription(settings) }),
    settings: jobSettings(settings),
  });
  const files: ProjectFile[] = [{ suffix: "script", path: scriptPath, content: readScript() }];
  if (needsFile(accounts)) {
    files.push({ suffix: "accounts", path: accountsPath, content: `${accounts.join("\n")}\n` });
  }
  const root = { suffix: "pipeline", path: project.pipelineFile };
  if (alone) return [...files, { ...root, content: job }];
  files.push({ suffix: "job", path: jobFile(stack), content: job });
  if (pipelineFile === "included") return files;
  return [...files, { ...root, content: renderRoot() }];
}

/** A stack's job in a project that it shares. */
export function jobFile(stack: string): string {
  return `apisec/${stack}.yml`;
}

/**
 * The files that this stack writes and that may be somebody else's, each with the first lines by which it
 * is known to be this stack's or of all stacks.
 */
export function guardedFiles(
  { project, stack, pipelineFile }: RotationSettings,
  root: string,
): { path: string; markers: string[] }[] {
  const ours = ownerMarker(project, stack);
  if (pipelineFile === "own") return [{ path: root, markers: [ours] }];
  const job = { path: jobFile(stack), markers: [ours] };
  if (pipelineFile === "included") return [job];
  return [job, { path: root, markers: [sharedMarker, ours] }];
}

function readScript(): string {
  const path = join(packageFolder(), "dist", "rotate.mjs");
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw runError("dist/rotate.mjs, the rotation job, has not been built: run `npm run build`.");
  }
}
