import { existsSync, readFileSync } from "node:fs";
import { isObject, jsonObject } from "../net/http";
import { pulumi } from "./commands";
import { about } from "./finding";
import type { Finding } from "./finding";
import { opensSalt } from "./passphrase";
import { readStackFile } from "./stackFile";
import type { StackFile } from "./stackFile";
import type { World } from "./world";

/** Pulumi's state: logged in, the stack is there, its secrets can be opened. */
export async function checkBackend({
  settings,
  print,
}: Pick<World, "print"> & { settings: { stack: string } }): Promise<Finding[]> {
  const { stack } = settings;
  const it = about("backend", "backend");
  const who = await pulumi(["whoami", "--json"]);
  if ("problem" in who) {
    // A missing command is said where the tools are.
    if (who.code === "ENOENT") return [];
    return [it.problem(who.problem, "pulumi login <address>")];
  }
  const { user, url } = jsonObject(who.text) ?? {};
  // No password of a database, no key in a query.
  const address = String(url)
    .replace(/\/\/[^/]*@/, "//…@")
    .replace(/\?.*/, "");
  return [
    it.ok(`${address}, as ${String(user)}`),
    await checkStackThere(stack, print),
    passphrase(readStackFile(stack), process.env),
  ];
}

async function checkStackThere(stack: string, print: World["print"]): Promise<Finding> {
  const it = about("stack", `stack ${stack}`);
  const said = await pulumi(["stack", "ls", "--json"]);
  if ("problem" in said) return it.problem(said.problem);
  const stacks: unknown = JSON.parse(said.text);
  const names = (Array.isArray(stacks) ? stacks : [])
    .filter(isObject)
    .map(({ name }) => String(name));
  const isThere = names.some((name) => name === stack || name.endsWith(`/${stack}`));
  return isThere
    ? it.ok("is there")
    : it.problem("is not in this backend", print.pulumi("stack init").replace("--stack ", ""));
}

const exportFile = "export PULUMI_CONFIG_PASSPHRASE_FILE=<file>";

/** Whether Pulumi can open the stack's secrets without asking: a passphrase is set, and it is this stack's. */
export function passphrase(
  { needsPassphrase, encryptionSalt }: Pick<StackFile, "needsPassphrase" | "encryptionSalt">,
  env: Record<string, string | undefined>,
): Finding {
  const it = about("passphrase", "passphrase");
  if (!needsPassphrase) return it.ok("not needed, as far as the stack's file says");
  const file = env["PULUMI_CONFIG_PASSPHRASE_FILE"];
  const direct = env["PULUMI_CONFIG_PASSPHRASE"];
  if (direct === undefined && file === undefined) {
    return it.warning(
      "is not set: Pulumi asks for it, and fails where nobody can answer",
      exportFile,
    );
  }
  if (direct === undefined && file !== undefined && !existsSync(file)) {
    return it.problem(`PULUMI_CONFIG_PASSPHRASE_FILE is ${file}, which is not there`, exportFile);
  }
  const found =
    direct === undefined
      ? `PULUMI_CONFIG_PASSPHRASE_FILE is ${file}`
      : "PULUMI_CONFIG_PASSPHRASE is set";
  const text = direct ?? readFileSync(file ?? "", "utf8").trim();
  return encryptionSalt === undefined || opensSalt(encryptionSalt, text) !== false
    ? it.ok(found)
    : it.problem(`${found}, and is not this stack's`, exportFile);
}
