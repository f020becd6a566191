import { createHmac, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** What control may change on an account. */
export const AccountSettings = z.strictObject({
  roles: z.array(z.string()),
  /** Its login answers "Service Unavailable". */
  duplicated: z.boolean().optional(),
  /** Whether a new password ends the tokens issued before it; default: the server's setting. */
  resetEndsTokens: z.boolean().optional(),
  tokenLifetimeSeconds: z.int().optional(),
});

export const NewAccount = AccountSettings.extend({
  username: z.string(),
  password: z.string(),
  org: z.strictObject({ id: z.string(), name: z.string() }),
  userId: z.string(),
  name: z.string(),
});

export const Settings = z.strictObject({
  /** Added to the clock. */
  clockOffsetMs: z.int(),
  tokenLifetimeSeconds: z.int(),
  minPasswordLength: z.int(),
  /** A regular expression: passwords that match it are refused. */
  rejectPasswords: z.string().nullable(),
  resetEndsTokens: z.boolean(),
});

export type NewAccount = z.infer<typeof NewAccount>;
export type Settings = z.infer<typeof Settings>;
export type Account = Omit<NewAccount, "password"> & {
  passwordDigest: string;
  /** Part of the key that signs this account's tokens: another epoch ends them all. */
  epoch: number;
};

export interface State {
  secret: string;
  settings: Settings;
  accounts: Account[];
}

export interface Store extends State {
  find(username: string): Account | undefined;
  /** By the organisation's and the user's id. */
  findById(orgId: string, userId: string): Account | undefined;
  add(account: NewAccount): void;
  setPassword(account: Account, password: string): void;
  isLive(account: Account, password: string): boolean;
  tokenKey(account: Account): Buffer;
  save(): void;
}

/**
 * The server's memory, kept in `dir/apisec.json` if there is a `dir`. Accounts that the file knows
 * already stay as they are there. Passwords are kept as digests only.
 */
export function openStore(dir: string | undefined, accounts: NewAccount[]): Store {
  const file = dir && join(dir, "apisec.json");
  const state: State =
    file && existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as State) : newState();
  const byName = new Map(state.accounts.map((account) => [key(account.username), account]));
  const byId = new Map(state.accounts.map((account) => [idOf(account), account]));

  function hmac(...parts: (string | number)[]): Buffer {
    return createHmac("sha256", state.secret).update(JSON.stringify(parts)).digest();
  }
  function digest(account: { username: string }, password: string): string {
    return hmac("password", account.username, password).toString("base64");
  }

  const store: Store = {
    ...state,
    find: (username) => byName.get(key(username)),
    findById: (orgId, userId) => byId.get(idOf({ org: { id: orgId }, userId })),
    add({ password, ...account }) {
      const added = { ...account, passwordDigest: digest(account, password), epoch: 0 };
      state.accounts.push(added);
      byName.set(key(account.username), added);
      byId.set(idOf(account), added);
    },
    setPassword(account, password) {
      account.passwordDigest = digest(account, password);
      if (account.resetEndsTokens ?? state.settings.resetEndsTokens) account.epoch += 1;
      store.save();
    },
    isLive: (account, password) => account.passwordDigest === digest(account, password),
    tokenKey: (account) => hmac("token", account.username, account.epoch),
    save() {
      if (!file) return;
      mkdirSync(dir, { recursive: true });
      writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
  for (const account of accounts) if (!store.find(account.username)) store.add(account);
  store.save();
  return store;
}

function newState(): State {
  return {
    secret: randomBytes(32).toString("base64"),
    settings: {
      clockOffsetMs: 0,
      tokenLifetimeSeconds: 24 * 3600,
      minPasswordLength: 8,
      rejectPasswords: null,
      resetEndsTokens: false,
    },
    accounts: [],
  };
}

function key(username: string): string {
  return username.toLowerCase();
}

function idOf({ org, userId }: { org: { id: string }; userId: string }): string {
  return JSON.stringify([org.id, userId]);
}
