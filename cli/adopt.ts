// What is not in the list needs no import: the mount is taken up by `pulumi up`, and a password, a key's
// settings and a file of the rotation project are written again as they are.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../config/readConfig";
import type { Settings } from "../config/settings";
import { jsonObject } from "../net/http";
import { encodePath } from "../clients/vault";
import { readStackFile } from "../checks/stackFile";
import { callersGitlab, callersVault } from "../clients/callers";
import { look } from "../clients/look";
import { printed } from "../core/printed";
import { programFolder, runner } from "../desired/packageFolder";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { chosenStack, stackName } from "./stackSettings";
import { coded } from "../core/messageCode";

const usage = `${calledFor.own("adopt", { isPiped: true })}
For a stack whose state was lost: writes the list of what is there already in Vault and GitLab, and shows the
command that takes it into a new state. Changes nothing itself.`;

type Inputs = Record<string, string>;

/** An entry of Pulumi's import file. */
interface Entry {
  type: string;
  name: string;
  /** The resource's name in the program, where it is not `name`. */
  logicalName?: string;
  parent?: string;
  component?: boolean;
  id?: string;
}

interface Preview {
  config: Record<string, string>;
  steps: { op: string; urn: string; newState?: { type: string; inputs?: Inputs } }[];
  diagnostics?: { severity?: string; message?: string }[];
}

/** How to find what is there, by resource type: the id to import it by, undefined where it is not. */
type Finders = Record<string, (inputs: Inputs) => Promise<string | undefined>>;

export const adopt: Command = {
  summary: "take what is there already into a new state",
  usage,
  async run(args) {
    const { values } = parsed(usage, args, { options: { stack: { type: "string" } } });
    await adoptStack(chosenStack(values.stack));
    return 0;
  },
};

async function adoptStack(stack: string): Promise<void> {
  const root = programFolder();
  mkdirSync(join(root, "dist"), { recursive: true });
  const listFile = join("dist", `adopt-${stackName(stack)}.json`);
  const previewed = preview(stack, listFile);
  const entries = (JSON.parse(readFileSync(join(root, listFile), "utf8")) as { resources: Entry[] })
    .resources;
  const find = finders(settingsOf(stackName(stack), previewed));
  const found: Entry[] = [];
  for (const entry of entries) {
    const inputs = previewed.steps.find((step) => isOf(step, entry))?.newState?.inputs;
    const id = inputs === undefined ? undefined : await find[entry.type]?.(inputs);
    if (id !== undefined) found.push({ ...entry, id });
  }
  if (found.length === 0) {
    rmSync(join(root, listFile), { force: true });
    console.log(`Stack ${stack} has nothing to adopt: its state knows all that is there.`);
    return;
  }
  const parents = new Set(found.map(({ parent }) => parent));
  const components = entries.filter(({ component, name }) => component && parents.has(name));
  writeFileSync(
    join(root, listFile),
    `${JSON.stringify({ resources: [...components, ...found] }, undefined, 2)}\n`,
  );
  const print = printed(stack, runner());
  for (const { type, id } of found) console.log(`${type.replace(/^.*:/, "").padEnd(18)}${id}`);
  console.log(
    `\nTo take these ${found.length} into the state, then the rest:\n` +
      `  ${print.pulumi(`import --file ${listFile} --protect=false --generate-code=false`)}\n` +
      `  ${print.pulumi("up")}`,
  );
}

/** What `up` would create; Pulumi writes the list with a placeholder for each id. */
function preview(stack: string, listFile: string): Preview {
  const args = ["preview", "--stack", stack, "--json", "--import-file", listFile];
  const { status, stdout, stderr, error } = spawnSync("pulumi", args, {
    cwd: programFolder(),
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return JSON.parse(stdout) as Preview;
  const said = (jsonObject(stdout) as Preview | undefined)?.diagnostics ?? [];
  const errors = said.filter(({ severity }) => severity === "error").map(({ message }) => message);
  throw new Error(error?.message ?? (errors.join("\n") || stderr || stdout));
}

function isOf({ op, urn, newState }: Preview["steps"][number], entry: Entry): boolean {
  const name = entry.logicalName ?? entry.name;
  return op === "create" && newState?.type === entry.type && urn.endsWith(`::${name}`);
}

function settingsOf(stack: string, { config, steps }: Preview): Settings {
  const project = steps[0]?.urn.split("::")[1] ?? "";
  // Secrets are shown as "[secret]", which is neither a password's nor a webhook's value.
  const values = Object.entries(config).filter(([, value]) => value !== "[secret]");
  return readConfig({
    project,
    stack,
    values: Object.fromEntries(values),
    secretKeys: [],
    env: process.env,
    hasTokenFile: true,
    readText: (path) => readFileSync(path, "utf8"),
    now: Date.now(),
  });
}

function finders(settings: Settings): Finders {
  const vault = callersVault(settings);
  const inVault = async (path: string, id: string) =>
    (await look(vault, encodePath(path))) === undefined ? undefined : id;
  const { caFile } = readStackFile(settings.stack).gitlab;
  const reader = callersGitlab(settings, process.env["GITLAB_TOKEN"], caFile);
  const gitlab = (path: string) => {
    if (reader === undefined)
      throw coded("GITLAB_TOKEN is not set: GitLab is asked with it.", "no-gitlab-token");
    return reader(path);
  };
  return {
    "vault:index/policy:Policy": ({ name }) => inVault(`sys/policies/acl/${name}`, `${name}`),
    "vault:jwt/authBackend:AuthBackend": ({ path }) =>
      inVault(`sys/mounts/auth/${path}`, `${path}`),
    "vault:jwt/authBackendRole:AuthBackendRole": ({ backend, roleName }) =>
      inVault(`auth/${backend}/role/${roleName}`, `auth/${backend}/role/${roleName}`),
    "gitlab:index/projectVariable:ProjectVariable": async ({ project, key, environmentScope }) => {
      const scope = encodeURIComponent(`${environmentScope}`);
      const path = `projects/${project}/variables/${key}?filter%5Benvironment_scope%5D=${scope}`;
      const variable = await gitlab(path);
      return variable === undefined ? undefined : `${project}:${key}:${environmentScope}`;
    },
    "gitlab:index/pipelineSchedule:PipelineSchedule": async ({ project, description }) => {
      const all = (await gitlab(`projects/${project}/pipeline_schedules?per_page=100`)) as
        { id: number; description: string }[] | undefined;
      const ours = all?.find((schedule) => schedule.description === description);
      return ours === undefined ? undefined : `${project}:${ours.id}`;
    },
  };
}
