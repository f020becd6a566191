import { SecretStore } from "apisec-credentials/components/secretStore";
import { serviceAccounts } from "apisec-credentials/components/serviceAccount";
import { accountList, TokenRotation } from "apisec-credentials/components/tokenRotation";
import { loadConfig } from "apisec-credentials/config";
import { desiredState } from "apisec-credentials/desiredState";
import { preflight } from "apisec-credentials/preflight";

export = async () => {
  const settings = loadConfig();
  // Only reads, and stops the program before anything is registered.
  const { mountExists, project, ...facts } = await preflight(settings);
  const wanted = desiredState(settings, { project, ...facts });

  const store = new SecretStore("apisec", { ...wanted.vault, mountExists });
  const rotation = new TokenRotation("apisec", {
    ...wanted.vault,
    ...wanted.gitlab,
    project,
    files: wanted.gitlab.files ?? [],
    mountPath: store.mount,
    policy: store.policies.rotator,
  });
  // Passwords come last: by then what they need is known good.
  const made = serviceAccounts(wanted.accounts, [...store.ready, rotation]);
  accountList("apisec", project, wanted.gitlab, made);
  const published = made.find(({ token }) => token !== undefined);

  return { tokenPath: published?.token?.path, scheduleId: rotation.scheduleId };
};
