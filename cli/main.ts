import { adopt } from "./adopt";
import { check } from "./check";
import type { Command } from "./command";
import { doctor } from "./doctor";
import { firstRun } from "./firstRun";
import { handOver } from "./handOver";
import { notify } from "./notify";
import { policy } from "./policy";
import { renew } from "./renew";
import { review } from "./review";
import { rotate } from "./rotate";
import { verify } from "./verify";

const commands: Readonly<Record<string, Command>> = {
  "hand-over": handOver,
  check,
  doctor,
  verify,
  "first-run": firstRun,
  rotate,
  renew,
  notify,
  policy,
  review,
  adopt,
};

const helpText = `Usage: npx apisec-credentials <command> --stack prod
${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`)
  .join("\n")}
Each says with --help how it is called. In this package's own checkout: npm run <command> -- --stack prod`;

/** Runs a command and ends the process with its exit code. */
export function main([name = "", ...args]: string[]): void {
  runCommand(name, args).then(
    (code) => end(code),
    (error: Error) => {
      console.error(error.message);
      end(2);
    },
  );
}

async function runCommand(name: string, args: string[]): Promise<number> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const asksForHelp = ["--help", "-h"].some((option) => args.includes(option));
  if (command === undefined) {
    if (["--help", "-h", "help"].includes(name)) {
      console.log(helpText);
      return 0;
    }
    throw new Error(name === "" ? helpText : `Unknown command '${name}'\n${helpText}`);
  }
  if (asksForHelp) {
    console.log(`Usage: ${command.usage}`);
    return 0;
  }
  return command.run(args);
}

/** What did not end in time is not waited for; what was printed is. */
function end(code: number): void {
  process.exitCode = code;
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
}
