import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as gitlab from "@pulumi/gitlab";
import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { Settings } from "../config";
import { runError } from "../config/runError";
import { defaultApisecPaths } from "../core/apisec";
import { formatDuration } from "../core/duration";
import { ownerMarker, policyName } from "../policies/render";
import { defaultImage, renderPipeline } from "../rotator/pipelineFile";
import type { RotationProject } from "./rotationProject";

export interface TokenRotationArgs {
  settings: Settings;
  project: RotationProject;
  /** Accounts whose tokens the job keeps fresh. */
  accounts: readonly string[];
  mount: pulumi.Input<string>;
  /** The least life of a token that the job accepts, in seconds. */
  minLifetimeSeconds: number;
  /** The policy of the job's Vault token. */
  policy: pulumi.Input<string>;
}

/** A job's longest run, and by that the life of its ID token and of its Vault token. */
const timeoutMinutes = 15;
/** GitLab stores at most 10,000 characters in a CI variable; a longer list goes into a file. */
const longestVariable = 8_000;
const accountsPerJob = 500;
const pipelinePath = ".gitlab-ci.yml";
const scriptPath = "rotate.mjs";

/** The GitLab side: the schedule that rotates the tokens, its job, and the job's login at Vault. */
export class TokenRotation extends pulumi.ComponentResource {
  public readonly scheduleId: pulumi.Output<number>;
  /** Name of the Vault role that the job logs in with. */
  public readonly role: pulumi.Output<string>;

  constructor(name: string, args: TokenRotationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:TokenRotation", name, {}, opts);
    const { settings, project } = args;
    const files = settings.manageProjectFiles ? this.createFiles(name, args) : [];
    const schedule = new gitlab.PipelineSchedule(
      name,
      {
        project: project.id,
        description: `Rotate the APIsec tokens of ${settings.project}/${settings.stack} into Vault`,
        ref: `refs/heads/${settings.gitlabBranch}`,
        cron: settings.cron,
        cronTimezone: settings.cronTimezone,
        active: true,
        takeOwnership: true,
      },
      { parent: this, dependsOn: files },
    );
    this.scheduleId = schedule.pipelineScheduleId;
    this.createVariables(name, args);
    this.role = this.createRole(name, args, schedule.owner);
    this.registerOutputs({ scheduleId: this.scheduleId, role: this.role });
  }

  /** The script stands before the pipeline file that calls it. */
  private createFiles(name: string, args: TokenRotationArgs): gitlab.RepositoryFile[] {
    const { settings, project, accounts } = args;
    const accountsFile = needsFile(accounts) ? `apisec-accounts-${settings.stack}.txt` : undefined;
    const create = (
      suffix: string,
      filePath: string,
      content: string,
      dependsOn: pulumi.Resource[],
    ) =>
      new gitlab.RepositoryFile(
        `${name}-${suffix}`,
        {
          project: project.id,
          branch: settings.gitlabBranch,
          filePath,
          content,
          encoding: "text",
          commitMessage: `Deliver ${filePath} from ${settings.project}/${settings.stack} [skip ci]`,
          overwriteOnCreate: true,
        },
        { parent: this, dependsOn },
      );
    const script = create("script", scriptPath, readScript(), []);
    const list =
      accountsFile === undefined
        ? []
        : [create("accounts", accountsFile, `${accounts.join("\n")}\n`, [])];
    const pipeline = create("pipeline", pipelinePath, pipelineText(args, accountsFile), [
      script,
      ...list,
    ]);
    return [pipeline];
  }

  private createVariables(name: string, args: TokenRotationArgs): void {
    const { settings, project, accounts, mount } = args;
    const create = (key: string, value: pulumi.Input<string>, variableType = "env_var") =>
      new gitlab.ProjectVariable(
        `${name}-${key.toLowerCase().replaceAll("_", "-")}`,
        {
          project: project.id,
          key,
          value,
          variableType,
          protected: true,
          masked: false,
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
  }

  /** Only this project's protected branch, this pipeline file, and a schedule of this owner may log in. */
  private createRole(
    name: string,
    args: TokenRotationArgs,
    owner: pulumi.Output<number>,
  ): pulumi.Output<string> {
    const { settings, project } = args;
    const backend = settings.createAuth
      ? this.createAuth(name, settings).path.apply((path) => path ?? settings.authPath)
      : pulumi.output(settings.authPath);
    const role = new vault.jwt.AuthBackendRole(
      name,
      {
        backend,
        roleName: roleName(settings),
        roleType: "jwt",
        userClaim: "project_id",
        boundAudiences: [audience(settings)],
        boundClaimsType: "string",
        boundClaims: {
          project_id: project.id,
          ref: settings.gitlabBranch,
          ref_type: "branch",
          ref_protected: "true",
          pipeline_source: "schedule",
          user_id: owner.apply(String),
          ci_config_ref_uri: `${project.uri}//${pipelinePath}@refs/heads/${settings.gitlabBranch}`,
          environment: environmentName(settings.stack),
        },
        claimMappings: {
          pipeline_id: "pipeline_id",
          job_id: "job_id",
          user_login: "user_login",
        },
        tokenType: "service",
        tokenPolicies: [args.policy],
        tokenNoDefaultPolicy: true,
        tokenTtl: timeoutMinutes * 60,
        tokenMaxTtl: timeoutMinutes * 60,
        tokenExplicitMaxTtl: timeoutMinutes * 60,
      },
      { parent: this },
    );
    return role.roleName;
  }

  /** Where Vault finds GitLab's keys: by discovery, at a URL, or as given. */
  private createAuth(name: string, settings: Settings): vault.jwt.AuthBackend {
    const keys =
      settings.jwksUrl !== undefined
        ? { jwksUrl: settings.jwksUrl }
        : settings.jwtPublicKeys !== undefined
          ? { jwtValidationPubkeys: settings.jwtPublicKeys }
          : { oidcDiscoveryUrl: settings.gitlabUrl };
    return new vault.jwt.AuthBackend(
      name,
      {
        type: "jwt",
        path: settings.authPath,
        description: authDescription(settings.project, settings.stack),
        boundIssuer: settings.gitlabUrl,
        ...keys,
      },
      { parent: this },
    );
  }
}

/** The auth mount's description in Vault, by which its owner is known. */
export function authDescription(project: string, stack: string): string {
  return `Logins of GitLab jobs, managed by ${project}/${stack}`;
}

function roleName(settings: Settings): string {
  return policyName(settings.policyPrefix, settings.stack, "rotator");
}

function environmentName(stack: string): string {
  return `apisec/${stack}`;
}

/** One audience a stack, so that a token for one is no token for another at the same Vault. */
function audience(settings: Settings): string {
  // The brackets of an IPv6 address, for one, have no place in the pipeline file.
  const address = settings.vaultAddress.replaceAll(/[^A-Za-z0-9:/._~-]/g, "_");
  return `${address}/apisec/${settings.stack}`;
}

/** Where the job logs in and what it calls; "" = not set, whatever else might set it. */
function jobSettings(settings: Settings): Record<string, string> {
  const { login, probe } = settings.apisecPaths;
  const usual = login === defaultApisecPaths.login && probe === defaultApisecPaths.probe;
  return {
    VAULT_ADDR: settings.vaultAddress,
    VAULT_NAMESPACE: settings.vaultNamespace ?? "",
    VAULT_AUTH_PATH: settings.authPath,
    VAULT_AUTH_ROLE: roleName(settings),
    APISEC_MOUNT: settings.mount,
    APISEC_PATHS: usual ? "" : JSON.stringify({ login, probe }),
  };
}

function needsFile(accounts: readonly string[]): boolean {
  return accounts.join(",").length > longestVariable;
}

function pipelineText(args: TokenRotationArgs, accountsFile: string | undefined): string {
  const { settings, accounts } = args;
  return renderPipeline({
    stack: settings.stack,
    audience: audience(settings),
    image: settings.jobImage ?? defaultImage,
    minLifetime: formatDuration(args.minLifetimeSeconds),
    timeoutMinutes,
    shards: Math.max(1, Math.ceil(accounts.length / accountsPerJob)),
    accountsFile,
    settings: jobSettings(settings),
  });
}

function readScript(): string {
  const path = join(__dirname, "..", "dist", scriptPath);
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw runError("dist/rotate.mjs, the rotation job, has not been built: run `npm run build`.");
  }
}
