import { checkBackend } from "../checks/backend";
import { checkBuild } from "../checks/build";
import { about } from "../checks/finding";
import type { Finding } from "../checks/finding";
import { checks, gates } from "../checks/list";
import { exitCodeOf, jsonOf, table } from "../checks/report";
import { runChecks } from "../checks/run";
import { checkTools } from "../checks/tools";
import { printed } from "../core/printed";
import { runner } from "../desired/packageFolder";
import { readStackFile } from "../checks/stackFile";
import type { StackFile } from "../checks/stackFile";
import { worldOf } from "../checks/world";
import { callersGitlab, callersVault } from "../clients/callers";
import type { Settings } from "../config/settings";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { asReport } from "./reports";
import { chosenStack, projectName, stackName, stackSettings } from "./stackSettings";

const usage = `${calledFor.own("doctor", { isPiped: true })} [--json]
Looks at all that \`pulumi up\` will need, before the first one: tools, stack, Vault, GitLab, APIsec.
Changes nothing, logs in nowhere, shows no secret. Exit code: 0 all well, 1 warnings, 2 problems.`;

export const doctor: Command = {
  summary: "is everything ready for `pulumi up`?",
  usage,
  async run(args) {
    const options = {
      stack: { type: "string" },
      json: { type: "boolean", default: false },
    } as const;
    const { stack: given, json } = parsed(usage, args, { options }).values;
    const stack = chosenStack(given);
    const findings = await examine(stack);
    const project = projectName();
    const report = asReport({ project, stack: stackName(stack) }, findings);
    console.log(json ? jsonOf([report]) : table(findings));
    return exitCodeOf(findings);
  },
};

/** Asked also where the configuration does not say where Vault and GitLab are. */
const ofThisMachine = ["tool", "build", "backend"];

/** Everything that `up` of this stack needs, in the order in which it needs it. Reads only. */
async function examine(stack: string): Promise<Finding[]> {
  const name = stackName(stack);
  const file = readStackFile(name);
  const { settings, findings } = examineConfig(stack, file);
  if (settings === undefined) {
    const print = printed(stack, runner());
    const here = [checkTools(), checkBackend({ settings: { stack: name }, print })];
    const skipped = checks
      .filter(({ id, times }) => times.includes("before") && !ofThisMachine.includes(id))
      .map(({ id, subject }) =>
        about(id, subject).skipped("not checked: the configuration says where it is"),
      );
    return [...findings, ...checkBuild(), ...(await Promise.all(here)).flat(), ...skipped];
  }
  const token = process.env["GITLAB_TOKEN"];
  const world = worldOf({
    time: "before",
    settings: withFirstPasswords(settings, file),
    stack,
    vault: callersVault(settings),
    gitlab: callersGitlab(settings, token, file.gitlab.caFile),
  });
  const found = await runChecks(world, checks, gates);
  return [...findings, ...found.map((finding) => asConfigured(finding, file, token))];
}

/** A token that stands in config is not opened here: then GitLab is not asked, and that is no problem. */
function asConfigured(finding: Finding, { gitlab }: StackFile, token: string | undefined): Finding {
  if (token || !gitlab.tokenInConfig || finding.id !== "gitlab") return finding;
  const found =
    "gitlab:token is a secret in config, which is not opened here: GitLab was not asked";
  return about("gitlab", "GitLab").warning(found, "export GITLAB_TOKEN=…");
}

/** The stack's settings, and what is to be said of them. */
function examineConfig(
  stack: string,
  file: StackFile,
): { settings?: Settings; findings: Finding[] } {
  const it = about("configuration", "configuration");
  let settings: Settings;
  try {
    settings = stackSettings(stack);
  } catch (error) {
    // One line a problem; without the head and the foot that `pulumi` shows around them.
    const message = (error as Error).message;
    const lines = message.split("\n").filter((line) => line.startsWith("  - "));
    const problems = lines.length === 0 ? [message] : lines.map((line) => line.slice(4));
    return { findings: problems.map((found) => it.problem(found)) };
  }
  const { length } = settings.accounts;
  return {
    settings,
    findings: [
      it.ok(length === 1 ? "1 account" : `${length} accounts`, { accounts: length }),
      ...settings.warnings.map((found) => it.warning(found)),
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
  const it = about("configuration", "first passwords");
  if (hiddenFirstPasswords) {
    return it.ok("set as one secret: of which accounts cannot be seen here");
  }
  return it.ok(names.length === 0 ? "none set" : `set: ${names.join(", ")}`);
}
