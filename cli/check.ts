import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checks, gates } from "../checks/list";
import { checkReport, exitCodeOf, shortened, table } from "../checks/report";
import type { JsonReport } from "../checks/report";
import { runChecks } from "../checks/run";
import { readStackFile } from "../checks/stackFile";
import { timeText } from "../checks/time";
import { worldOf } from "../checks/world";
import type { Finding } from "../checks/finding";
import { callersGitlab, callersVault } from "../clients/callers";
import { packageFolder } from "../desired/packageFolder";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, stackSettings } from "./stackSettings";

const usage = `${calledFor.own("check", { isPiped: true })}
  --json               all that is known: { schema, project, stack, version, checkedAt, findings }
  --junit FILE         and as a JUnit report
  --password-age DAYS  from how many days on a password is old (90; 0 = never; where config has passwordMaxAge, never)
  --read-tokens        reads the published tokens, too, and tries each at APIsec
  --timeout SECONDS    what is not known by then is a problem (300)
Is a stack healthy? Looks at Vault, GitLab and the age of every token and password; reads only, no secret.
Exit code: 0 all well, 1 warnings, 2 problems, or the check itself could not run.`;

const options = {
  stack: { type: "string" },
  json: { type: "boolean", default: false },
  junit: { type: "string" },
  "password-age": { type: "string" },
  "read-tokens": { type: "boolean", default: false },
  timeout: { type: "string", default: "300" },
} as const;

export const check: Command = {
  summary: "is a stack healthy? tokens, passwords, Vault, GitLab",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, { options });
    const stack = chosenStack(values.stack);
    const settings = stackSettings(stack);
    const usualAge = settings.passwordMaxAge === undefined ? "90" : "0";
    const passwordAgeDays = wholeNumber("--password-age", values["password-age"] ?? usualAge, 0);
    const timeoutMs = wholeNumber("--timeout", values.timeout, 1) * 1000;
    const { caFile } = readStackFile(settings.stack).gitlab;
    const world = worldOf({
      time: "after",
      settings,
      stack,
      vault: callersVault(settings),
      gitlab: callersGitlab(settings, process.env["GITLAB_TOKEN"], caFile),
      apisec: values["read-tokens"] ? nodeSend({ proxyFor: proxyTo }) : undefined,
      passwordAgeDays,
    });
    const findings = await runChecks(world, checks, gates, timeoutMs);
    if (values.junit !== undefined) writeFileSync(values.junit, checkReport(findings));
    console.log(
      values.json ? jsonOf(settings, findings, world.now) : table(shortened(findings), findings),
    );
    return exitCodeOf(findings);
  },
};

/** The findings of `--json`, with what they are of. */
export function jsonOf(
  { project, stack }: { project: string; stack: string },
  findings: readonly Finding[],
  now = Date.now(),
): string {
  const { version } = JSON.parse(readFileSync(join(packageFolder(), "package.json"), "utf8")) as {
    version: string;
  };
  const checkedAt = timeText(now);
  const report: JsonReport = { schema: 1, project, stack, version, checkedAt, findings };
  return JSON.stringify(report, undefined, 2);
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value >= least) return value;
  throw new Error(
    `${option}: found ${JSON.stringify(text)}, expected a whole number from ${least} on`,
  );
}
