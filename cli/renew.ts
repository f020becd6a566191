import { readFileSync, writeFileSync } from "node:fs";
import { passwordOf } from "../checks/accounts";
import { inOrder } from "../checks/inOrder";
import { keyState } from "../checks/keys";
import type { KeyState } from "../checks/keys";
import { ageOf } from "../checks/passwords";
import { span } from "../checks/time";
import { worldOf } from "../checks/world";
import { callersVault } from "../clients/callers";
import { withGenerations } from "../config/generations";
import type { Account } from "../config/settings";
import { printed } from "../core/printed";
import { runner, stackFilePath } from "../desired/packageFolder";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, projectName, stackName, stackSettings } from "./stackSettings";
import { coded } from "../core/messageCode";

const usage = `${calledFor.own("renew", { options: "--due" })}        every account whose password is older than passwordMaxAge
       ${calledFor.own("renew", { options: "--account scanner …" })}
Raises passwordGeneration of these accounts in the stack's file, so that the next \`pulumi up\` changes their passwords:
a merge request shows what will happen. Ages are read in Vault, with the monitor's or deployer's token; no secret.`;

export const renew: Command = {
  summary: "have passwords changed by the next `pulumi up`: those that are due",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, {
      options: {
        stack: { type: "string" },
        due: { type: "boolean", default: false },
        account: { type: "string", multiple: true },
      },
    });
    if (values.due === (values.account !== undefined)) {
      throw coded(`Which passwords? Name accounts, or --due.\nUsage: ${usage}`, "usage");
    }
    const stack = chosenStack(values.stack);
    const lines = await raise(stack, values.account);
    for (const line of lines) console.log(line);
    return 0;
  },
};

/** Writes the stack's file; gives what was done, a line an account. Throws before anything is written. */
async function raise(stack: string, named: readonly string[] | undefined): Promise<string[]> {
  const settings = stackSettings(stack);
  const { accounts, passwordMaxAge } = settings;
  if (named === undefined && passwordMaxAge === undefined) {
    throw coded(
      `Stack ${stack} has no passwordMaxAge: set how old a password may become with \`${printed(stack, runner()).pulumi("config set passwordMaxAge 90d")}\`.`,
      "no-max-age",
    );
  }
  for (const name of named ?? []) {
    if (accounts.some((account) => account.name === name)) continue;
    throw coded(
      `--account ${JSON.stringify(name)}: stack ${stack} has no such account`,
      "no-account",
    );
  }
  const vault = callersVault(settings);
  const world = worldOf({ time: "after", settings, vault, gitlab: undefined, stack });
  const looked = accounts.filter(({ name }) => named?.includes(name) ?? true);
  const maxAge = named === undefined ? passwordMaxAge : undefined;
  const rows = await inOrder(looked, async (account) =>
    rowOf(account, await keyState(world, passwordOf(account)), maxAge, world.now),
  );
  const raised = new Map(
    rows.flatMap(({ name, generation }) => (generation === undefined ? [] : [[name, generation]])),
  );
  const lines = rows.flatMap(({ line }) => line ?? []);
  if (raised.size === 0) return [...lines, "No password is due: nothing was written."];
  const path = stackFilePath(stackName(stack));
  writeFileSync(path, withGenerations(readFileSync(path, "utf8"), projectName(), raised));
  return [
    ...lines,
    `\nTo change ${raised.size === 1 ? "it" : "them"}: \`${world.print.pulumi("up")}\``,
  ];
}

/** What becomes of one account; `maxAge` in seconds: only where its password is older. */
function rowOf(
  { name, passwordGeneration }: Account,
  state: KeyState,
  maxAge: number | undefined,
  now: number,
): { name: string; generation?: number; line?: string } {
  if (state.newest === undefined) {
    const line = `${name}  has no record in Vault yet`;
    return maxAge === undefined ? { name, line } : { name };
  }
  const { changedAt, isKnown } = ageOf(state);
  const age = `changed ${isKnown ? "" : "at least "}${span(now - changedAt)} ago`;
  if (maxAge !== undefined && now - changedAt <= maxAge * 1000) return { name };
  if (maxAge !== undefined && state.openSince !== undefined) {
    return {
      name,
      line: `${name}  ${age}, and a change is open: the next \`pulumi up\` finishes it`,
    };
  }
  const generation = Math.max(passwordGeneration, state.mark.generation ?? 0) + 1;
  return {
    name,
    generation,
    line: `${name}  passwordGeneration ${passwordGeneration} -> ${generation}, ${age}`,
  };
}
