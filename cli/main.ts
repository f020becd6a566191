import { createRequire } from "node:module";
import type { Command } from "./command";
import { coded, shown } from "../core/messageCode";

const load = createRequire(__filename);

/** The commands, and each one's file, which exports it under the file's own name. */
const files: Readonly<Record<string, string>> = {
  "hand-over": "handOver",
  check: "check",
  evidence: "evidence",
  doctor: "doctor",
  verify: "verify",
  "first-run": "firstRun",
  rotate: "rotate",
  renew: "renew",
  notify: "notify",
  policy: "policy",
  review: "review",
  adopt: "adopt",
};

/** Loaded where it is called for: a command needs little of what the others do. */
function commandIn(file: string): Command {
  return (load(`./${file}`) as Record<string, Command>)[file]!;
}

const helpText = () => `Usage: npx apisec-credentials <command> --stack prod
${Object.entries(files)
  .map(([name, file]) => `  ${name.padEnd(11)}${commandIn(file).summary}`)
  .join("\n")}
Each says with --help how it is called. In this package's own checkout: npm run <command> -- --stack prod`;

/** Runs a command and ends the process with its exit code. */
export function main([name = "", ...args]: string[]): void {
  runCommand(name, args).then(
    (code) => end(code),
    (error: Error) => {
      console.error(shown(error));
      end(2);
    },
  );
}

async function runCommand(name: string, args: string[]): Promise<number> {
  const command = Object.hasOwn(files, name) ? commandIn(files[name]!) : undefined;
  const asksForHelp = ["--help", "-h"].some((option) => args.includes(option));
  if (command === undefined) {
    if (["--help", "-h", "help"].includes(name)) {
      console.log(helpText());
      return 0;
    }
    if (name === "") throw new Error(helpText());
    throw coded(`Unknown command '${name}'\n${helpText()}`, "usage");
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
