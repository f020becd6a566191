import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { readAuditLogs } from "../checks/auditLog";
import { joined } from "../checks/joined";
import { metricsText } from "../checks/metrics";
import { newsOf, readTold } from "../checks/news";
import { page } from "../checks/page";
import { checkReport, exitCodeOf, jsonOf, shortened, table } from "../checks/report";
import type { JsonReport } from "../checks/report";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { messenger } from "./messenger";
import { progress } from "./progress";
import { allStacks, reportAmongOthers, reportOf } from "./reports";
import { chosenStack } from "./stackSettings";
import { writeWhole } from "./wholeFile";
import { coded, withCode } from "../core/messageCode";

const usage = `${calledFor.own("check", { isPiped: true })}
  --all                every stack of this folder; one that cannot be reached from here is skipped, never well
  --from FILE …        no stack: joins what --json has written elsewhere
  --json               all that is known: { schema, project, stack, version, checkedAt, findings }; of several, a list
  --junit FILE         and as a JUnit report
  --metrics FILE       and as OpenMetrics text
  --html FILE          and as a page that loads nothing
  --notify             tells the webhook of APISEC_WEBHOOK what is new and what is over
  --state FILE         where --notify remembers what it has told; without it, every run tells all
  --password-age DAYS  from how many days on a password is old (90; 0 = never; where config has passwordMaxAge, never)
  --read-tokens        reads the published tokens, too, and tries each at APIsec
  --audit FILE         Vault's audit log: has a person read a password that was not changed since? Once a file
  --timeout SECONDS    what is not known by then is a problem (300)
Is a stack healthy? Looks at Vault, GitLab and the age of every token and password; reads only, no secret.
Exit code: 0 all well, 1 warnings, 2 problems, or the check itself could not run.`;

const options = {
  stack: { type: "string" },
  all: { type: "boolean", default: false },
  from: { type: "string", multiple: true },
  json: { type: "boolean", default: false },
  junit: { type: "string" },
  metrics: { type: "string" },
  html: { type: "string" },
  notify: { type: "boolean", default: false },
  state: { type: "string" },
  "password-age": { type: "string" },
  "read-tokens": { type: "boolean", default: false },
  audit: { type: "string", multiple: true },
  timeout: { type: "string", default: "300" },
} as const;

type Values = ReturnType<typeof parsed<{ options: typeof options }>>["values"];

export const check: Command = {
  summary: "is a stack healthy? tokens, passwords, Vault, GitLab",
  usage,
  async run(args) {
    const { values, positionals } = parsed(usage, args, { options, allowPositionals: true });
    const from = values.from === undefined ? undefined : [...values.from, ...positionals];
    if (from === undefined && positionals.length > 0) {
      throw coded(
        `Unexpected argument ${JSON.stringify(positionals[0])}\nUsage: ${usage}`,
        "usage",
      );
    }
    const send = values.notify ? messenger(process.env, values.stack) : undefined;
    const reports = await reportsOf(values, from);
    const findings = reports.flatMap((report) => report.findings);
    if (values.junit !== undefined) writeFileSync(values.junit, checkReport(findings));
    if (values.metrics !== undefined) writeWhole(values.metrics, metricsText(reports));
    if (values.html !== undefined) writeWhole(values.html, page(reports));
    if (send !== undefined) await tell(send, reports, values.state);
    console.log(values.json ? jsonOf(reports) : tables(reports));
    // Where nothing at all could be looked at, that is no warning.
    return findings.every(({ state }) => state === "skipped") ? 2 : exitCodeOf(findings);
  },
};

async function reportsOf(values: Values, from: string[] | undefined): Promise<JsonReport[]> {
  const given = [values.stack !== undefined, values.all, from !== undefined];
  if (given.filter(Boolean).length > 1) {
    throw coded(`Which stacks? One of --stack, --all and --from.\nUsage: ${usage}`, "usage");
  }
  if (from !== undefined) {
    if (values.audit !== undefined) {
      throw coded(
        "--audit needs a stack to ask: reports of --from hold what their checks were given.",
        "usage",
      );
    }
    const files = from.map((name) => ({ name, text: readFileSync(name, "utf8") }));
    return joined(files, Date.now());
  }
  const age = values["password-age"];
  const wishes = {
    audit: values.audit && (await readAuditLogs(values.audit)),
    passwordAgeDays: age === undefined ? undefined : wholeNumber("--password-age", age, 0),
    readTokens: values["read-tokens"],
    timeoutMs: wholeNumber("--timeout", values.timeout, 1) * 1000,
  };
  if (!values.all) return [await reportOf(chosenStack(values.stack), wishes)];
  const reports: JsonReport[] = [];
  const stacks = allStacks();
  const bar = progress("check", stacks.length);
  for (const stack of stacks) {
    reports.push(await reportAmongOthers(stack, wishes));
    bar.done();
  }
  bar.end();
  return reports;
}

function tables(reports: readonly JsonReport[]): string {
  const texts = reports.map(({ stack, findings }) => {
    const head = reports.length === 1 ? "" : `Stack ${stack}\n`;
    return head + table(shortened(findings), findings);
  });
  return texts.join("\n\n");
}

/** Tells what is new. What was told is noted once it was taken; what goes wrong is a warning: the check has its result. */
async function tell(
  send: ReturnType<typeof messenger>,
  reports: readonly JsonReport[],
  file: string | undefined,
): Promise<void> {
  const before = file !== undefined && existsSync(file) ? readTold(readFileSync(file, "utf8")) : {};
  if (before === undefined) {
    console.error(
      withCode(
        `warning  ${file} is no state of --notify: all that is not well is told again`,
        "notify-state",
      ),
    );
  }
  const { begun, over, told } = newsOf(before ?? {}, reports);
  try {
    if (begun.length + over.length > 0) {
      const place = [...new Set(reports.map(({ project, stack }) => `${project}/${stack}`))];
      const title = `${place.slice(0, 3).join(", ")}${place.length > 3 ? " …" : ""}: ${begun.length} new, ${over.length} over`;
      await send(title, [...begun, ...over.map((line) => `over ${line}`)]);
    }
    if (file !== undefined) writeWhole(file, `${JSON.stringify(told, undefined, 2)}\n`);
  } catch (error) {
    console.error(withCode(`warning  nobody was told: ${(error as Error).message}`, "not-told"));
  }
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value >= least) return value;
  throw coded(
    `${option}: found ${JSON.stringify(text)}, expected a whole number from ${least} on`,
    "usage",
  );
}
