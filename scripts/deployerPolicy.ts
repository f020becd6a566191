// Prints the Vault policy that `pulumi up` of a stack needs, for the person who sets up the deployer:
//   npm run --silent deployer-policy -- prod | vault policy write apisec-prod-deployer -
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readConfig } from "../config";
import { renderPolicy } from "../policies/render";
import { policyValues } from "../policies/values";

const root = join(__dirname, "..");
const [stack] = process.argv.slice(2);
if (stack === undefined) {
  console.error("Which stack? npm run --silent deployer-policy -- <stack>");
  process.exit(2);
}
try {
  process.stdout.write(deployerPolicy(stack, join(root, `Pulumi.${stack}.yaml`)));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}

function deployerPolicy(stackName: string, file: string): string {
  const { name } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as { name: string };
  const { config } = parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> };
  const values = Object.entries(config)
    .filter(([key]) => key !== `${name}:firstPasswords`)
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
  const settings = readConfig({
    project: name,
    stack: stackName,
    values: Object.fromEntries(values) as Record<string, string>,
    secretKeys: [],
    // Only names and paths go into the policy: where Vault is does not matter here.
    env: { VAULT_ADDR: "https://vault.invalid", VAULT_TOKEN: "none" },
    hasTokenFile: false,
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  });
  return renderPolicy("deployer", policyValues(settings));
}
