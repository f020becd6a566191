import * as pulumi from "@pulumi/pulumi";
import { firstRun } from "./components/firstRun";
import { GroupPolicies } from "./components/groupPolicies";
import { stackOutputs } from "./components/outputs";
import { preflight } from "./components/preflight";
import { registered } from "./components/registered";
import { SecretStore } from "./components/secretStore";
import { askToForget, serviceAccounts } from "./components/serviceAccount";
import { shortenStackTraces } from "./components/stackTraces";
import { TokenConsumer } from "./components/tokenConsumer";
import { accountList, TokenRotation } from "./components/tokenRotation";
import { loadConfig } from "./config/load";
import { jobFingerprint } from "./desired/firstRun";
import { desiredState } from "./desired/state";

shortenStackTraces();

export = async () => {
  const settings = loadConfig();
  for (const warning of settings.warnings) void pulumi.log.warn(warning);
  const { mountExists, project, ...facts } = await preflight(settings);
  const { vault, gitlab, accounts } = desiredState(settings, { project, ...facts });

  const store = new SecretStore("store", { ...vault, mountExists });
  const rotation = new TokenRotation("rotation", {
    ...vault,
    ...gitlab,
    project,
    files: gitlab.files ?? [],
    mountPath: store.mount,
    policy: store.policies.rotator,
  });
  // What a preview's tokens do not see yet is not registered: preflight has said so.
  const known = vault.groups.filter(({ id }) => id !== undefined);
  const groups =
    known.length === 0
      ? []
      : [new GroupPolicies("groups", { groups: known, policies: store.policyResources })];
  const consumers = vault.consumers
    .filter(({ name }) => facts.claims.has(name))
    .map(
      (consumer) => new TokenConsumer(consumer.name, { ...consumer, backend: rotation.authPath }),
    );
  await registered(rotation);
  const made = serviceAccounts(accounts, [...store.ready, rotation, ...groups, ...consumers]);
  const lists = accountList("rotation", project, gitlab, made);
  if (settings.firstRun !== "off" && gitlab.schedule.active) {
    firstRun("first-run", {
      stack: settings.stack,
      gitlabUrl: settings.gitlabUrl,
      project: project.id,
      schedule: rotation.scheduleId,
      waits: settings.firstRun === "wait",
      caFile: pulumi.runtime.allConfig()["gitlab:cacertFile"],
      fingerprint: jobFingerprint({ vault, gitlab }, settings),
      after: [...made, ...lists],
    });
  }
  askToForget(made.filter((account) => settings.firstPasswordsFor.includes(account.accountName)));
  return stackOutputs(store, rotation, made, consumers);
};
