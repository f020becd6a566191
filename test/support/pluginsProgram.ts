import * as command from "@pulumi/command";
import * as gitlab from "@pulumi/gitlab";
import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";

/** What the test of the stand-in plugins hands to this Pulumi program, as JSON. */
export interface ProgramSettings {
  issuer: string;
  secret: string;
  keys: vault.jwt.AuthBackendArgs;
  run: number;
  /** Adds a second auth mount. */
  otherKeys?: vault.jwt.AuthBackendArgs | undefined;
  /** Gives this identity group a policy. */
  groupId?: string | undefined;
  /** Imports this schedule, and things with the name "old". */
  scheduleToImport?: number;
}

const settings = JSON.parse(process.env.PROGRAM_SETTINGS ?? "{}") as ProgramSettings;

const mount = new vault.Mount("mount", { path: "apisec", type: "kv", options: { version: "2" } });
const policy = new vault.Policy("policy", {
  name: "developer",
  policy: pulumi.interpolate`path "${mount.path}/data/*" { capabilities = ["read"] }`,
});
const auth = new vault.jwt.AuthBackend("auth", {
  path: "gitlab",
  boundIssuer: settings.issuer,
  ...settings.keys,
});
const role = new vault.jwt.AuthBackendRole("role", {
  backend: pulumi.interpolate`${auth.path}`,
  roleName: "rotator",
  roleType: "jwt",
  userClaim: "project_id",
  boundAudiences: ["http://vault"],
  boundClaims: { project_id: "1", ref: "main" },
  tokenPolicies: [policy.name],
  tokenTtl: 600,
  tokenNoDefaultPolicy: true,
});
const project = gitlab.getProjectOutput({ pathWithNamespace: "sec/rotator.x" });
new gitlab.ProjectVariable("variable", {
  project: project.id,
  key: "SECRET",
  value: pulumi.secret(settings.secret),
  protected: true,
});
new gitlab.RepositoryFile("file", {
  project: project.id,
  branch: project.defaultBranch,
  filePath: ".gitlab-ci.yml",
  content: "rotate: {script: [node rotate.mjs]}\n",
  encoding: "text",
  commitMessage: "Deliver the pipeline [skip ci]",
});
const schedule = new gitlab.PipelineSchedule("schedule", {
  project: project.id,
  description: "rotate",
  ref: "refs/heads/main",
  cron: "17 */6 * * *",
  takeOwnership: true,
});

const hello = new command.local.Command(
  "greeting",
  {
    create: 'echo "hello $NAME"',
    environment: { NAME: pulumi.secret(settings.secret) },
    logging: "none",
    triggers: [settings.run],
  },
  { dependsOn: role, additionalSecretOutputs: ["stdout"] },
);

if (settings.otherKeys !== undefined) {
  new vault.jwt.AuthBackend("other", { path: "other", ...settings.otherKeys });
}

if (settings.groupId !== undefined) {
  const { groupId } = settings;
  new vault.identity.GroupPolicies("group", {
    groupId,
    exclusive: false,
    policies: [policy.name],
  });
}

if (settings.scheduleToImport !== undefined) {
  new vault.Policy("old", { name: "old", policy: 'path "x" {}' }, { import: "old" });
  new vault.jwt.AuthBackendRole(
    "old",
    {
      backend: "gitlab",
      roleName: "old",
      roleType: "jwt",
      userClaim: "sub",
      boundAudiences: ["a"],
    },
    { import: "auth/gitlab/role/old" },
  );
  new gitlab.ProjectVariable(
    "old",
    { project: "1", key: "OLD", value: "v", environmentScope: "prod" },
    { import: "1:OLD:prod" },
  );
  new gitlab.PipelineSchedule(
    "old",
    { project: "1", description: "old", ref: "refs/heads/main", cron: "0 3 * * *" },
    { import: `1:${settings.scheduleToImport}` },
  );
}

export const groupId = gitlab.getGroup({ fullPath: "sec" }).then((group) => group.groupId);
export const scheduleId = schedule.pipelineScheduleId;
export const owner = schedule.owner;
export const greeting = hello.stdout;
