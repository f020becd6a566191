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
  {
    type: "gitlab:index/getProject:getProject",
    operation: "429 once",
    field: "*",
    why: "the recorder did not wait for the second try, which comes after more than 40 seconds",
  },
];
