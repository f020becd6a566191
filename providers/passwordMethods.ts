import { apisecAt } from "../clients/apisec";
import type { ApisecPaths } from "../clients/apisec";
import { jsonObject, systemClock } from "../net/http";
import { differingKeys, setKeys } from "../clients/keySettings";
import { passwordKeySettings } from "../desired/keySettings";
import { newPassword } from "../core/newPassword";
import { changePassword } from "../core/passwordChange";
import { parseRecord, passwordKey } from "../core/passwordRecord";
import { kvStore } from "../clients/vault";
import type { VaultConnection } from "../clients/vault";
import { proxyTo } from "../net/proxy";
import { axiosSend } from "../net/axiosTransport";
import { connect } from "../clients/connect";
import type { VaultPlace } from "../clients/connect";

/** What `up` decides about one account's password. No field is a secret. */
export interface PasswordInputs extends VaultPlace {
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
  apisecPaths: ApisecPaths;
}

/** What Vault's record says; never the password. */
export interface PasswordState {
  /** The generation of the password in the record, 0 while it is still APIsec's first one. */
  currentGeneration: number;
  recordVersion: number;
  /** A change was staged and not proven yet: the next `up` goes on with it. */
  changeOpen: boolean;
  recordDeleted: boolean;
}

export type Stored = PasswordInputs & PasswordState;

/** The stack config's `firstPasswords` as JSON text: it comes this way and never as an input. */
let firstPasswords: string | undefined;

/** A login is tried this often while APIsec is passing busy. */
const loginTries = 3;

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

async function ensure(
  vault: VaultConnection,
  inputs: PasswordInputs,
  previousHost?: string,
): Promise<Stored> {
  const send = axiosSend({ proxyFor: proxyTo });
  const result = await changePassword(
    {
      name: inputs.name,
      username: inputs.username,
      host: inputs.host,
      organization: inputs.organization,
      generation: inputs.generation,
      firstPassword: firstPasswordOf(inputs.name),
      published: inputs.published,
      acceptAdminToken: inputs.acceptAdminToken,
      changedBy: inputs.changedBy,
      previousHost,
      renamedFrom: inputs.renamedFrom,
    },
    {
      store: kvStore(vault, inputs.mount),
      mount: inputs.mount,
      apisec: (host) => apisecAt(send, host, inputs.apisecPaths, systemClock, loginTries),
      newPassword,
      clock: systemClock,
    },
  );
  tell(
    inputs,
    `its password, generation ${result.generation}, logs in; Vault holds it at ${inputs.mount}/${passwordKey(inputs.name)}, version ${result.version}.`,
  );
  return {
    ...inputs,
    currentGeneration: result.generation,
    recordVersion: result.version,
    changeOpen: false,
    recordDeleted: false,
  };
}

/** Only what Vault's record says: one GET, no login. Unreachable is an error, never "gone". */
async function observe(stored: Stored): Promise<Stored> {
  const read = await kvStore(connect(stored), stored.mount).read(passwordKey(stored.name));
  if (read.state !== "found") {
    return { ...stored, recordDeleted: true };
  }
  const record = parseRecord(read);
  return {
    ...stored,
    currentGeneration: record?.generation ?? 0,
    recordVersion: read.version,
    changeOpen: record?.pending !== undefined,
    recordDeleted: record === undefined,
  };
}

/** An `up` of this resource alone (`--target`) leaves the settings of its key out: no first value without them. */
async function setKey(
  vault: VaultConnection,
  { name, mount }: Pick<PasswordInputs, "name" | "mount">,
): Promise<void> {
  const key = new Map([[passwordKey(name), passwordKeySettings]]);
  const differing = await differingKeys(vault, mount, key);
  if (differing.size > 0) await setKeys(vault, mount, key);
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

/** Why `up` has work although no input differs: what the last refresh saw in Vault. */
function unfinished(olds: Stored): string | undefined {
  if (olds.recordDeleted) return "the last refresh found its password record deleted or unreadable";
  if (olds.changeOpen) return "the last refresh found a password change that is not finished";
  if (olds.currentGeneration < olds.generation) {
    return `the last refresh found generation ${olds.currentGeneration} of its password, not ${olds.generation}`;
  }
  return undefined;
}

/** Whether `up` has work. What the engine's own diff cannot show is said. */
function needsWork(olds: Stored, news: PasswordInputs): boolean {
  const reason = unfinished(olds);
  if (reason !== undefined) tell(news, `${reason}: \`pulumi up\` sees to it.`);
  return (
    reason !== undefined ||
    decisive.some((key) => JSON.stringify(olds[key]) !== JSON.stringify(news[key]))
  );
}

/**
 * What the dynamic provider does, as one object: see apisecPassword.ts. `create` and `update` run the
 * same state machine, so a killed `up` is repaired by the next. Nothing is ever replaced.
 */
export const passwordMethods = {
  // No await in here: the engine's host hands out the provider before this ends.
  configure: async (request: { config: { get(key: string): string | undefined } }) => {
    firstPasswords = request.config.get("firstPasswords");
  },
  diff: async (_id: string, olds: Stored, news: PasswordInputs) => ({
    changes: needsWork(olds, news),
  }),
  create: async (inputs: PasswordInputs) => {
    const vault = connect(inputs);
    await setKey(vault, inputs);
    return { id: passwordKey(inputs.name), outs: await ensure(vault, inputs) };
  },
  update: async (_id: string, olds: Stored, news: PasswordInputs) => ({
    outs: await ensure(connect(news), news, olds.host),
  }),
  read: async (id: string, stored: Stored) => {
    try {
      return { id, props: await observe(stored) };
    } catch (error) {
      // The engine says it once more: its host need not print ten lines of stack before.
      (error as Error).stack = "";
      throw error;
    }
  },
  delete: async (_id: string, stored: Stored) => {
    const path = `${stored.mount}/${passwordKey(stored.name)}`;
    tell(stored, `its password stays as it is, at APIsec and in Vault at ${path}.`);
  },
};
