import { userInfo } from "node:os";
import { apisecAt, defaultApisecPaths } from "../clients/apisec";
import { axiosSend } from "../net/axiosTransport";
import { jsonObject, systemClock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { differingKeys, passwordKeys, setKeys } from "../clients/keySettings";
import type { AccountInputs } from "../desired/accounts";
import { passwordKeySettings, tokenKeySettings } from "../desired/keySettings";
import { managedBy, ownerText } from "../desired/names";
import { ownershipOf, useOfRecord } from "../desired/ownership";
import type { PasswordWish } from "../core/passwordRun";
import { coded, shown } from "../core/messageCode";
import { newPassword } from "../core/newPassword";
import { changePassword } from "../core/passwordChange";
import type { LoginBook } from "../core/logins";
import { parseMark } from "../core/mark";
import { parseRecord, passwordKey, tokenKey } from "../core/passwordRecord";
import { kvStore } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { connect } from "../clients/connect";
import { wasSet } from "./keySettingsMethods";
import { withShownErrors } from "./shownErrors";

/** Inputs that states from before version 0.1 do not have. */
type LaterInputs = "owner" | "minLifetimeSeconds";

/** What `up` decides about one account, as this and older programs say it. */
export type PasswordInputs = Omit<AccountInputs, LaterInputs> &
  Partial<Pick<AccountInputs, LaterInputs>>;

/** With the defaults that inputs leave out: older states have all of them. */
function whole(inputs: PasswordInputs) {
  return {
    ...inputs,
    acceptAdminToken: inputs.acceptAdminToken ?? false,
    tokenEndsInVault: inputs.tokenEndsInVault ?? true,
    apisecPaths: { ...defaultApisecPaths, ...inputs.apisecPaths },
  };
}

/** What Vault's record says; never the password. */
export interface PasswordState {
  /** The generation of the password in the record, 0 while it is still APIsec's first one. */
  currentGeneration: number;
  recordVersion: number;
  /** A change was staged and not proven yet, or the key's mark does not say that it is over: the next `up` sees to it. */
  changeOpen: boolean;
  recordDeleted: boolean;
  /** The password was changed, and readers have no token of it. */
  tokenStale?: boolean | undefined;
}

export type Stored = PasswordInputs & PasswordState;

/** The stack config's `firstPasswords` as JSON text: it comes this way and never as an input. */
let firstPasswords: string | undefined;

/** The logins of this process, which serves one `up`: APIsec counts them by user. */
const book: LoginBook = new Map();

/** All accounts of an `up` share its connections. */
const apisecSend = axiosSend({ proxyFor: proxyTo });

/** A call of APIsec's is tried this often while it is passing busy; a login only where no connection was made. */
const apisecTries = 3;

/** The account's first password, from the stack config that `configure` was given. */
function firstPasswordOf(name: string): string | undefined {
  // Not JSON.parse: its error would quote the text.
  const all = jsonObject(firstPasswords ?? "");
  const password = all?.[name];
  return typeof password === "string" && password !== "" ? password : undefined;
}

/** The engine shows what its provider process prints. */
function tell({ name }: PasswordInputs, what: string): void {
  // eslint-disable-next-line no-console
  console.log(`Account ${name}: ${what}`);
}

/** Who runs this, for the mark in Vault: the pipeline, or the user. */
function runBy(): string {
  return process.env["CI_PIPELINE_URL"] ?? userInfo().username;
}

/** What is said of the owner in a mark, and which record is left alone. */
function ownership(
  { name, owner, sharedMount = false }: PasswordInputs,
  state: Stored | undefined,
): Pick<PasswordWish, "owner" | "useOf"> {
  if (owner === undefined) return {};
  const known = {
    formerOwner: state?.owner,
    isKnown: state !== undefined || !sharedMount,
    hasFirstPassword: firstPasswordOf(name) !== undefined,
  };
  return {
    owner: ownerText(owner),
    useOf: (found) => useOfRecord(owner, { owner: found, ...known }),
  };
}

/** What `state` is known of the account before: nothing where it is new to it. */
async function ensure(
  vault: VaultConnection,
  inputs: PasswordInputs,
  state?: Stored,
): Promise<Stored> {
  const { acceptAdminToken, tokenEndsInVault, apisecPaths } = whole(inputs);
  const result = await changePassword(
    {
      name: inputs.name,
      username: inputs.username,
      host: inputs.host,
      organization: inputs.organization,
      generation: inputs.generation,
      firstPassword: firstPasswordOf(inputs.name),
      published: inputs.published,
      acceptAdminToken,
      changedBy: inputs.changedBy,
      previousHost: state?.host,
      renamedFrom: inputs.renamedFrom,
      minLifetimeSeconds: inputs.minLifetimeSeconds,
      tokenEndsInVault,
      stack: inputs.owner?.stack,
      ...ownership(inputs, state),
    },
    {
      store: kvStore(vault, inputs.mount),
      keys: passwordKeys(vault, inputs.mount, passwordKeySettings),
      mount: inputs.mount,
      apisec: (host) => apisecAt(apisecSend, host, apisecPaths, systemClock, apisecTries),
      book,
      newPassword,
      clock: systemClock,
      by: runBy(),
    },
  );
  for (const warning of result.warnings) tell(inputs, `warning: ${warning}`);
  tell(
    inputs,
    `its password, generation ${result.generation}, logs in; Vault holds it at ${inputs.mount}/${passwordKey(inputs.name)}, version ${result.version}.`,
  );
  const { tokenFailure } = result;
  const stored: Stored = {
    ...inputs,
    currentGeneration: result.generation,
    recordVersion: result.version,
    changeOpen: result.changeOpen,
    recordDeleted: false,
    tokenStale: tokenFailure !== undefined,
  };
  if (tokenFailure === undefined) return stored;
  // The engine keeps the state of a resource whose error says what it is, and updates it in the next `up`.
  const message = shown(tokenFailure);
  throw Object.assign(new Error(message), {
    id: passwordKey(inputs.name),
    properties: stored,
    reasons: [message],
  });
}

/** Only what Vault's record says: one GET, no login. Unreachable is an error, never "gone". */
async function observe(stored: Stored): Promise<Stored> {
  const read = await kvStore(connect(stored), stored.mount).read(passwordKey(stored.name));
  if (read.state !== "found") {
    return { ...stored, recordDeleted: true };
  }
  const record = parseRecord(read);
  const { version: seen } = parseMark(read.custom);
  return {
    ...stored,
    currentGeneration: record?.generation ?? 0,
    recordVersion: read.version,
    // Without a mark nothing but a pending says so: records of older versions have none.
    changeOpen: record?.pending !== undefined || (seen !== undefined && seen !== read.version),
    recordDeleted: record === undefined,
  };
}

/** An `up` of this resource alone (`--target`) leaves the settings of its keys out: no first value without them. */
async function setAccountKeys(vault: VaultConnection, inputs: PasswordInputs): Promise<void> {
  const { name, mount, published, minLifetimeSeconds: kept, tokenEndsInVault } = whole(inputs);
  const all = new Map([[passwordKey(name), passwordKeySettings]]);
  if (published && kept !== undefined) {
    all.set(tokenKey(name), tokenKeySettings(tokenEndsInVault ? kept : undefined));
  }
  const keys = new Map([...all].filter(([key, settings]) => !wasSet(inputs, mount, key, settings)));
  const differing = await differingKeys(vault, mount, keys);
  const wrong = [...keys].filter(([key]) => differing.has(key));
  if (wrong.length > 0) await setKeys(vault, mount, new Map(wrong));
}

const decisive = [
  "name",
  "username",
  "host",
  "organization",
  "generation",
  "changedBy",
  "acceptAdminToken",
  "published",
  "mount",
  "vaultAddress",
  "vaultNamespace",
  "apisecPaths",
] as const;

/**
 * Raised to a number that the record has already, a generation would do nothing. A record that is ahead of the
 * state only is a killed run's: that change is done.
 */
function refuseUsedGeneration(olds: Stored, news: PasswordInputs): void {
  const { currentGeneration } = olds;
  if (news.generation <= olds.generation || news.generation > currentGeneration) return;
  throw oneLine(
    coded(
      `Account ${news.name} has generation ${currentGeneration} of its password already, so that passwordGeneration ${news.generation} would change nothing. Set it to ${currentGeneration + 1}.`,
      "used-generation",
    ),
  );
}

/** The engine says an error once more: its host need not print ten lines of stack before. */
function oneLine(error: Error): Error {
  error.stack = "";
  return error;
}

/** Why `up` has work although no input differs: what the last refresh saw in Vault. */
function unfinished(olds: Stored): string | undefined {
  if (olds.recordDeleted) return "the last refresh found its password record deleted or unreadable";
  if (olds.changeOpen) return "as far as Vault says, a change of its password is not finished";
  if (olds.tokenStale) return "its readers have no token of the newest password";
  if (olds.currentGeneration < olds.generation) {
    return `the last refresh found generation ${olds.currentGeneration} of its password, not ${olds.generation}`;
  }
  return undefined;
}

/** A renamed stack, or one whose project of GitLab is another: its former name is in the record's mark. */
function isHandedOver({ owner: former }: Stored, { owner }: PasswordInputs): boolean {
  if (former === undefined || owner === undefined) return false;
  return ownershipOf(owner, managedBy(former)) === "another";
}

/** Whether `up` has work. What the engine's own diff cannot show is said. */
function needsWork(olds: Stored, news: PasswordInputs): boolean {
  const reason = isHandedOver(olds, news)
    ? "its record in Vault is marked with this stack's former name"
    : unfinished(olds);
  if (reason !== undefined) tell(news, `${reason}: \`pulumi up\` sees to it.`);
  const [before, after] = [whole(olds), whole(news)];
  return (
    reason !== undefined ||
    decisive.some((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
  );
}

/**
 * What the dynamic provider does, as one object: see apisecPassword.ts. `create` and `update` run the
 * same state machine, so a killed `up` is repaired by the next. Nothing is ever replaced.
 */
export const passwordMethods = withShownErrors({
  // No await in here: the engine's host hands out the provider before this ends.
  configure: async (request: { config: { get(key: string): string | undefined } }) => {
    firstPasswords = request.config.get("firstPasswords");
  },
  diff: async (_id: string, olds: Stored, news: PasswordInputs) => {
    refuseUsedGeneration(olds, news);
    return { changes: needsWork(olds, news) };
  },
  create: async (inputs: PasswordInputs) => {
    const vault = connect(inputs);
    await setAccountKeys(vault, inputs);
    return { id: passwordKey(inputs.name), outs: await ensure(vault, inputs) };
  },
  update: async (_id: string, olds: Stored, news: PasswordInputs) => ({
    outs: await ensure(connect(news), news, olds),
  }),
  read: async (id: string, stored: Stored) => {
    try {
      return { id, props: await observe(stored) };
    } catch (error) {
      throw oneLine(error as Error);
    }
  },
  delete: async (_id: string, stored: Stored) => {
    const path = `${stored.mount}/${passwordKey(stored.name)}`;
    tell(stored, `its password stays as it is, at APIsec and in Vault at ${path}.`);
  },
});
