import { writeFileSync } from "node:fs";
import { checkReport, shortened } from "../checks/report";
import { checkStack } from "../checks/run";
import type { Settings } from "../config/settings";
import type { GitlabReader } from "../clients/gitlab";
import { callersGitlab } from "../checks/doctor/gitlab";
import { readStackFile } from "../checks/doctor/stackFile";
import { connect } from "../checks/preflight";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { commandLine } from "./commandLine";
import { report } from "./findings";
import { chosenStack, stackSettings } from "./stackSettings";

const usage = `npm run --silent check -- --stack prod
  --json               all findings as a list of { what, state, found, fix? }; state: ok, warning, problem
  --junit FILE         and as a JUnit report
  --password-age DAYS  from how many days on a password is old (90; 0 = never)
  --read-tokens        reads the published tokens, too, and tries each at APIsec
  --timeout SECONDS    what is not known by then is a problem (300)
Is a stack healthy? Looks at Vault, GitLab and the age of every token and password; reads only, no secret.
Exit code: 0 all ok, 1 warnings, 2 problems, or the check itself could not run.`;

check().then(
  // What did not end in time is not waited for.
  () => process.exit(),
  (error: Error) => {
    console.error(error.message);
    process.exit(2);
  },
);

async function check(): Promise<void> {
  const { values } = commandLine(usage, {
    options: {
      stack: { type: "string" },
      json: { type: "boolean", default: false },
      junit: { type: "string" },
      "password-age": { type: "string", default: "90" },
      "read-tokens": { type: "boolean", default: false },
      timeout: { type: "string", default: "300" },
    },
  });
  const settings = stackSettings(chosenStack(values.stack));
  const passwordAgeDays = wholeNumber("--password-age", values["password-age"], 0);
  const timeoutMs = wholeNumber("--timeout", values.timeout, 1) * 1000;
  const world = {
    vault: connect(settings),
    gitlab: gitlabOf(settings),
    apisec: values["read-tokens"] ? nodeSend({ proxyFor: proxyTo }) : undefined,
    now: Date.now(),
  };
  const findings = await checkStack(settings, world, { passwordAgeDays, timeoutMs });
  if (values.junit !== undefined) writeFileSync(values.junit, checkReport(findings));
  report(findings, values.json, shortened(findings));
}

/** GitLab with the caller's token; undefined where there is none. */
function gitlabOf({ stack, gitlabUrl }: Settings): GitlabReader | undefined {
  const token = process.env["GITLAB_TOKEN"];
  return token ? callersGitlab(gitlabUrl, readStackFile(stack).gitlab.caFile, token) : undefined;
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value >= least) return value;
  throw new Error(
    `${option}: found ${JSON.stringify(text)}, expected a whole number from ${least} on`,
  );
}
