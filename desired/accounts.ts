import type { Settings } from "../config/settings";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import { tokenKeySettings } from "./keySettings";
import type { KeySettings } from "./keySettings";
import type { Owner } from "./names";
import { deletedAfterSeconds, tokenKeptSeconds } from "./tokenLife";

/** What `up` decides about one account's password and token: the inputs of its resource. No field is a secret. */
export interface AccountInputs {
  name: string;
  username: string;
  host: string;
  organization?: string | undefined;
  generation: number;
  changedBy?: { name: string; username: string } | undefined;
  acceptAdminToken: boolean;
  published: boolean;
  renamedFrom?: string | undefined;
  mount: string;
  vaultAddress: string;
  vaultNamespace?: string | undefined;
  apisecPaths: Settings["apisecPaths"];
  /** Whose stack this is, as its marks in Vault name it. */
  owner: Owner;
  /** Whether other stacks use the mount, too. */
  sharedMount: boolean;
  /** A token with a shorter life is not published, in seconds. */
  minLifetimeSeconds: number;
  /** What is set on the key of a published token before its first value. */
  tokenSettings: KeySettings;
}

/** An account, and where its secrets lie. */
export interface DesiredAccount {
  inputs: AccountInputs;
  /** API path of the password in Vault. */
  passwordPath: string;
  /** API path of the access token in Vault, and the command that reads it; undefined where it is not published. */
  token: { path: string; howToRead: string } | undefined;
}

/** The stack's accounts, each after the one that changes its password. */
export function desiredAccounts(settings: Settings, owner: Owner): DesiredAccount[] {
  const usernames = new Map(settings.accounts.map(({ name, username }) => [name, username]));
  const { mount, vaultAddress, vaultNamespace, apisecPaths } = settings;
  const common = {
    mount,
    vaultAddress,
    vaultNamespace,
    apisecPaths,
    owner,
    sharedMount: settings.shareMount || !settings.createMount,
    minLifetimeSeconds: tokenKeptSeconds(settings),
    tokenSettings: tokenKeySettings(deletedAfterSeconds(settings)),
  };
  const accounts = settings.accounts.map((account): DesiredAccount => {
    const { passwordGeneration, publishToken, changedBy, ...rest } = account;
    const changer = changedBy === undefined ? undefined : usernames.get(changedBy);
    return {
      inputs: {
        ...rest,
        ...common,
        generation: passwordGeneration,
        published: publishToken,
        changedBy:
          changedBy === undefined || changer === undefined
            ? undefined
            : { name: changedBy, username: changer },
      },
      passwordPath: `${mount}/data/${passwordKey(account.name)}`,
      token: publishToken ? tokenOf(settings, account.name) : undefined,
    };
  });
  const isChanged = ({ inputs }: DesiredAccount) => Number(inputs.changedBy !== undefined);
  return accounts.sort((a, b) => isChanged(a) - isChanged(b));
}

function tokenOf({ mount, vaultNamespace }: Settings, name: string): DesiredAccount["token"] {
  const inNamespace = vaultNamespace === undefined ? "" : ` -namespace=${vaultNamespace}`;
  const key = tokenKey(name);
  return {
    path: `${mount}/data/${key}`,
    howToRead: `vault kv get${inNamespace} -mount=${mount} -field=token ${key}`,
  };
}
