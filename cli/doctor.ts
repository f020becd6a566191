import { examine } from "../checks/doctor/examine";
import { commandLine } from "./commandLine";
import { report } from "./findings";
import { chosenStack } from "./stackSettings";

const usage = `npm run --silent doctor -- --stack prod [--json]
Looks at all that \`pulumi up\` will need, before the first one: tools, stack, Vault, GitLab, APIsec.
Changes nothing, logs in nowhere, shows no secret. Exit code: 0 all well, 1 warnings, 2 problems.`;

async function main(): Promise<void> {
  const options = { stack: { type: "string" }, json: { type: "boolean", default: false } } as const;
  const { stack, json } = commandLine(usage, { options }).values;
  report(await examine(chosenStack(stack)), json);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 2;
});
