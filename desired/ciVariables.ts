import type { Settings } from "../config/settings";
import { formatDuration } from "../core/duration";
import { pathsSetting, tokenEndsSetting } from "../job/environment";
import { scheduleGaps } from "./schedule";
import { environmentName, managedBy, policyName } from "./names";
import type { Owner } from "./names";

/** GitLab stores at most 10,000 characters in a CI variable; a longer list goes into a file. */
const longestVariable = 8_000;

/** A CI variable of the rotation project. */
export interface CiVariable {
  key: string;
  value: string;
  variableType: "env_var" | "file";
  protected: boolean;
  /** A secret: masked in GitLab's logs, and encrypted in the state. */
  masked: boolean;
  raw: boolean;
  environmentScope: string;
  description: string;
}

type JobPlace = Pick<
  Settings,
  | "project"
  | "stack"
  | "policyPrefix"
  | "vaultAddress"
  | "vaultNamespace"
  | "authPath"
  | "mount"
  | "apisecPaths"
>;

/** Where the job logs in and what it calls; "" = not set, whatever else might set it. */
export function jobSettings(settings: JobPlace): Record<string, string> {
  return {
    VAULT_ADDR: settings.vaultAddress,
    VAULT_NAMESPACE: settings.vaultNamespace ?? "",
    VAULT_AUTH_PATH: settings.authPath,
    VAULT_AUTH_ROLE: policyName(settings.policyPrefix, settings.stack, "rotator"),
    APISEC_MOUNT: settings.mount,
    APISEC_PATHS: pathsSetting(settings.apisecPaths),
  };
}

/** What the script alone tells the job. */
export function scriptSettings(
  settings: Pick<Settings, "project" | "stack" | "cron" | "cronTimezone" | "tokenEndsInVault">,
): Record<string, string> {
  // From a fixed day: what is delivered must not change with the clock.
  const from = Date.UTC(2026, 0, 5);
  const { largest } = scheduleGaps(settings.cron, settings.cronTimezone, from);
  return {
    APISEC_STACK: `${settings.project}/${settings.stack}`,
    APISEC_TOKEN_ENDS: tokenEndsSetting(settings.tokenEndsInVault),
    APISEC_LARGEST_GAP: formatDuration(largest * 3600),
  };
}

/** Whether the names of the accounts are too long for a variable. */
export function needsFile(accounts: readonly string[]): boolean {
  return accounts.join(",").length > longestVariable;
}

/** The variables of the job that rotates `accounts`: for protected branches and the stack's environment alone. */
export function ciVariables(
  settings: JobPlace & Pick<Settings, "vaultCa" | "webhookUrl" | "heartbeatUrl">,
  accounts: readonly string[],
  owner: Owner,
): CiVariable[] {
  const plain = (key: string, value: string): CiVariable => ({
    key,
    value,
    variableType: "env_var",
    protected: true,
    masked: false,
    raw: true,
    environmentScope: environmentName(settings.stack),
    // GitLab keeps no longer one.
    description: managedBy(owner).slice(0, 255),
  });
  const variables = Object.entries(jobSettings(settings))
    .filter(([, value]) => value !== "")
    .map(([key, value]) => plain(key, value));
  if (accounts.length > 0 && !needsFile(accounts)) {
    variables.push(plain("APISEC_ACCOUNTS", accounts.join(",")));
  }
  if (settings.vaultCa !== undefined) {
    variables.push({ ...plain("VAULT_CACERT", settings.vaultCa), variableType: "file" });
  }
  const addresses = {
    APISEC_WEBHOOK: settings.webhookUrl,
    APISEC_HEARTBEAT: settings.heartbeatUrl,
  };
  for (const [key, address] of Object.entries(addresses)) {
    if (address !== undefined) variables.push({ ...plain(key, address), masked: true });
  }
  return variables;
}
