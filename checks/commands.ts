import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { foreignText } from "../core/redact";
import { programFolder } from "../desired/packageFolder";

/** What `pulumi <args>` printed, or why it did not. `code`: ENOENT where there is no such command. */
export type Said = { text: string } | { problem: string; code: string };

/** Runs `pulumi`, which asks nothing and is given none of the tokens that are not its own. */
export function pulumi(args: readonly string[]): Promise<Said> {
  const options = {
    cwd: programFolder(),
    env: {
      ...process.env,
      VAULT_TOKEN: undefined,
      GITLAB_TOKEN: undefined,
      PULUMI_SKIP_UPDATE_CHECK: "true",
    },
    timeout: 30_000,
    maxBuffer: 2 ** 24,
  };
  return new Promise((resolve) => {
    execFile("pulumi", [...args, "--non-interactive"], options, (error, stdout, stderr) => {
      if (error === null) return resolve({ text: stdout.trim() });
      const said = /^error: .*/m.exec(stderr)?.[0] ?? stderr;
      // A backend's address may hold a password.
      const shown = foreignText(said, []).replace(/\/\/[^/\s]*@/g, "//…@");
      resolve({ problem: shown || "did not answer", code: String(error.code) });
    });
  });
}

/** The first executable file of this name on PATH, or in one of the other folders. */
export function findCommand(name: string, folders: readonly string[] = []): string | undefined {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...onPath, ...folders].map((folder) => join(folder, name)).find(isExecutable);
}

/** The folder of the `pulumi` command, where its release keeps the language hosts. */
export function pulumiFolder(): string[] {
  const command = findCommand("pulumi");
  return command === undefined ? [] : [dirname(command)];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
