import { encodePath } from "../clients/vault";
import type { VaultError } from "../clients/vault";
import { differences } from "../core/differences";
import { foreignText } from "../core/redact";
import { authKeys } from "../desired/authMount";
import { authDescription } from "../desired/names";
import { askVault } from "./attempt";
import { about } from "./finding";
import type { Finding } from "./finding";
import { handOver } from "./mount";
import { ofNamesake, ownOwner, textOf, whose } from "./owner";
import { snakeCase } from "./roles";
import type { World } from "./world";

/** The auth mount of GitLab's jobs: JWT, this stack's where it owns it, and then with the keys as declared. */
export function checkAuthMount(world: World): Promise<Finding[]> {
  const { settings, print, time } = world;
  const { authPath, createAuth, gitlabUrl } = settings;
  const it = about("auth-mount", `auth mount ${authPath}/`);
  return askVault(world, it, async () => {
    const found = await world.look(`sys/mounts/auth/${encodePath(authPath)}`);
    if (found === undefined) return [missing(world)];
    if (found["type"] !== "jwt") {
      const type = foreignText(String(found["type"]), []);
      return [it.problem(`is of type ${type}, expected jwt`, "choose another authPath")];
    }
    if (!createAuth) return [await issuerFinding(world)];
    const ours = authDescription(await ownOwner(world));
    const description = textOf(found["description"]);
    const mark = await whose(world, found["description"]);
    if (mark !== "ours") {
      const tune = `vault auth tune -description="${ours}" ${authPath}/`;
      if (mark === "namesake") {
        const choose = "set createAuth to false to use it, or choose another authPath";
        const { found: of, fix } = ofNamesake(description, choose, tune);
        return [it.problem(of, fix)];
      }
      if (time === "after") return [it.problem("is not described as this stack's", tune)];
      const fix = `set createAuth to false to use it, or choose another authPath${handOver(settings, description, tune)}`;
      return [it.problem("exists and is not this stack's", fix)];
    }
    if (time !== "after") return [it.ok("is this stack's")];
    const config = (await world.look(`auth/${encodePath(authPath)}/config`)) ?? {};
    // Any other source of keys would let others log in.
    const none = { oidcDiscoveryUrl: "", jwksUrl: "", jwtValidationPubkeys: [] };
    const wrong = differences(snakeCase({ ...none, ...authKeys(settings) }), config);
    return wrong.length === 0
      ? [it.ok(`JWT, with the keys of ${gitlabUrl}`)]
      : [it.problem(wrong.join("; "), print.pulumi("up --refresh"))];
  });
}

/** The settings that a write of `bound_issuer` has to name again: Vault replaces all of them. */
const issuerSettings = ["oidc_discovery_url", "jwks_url", "default_role"];

/**
 * A mount of others takes ID tokens of another issuer where it is from the time of CI_JOB_JWT: every login is refused,
 * and nothing but a job sees it. Who may not read it is told by the first run.
 */
async function issuerFinding(world: World): Promise<Finding> {
  const { authPath, gitlabUrl } = world.settings;
  const it = about("auth-mount", `auth mount ${authPath}/`);
  const path = `auth/${encodePath(authPath)}/config`;
  const config = await world.look(path).catch((error: unknown) => {
    if ((error as VaultError).problem === "denied") return undefined;
    throw error;
  });
  const issuer = textOf(config?.["bound_issuer"]);
  if (issuer === "" || issuer === gitlabUrl) return it.ok("JWT; its keys are its owner's");
  const kept = issuerSettings.flatMap((name) => {
    const value = textOf(config?.[name]);
    return value === "" ? [] : [`${name}=${value}`];
  });
  const write = ["vault write", `auth/${authPath}/config`, `bound_issuer=${gitlabUrl}`, ...kept];
  const fix = `as its owner, with all its other settings: \`${write.join(" ")}\``;
  const only = `takes ID tokens of ${issuer} alone`;
  const refuses = `and GitLab's are of ${gitlabUrl}: it refuses every job`;
  // A GitLab that Vault cannot reach may name another address as its tokens' issuer; none names one without a scheme.
  return /^https?:/.test(issuer)
    ? it.warning(`${only}, ${refuses}, unless GitLab has that as \`ci_id_tokens_issuer_url\``, fix)
    : it.problem(`${only}, ${refuses}`, fix);
}

function missing({ time, settings, print }: World): Finding {
  const { authPath, createAuth } = settings;
  const it = about("auth-mount", `auth mount ${authPath}/`);
  if (time === "after") return it.problem("is not there", print.pulumi("up --refresh"));
  return createAuth
    ? it.ok("is not there yet: `pulumi up` makes it")
    : it.problem(
        "does not exist and createAuth is false",
        `enable it with \`vault auth enable -path=${authPath} jwt\`, or set createAuth to true`,
      );
}
