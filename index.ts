import * as pulumi from "@pulumi/pulumi";
import { findInGitlab } from "./checks/findInGitlab";
import type { RotationProject } from "./desired/facts";
import { preflight } from "./checks/preflight";
import { GroupPolicies } from "./components/groupPolicies";
import { stackOutputs } from "./components/outputs";
import { SecretStore } from "./components/secretStore";
import { askToForget, serviceAccounts } from "./components/serviceAccount";
import { shortenStackTraces } from "./components/stackTraces";
import { TokenConsumer } from "./components/tokenConsumer";
import { TokenRotation } from "./components/tokenRotation";
import { loadConfig } from "./config/load";
import { bothOf } from "./config/runError";
import { desiredState } from "./desired/state";

shortenStackTraces();

export = async () => {
  const settings = loadConfig();
  for (const warning of settings.warnings) void pulumi.log.warn(warning);
  const inGitlab = findInGitlab(settings);
  // Its problems are listed below; whose things in Vault are can be said only with it.
  const rotationProject = inGitlab.then(
    (found) => found.project,
    (refused: { project?: RotationProject }) => refused.project,
  );
  const [{ mountExists, groupIds }, { project, consumers: claims }] = await bothOf(
    preflight(settings, rotationProject),
    inGitlab,
  );
  const { vault, gitlab, accounts } = desiredState(settings, { project, claims, groupIds });

  const store = new SecretStore("store", { ...vault, mountExists });
  const rotation = new TokenRotation("rotation", {
    ...vault,
    ...gitlab,
    project,
    files: gitlab.files ?? [],
    mountPath: store.mount,
    policy: store.policies.rotator,
  });
  const groups =
    vault.groups.length === 0
      ? []
      : [new GroupPolicies("groups", { groups: vault.groups, policies: store.policyResources })];
  const consumers = vault.consumers.map(
    (consumer) => new TokenConsumer(consumer.name, { ...consumer, backend: rotation.authPath }),
  );
  const made = serviceAccounts(accounts, [...store.ready, rotation, ...groups, ...consumers]);
  askToForget(made.filter((account) => settings.firstPasswordsFor.includes(account.accountName)));
  return stackOutputs(store, rotation, made, consumers);
};
