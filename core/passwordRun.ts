import type { Apisec, Identity } from "../clients/apisec";
import type { Clock } from "../net/http";
import type { SecretStore } from "../clients/vault";

/** What is wanted of one account. */
export interface PasswordWish {
  name: string;
  username: string;
  host: string;
  organization?: string | undefined;
  /** The wanted generation, 1 or more. */
  generation: number;
  /** APIsec's first password, as long as it stands in config. */
  firstPassword?: string | undefined;
  /** Whether developers will read this account's token. */
  published: boolean;
  acceptAdminToken: boolean;
  /** Another account of the same organisation and host, whose token makes the change. */
  changedBy?: { name: string; username: string } | undefined;
  /** The host that the record may still name: an explicit move of the account to `host`. */
  previousHost?: string | undefined;
  /** The name this account had in this stack before: its record is copied if the new name has none. */
  renamedFrom?: string | undefined;
}

/** The world of one run, as parameters. `apisec` gives the API of a host. */
export interface PasswordWorld {
  store: SecretStore;
  mount: string;
  apisec: (host: string) => Apisec;
  newPassword: () => string;
  clock: Clock;
}

/** `superseded`: another run changed the password after ours, and its value is the live one. */
export interface PasswordResult {
  outcome: "verified" | "changed" | "superseded";
  generation: number;
  version: number;
}

/** A login that worked: the password where one was used, the token, and who it belongs to. */
export interface Proof {
  password?: string;
  token: string;
  who: Identity;
}

export interface Run {
  wish: PasswordWish;
  world: PasswordWorld;
  api: Apisec;
  /** Current passwords that this run was told *no* for: none is tried twice. */
  refused: Set<string>;
  /** Likewise older versions' values; apart, since another run may promote one of them to current. */
  refusedOlder: Set<string>;
  /** Likewise the passwords of the account that makes the change. */
  refusedChanger: Set<string>;
  /** How often a found pending was refused: at most twice, since a late change may land in between. */
  pendingRefused: Map<string, number>;
  /** All that this run sent or drew, to be cut out of foreign texts. */
  secrets: Set<string>;
  /** Drawn once: a lost race does not spend another. */
  drawn?: string;
  /** The last token of this run that passed who-am-I. */
  proof?: Proof;
}
