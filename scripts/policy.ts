// Prints a Vault policy of a stack for the person who sets up who runs Pulumi:
//   npm run --silent policy -- deployer prod | vault policy write apisec-prod-deployer -
//   npm run --silent policy -- preview prod | vault policy write apisec-prod-preview -
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readConfig } from "../config";
import { renderPolicy } from "../policies/render";
import { policyValues } from "../policies/values";

const root = join(__dirname, "..");
const [name, stack] = process.argv.slice(2);
if ((name !== "deployer" && name !== "preview") || stack === undefined) {
  console.error(
    "Which policy of which stack? npm run --silent policy -- <deployer|preview> <stack>",
  );
  process.exit(2);
}
try {
  process.stdout.write(policyOf(name, stack, join(root, `Pulumi.${stack}.yaml`)));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}

function policyOf(policy: "deployer" | "preview", stackName: string, file: string): string {
  const { name: project } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as {
    name: string;
  };
  const { config } = parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> };
  const values = Object.entries(config)
    .filter(([key]) => key !== `${project}:firstPasswords`)
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
  const settings = readConfig({
    project,
    stack: stackName,
    values: Object.fromEntries(values) as Record<string, string>,
    secretKeys: [],
    // Only names and paths go into the policy: where Vault is does not matter here.
    env: {
      VAULT_TOKEN: "none",
      ...(config["vault:address"] === undefined ? { VAULT_ADDR: "https://vault.invalid" } : {}),
    },
    hasTokenFile: false,
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  });
  return renderPolicy(policy, policyValues(settings));
}
