import type { Settings } from "../config/settings";
import { accessOf } from "./access";
import type { Access } from "./access";
import { scheduleGaps } from "./schedule";
import { desiredState } from "./state";
import type { DesiredState } from "./state";
import { tokenKeptSeconds } from "./tokenLife";

/** One version of a stack's configuration, and the ciphertexts in it by key. */
export interface Version {
  settings: Settings;
  secrets: Readonly<Record<string, string>>;
}

/**
 * What a change of configuration does, in Markdown for a merge request: who gains and loses which secret, which
 * passwords will be changed, the schedule, resources, what is kept, and what Vault's admin has to do. Pure: two
 * desired states of this program, without Vault, GitLab or the passphrase. `before` or `after` undefined: there is
 * no such stack. Names are foreign text: they are escaped.
 */
export function reviewMarkdown(before: Version | undefined, after: Version | undefined): string {
  const { settings } = after ?? before ?? {};
  if (settings === undefined) return "";
  const sections = [
    section("Who gains", accessRows(gained(before, after))),
    section("Who loses", accessRows(gained(after, before))),
    section("Passwords that will change", passwordLines(before?.settings, after?.settings)),
    section("Schedule", scheduleLines(before?.settings, after?.settings)),
    section("Resources", resourceLines(before?.settings, after?.settings)),
    section("Secrets in the stack's file", secretLines(before?.secrets, after?.secrets)),
    section("What is kept", keptLines(before?.settings, after?.settings)),
    section("Vault's admin has to", adminLines(before?.settings, after?.settings)),
  ].filter((text) => text !== "");
  const title = `## Stack ${escape(settings.stack)}`;
  if (before === undefined) sections.unshift("This stack is new.");
  if (after === undefined)
    sections.unshift("This stack's file is taken away. `pulumi destroy` comes before that.");
  if (sections.length === 0) sections.push("Nothing changes in Vault or GitLab.");
  return `${[title, ...sections].join("\n\n")}\n`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `### ${title}\n\n${lines.join("\n")}`;
}

function gained(before: Version | undefined, after: Version | undefined): Access[] {
  if (after === undefined) return [];
  const accounts = [...new Set([...namesOf(before?.settings), ...namesOf(after.settings)])].sort();
  const had = new Set((before === undefined ? [] : accessOf(before.settings, accounts)).map(keyOf));
  return accessOf(after.settings, accounts).filter((one) => !had.has(keyOf(one)));
}

function keyOf({ who, right, secret, account }: Access): string {
  return JSON.stringify([who, right, secret, account]);
}

function namesOf(settings: Settings | undefined): string[] {
  return settings?.accounts.map(({ name }) => name) ?? [];
}

/** A row for everybody, right and secret; its accounts in one cell. */
function accessRows(accesses: readonly Access[]): string[] {
  const rows = new Map<string, { access: Access; accounts: string[] }>();
  for (const access of accesses) {
    const key = keyOf({ ...access, account: "" });
    const row = rows.get(key) ?? { access, accounts: [] };
    row.accounts.push(access.account);
    rows.set(key, row);
  }
  if (rows.size === 0) return [];
  const lines = [...rows.values()].map(
    ({ access: { who, right, secret }, accounts }) =>
      `| ${escape(who)} | ${right} | the ${secret} of ${accounts.map(escape).join(", ")} |`,
  );
  return ["| who | may | what |", "|---|---|---|", ...lines];
}

function passwordLines(before: Settings | undefined, after: Settings | undefined): string[] {
  return (after?.accounts ?? []).flatMap((account) => {
    const { name, renamedFrom, passwordGeneration: generation } = account;
    const earlier = before?.accounts.find((one) => one.name === name || one.name === renamedFrom);
    if (earlier === undefined) return [`- ${escape(name)}: new; its first password is changed`];
    if (generation > earlier.passwordGeneration) {
      return [`- ${escape(name)}: generation ${earlier.passwordGeneration} -> ${generation}`];
    }
    return [];
  });
}

function scheduleLines(before: Settings | undefined, after: Settings | undefined): string[] {
  const [was, is] = [before && scheduleText(before), after && scheduleText(after)];
  return was === is ? [] : [`- before: ${was ?? "none"}`, `- after: ${is ?? "none"}`];
}

/** From a fixed day: the same change reads the same whenever it is reviewed. */
function scheduleText(settings: Settings): string {
  const { cron, cronTimezone } = settings;
  const { largest } = scheduleGaps(cron, cronTimezone, Date.UTC(2026, 0, 5));
  const kept = tokenKeptSeconds(settings) / 3600;
  const spare = Math.max(0, Math.ceil(kept / largest) - 2);
  return `\`${cron}\` ${escape(cronTimezone)}, at most ${largest} h apart; readers keep a token through ${spare} missed ${spare === 1 ? "run" : "runs"}`;
}

/** Everything that is registered, by a name that people know. */
function resourcesOf(settings: Settings | undefined): Map<string, string> {
  if (settings === undefined) return new Map();
  // Ids and owner are known to GitLab and Vault alone; they are the same on both sides.
  const { vault, gitlab } = desiredState(settings, {
    project: { id: "0", uri: "project", pipelineFile: ".gitlab-ci.yml" },
    claims: new Map(),
    groupIds: new Map(),
  });
  const entries: [string, unknown][] = [
    [`KV mount ${vault.mount.path}`, vault.mount],
    [`auth mount ${vault.authMount.path}`, vault.authMount],
    ...[...Object.values(vault.policies), ...vault.consumers.map(({ policy }) => policy)].map(
      ({ name, text }): [string, unknown] => [`policy ${name}`, text],
    ),
    ...[vault.rotator, ...vault.consumers.map(({ role }) => role)].map(
      (role): [string, unknown] => [`role ${role.roleName}`, roleText(role, settings)],
    ),
    ...vault.groups.map((one): [string, unknown] => [
      `policies of group ${one.group}`,
      one.policies,
    ]),
    ...Object.entries(vault.keys.accounts).flatMap(([account, keys]) =>
      keys.map((key): [string, unknown] => [`key ${account}/${key}`, vault.keys.settings[key]]),
    ),
    ["pipeline schedule", gitlab.schedule],
    ...gitlab.variables.map(({ masked, value, ...rest }): [string, unknown] => [
      `CI variable ${rest.key}`,
      // Whether a secret changed is told by its ciphertext.
      { ...rest, masked, value: masked ? "" : value },
    ]),
    ...(gitlab.files ?? []).map(({ path, content }): [string, unknown] => [
      `file ${path}`,
      content,
    ]),
  ];
  return new Map(entries.map(([name, value]) => [name, JSON.stringify(value)]));
}

function roleText(role: DesiredState["vault"]["rotator"], settings: Settings) {
  const consumer = settings.consumers.find(({ name }) => role.roleName.endsWith(`.${name}`));
  return [role, settings.gitlabProject, consumer?.project, consumer?.group];
}

function resourceLines(before: Settings | undefined, after: Settings | undefined): string[] {
  const [was, is] = [resourcesOf(before), resourcesOf(after)];
  const added = [...is.keys()].filter((name) => !was.has(name));
  const changed = [...is].filter(([name, text]) => was.has(name) && was.get(name) !== text);
  const removed = [...was.keys()].filter((name) => !is.has(name));
  return [
    ...added.map((name) => `- create ${escape(name)}`),
    ...changed.map(([name]) => `- update ${escape(name)}`),
    ...removed.map((name) => `- ${name.startsWith("key ") ? "leave" : "delete"} ${escape(name)}`),
  ];
}

function secretLines(before: Version["secrets"] = {}, after: Version["secrets"] = {}): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => {
    if (before[key] === after[key]) return [];
    const what =
      before[key] === undefined ? "set" : after[key] === undefined ? "removed" : "changed";
    return [`- ${escape(key)}: ${what}`];
  });
}

function keptLines(before: Settings | undefined, after: Settings | undefined): string[] {
  const renamed = new Set(after?.accounts.map(({ renamedFrom }) => renamedFrom));
  const isNow = new Set(namesOf(after));
  return namesOf(before)
    .filter((name) => !isNow.has(name))
    .map((name) =>
      renamed.has(name)
        ? `- ${escape(name)}: its record is copied to the new name; the old one stays in Vault`
        : `- ${escape(name)}: its password stays in Vault and at APIsec, its last token until it ends`,
    );
}

/** What the deployer's policy does not open by itself. */
function adminLines(before: Settings | undefined, after: Settings | undefined): string[] {
  if (after === undefined) return [];
  const parts = (settings: Settings | undefined) =>
    settings && {
      groups: [settings.adminGroups, settings.developerGroups].flat().sort(),
      mount: [settings.mount, settings.createMount, settings.shareMount],
      authPath: [settings.authPath, settings.createAuth],
      policyPrefix: settings.policyPrefix,
      tokenLifetime: settings.tokenLifetime,
      tokenEndsInVault: settings.tokenEndsInVault,
      // In a mount that is not this stack's alone, paths are exact.
      accounts: settings.createMount && !settings.shareMount ? [] : namesOf(settings),
    };
  const [was, is] = [parts(before), parts(after)];
  const differing = Object.entries(is ?? {})
    .filter(
      ([key, value]) => JSON.stringify(value) !== JSON.stringify(was?.[key as keyof typeof was]),
    )
    .map(([key]) => key);
  if (differing.length === 0) return [];
  const name = `${after.policyPrefix}-${after.stack}-deployer`;
  return [
    `write the deployer's policy (${before === undefined ? "the stack is new" : `because of ${differing.join(", ")}`}):`,
    "",
    "```sh",
    `npx apisec-credentials policy deployer --stack ${after.stack} | vault policy write ${name} -`,
    "```",
  ];
}

/** Markdown and HTML of others' names stay text. */
function escape(text: string): string {
  return text.replace(/[\\`*_{}[\]<>#|~@]/g, (character) => `&#${character.charCodeAt(0)};`);
}
