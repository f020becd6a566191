import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Settings } from "../config/settings";
import { policyName } from "../desired/names";
import { tokenKeptSeconds } from "../desired/tokenLife";
import { onceEnvironment } from "../job/environment";
import { packageFolder } from "../desired/packageFolder";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { progress } from "./progress";
import { chosenStack, stackSettings } from "./stackSettings";
import { coded, withCode } from "../core/messageCode";

const usage = `${calledFor.own("rotate", { options: "[--account scanner …]" })}      without --account: all that are published
Buys new tokens now, where the schedule cannot or is too late: the rotation job itself, run once from here with
the caller's Vault token, whose policy is the stack's rotator's or deployer's. Ends with its exit code: 0 all
rotated or kept, 1 some failed, 2 nothing tried, 3 Vault.`;

export const rotate: Command = {
  summary: "buy new tokens now, from here",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, {
      options: { stack: { type: "string" }, account: { type: "string", multiple: true } },
    });
    const settings = stackSettings(chosenStack(values.stack));
    const accounts = accountsOf(settings, values.account);
    if (!existsSync(join(packageFolder(), "dist", "rotate.mjs"))) {
      throw coded(
        "dist/rotate.mjs, the rotation job, has not been built: run `npm run build`.",
        "not-built",
      );
    }
    const { code, denied } = await runJob(settings, accounts);
    if (denied) {
      const name = policyName(settings.policyPrefix, settings.stack, "rotator");
      console.error(
        withCode(
          `Your Vault token (VAULT_TOKEN or ~/.vault-token) may not do that. It needs the policy ${name}, or the deployer's: an admin's only reads.`,
          "needs-policy",
        ),
      );
    }
    return code;
  },
};

/** The accounts to rotate; throws where one that is named is none of the stack's, or not published. */
function accountsOf(settings: Settings, named: string[] | undefined): string[] {
  const { accounts, stack } = settings;
  const published = accounts.filter(({ publishToken }) => publishToken).map(({ name }) => name);
  const wrong = (named ?? []).filter((name) => !published.includes(name));
  if (wrong.length > 0) {
    const lines = wrong.map((name) =>
      accounts.some((account) => account.name === name)
        ? `--account ${name}: its token is not published (publishToken: false), so there is none to rotate`
        : `--account ${JSON.stringify(name)}: stack ${stack} has no such account`,
    );
    const known = published.length === 0 ? "none" : published.slice(0, 20).join(", ");
    throw coded(
      `${lines.join("\n")}\nPublished accounts of stack ${stack}: ${known}`,
      "no-account",
    );
  }
  if (published.length === 0) throw coded(`Stack ${stack} publishes no token.`, "no-account");
  return named ?? published;
}

/** The job's exit code, and whether Vault denied it something. What it says is shown as it comes. */
function runJob(
  settings: Settings,
  accounts: readonly string[],
): Promise<{ code: number; denied: boolean }> {
  const child = spawn("sh", [join("job", "once.sh")], {
    cwd: packageFolder(),
    env: {
      ...process.env,
      ...onceEnvironment(settings, tokenKeptSeconds(settings)),
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const bar = progress("rotate", accounts.length);
  /** An account's line is its own, or that it failed. */
  const line = /^\S+ {2}(rotated|kept|failed) /;
  let errors = "";
  for (const name of ["stdout", "stderr"] as const) {
    createInterface({ input: child[name] }).on("line", (text) => {
      if (name === "stderr") errors += `${text}\n`;
      const print = () => process[name].write(`${text}\n`);
      if (line.test(text)) bar.done(print);
      else bar.beside(print);
    });
  }
  // A job that ends before it has read the accounts says itself why.
  child.stdin.on("error", () => undefined);
  child.stdin.end(`${accounts.join("\n")}\n`);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      bar.end();
      resolve({ code: code ?? 1, denied: errors.includes("Vault denies ") });
    });
  });
}
