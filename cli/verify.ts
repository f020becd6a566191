import { policyName } from "../desired/names";
import { passwordKeySettings } from "../desired/keySettings";
import { apisecAt } from "../clients/apisec";
import { callersVault } from "../clients/callers";
import { passwordKeys } from "../clients/keySettings";
import { kvStore } from "../clients/vault";
import type { VaultError } from "../clients/vault";
import type { Settings } from "../config/settings";
import { eachOf } from "../core/eachOf";
import { newPassword } from "../core/newPassword";
import type { PasswordWorld } from "../core/passwordRun";
import { verifyPassword } from "../core/verifyPassword";
import type { Verification } from "../core/verifyPassword";
import { systemClock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { progress } from "./progress";
import { chosenStack, stackSettings } from "./stackSettings";
import { coded, shown, withCode } from "../core/messageCode";

const usage = `${calledFor.own("verify", { options: "[--account scanner …] [--now]" })}
Does APIsec take the passwords that Vault has? One login for each account, at most one a day unless --now, and none
while a change is open or after refused logins. Notes the result beside the password, where \`check\` reads it; changes
nothing else. Needs a Vault token with the stack's policy -verifier, or the deployer's.
Exit code: 0 all well or not due, 1 an answer that proves nothing, 2 a password was refused, or Vault does not answer.`;

const atOnce = 4;
const tries = 2;

/** As a line shows it; the width is that of the longest. */
const words: Record<Verification["kind"], string> = {
  verified: "verified ",
  refused: "REFUSED  ",
  unknown: "unknown  ",
  skipped: "not tried",
};

export const verify: Command = {
  summary: "does APIsec take the passwords that Vault has?",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, {
      options: {
        stack: { type: "string" },
        account: { type: "string", multiple: true },
        now: { type: "boolean", default: false },
      },
    });
    const settings = stackSettings(chosenStack(values.stack));
    const kinds = await verifyAll(settings, values.account, values.now);
    if (kinds.includes("refused") || kinds.includes("failed")) return 2;
    return kinds.includes("unknown") ? 1 : 0;
  },
};

type Kind = Verification["kind"] | "failed";

/** A line for each account as it comes. */
async function verifyAll(
  settings: Settings,
  named: readonly string[] | undefined,
  isForced: boolean,
): Promise<Kind[]> {
  const { accounts, stack, policyPrefix } = settings;
  const unknownName = named?.find((name) => !accounts.some((account) => account.name === name));
  if (unknownName !== undefined) {
    throw coded(
      `--account ${JSON.stringify(unknownName)}: stack ${stack} has no such account`,
      "no-account",
    );
  }
  const chosen = accounts.filter(({ name }) => named?.includes(name) ?? true);
  const width = Math.max(...chosen.map(({ name }) => name.length)) + 2;
  const world = worldOf(settings);
  const kinds: Kind[] = [];
  let isDenied = false;
  const bar = progress("verify", chosen.length);
  await eachOf(chosen, atOnce, async (account) => {
    const name = account.name.padEnd(width);
    try {
      const result = await verifyPassword(account, world, isForced);
      kinds.push(result.kind);
      bar.done(() => {
        console.log(
          `${name}${words[result.kind]}${"why" in result ? `  ${result.why}` : ""}`.trimEnd(),
        );
        for (const warning of "warnings" in result ? result.warnings : []) {
          console.error(`${name}warning    ${warning}`);
        }
      });
    } catch (error) {
      kinds.push("failed");
      isDenied ||= (error as VaultError).problem === "denied";
      bar.done(() => console.error(`${name}failed     ${shown(error as Error)}`));
    }
  });
  bar.end();
  if (isDenied) {
    const name = policyName(policyPrefix, stack, "verifier");
    console.error(
      withCode(`Your Vault token needs the policy ${name}, or the deployer's.`, "needs-policy"),
    );
  }
  return kinds;
}

function worldOf(settings: Settings): PasswordWorld {
  const vault = callersVault(settings);
  const send = nodeSend({ proxyFor: proxyTo });
  return {
    store: kvStore(vault, settings.mount),
    keys: passwordKeys(vault, settings.mount, passwordKeySettings),
    mount: settings.mount,
    apisec: (host) => apisecAt(send, host, settings.apisecPaths, systemClock, tries),
    book: new Map(),
    newPassword,
    clock: systemClock,
  };
}
