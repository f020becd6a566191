import type { Finding } from "../finding";
import type { Settings } from "../../config/settings";
import { stackSettings } from "../../cli/stackSettings";
import { examineBackend } from "./backend";
import { examineBuild } from "./build";
import { examineGitlab } from "./gitlab";
import { examineHosts, examineProxies } from "./hosts";
import { readStackFile } from "./stackFile";
import type { StackFile } from "./stackFile";
import { examineTools } from "./tools";
import { examineVault } from "./vault";

/** Everything that `up` of this stack needs, in the order in which it needs it. Reads only. */
export async function examine(stack: string): Promise<Finding[]> {
  const file = readStackFile(stack);
  const { settings, findings } = examineConfig(stack, file);
  const here = [examineTools(), examineBuild(), findings, examineBackend(stack, file)];
  const outside =
    settings === undefined
      ? []
      : [
          examineProxies(settings, process.env),
          examineVault(settings),
          examineGitlab(settings, file.gitlab, process.env["GITLAB_TOKEN"]),
          examineHosts(settings),
        ];
  return (await Promise.all([...here, ...outside])).flat();
}

/** The stack's settings, with the names of the first passwords that the stack's file holds. */
function examineConfig(
  stack: string,
  file: StackFile,
): { settings?: Settings; findings: Finding[] } {
  let settings: Settings;
  try {
    settings = withFirstPasswords(stackSettings(stack), file);
  } catch (error) {
    // One line a problem; without the head and the foot that `pulumi` shows around them.
    const message = (error as Error).message;
    const lines = message.split("\n").filter((line) => line.startsWith("  - "));
    const problems = lines.length === 0 ? [message] : lines.map((line) => line.slice(4));
    return {
      findings: [
        ...problems.map((found): Finding => ({ what: "configuration", state: "problem", found })),
        {
          what: "Vault, GitLab, APIsec",
          state: "warning",
          found: "not looked at: the configuration says where they are",
        },
      ],
    };
  }
  const accounts =
    settings.accounts.length === 1 ? "1 account" : `${settings.accounts.length} accounts`;
  return {
    settings,
    findings: [
      { what: "configuration", state: "ok", found: accounts },
      ...settings.warnings.map((found): Finding => ({
        what: "configuration",
        state: "warning",
        found,
      })),
      firstPasswords(file),
    ],
  };
}

/** Which accounts have a first password: as the file says; where their names are encrypted, all may have one. */
export function withFirstPasswords(settings: Settings, file: StackFile): Settings {
  const all = settings.accounts.map(({ name }) => name);
  return { ...settings, firstPasswordsFor: file.hiddenFirstPasswords ? all : file.firstPasswords };
}

function firstPasswords({ firstPasswords: names, hiddenFirstPasswords }: StackFile): Finding {
  const what = "first passwords";
  if (hiddenFirstPasswords) {
    const found = "set as one secret: of which accounts cannot be seen here";
    return { what, state: "ok", found };
  }
  return { what, state: "ok", found: names.length === 0 ? "none set" : `set: ${names.join(", ")}` };
}
