import type { z } from "zod";
import type { ApisecPaths } from "../clients/apisec";
import type { accountShape, consumerShape, shape } from "./schema";

/** The project's keys, none of them wrong. */
export type Keys = z.output<z.ZodObject<typeof shape>>;

/** One service account as configured, defaults filled in. */
export interface Account extends z.output<z.ZodObject<typeof accountShape>> {
  host: string;
}

/** Pipelines that read tokens with their own ID token: those of one project, or of a group's own projects. */
export type Consumer = z.output<z.ZodObject<typeof consumerShape>>;

/**
 * The stack's whole configuration, checked. Secret are `webhookUrl`, `heartbeatUrl` and the key of `vaultClient`.
 * Durations are in seconds.
 */
export interface Settings extends Omit<
  Keys,
  "accounts" | "consumers" | "apisecPaths" | "firstPasswords"
> {
  project: string;
  stack: string;
  accounts: Account[];
  /** Accounts whose first password still stands in config. */
  firstPasswordsFor: string[];
  consumers: Consumer[];
  apisecPaths: ApisecPaths;
  vaultAddress: string;
  vaultNamespace?: string | undefined;
  /** PEM text of the certificate authorities that Vault is checked against (VAULT_CACERT). */
  vaultCa?: string | undefined;
  /** The client certificate that Vault is shown, and its key: PEM texts, for this program's own calls. */
  vaultClient?: { cert: string; key: string } | undefined;
  gitlabUrl: string;
  warnings: string[];
}

/** What config is read from: the raw values, which of them are secret, and the environment. */
export interface ConfigSource {
  project: string;
  stack: string;
  /** All keys with their namespace, such as `apisec-credentials:mount`; objects as JSON text. */
  values: Record<string, string>;
  secretKeys: readonly string[];
  env: Record<string, string | undefined>;
  hasTokenFile: boolean;
  /** Reads a file; throws where it cannot. */
  readText: (path: string) => string;
  /** Milliseconds since 1970. */
  now: number;
}
