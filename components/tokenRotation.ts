import * as gitlab from "@pulumi/gitlab";
import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { CiVariable } from "../desired/ciVariables";
import type { RotationProject } from "../desired/facts";
import type { ProjectFile } from "../desired/projectFiles";
import type { DesiredState } from "../desired/state";
import { jobLogin } from "./jobLogin";

type Wanted = DesiredState["vault"] & DesiredState["gitlab"];

export interface TokenRotationArgs extends Pick<
  Wanted,
  "schedule" | "variables" | "authMount" | "rotator"
> {
  project: RotationProject;
  files: readonly ProjectFile[];
  /** The KV mount, once it is there. */
  mountPath: pulumi.Input<string>;
  /** The policy of the job's Vault token, once it is there. */
  policy: pulumi.Input<string>;
}

function ciVariable(
  name: string,
  project: RotationProject,
  { value, ...variable }: Omit<CiVariable, "value"> & { value: pulumi.Input<string> },
  opts: pulumi.CustomResourceOptions,
): gitlab.ProjectVariable {
  return new gitlab.ProjectVariable(
    `${name}-${variable.key.toLowerCase().replaceAll("_", "-")}`,
    { project: project.id, ...variable, value: variable.masked ? pulumi.secret(value) : value },
    opts,
  );
}

function repositoryFile(
  name: string,
  project: RotationProject,
  { kind, path, retained, ...file }: ProjectFile,
  opts: pulumi.CustomResourceOptions,
): gitlab.RepositoryFile {
  return new gitlab.RepositoryFile(
    `${name}-${kind}`,
    { project: project.id, filePath: path, ...file, encoding: "text", overwriteOnCreate: true },
    { ...opts, retainOnDelete: retained },
  );
}

/**
 * The variable, or for many accounts the file, that names the accounts to rotate: written once all of them have their
 * passwords.
 */
export function accountList(
  name: string,
  project: RotationProject,
  { variables, files = [] }: Pick<Wanted, "variables" | "files">,
  accounts: readonly pulumi.Resource[],
): pulumi.Resource[] {
  const opts = {
    dependsOn: [...accounts],
    // The accounts wait for the component: the list cannot be in it any more.
    aliases: [{ parent: pulumi.createUrn(name, "apisec:index:TokenRotation") }],
  };
  return [
    ...variables.filter(namesAccounts).map((variable) => ciVariable(name, project, variable, opts)),
    ...files.filter(listsAccounts).map((file) => repositoryFile(name, project, file, opts)),
  ];
}

const namesAccounts = ({ key }: CiVariable) => key === "APISEC_ACCOUNTS";
const listsAccounts = ({ kind }: ProjectFile) => kind === "accounts";

/** The GitLab side: the schedule that rotates the tokens, its job, and the job's login at Vault. */
export class TokenRotation extends pulumi.ComponentResource {
  public readonly scheduleId: pulumi.Output<number>;
  /** Name of the Vault role that the job logs in with. */
  public readonly role: pulumi.Output<string>;
  /** The JWT auth mount of GitLab's jobs. */
  public readonly authPath: pulumi.Output<string>;

  constructor(name: string, args: TokenRotationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:TokenRotation", name, {}, opts);
    const files = args.files.filter((file) => !listsAccounts(file));
    const schedule = new gitlab.PipelineSchedule(
      name,
      { project: args.project.id, ...args.schedule, takeOwnership: true },
      { parent: this, dependsOn: this.createFiles(name, args.project, files) },
    );
    this.scheduleId = schedule.pipelineScheduleId;
    const variables = args.variables.filter((variable) => !namesAccounts(variable));
    this.createVariables(name, { ...args, variables });
    this.authPath = args.authMount.owned
      ? this.createAuth(name, args.authMount)
      : pulumi.output(args.authMount.path);
    this.role = jobLogin(
      name,
      {
        role: args.rotator,
        claims: { user_id: schedule.owner.apply(String) },
        backend: this.authPath,
        policy: args.policy,
      },
      { parent: this },
    ).roleName;
    this.registerOutputs({ scheduleId: this.scheduleId, role: this.role });
  }

  /** Each file stands before the one that calls for it. Gives the last one. */
  private createFiles(
    name: string,
    project: RotationProject,
    files: readonly ProjectFile[],
  ): gitlab.RepositoryFile[] {
    let last: gitlab.RepositoryFile[] = [];
    for (const file of files) {
      last = [repositoryFile(name, project, file, { parent: this, dependsOn: last })];
    }
    return last;
  }

  private createVariables(
    name: string,
    {
      project,
      mountPath,
      variables,
    }: Pick<TokenRotationArgs, "project" | "mountPath"> & {
      variables: readonly CiVariable[];
    },
  ): void {
    for (const variable of variables) {
      // The mount is there before the variable that names it.
      const value = variable.key === "APISEC_MOUNT" ? mountPath : variable.value;
      ciVariable(name, project, { ...variable, value }, { parent: this });
    }
  }

  private createAuth(
    name: string,
    { path, description, keys }: Wanted["authMount"],
  ): pulumi.Output<string> {
    const auth = new vault.jwt.AuthBackend(
      name,
      { type: "jwt", path, description, ...keys },
      { parent: this },
    );
    return auth.path.apply((made) => made ?? path);
  }
}
