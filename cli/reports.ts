import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AuditLog } from "../checks/auditLog";
import { about } from "../checks/finding";
import type { Finding } from "../checks/finding";
import { checks, gates } from "../checks/list";
import type { JsonReport } from "../checks/report";
import { runChecks } from "../checks/run";
import { readStackFile } from "../checks/stackFile";
import { timeText } from "../checks/time";
import { worldOf } from "../checks/world";
import type { World } from "../checks/world";
import { callersGitlab, callersVault } from "../clients/callers";
import { packageFolder, stackFilePath } from "../desired/packageFolder";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { projectName, stackName, stackSettings } from "./stackSettings";
import { coded } from "../core/messageCode";

/** What a caller of `check` may say of all its stacks. */
export interface Wishes {
  /** Undefined: 90, and where config has passwordMaxAge, never. */
  passwordAgeDays: number | undefined;
  readTokens: boolean;
  timeoutMs: number;
  audit?: AuditLog | undefined;
}

/** What is found of a stack that runs. Throws where its configuration is wrong. */
export async function reportOf(stack: string, wishes: Wishes): Promise<JsonReport> {
  return reportIn(worldFor(stack, wishes), wishes.timeoutMs);
}

/** The same, of a world that the caller asks more of. */
export async function reportIn(world: World, timeoutMs: number): Promise<JsonReport> {
  return asReport(world.settings, await runChecks(world, checks, gates, timeoutMs), world.now);
}

/** The same, of a stack among others: one that this caller cannot reach is skipped, and by that never well. */
export async function reportAmongOthers(stack: string, wishes: Wishes): Promise<JsonReport> {
  const place = { project: projectName(), stack };
  const skipped = (why: string) =>
    asReport(place, [about("stack-reach", `stack ${stack}`).skipped(`not checked: ${why}`)]);
  let report;
  try {
    report = await reportOf(stack, wishes);
  } catch (error) {
    return skipped((error as Error).message.split("\n").slice(0, 2).join(" "));
  }
  const unreached = vaultProblem(report);
  return unreached === undefined ? report : skipped(unreached);
}

/** Why nothing was seen of a stack's Vault; undefined where it was. */
export function vaultProblem({ findings }: JsonReport): string | undefined {
  const found = findings.find(
    ({ id, state }) => (id === "vault" || id === "vault.token") && state === "problem",
  );
  return found && `${found.subject} ${found.found}`;
}

/** Throws where the stack's configuration is wrong. */
export function worldFor(stack: string, { passwordAgeDays, readTokens, audit }: Wishes): World {
  const settings = stackSettings(stack);
  const { caFile } = readStackFile(settings.stack).gitlab;
  return worldOf({
    time: "after",
    settings,
    stack,
    vault: callersVault(settings),
    gitlab: callersGitlab(settings, process.env["GITLAB_TOKEN"], caFile),
    apisec: readTokens ? nodeSend({ proxyFor: proxyTo }) : undefined,
    audit,
    passwordAgeDays: passwordAgeDays ?? (settings.passwordMaxAge === undefined ? 90 : 0),
  });
}

/** Findings with what they are of. */
export function asReport(
  { project, stack }: { project: string; stack: string },
  findings: readonly Finding[],
  now = Date.now(),
): JsonReport {
  const version = programVersion();
  return { schema: 1, project, stack, version, checkedAt: timeText(now), findings };
}

export function programVersion(): string {
  const text = readFileSync(join(packageFolder(), "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** Every stack that has a file in the program's folder, by name. */
export function allStacks(): string[] {
  const folder = dirname(stackFilePath("x"));
  const stacks = readdirSync(folder).flatMap(
    (file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [],
  );
  if (stacks.length === 0)
    throw coded(`There is no Pulumi.<stack>.yaml in ${folder}.`, "no-program");
  return stacks.map(stackName).sort();
}
