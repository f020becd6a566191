import { existsSync, readFileSync } from "node:fs";
import { configIn, readYaml } from "../config/stackFiles";
import { programFolder, stackFilePath } from "../desired/packageFolder";
import { isObject } from "../net/http";

/** What `Pulumi.<stack>.yaml` says beside the settings; no secret is opened. */
export interface StackFile {
  /** Accounts whose first password stands in it. */
  firstPasswords: string[];
  /** They stand there as one secret: the names are encrypted, too. */
  hiddenFirstPasswords: boolean;
  /** Whether the stack's secrets are encrypted with a passphrase. */
  needsPassphrase: boolean;
  /** By which a passphrase can be tried. */
  encryptionSalt?: string | undefined;
  gitlab: { tokenInConfig: boolean; caFile: string | undefined };
}

/** Reads the file; one that is not there, or that is no YAML, says nothing (`stackSettings` complains). */
export function readStackFile(stack: string, folder = programFolder()): StackFile {
  const path = stackFilePath(stack, folder);
  const content = existsSync(path) ? readYaml(readFileSync(path, "utf8")) : {};
  const config = configIn(content);
  // Whose project the key is of does not matter: there is one.
  const given = Object.entries(config).find(([key]) => key.endsWith(":firstPasswords"))?.[1];
  const hiddenFirstPasswords = isObject(given) && typeof given["secure"] === "string";
  const caFile = config["gitlab:cacertFile"];
  const provider = content["secretsprovider"];
  const salt = content["encryptionsalt"];
  return {
    firstPasswords: isObject(given) && !hiddenFirstPasswords ? Object.keys(given) : [],
    hiddenFirstPasswords,
    needsPassphrase: provider === "passphrase" || (provider === undefined && salt !== undefined),
    encryptionSalt: typeof salt === "string" ? salt : undefined,
    gitlab: {
      tokenInConfig: config["gitlab:token"] !== undefined,
      caFile: typeof caFile === "string" ? caFile : undefined,
    },
  };
}
