import * as pulumi from "@pulumi/pulumi";
import { Consumer } from "./components/consumer";
import { GroupPolicies } from "./components/groupPolicies";
import { SecretStore } from "./components/secretStore";
import { ServiceAccount, askToForget } from "./components/serviceAccount";
import { TokenRotation } from "./components/tokenRotation";
import { loadConfig } from "./config/load";
import { bothOf } from "./config/runError";
import { ownerOf } from "./desired/ownership";
import { nextRuns } from "./desired/schedule";
import { consumerAccess } from "./desired/state";
import { tokenKeptSeconds } from "./desired/tokenLife";
import { findInGitlab } from "./checks/findInGitlab";
import { preflight } from "./checks/preflight";

// For every resource and every property the SDK notes where it was made, by errors without a message. Mapped to
// TypeScript, these take half of the time of 100 accounts and a fifth of their state. Of others, one frame is enough.
const mapped = Error.prepareStackTrace?.bind(Error);
if (mapped !== undefined && !process.env["PULUMI_DEBUG_PROMISE_LEAKS"]) {
  Error.stackTraceLimit = 1;
  Error.prepareStackTrace = (error, frames): unknown =>
    error.message === "" ? String(error) : mapped(error, frames);
}

export = async () => {
  const settings = loadConfig();
  for (const warning of settings.warnings) void pulumi.log.warn(warning);
  const [{ mountExists, groupIds }, gitlab] = await bothOf(
    preflight(settings),
    findInGitlab(settings),
  );

  const kept = tokenKeptSeconds(settings);

  const { project } = gitlab;
  const store = new SecretStore("store", {
    ...settings,
    owner: ownerOf(settings, { project }).instance,
    mountExists,
    tokenKeptSeconds: kept,
  });

  const rotation = new TokenRotation("rotation", {
    settings,
    project,
    mount: store.mount,
    policy: store.policies.rotator,
  });

  const { adminGroups, developerGroups } = settings;
  const given = { groupIds, adminGroups, developerGroups, policies: store.policies };
  const groups = groupIds.size === 0 ? [] : [new GroupPolicies("groups", given)];

  const readers = consumerAccess(settings, { project, claims: gitlab.consumers }).map(
    (access) => new Consumer(access.name, { settings, access, backend: rotation.authPath }),
  );

  const made = new Map<string, ServiceAccount>();
  const changersFirst = [...settings.accounts].sort(
    (a, b) => Number(a.changedBy !== undefined) - Number(b.changedBy !== undefined),
  );
  const { vaultNamespace, apisecPaths } = settings;
  for (const account of changersFirst) {
    const { name, changedBy } = account;
    const changer = changedBy === undefined ? undefined : made.get(changedBy);
    const serviceAccount = new ServiceAccount(name, {
      ...account,
      store,
      apisecPaths,
      changer,
      // Passwords come last: by then what they need in Vault and GitLab is known good. Who is changed by
      // another waits for that one's: each resource named here stands in the state once an account.
      after: changer === undefined ? [rotation, ...groups, ...readers] : [],
    });
    made.set(name, serviceAccount);
  }
  const accounts = [...made.values()];
  askToForget(accounts.filter((a) => settings.firstPasswordsFor.includes(a.accountName)));
  const readable = accounts.filter(({ tokenPath }) => tokenPath !== undefined);

  const inNamespace = vaultNamespace === undefined ? "" : ` -namespace=${vaultNamespace}`;
  return {
    mount: store.mount,
    passwordPaths: Object.fromEntries(accounts.map((a) => [a.accountName, a.passwordPath])),
    tokenPaths: Object.fromEntries(readable.map((a) => [a.accountName, a.tokenPath])),
    policies: store.policies,
    role: rotation.role,
    scheduleId: rotation.scheduleId,
    nextRuns: nextRuns(settings.cron, settings.cronTimezone, Date.now(), 4).map((time) =>
      new Date(time).toISOString(),
    ),
    howToReadToken: Object.fromEntries(
      readable.map((a) => [
        a.accountName,
        `vault kv get${inNamespace} -mount=${settings.mount} -field=token ${a.accountName}/token`,
      ]),
    ),
    ...(readers.length === 0
      ? {}
      : {
          consumers: Object.fromEntries(
            readers.map(({ consumerName, role, snippet }) => [consumerName, { role, snippet }]),
          ),
        }),
  };
};
