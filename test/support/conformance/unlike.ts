/** Where a stand-in is not like the official plugin, and why that may be. */
export interface Unlike {
  type: string;
  /** The operation, or `fault N` counted from 1; `*`: every one of the type, while it is being worked on. */
  operation: string;
  /** Such as requests, diff, outputs; `*`: any. */
  field: string;
  why: string;
}

export const unlike: Unlike[] = [
  {
    type: "pulumi:providers:vault",
    operation: "VAULT_SKIP_VERIFY",
    field: "error",
    why: "the program refuses the variable; the product's transport, which the stand-in uses, verifies always",
  },
  ...[
    "gitlab:index/getGroup:getGroup",
    "gitlab:index/getProject:getProject",
    "gitlab:index/getRepositoryFile:getRepositoryFile",
    "gitlab:index/pipelineSchedule:PipelineSchedule",
    "gitlab:index/projectVariable:ProjectVariable",
    "gitlab:index/repositoryFile:RepositoryFile",
    "pulumi:providers:gitlab",
  ].map((type) => ({ type, operation: "*", field: "*", why: "not brought in line yet" })),
];
