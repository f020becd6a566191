import { connect, findGroups } from "../checks/preflight";
import { renderPolicy } from "../desired/policies";
import { groupNames, policyValues } from "../desired/policyValues";
import { commandLine } from "./commandLine";
import { chosenStack, stackSettings } from "./stackSettings";

const names = ["deployer", "preview", "monitor", "verifier", "handover"] as const;
const usage = `npm run --silent policy -- <${names.join("|")}> --stack prod [--account NAME]
Prints a Vault policy of a stack for the person who sets up who runs Pulumi, or \`npm run check\`:
  npm run --silent policy -- deployer --stack prod | vault policy write apisec-prod-deployer -
\`handover\` is the policy of who writes one account's first password: it takes \`--account\`.
Where config names identity groups, the deployer's has their ids: Vault is asked for them with the caller's token.`;

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 2;
});

async function main(): Promise<void> {
  const options = { stack: { type: "string" }, account: { type: "string" } } as const;
  const { values, positionals } = commandLine(usage, { options, allowPositionals: true });
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
}

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
  const groupIds = await findGroups(connect(settings), settings);
  return renderPolicy(policy, policyValues(settings, { groupIds }));
}
