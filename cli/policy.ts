import { checkGroups, groupIdsOf } from "../checks/groups";
import { sentence } from "../checks/report";
import { worldOf } from "../checks/world";
import { callersVault } from "../clients/callers";
import type { Settings } from "../config/settings";
import { renderPolicy } from "../desired/policies";
import { groupNames, policyValues } from "../desired/policyValues";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, stackSettings } from "./stackSettings";

const names = ["deployer", "preview", "monitor", "verifier", "handover"] as const;
const usage = `${calledFor.own("policy", { of: `<${names.join("|")}>`, isPiped: true, options: "[--account NAME]" })}
Prints a Vault policy of a stack for the person who sets up who runs Pulumi, or \`check\`:
  ${calledFor.own("policy", { of: "deployer", isPiped: true })} | vault policy write apisec-prod-deployer -
\`handover\` is the policy of who writes one account's first password: it takes \`--account\`.
Where config names identity groups, the deployer's has their ids: Vault is asked for them with the caller's token.`;

export const policy: Command = {
  summary: "print a Vault policy of the stack: deployer, preview, monitor, …",
  usage,
  async run(args) {
    const options = { stack: { type: "string" }, account: { type: "string" } } as const;
    const { values, positionals } = parsed(usage, args, { options, allowPositionals: true });
    const [given, extra] = positionals;
    const name = names.find((one) => one === given);
    if (name === undefined || extra !== undefined) {
      throw new Error(`Which policy of which stack?\nUsage: ${usage}`);
    }
    if ((name === "handover") !== (values.account !== undefined)) {
      throw new Error(
        `--account belongs to the policy handover, and that needs it.\nUsage: ${usage}`,
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
      throw new Error(
        `Stack ${stackName} has no account ${account}: expected one of ${values.accounts.join(", ")}`,
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

/** Ids of the identity groups in config. Throws an error that names those that Vault does not show. */
async function groupIdsIn(settings: Settings): Promise<Map<string, string>> {
  const vault = callersVault(settings);
  const world = worldOf({ time: "before", settings, vault, gitlab: undefined });
  const problem = (await checkGroups(world)).find(({ state }) => state === "problem");
  if (problem !== undefined) throw new Error(sentence(problem));
  return groupIdsOf(world);
}
