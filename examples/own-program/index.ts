import { SecretStore } from "apisec-credentials/components/secretStore";
import { ServiceAccount } from "apisec-credentials/components/serviceAccount";
import { TokenRotation } from "apisec-credentials/components/tokenRotation";
import { settingsFrom } from "apisec-credentials/config";
import { findInGitlab } from "apisec-credentials/findInGitlab";
import { preflight } from "apisec-credentials/preflight";
import { admin, scanner } from "./accounts";

export = async () => {
  const accounts = [admin, scanner];
  const settings = settingsFrom({ accounts, gitlabProject: "platform/apisec-rotation" });
  // Both only read, and stop the program before anything is registered.
  const { mountExists } = await preflight(settings);
  const { project } = await findInGitlab(settings);

  const store = new SecretStore("apisec", {
    accounts,
    mountExists,
    vaultAddress: settings.vaultAddress,
    vaultNamespace: settings.vaultNamespace,
  });
  const rotation = new TokenRotation("apisec", {
    settings,
    project,
    mount: store.mount,
    policy: store.policies.rotator,
  });

  const common = {
    store,
    host: settings.apisecUrl,
    // Passwords come last: by then what they need is known good.
    after: [rotation],
  };
  const changer = new ServiceAccount(admin.name, { ...common, ...admin });
  const account = new ServiceAccount(scanner.name, { ...common, ...scanner, changer });

  return { tokenPath: account.tokenPath, scheduleId: rotation.scheduleId };
};
