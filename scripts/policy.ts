// Prints a Vault policy of a stack for the person who sets up who runs Pulumi, or `npm run check`:
//   npm run --silent policy -- deployer prod | vault policy write apisec-prod-deployer -
//   npm run --silent policy -- preview prod | vault policy write apisec-prod-preview -
//   npm run --silent policy -- monitor prod | vault policy write apisec-prod-monitor -
// Where config names identity groups, the deployer's has their ids: Vault is asked for them with the caller's token.
import { connect, findGroups } from "../preflight";
import { renderPolicy } from "../policies/render";
import { groupNames, policyValues } from "../policies/values";
import { stackSettings } from "./stackSettings";

const names = ["deployer", "preview", "monitor"] as const;
const [given, stack] = process.argv.slice(2);
const name = names.find((one) => one === given);
if (name === undefined || stack === undefined) {
  console.error(
    `Which policy of which stack? npm run --silent policy -- <${names.join("|")}> <stack>`,
  );
  process.exit(2);
}
policyOf(name, stack).then(
  (text) => process.stdout.write(text),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);

async function policyOf(policy: (typeof names)[number], stackName: string): Promise<string> {
  const offline = stackSettings(stackName, true);
  if (policy !== "deployer" || groupNames(offline).length === 0) {
    return renderPolicy(policy, policyValues(offline));
  }
  const settings = stackSettings(stackName);
  const groupIds = await findGroups(connect(settings), settings);
  return renderPolicy(policy, policyValues(settings, [...groupIds.values()]));
}
