import * as pulumi from "@pulumi/pulumi";
import { isOfType, withVersion } from "./utilities";

/** The provider of the gitlab package, for settings other than the stack's `gitlab:` config. */
export class Provider extends pulumi.ProviderResource {
  /** @internal */
  public static readonly __pulumiType = "gitlab";

  public static override isInstance(obj: unknown): obj is Provider {
    return isOfType(obj, `pulumi:providers:${Provider.__pulumiType}`);
  }

  declare public readonly baseUrl: pulumi.Output<string | undefined>;
  declare public readonly cacertFile: pulumi.Output<string | undefined>;
  declare public readonly clientCert: pulumi.Output<string | undefined>;
  declare public readonly clientKey: pulumi.Output<string | undefined>;
  declare public readonly configFile: pulumi.Output<string | undefined>;
  declare public readonly context: pulumi.Output<string | undefined>;
  declare public readonly token: pulumi.Output<string | undefined>;

  constructor(name: string, args: ProviderArgs = {}, opts: pulumi.ResourceOptions = {}) {
    const { earlyAuthCheck, enableAutoCiSupport, headers, insecure, retries, token, ...texts } =
      args;
    // The engine carries provider settings as text.
    const asText = <Value>(value: pulumi.Input<Value> | undefined) =>
      value === undefined ? undefined : pulumi.output(value).apply((it) => JSON.stringify(it));
    super(
      Provider.__pulumiType,
      name,
      {
        ...texts,
        earlyAuthCheck: asText(earlyAuthCheck),
        enableAutoCiSupport: asText(enableAutoCiSupport),
        headers: asText(headers),
        insecure: asText(insecure),
        retries: asText(retries),
        token: token === undefined ? undefined : pulumi.secret(token),
      },
      pulumi.mergeOptions(withVersion(opts), { additionalSecretOutputs: ["token"] }),
    );
  }
}

export interface ProviderArgs {
  /** API address of the GitLab, else `GITLAB_BASE_URL`. */
  baseUrl?: pulumi.Input<string>;
  /** File of the CA certificate that GitLab's own is checked with. */
  cacertFile?: pulumi.Input<string>;
  /** File of the client certificate (PEM). */
  clientCert?: pulumi.Input<string>;
  /** File of the client certificate's key (PEM). */
  clientKey?: pulumi.Input<string>;
  /** Configuration file, else `GITLAB_CONFIG_FILE`. */
  configFile?: pulumi.Input<string>;
  /** Context of the configuration file. */
  context?: pulumi.Input<string>;
  /** Ask for the current user at the start (default true). */
  earlyAuthCheck?: pulumi.Input<boolean>;
  /** Take the job token in CI when there is no token. */
  enableAutoCiSupport?: pulumi.Input<boolean>;
  /** Headers of every request. */
  headers?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** Don't check GitLab's certificate. */
  insecure?: pulumi.Input<boolean>;
  /** Tries after a rate limit. */
  retries?: pulumi.Input<number>;
  /** OAuth2, project, group, personal or job token, else `GITLAB_TOKEN`. */
  token?: pulumi.Input<string>;
}
