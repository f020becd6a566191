import type { Apisec } from "../clients/apisec";
import type { KvStore } from "../clients/vault";
import type { Clock } from "../net/http";
import { loginsOf } from "./logins";
import type { LoginBook, Proof, UserLogins } from "./logins";
import { parseMark } from "./mark";
import type { Mark } from "./mark";
import type { PasswordRecord } from "./passwordRecord";

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
  /** A token with a shorter life is not published, in seconds; default one hour. */
  minLifetimeSeconds?: number | undefined;
  /** Whether Vault deletes a token before it expires (the default). */
  tokenEndsInVault?: boolean | undefined;
  /** Another account of the same organisation and host, whose token makes the change. */
  changedBy?: { name: string; username: string } | undefined;
  /** The host that the record may still name: an explicit move of the account to `host`. */
  previousHost?: string | undefined;
  /** The name this account had in this stack before: its record is copied if the new name has none. */
  renamedFrom?: string | undefined;
  /** The stack's name, for the commands that messages print. */
  stack?: string | undefined;
  /** Whose stack this is, for the mark. */
  owner?: string | undefined;
  /** Why a record must be left alone whose mark names this owner, or none. */
  useOf?: ((owner: string | undefined) => "another's" | "nobody's" | undefined) | undefined;
}

/** What a key holds beside its values. */
export interface PasswordKeys {
  /** The `custom_metadata` of a key that has no value yet. */
  mark(key: string): Promise<unknown>;
  /** Writes `custom_metadata`, whole. */
  note(key: string, texts: Record<string, string>): Promise<void>;
  /** Sets what a password's key must have: check-and-set, and no end of its versions. */
  prepare(key: string): Promise<void>;
}

/** The world of one run, as parameters. `apisec` gives the API of a host. */
export interface PasswordWorld {
  store: KvStore;
  keys: PasswordKeys;
  mount: string;
  apisec: (host: string) => Apisec;
  /** The logins of this process. */
  book: LoginBook;
  newPassword: () => string;
  clock: Clock;
  /** Who runs it, for the mark: pipeline, commit or user. */
  by?: string | undefined;
}

/** `superseded`: another run changed the password after ours, and its value is the live one. */
export interface PasswordResult {
  outcome: "verified" | "changed" | "superseded";
  generation: number;
  version: number;
  /** The key's mark does not speak of this version: whoever reads metadata sees an open change. */
  changeOpen: boolean;
  /** What people should know of a run that did its work. */
  warnings: string[];
  /** The password is well, and readers have no new token. */
  tokenFailure?: Error | undefined;
}

/** A record with an open change. */
export type Staged = PasswordRecord & { pending: NonNullable<PasswordRecord["pending"]> };

/** A password to try, and where it stands, as `Mark.refused` names it. */
export interface Candidate {
  password: string;
  label: string;
  isPending?: boolean;
}

export interface Run {
  wish: PasswordWish;
  world: PasswordWorld;
  api: Apisec;
  logins: UserLogins;
  /** As Vault held it last, with what this run has added. */
  mark: Mark;
  /** Refused logins in a row, earlier runs' included, and when the last one was. */
  row: { count: number; lastMs: number };
  hasLoggedIn: boolean;
  /** The mark of a key without a value was read. */
  hasAskedMark: boolean;
  /** Passwords that this run was told *no* for: none is tried twice. */
  refused: Set<string>;
  /** How often a found pending was refused: apart, since another run may promote it, or its change come late. */
  pendingRefused: Map<string, number>;
  /** All that this run sent or drew, to be cut out of foreign texts. */
  secrets: Set<string>;
  /** Drawn once: a lost race does not spend another. */
  drawn?: string;
  /** The last token of this run that passed who-am-I. */
  proof?: Proof;
  /** The record as it was read last. */
  seen?: PasswordRecord;
  hasWritten: boolean;
  warnings: string[];
}

export function runOf(wish: PasswordWish, world: PasswordWorld): Run {
  return {
    wish,
    world,
    api: world.apisec(wish.host),
    logins: loginsOf(world.book, wish.host, wish.username),
    mark: parseMark(undefined),
    row: { count: 0, lastMs: 0 },
    hasLoggedIn: false,
    hasAskedMark: false,
    refused: new Set(),
    pendingRefused: new Map(),
    secrets: new Set(),
    hasWritten: false,
    warnings: [],
  };
}
