// Prints the Vault policy of who runs `pulumi up`, for Vault's admin:
//   npm run --silent deployer-policy -- prod | vault policy write acme-security-prod-deployer -
import { renderPolicy } from "apisec-credentials/policies";
import { admin, scanner } from "./accounts";

const [stack] = process.argv.slice(2);
if (stack === undefined) throw new Error("Which stack? npm run deployer-policy -- <stack>");

const text = renderPolicy("deployer", {
  project: "acme-security",
  stack,
  prefix: "apisec",
  mount: "apisec",
  ownsMount: true,
  sharesMount: false,
  authPath: "gitlab",
  ownsAuth: true,
  accounts: [admin.name, scanner.name],
  publishedAccounts: [scanner.name],
  oldAccounts: [],
  consumers: [],
  groups: [],
  tokenKept: "23h30m0s",
});
process.stdout.write(text);
