import { existsSync, readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import type { ApisecPaths } from "../clients/apisec";
import { vaultTokenFile } from "../clients/vaultToken";
import { withCode } from "../core/messageCode";
import { readConfig } from "./readConfig";
import { asRunError } from "./runError";
import { secretNames, shape } from "./schema";
import type { Account, ConfigSource, Consumer, Settings } from "./settings";

/** The settings of a program that depends on this package, as its code gives them: see docs/configuration.md. */
export type SettingsInCode = Partial<
  Omit<
    { [K in keyof typeof shape]: z.input<(typeof shape)[K]> },
    "accounts" | "consumers" | "apisecPaths" | "firstPasswords" | "webhookUrl" | "heartbeatUrl"
  >
> & {
  accounts: (Pick<Account, "name" | "username"> & Partial<Account>)[];
  consumers?: Consumer[];
  apisecPaths?: Partial<ApisecPaths>;
};

/** Reads and checks the stack's configuration. Throws one RunError that lists every problem. */
export function loadConfig(): Settings {
  return load(stackSource());
}

/**
 * `loadConfig` for a program of its own: a key of the same name in its stack config goes before what its code
 * says, and the secrets stand only there. Its other keys are none of our business.
 */
export function settingsFrom(code: SettingsInCode): Settings {
  const source = stackSource();
  const prefix = `${source.project}:`;
  const inCode = Object.entries(code)
    .filter(([key, value]) => value !== undefined && !secretNames.includes(key))
    .map(([key, value]) => [
      `${prefix}${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
  const inConfig = Object.entries(source.values).filter(
    ([key]) => !key.startsWith(prefix) || Object.hasOwn(shape, key.slice(prefix.length)),
  );
  const values = Object.fromEntries([...inCode, ...inConfig]) as Record<string, string>;
  return load({ ...source, values });
}

function load(source: ConfigSource): Settings {
  const settings = asRunError(() => readConfig(source));
  const warnings = settings.warnings.map((warning) => withCode(warning, "configuration"));
  return { ...settings, warnings };
}

function stackSource(): ConfigSource {
  const values = pulumi.runtime.allConfig();
  // The SDK has its own copy by now. Left there, first passwords and secret addresses would reach every child
  // process, and whatever prints its environment.
  delete process.env["PULUMI_CONFIG"];
  return {
    project: pulumi.getProject(),
    stack: pulumi.getStack(),
    values,
    secretKeys: JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]") as string[],
    env: process.env,
    hasTokenFile: existsSync(vaultTokenFile()),
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  };
}
