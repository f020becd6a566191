import type { Readable } from "node:stream";
import { projectOf } from "../checks/gitlabFacts";
import { readStackFile } from "../checks/stackFile";
import { worldOf } from "../checks/world";
import { callersGitlab, callersVault } from "../clients/callers";
import { writeFirstRecord } from "../clients/firstRecord";
import type { VaultError } from "../clients/vault";
import type { Account, Settings } from "../config/settings";
import { passwordKey } from "../core/passwordRecord";
import { printed } from "../core/printed";
import { passwordKeySettings } from "../desired/keySettings";
import { mountDescription, ownerText } from "../desired/names";
import type { Owner } from "../desired/names";
import { ownerOf } from "../desired/ownership";
import { runner } from "../desired/packageFolder";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, stackSettings } from "./stackSettings";
import { coded } from "../core/messageCode";

const usage = `${calledFor.own("hand-over", { options: "--account scanner" })}
Asks for the password that APIsec mailed (a line of standard input, where that is no terminal) and writes it into Vault as
the account's first record: it is in no file, no stack config and no state of Pulumi's. \`pulumi up\` changes it. Needs a
Vault token with the policy that this prints:
  ${calledFor.own("policy", { of: "handover", options: "--account scanner", isPiped: true })}`;

const options = { stack: { type: "string" }, account: { type: "string" } } as const;

export const handOver: Command = {
  summary: "write an account's first password into Vault, for `pulumi up` to change",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, { options });
    const stack = chosenStack(values.stack);
    const settings = stackSettings(stack);
    const account = settings.accounts.find(({ name }) => name === values.account);
    if (account === undefined) {
      const known = settings.accounts.map(({ name }) => name).join(", ");
      throw coded(
        `Whose first password? Stack ${stack} has no account ${values.account ?? ""}: --account is one of ${known}`,
        "no-account",
      );
    }
    const owner = await ownOwner(settings, stack);
    const password = await askFor(`First password of ${account.name}: `, process.stdin);
    await write(settings, stack, account, owner, password);
    console.log(
      `${settings.mount}/${passwordKey(account.name)} holds the first password of ${account.name}. Next: ${printed(stack, runner()).pulumi("up")}`,
    );
    return 0;
  },
};

async function write(
  settings: Settings,
  stack: string,
  account: Account,
  owner: Owner,
  password: string,
): Promise<void> {
  const { mount, policyPrefix } = settings;
  const { name, username, host, organization = "" } = account;
  const key = passwordKey(name);
  const print = printed(stack, runner());
  const become = await writeFirstRecord(
    callersVault(settings),
    mount,
    key,
    { settings: passwordKeySettings, custom: { owner: ownerText(owner) } },
    { username, password, host, organization, generation: 0, changed_at: "" },
    [password],
  ).catch((error: VaultError) => {
    if (error.problem !== "denied" || error.isTokenUnknown === true) throw error;
    const policy = print.own("policy", {
      of: "handover",
      options: `--account ${name}`,
      isPiped: true,
    });
    throw coded(
      `${error.message}. It takes the policy of this account's hand-over:\n  ${policy} | vault policy write ${policyPrefix}-${settings.stack}-handover-${name} -`,
      "needs-policy",
    );
  });
  switch (become) {
    case "written":
      return;
    case "exists":
      throw coded(
        `${mount}/${key} is there already: nothing was written. \`${print.pulumi("up")}\` goes on from it; a first password that APIsec refuses is corrected with \`${print.pulumi(`config set --secret --path 'firstPasswords.${name}'`)}\``,
        "is-there",
      );
    case "no mount":
      throw coded(
        `Vault at ${settings.vaultAddress} has no mount ${mount}/ yet: nothing was written. ${mountCommand(settings, owner)}`,
        "no-mount",
      );
    case "not version 2":
      throw coded(
        `Mount ${mount}/ at ${settings.vaultAddress} is not KV version 2: nothing was written. Choose another \`mount\`.`,
        "no-mount",
      );
  }
}

/** `pulumi up` takes up the mount that bears its mark. */
function mountCommand({ createMount, mount }: Settings, owner: Owner): string {
  const enable = `vault secrets enable -path=${mount} -version=2`;
  if (!createMount) return `Have its owner make it: ${enable} kv`;
  if (owner.instance === undefined) {
    return "Set GITLAB_TOKEN (read_api) and run this again: it then prints the command that makes the mount, whose description names the rotation project by its id.";
  }
  return `Have Vault's admin make it:\n  ${enable} -description="${mountDescription(owner)}" kv\nthen run this again.`;
}

/**
 * This stack as the owner of the record. Where others use the mount, too, only the whole mark keeps them from it, or
 * `up` from taking it for theirs.
 */
async function ownOwner(settings: Settings, stack: string): Promise<Owner> {
  const { gitlabProject, shareMount, createMount } = settings;
  if (/^\d+$/.test(gitlabProject)) {
    return ownerOf(settings, { project: { id: gitlabProject, uri: "", pipelineFile: "" } });
  }
  const { caFile } = readStackFile(settings.stack).gitlab;
  const world = worldOf({
    time: "before",
    settings,
    stack,
    vault: callersVault(settings),
    gitlab: callersGitlab(settings, process.env["GITLAB_TOKEN"], caFile),
  });
  const isShared = shareMount || !createMount;
  const project = await projectOf(world).catch((error: Error) => {
    if (isShared) throw error;
    return undefined;
  });
  if (project === undefined && isShared) {
    throw coded(
      `GitLab shows no project ${gitlabProject}: the mark of a record in a shared mount names it by its id.`,
      "hidden-project",
    );
  }
  return ownerOf(settings, { project });
}

/**
 * One line: from a terminal, without showing it, or from what is piped in. Throws where it is empty, or holds what no
 * password does.
 */
export async function askFor(
  question: string,
  input: Readable & { isTTY?: boolean; setRawMode?: (isRaw: boolean) => unknown },
): Promise<string> {
  const isTerminal = input.isTTY === true;
  if (isTerminal) process.stderr.write(question);
  input.setRawMode?.(true);
  try {
    const line = await firstLine(input, isTerminal);
    if (line === "")
      throw coded("The first password is empty: nothing was written.", "no-password");
    if (/\p{Cc}/u.test(line)) {
      throw coded(
        "The first password holds a control character: nothing was written.",
        "no-password",
      );
    }
    return line;
  } finally {
    input.setRawMode?.(false);
    input.pause();
    if (isTerminal) process.stderr.write("\n");
  }
}

async function firstLine(input: Readable, isTerminal: boolean): Promise<string> {
  let line = "";
  input.setEncoding("utf8");
  for await (const chunk of input) {
    for (const character of String(chunk)) {
      if (character === "\n" || (isTerminal && character === "\r")) return line.replace(/\r$/, "");
      if (!isTerminal) line += character;
      else if (character === "\u0003")
        throw coded("Interrupted: nothing was written.", "no-password");
      else if (character === "\u0004") return line;
      else if (character === "\u007f" || character === "\b") line = [...line].slice(0, -1).join("");
      else line += character;
    }
  }
  return line.replace(/\r$/, "");
}
