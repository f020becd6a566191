import { checkGroups, groupIdsOf } from "../checks/groups";
import { sentence } from "../checks/report";
import { readStackFile } from "../checks/stackFile";
import { worldOf } from "../checks/world";
import type { World } from "../checks/world";
import { callersGitlab, callersVault } from "../clients/callers";
import type { Settings } from "../config/settings";
import { renderPolicy } from "../desired/policies";
import { groupNames, policyValues } from "../desired/policyValues";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { handOverLines } from "./formerMark";
import { chosenStack, stackSettings } from "./stackSettings";
import { coded } from "../core/messageCode";

const names = ["deployer", "preview", "monitor", "verifier", "handover"] as const;
const usage = `${calledFor.own("policy", { of: `<${names.join("|")}>`, isPiped: true, options: "[--account NAME]" })}
Prints a Vault policy of a stack for the person who sets up who runs Pulumi, or \`check\`:
  ${calledFor.own("policy", { of: "deployer", isPiped: true })} | vault policy write apisec-prod-deployer -
\`handover\` is the policy of who writes one account's first password: it takes \`--account\`.
Where config names identity groups, the deployer's has their ids: Vault is asked for them with the caller's token.
  ${calledFor.own("policy", { isPiped: true, options: `--hand-over "apisec-credentials/dev for gitlab.com/1"` })} | sh
prints, for Vault's admin, the commands by which this stack is given all that is marked with its former name, after it
was renamed or its project was made anew. Vault and GitLab are asked with the caller's tokens.`;

export const policy: Command = {
  summary: "print a Vault policy of the stack: deployer, preview, monitor, …",
  usage,
  async run(args) {
    const options = {
      stack: { type: "string" },
      account: { type: "string" },
      "hand-over": { type: "string" },
    } as const;
    const { values, positionals } = parsed(usage, args, { options, allowPositionals: true });
    const [given, extra] = positionals;
    const former = values["hand-over"];
    if (former !== undefined && given === undefined && values.account === undefined) {
      const lines = await handOverLines(callersWorld(chosenStack(values.stack)), former);
      process.stdout.write(`${lines.join("\n")}\n`);
      return 0;
    }
    const name = names.find((one) => one === given);
    if (name === undefined || extra !== undefined || former !== undefined) {
      throw coded(`Which policy of which stack?\nUsage: ${usage}`, "usage");
    }
    if ((name === "handover") !== (values.account !== undefined)) {
      throw coded(
        `--account belongs to the policy handover, and that needs it.\nUsage: ${usage}`,
        "usage",
      );
    }
    process.stdout.write(await policyOf(name, chosenStack(values.stack), values.account));
    return 0;
  },
};

async function policyOf(
  policy: (typeof names)[number],
  stackName: string,
  account: string | undefined,
): Promise<string> {
  const offline = stackSettings(stackName, true);
  const values = policyValues(offline);
  if (account !== undefined) {
    if (!values.accounts.includes(account)) {
      throw coded(
        `Stack ${stackName} has no account ${account}: expected one of ${values.accounts.join(", ")}`,
        "no-account",
      );
    }
    return renderPolicy(policy, { ...values, handoverAccount: account });
  }
  if (policy !== "deployer" || groupNames(offline).length === 0) {
    return renderPolicy(policy, values);
  }
  const settings = stackSettings(stackName);
  return renderPolicy(policy, policyValues(settings, { groupIds: await groupIdsIn(settings) }));
}

/** Vault and GitLab, as the caller's tokens show them. */
function callersWorld(stack: string): World {
  const settings = stackSettings(stack);
  const { caFile } = readStackFile(settings.stack).gitlab;
  const gitlab = callersGitlab(settings, process.env["GITLAB_TOKEN"], caFile);
  return worldOf({ time: "before", settings, vault: callersVault(settings), gitlab, stack });
}

/** Ids of the identity groups in config. Throws an error that names those that Vault does not show. */
async function groupIdsIn(settings: Settings): Promise<Map<string, string>> {
  const vault = callersVault(settings);
  const world = worldOf({ time: "before", settings, vault, gitlab: undefined });
  const problem = (await checkGroups(world)).find(({ state }) => state === "problem");
  if (problem !== undefined) throw new Error(sentence(problem));
  return groupIdsOf(world);
}
