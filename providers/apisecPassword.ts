import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { apisecAt } from "../core/apisec";
import type { ApisecPaths } from "../core/apisec";
import { jsonObject } from "../core/http";
import { newPassword } from "../core/newPassword";
import { changePassword } from "../core/passwordChange";
import { parseRecord, passwordKey } from "../core/passwordRecord";
import { kvStore } from "../core/vault";
import type { SecretStore } from "../core/vault";
import { axiosSend } from "./axiosTransport";

/** What `up` decides about one account's password. No field is a secret. */
export interface PasswordInputs {
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

type Stored = PasswordInputs & PasswordState;

interface Memory {
  firstPasswords: string | undefined;
}

// Shared by the provider's methods after serialisation too: an object is captured once, a variable
// once for each function.
const memory: Memory = { firstPasswords: undefined };

const clock = {
  now: () => Date.now(),
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};

/** A login is tried this often while APIsec is passing busy. */
const loginTries = 3;

/** The token that `up` works with, as the Vault CLI finds it. */
function vaultToken(): string {
  const fromEnvironment = process.env["VAULT_TOKEN"];
  if (fromEnvironment !== undefined && fromEnvironment !== "") return fromEnvironment;
  try {
    return readFileSync(join(homedir(), ".vault-token"), "utf8").trim();
  } catch {
    throw new Error("No Vault token: set VAULT_TOKEN or log in with `vault login`.");
  }
}

/** The certificate authorities that Vault is checked against, as the Vault CLI reads them. */
function vaultCa(): string | undefined {
  const file = process.env["VAULT_CACERT"];
  return file === undefined || file === "" ? undefined : readFileSync(file, "utf8");
}

function storeOf(inputs: PasswordInputs): SecretStore {
  const vault = {
    send: axiosSend({ ca: vaultCa() }),
    clock,
    address: inputs.vaultAddress,
    namespace: inputs.vaultNamespace,
    token: vaultToken(),
  };
  return kvStore(vault, inputs.mount);
}

/** The account's first password, from the stack config that `configure` was given. */
function firstPasswordOf(name: string): string | undefined {
  // Not JSON.parse: its error would quote the text.
  const all = jsonObject(memory.firstPasswords ?? "");
  const password = all?.[name];
  return typeof password === "string" && password !== "" ? password : undefined;
}

async function ensure(inputs: PasswordInputs, previousHost?: string): Promise<Stored> {
  const send = axiosSend();
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
      store: storeOf(inputs),
      mount: inputs.mount,
      apisec: (host) => apisecAt(send, host, inputs.apisecPaths, clock, loginTries),
      newPassword,
      clock,
    },
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
  const read = await storeOf(stored).read(passwordKey(stored.name));
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

/** Whether `up` has work: an input differs, or Vault's record (seen by the last refresh) is not as it should be. */
function needsWork(olds: Stored, news: PasswordInputs): boolean {
  return (
    olds.changeOpen ||
    olds.recordDeleted ||
    olds.currentGeneration < news.generation ||
    decisive.some((key) => JSON.stringify(olds[key]) !== JSON.stringify(news[key]))
  );
}

/**
 * The dynamic provider: functions only, since it is serialised into the state. `create` and `update`
 * run the same state machine, so a killed `up` is repaired by the next. Nothing is ever replaced, and
 * `delete` leaves account and secret alone: an account cannot lose its password.
 */
export const passwordProvider: pulumi.dynamic.ResourceProvider<PasswordInputs, Stored> = {
  // No await in here: the engine's host hands out the provider before this ends.
  configure: async (request) => {
    memory.firstPasswords = request.config.get("firstPasswords");
  },
  diff: async (_id, olds, news) => ({ changes: needsWork(olds, news) }),
  create: async (inputs) => ({ id: passwordKey(inputs.name), outs: await ensure(inputs) }),
  update: async (_id, olds, news) => ({ outs: await ensure(news, olds.host) }),
  read: async (id, stored) => ({ id, props: await observe(stored as Stored) }),
  delete: async () => undefined,
};

type Wrapped<T> = { [K in keyof T]: pulumi.Input<T[K]> };

/** One account's password, changed with APIsec and kept in Vault. */
export class ApisecPassword extends pulumi.dynamic.Resource {
  declare public readonly currentGeneration: pulumi.Output<number>;
  declare public readonly recordVersion: pulumi.Output<number>;
  declare public readonly changeOpen: pulumi.Output<boolean>;
  declare public readonly recordDeleted: pulumi.Output<boolean>;

  /**
   * @param name Resource name.
   * @param args See `PasswordInputs`; the first password is no input, it comes from the stack config.
   * @param opts `dependsOn` everything that must be good before the first remote change.
   */
  constructor(name: string, args: Wrapped<PasswordInputs>, opts: pulumi.CustomResourceOptions) {
    super(
      passwordProvider,
      name,
      {
        ...args,
        currentGeneration: undefined,
        recordVersion: undefined,
        changeOpen: undefined,
        recordDeleted: undefined,
      },
      opts,
      "apisec",
      "Password",
    );
  }
}
