import { existsSync } from "node:fs";
import type { Finding } from "../finding";
import { isObject, jsonObject } from "../../net/http";
import { pulumi } from "./commands";
import type { StackFile } from "./stackFile";

/** Pulumi's state: logged in, the stack is there, its secrets can be opened. */
export async function examineBackend(stack: string, file: StackFile): Promise<Finding[]> {
  const who = await pulumi(["whoami", "--json"]);
  if ("problem" in who) {
    // A missing command is said where the tools are.
    if (who.code === "ENOENT") return [];
    return [
      { what: "backend", state: "problem", found: who.problem, fix: "pulumi login <address>" },
    ];
  }
  const { user, url } = jsonObject(who.text) ?? {};
  // No password of a database, no key in a query.
  const address = String(url)
    .replace(/\/\/[^/]*@/, "//…@")
    .replace(/\?.*/, "");
  return [
    { what: "backend", state: "ok", found: `${address}, as ${String(user)}` },
    await examineStack(stack),
    passphrase(file, process.env),
  ];
}

async function examineStack(stack: string): Promise<Finding> {
  const what = `stack ${stack}`;
  const said = await pulumi(["stack", "ls", "--json"]);
  if ("problem" in said) return { what, state: "problem", found: said.problem };
  const stacks: unknown = JSON.parse(said.text);
  const names = (Array.isArray(stacks) ? stacks : [])
    .filter(isObject)
    .map(({ name }) => String(name));
  const isThere = names.some((name) => name === stack || name.endsWith(`/${stack}`));
  return isThere
    ? { what, state: "ok", found: "is there" }
    : {
        what,
        state: "problem",
        found: "is not in this backend",
        fix: `pulumi stack init ${stack}`,
      };
}

/** Whether Pulumi can open the stack's secrets without asking. */
export function passphrase(
  { needsPassphrase }: Pick<StackFile, "needsPassphrase">,
  env: Record<string, string | undefined>,
): Finding {
  const what = "passphrase";
  if (!needsPassphrase) {
    return { what, state: "ok", found: "not needed, as far as the stack's file says" };
  }
  const file = env["PULUMI_CONFIG_PASSPHRASE_FILE"];
  if (env["PULUMI_CONFIG_PASSPHRASE"] !== undefined) {
    return { what, state: "ok", found: "PULUMI_CONFIG_PASSPHRASE is set" };
  }
  if (file !== undefined && existsSync(file)) {
    return { what, state: "ok", found: `PULUMI_CONFIG_PASSPHRASE_FILE is ${file}` };
  }
  if (file !== undefined) {
    const found = `PULUMI_CONFIG_PASSPHRASE_FILE is ${file}, which is not there`;
    const fix = "export PULUMI_CONFIG_PASSPHRASE_FILE=<file>";
    return { what, state: "problem", found, fix };
  }
  return {
    what,
    state: "warning",
    found: "is not set: Pulumi asks for it, and fails where nobody can answer",
    fix: "export PULUMI_CONFIG_PASSPHRASE_FILE=<file>",
  };
}
