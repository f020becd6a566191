import { defaultApisecPaths } from "../clients/apisec";
import type { ApisecPaths } from "../clients/apisec";
import type { Settings } from "../config/settings";
import { passwordKey, tokenKey } from "../core/passwordRecord";
import type { Owner } from "./names";
import { tokenKeptSeconds } from "./tokenLife";

/**
 * What `up` decides about one account's password and token: the inputs of its resource. No field is a secret. Optional
 * fields are left out where they have their default: the engine sends, logs and keeps each value several times an
 * account.
 */
export interface AccountInputs {
  name: string;
  username: string;
  host: string;
  organization?: string | undefined;
  generation: number;
  changedBy?: { name: string; username: string } | undefined;
  acceptAdminToken?: boolean | undefined;
  published: boolean;
  renamedFrom?: string | undefined;
  mount: string;
  vaultAddress: string;
  vaultNamespace?: string | undefined;
  /** Those that differ from `defaultApisecPaths`. */
  apisecPaths?: Partial<ApisecPaths> | undefined;
  /** Whose stack this is, as its marks in Vault name it. */
  owner: Owner;
  /** Whether other stacks use the mount, too. */
  sharedMount?: boolean | undefined;
  /** A token with a shorter life is not published, in seconds. */
  minLifetimeSeconds: number;
  /** False: Vault keeps a token after that time, too, and `expires_at` alone says its end. */
  tokenEndsInVault?: boolean | undefined;
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
  const { mount, vaultAddress, vaultNamespace } = settings;
  const common = {
    mount,
    vaultAddress,
    vaultNamespace,
    apisecPaths: differingPaths(settings.apisecPaths),
    owner,
    sharedMount: settings.shareMount || !settings.createMount || undefined,
    minLifetimeSeconds: tokenKeptSeconds(settings),
    tokenEndsInVault: settings.tokenEndsInVault ? undefined : false,
  };
  const accounts = settings.accounts.map((account): DesiredAccount => {
    const { passwordGeneration, publishToken, changedBy, acceptAdminToken, ...rest } = account;
    const changer = changedBy === undefined ? undefined : usernames.get(changedBy);
    return {
      inputs: {
        ...rest,
        ...common,
        acceptAdminToken: acceptAdminToken || undefined,
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

function differingPaths(paths: ApisecPaths): Partial<ApisecPaths> | undefined {
  const differing = Object.entries(paths).filter(
    ([call, path]) => path !== defaultApisecPaths[call as keyof ApisecPaths],
  );
  return differing.length === 0 ? undefined : Object.fromEntries(differing);
}

function tokenOf({ mount, vaultNamespace }: Settings, name: string): DesiredAccount["token"] {
  const inNamespace = vaultNamespace === undefined ? "" : ` -namespace=${vaultNamespace}`;
  const key = tokenKey(name);
  return {
    path: `${mount}/data/${key}`,
    howToRead: `vault kv get${inNamespace} -mount=${mount} -field=token ${key}`,
  };
}
