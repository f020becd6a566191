import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import type { ConsumerAccess } from "../desired/state";
import { jobLogin } from "./jobLogin";

export interface TokenConsumerArgs extends Omit<ConsumerAccess, "name"> {
  /** The JWT auth mount. */
  backend: pulumi.Input<string>;
}

/** Pipelines of a GitLab project, or of a group's projects, that read tokens with their own ID token. */
export class TokenConsumer extends pulumi.ComponentResource {
  public readonly consumerName: string;
  /** Name of the Vault role, and of its policy. */
  public readonly role: pulumi.Output<string>;
  /** What a job's `.gitlab-ci.yml` needs, for the first of the accounts. */
  public readonly snippet: pulumi.Output<string>;
  /** The job that scans with it. */
  public readonly scanJob: pulumi.Output<string>;

  constructor(name: string, args: TokenConsumerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("apisec:index:Consumer", name, {}, opts);
    const { policy, role, snippet, scanJob, backend } = args;
    this.consumerName = name;
    const readsTokens = new vault.Policy(
      `consumer-${name}`,
      { name: policy.name, policy: policy.text },
      { parent: this },
    );
    const login = jobLogin(
      `consumer-${name}`,
      { role, backend, policy: readsTokens.name },
      { parent: this },
    );
    this.role = login.roleName;
    // Not before the role is there.
    this.snippet = login.roleName.apply(() => snippet);
    this.scanJob = login.roleName.apply(() => scanJob);
    this.registerOutputs({ role: this.role });
  }
}
