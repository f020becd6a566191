import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { mountDescription, policyName } from "../desired/names";
import { accessTable, rightsOn } from "./access";
import { labEnvironment, writeEnvironment } from "./environment";
import type { LabEnvironment } from "./environment";
import { baoRequest } from "./openbao";
import { checkKinds, kindsOf } from "./kinds";
import { loadedPlugins } from "./loadedPlugins";
import { buildStandIns } from "./plugins/build";
import { run } from "./process";
import { runSchedule } from "./schedule";
import { ensureTools } from "./tools";
import type { ToolReport } from "./tools";
import type { Tool } from "./tools/context";
import { rotationProject, startWorld, tokenWith } from "./world";
import type { World } from "./world";

const root = path.join(__dirname, "..");
const lab = path.join(root, ".lab");
const standIns = path.join(lab, "plugins");
const ports = { vault: 18280, apisec: 18281, apisecControl: 18282, gitlab: 18283 };

/** From a bare machine to a provisioned, rotating service account: the whole way, for real. */
async function up(): Promise<void> {
  const tools = await step("Tools", () => findTools());
  const pathVariable = [...tools.path, process.env["PATH"]].join(path.delimiter);
  await step("Program", () => inRoot("npm", ["run", "--silent", "build"], process.env));
  const { Vault: server } = kindsOf(tools);
  const world = await step(`Lab: Vault (${server}), GitLab, APIsec`, () =>
    startWorld({ dir: lab, ports, bao: tools.vault, toolPath: tools.path, detached: true }),
  );
  const environment = await prepare(world, tools);
  const env = { ...cleanEnvironment(), ...environment, PATH: pathVariable };
  await step("Stack dev", () => selectStack(env));
  await step("First passwords into Vault (hand-over)", () => handOver(world, env));
  console.log("\n== pulumi up ==");
  const printed = await pulumiUp(env);
  await step("Schedule runs its pipeline once", () => rotateOnce(world, env));
  await showAccess(world);
  showTools(tools, loadedPlugins(printed));
  console.log("\nGo on with: . .lab/env; pulumi preview, bao kv get …; end with: make down");
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  console.log(`-- ${name}`);
  const result = await work();
  console.log(`   ${name}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

async function findTools(): Promise<ToolReport> {
  const report = await ensureTools({
    pulumiHome: path.join(lab, "pulumi"),
    log: (line) => console.log(`   ${line}`),
  });
  checkKinds(lab, kindsOf(report));
  await buildStandIns(report.missingPlugins, standIns);
  return { ...report, path: [standIns, ...report.path] };
}

/** The deployer's and the monitor's tokens, and the file to source. */
async function prepare(world: World, tools: ToolReport): Promise<LabEnvironment> {
  const [deployer] = await Promise.all([tokenOf(world, "deployer"), tokenOf(world, "monitor")]);
  const environment = labEnvironment(
    lab,
    { vault: world.vault.address, gitlab: world.gitlab.url, apisec: world.apisec.url },
    { vault: deployer, gitlab: world.secrets.gitlabToken },
  );
  writeEnvironment(path.join(lab, "env"), environment, world.vault.rootToken, tools.path);
  return environment;
}

/** A token as docs/operations.md has it made, with today's policy; kept in `.lab/<role>-token`. */
async function tokenOf(world: World, role: "deployer" | "monitor"): Promise<string> {
  const policy = await policyOf(world, role);
  const name = `apisec-dev-${role}`;
  await asRoot(world, "PUT", `sys/policies/acl/${name}`, { policy });
  const file = path.join(lab, `${role}-token`);
  if (!fs.existsSync(file)) {
    const body = { policies: [name], ttl: "768h", no_parent: true };
    const made = await asRoot(world, "POST", "auth/token/create", body);
    const { auth } = made as { auth: { client_token: string } };
    fs.writeFileSync(file, auth.client_token, { mode: 0o600 });
  }
  return fs.readFileSync(file, "utf8");
}

/** What the lab's Vault admin gets of the command: where config names groups, Vault is asked for them. */
function policyOf(world: World, ...args: string[]): Promise<string> {
  return inRoot(process.execPath, ["cli/bin.js", "policy", ...args, "--stack", "dev"], {
    ...cleanEnvironment(),
    PATH: process.env["PATH"],
    VAULT_ADDR: world.vault.address,
    VAULT_TOKEN: world.vault.rootToken,
  });
}

async function asRoot(
  world: World,
  method: string,
  apiPath: string,
  body?: object,
): Promise<unknown> {
  const { address, rootToken } = world.vault;
  const answer = await baoRequest(address, rootToken, method, apiPath, body);
  return answer.status === 404 ? undefined : answer.body;
}

/** What `pulumi` may see of the caller's environment: no other credentials than the lab's. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { HOME, LANG, TERM, USER, XDG_CACHE_HOME, NO_COLOR } = process.env;
  return { HOME, LANG, TERM, USER, XDG_CACHE_HOME, NO_COLOR };
}

async function selectStack(env: NodeJS.ProcessEnv): Promise<void> {
  const stacks = JSON.parse(await inRoot("pulumi", ["stack", "ls", "--json"], env)) as {
    name: string;
  }[];
  if (stacks.some(({ name }) => name === "dev")) return;
  await inRoot("pulumi", ["stack", "init", "dev", "--no-select"], env);
}

/** What APIsec mailed, as docs/get-started.md hands it over: once, since `pulumi up` goes on from there. */
async function handOver(world: World, env: NodeJS.ProcessEnv): Promise<void> {
  const { id } = await rotationProjectOf(world);
  const instance = `${new URL(world.gitlab.url).host}/${id}`;
  const description = mountDescription({ project: "apisec-credentials", stack: "dev", instance });
  const mount = { type: "kv", options: { version: "2" }, description };
  await asRoot(world, "POST", "sys/mounts/apisec", mount);
  for (const [name, password] of Object.entries(world.secrets.firstPasswords)) {
    if ((await asRoot(world, "GET", `apisec/data/${name}/password`)) !== undefined) continue;
    const policy = await policyOf(world, "handover", "--account", name);
    const token = await tokenWith(world.vault, `apisec-dev-handover-${name}`, policy, "5m");
    const args = ["cli/bin.js", "hand-over", "--stack", "dev", "--account", name];
    const said = await inRoot(process.execPath, args, { ...env, VAULT_TOKEN: token }, password);
    console.log(`   ${said.trim()}`);
  }
}

async function rotationProjectOf({ gitlab, secrets }: World): Promise<{ id: number }> {
  const url = `${gitlab.url}/api/v4/projects/${encodeURIComponent(rotationProject)}`;
  const answer = await fetch(url, { headers: { "private-token": secrets.gitlabToken } });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  return (await answer.json()) as { id: number };
}

/** Runs `pulumi up`, shows what it prints but for the lines about where plugins were found, and gives all of it. */
async function pulumiUp(env: NodeJS.ProcessEnv): Promise<string> {
  const logFile = path.join(lab, "log", "pulumi-up.log");
  const args = ["up", "--yes", "--skip-preview", "--color", "never"];
  const child = spawn("pulumi", args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  const log = fs.createWriteStream(logFile);
  const show = withoutPluginLines((line) => console.log(line));
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      log.write(`${line}\n`);
      printed += `${line}\n`;
      show(line);
    });
  }
  const code = await new Promise((resolve) => {
    child.on("error", () => resolve(127));
    child.on("close", resolve);
  });
  log.end();
  if (code !== 0) throw new Error(`pulumi up failed (see ${logFile})`);
  return printed;
}

/** Without where plugins were found, their number, and headings that only they stand under. */
function withoutPluginLines(print: (line: string) => void): (line: string) => void {
  let headings: string[] = [];
  return (line) => {
    if (/using pulumi-\S+ from \$PATH|^@ updating\.*$|^\s*$/.test(line)) return;
    if (/^Diagnostics:$|^ {2}\S+ \(.*\):$/.test(line)) {
      headings.push(line);
      return;
    }
    if (/^ {4}/.test(line)) for (const heading of headings) print(heading);
    headings = [];
    print(line.replace(/ *\d+ warnings?(; \d+ messages?)?$/, ""));
  };
}

async function rotateOnce(world: World, env: NodeJS.ProcessEnv): Promise<void> {
  const schedule = await inRoot("pulumi", ["stack", "output", "scheduleId"], env);
  const { id, jobs } = await runSchedule(world, Number(schedule));
  for (const { name, status, trace } of jobs) {
    const lines = trace.trim().split("\n").slice(-12);
    console.log(`   job ${name}: ${status}\n${lines.map((line) => `   | ${line}`).join("\n")}`);
  }
  if (jobs.length === 0 || jobs.some(({ status }) => status !== "success")) {
    throw new Error(`pipeline ${id} did not succeed (see ${lab}/log/gitlab.log)`);
  }
}

async function showAccess(world: World): Promise<void> {
  const roles = ["admin", "developer", "rotator"] as const;
  const personas: Record<string, string> = {};
  for (const role of roles) {
    personas[role] = await tokenWith(
      world.vault,
      policyName("apisec", "dev", role),
      undefined,
      "5m",
    );
  }
  const rights = rightsOn("apisec", "scanner");
  console.log(
    "\n== Who may do what with account scanner (each tried with a token of that policy) ==",
  );
  console.log(`${"".padEnd(26)}${roles.map((role) => role.padEnd(11)).join("")}`);
  for (const { right, verdicts } of await accessTable(world.vault.address, personas, rights)) {
    const cells = roles.map((role) => (verdicts[role] === "yes" ? "yes" : "-").padEnd(11));
    console.log(`${right.padEnd(26)}${cells.join("")}`);
  }
}

/** Of plugins, what the engine has loaded: which file, and whether that is the one that was found. */
function showTools({ tools, plugins }: ToolReport, loaded: Map<string, string>): void {
  console.log("\n== Tools and plugins ==");
  const cells = (name: string, version: string, from: string) =>
    console.log(`${name.padEnd(32)}${version.padEnd(12)}${from}`);
  const row = ({ name, version, source }: Tool, more = "") => cells(name, version, source + more);
  cells("name", "version", "from");
  for (const tool of tools) if (!plugins.includes(tool)) row(tool);
  for (const plugin of plugins) {
    const wanted =
      plugin.source === "stand-in"
        ? path.join(standIns, `pulumi-resource-${plugin.name}`)
        : plugin.detail;
    const file = loaded.get(plugin.name);
    row(
      { ...plugin, name: `plugin ${plugin.name}` },
      file ? `, loaded from ${file}` : ", not loaded",
    );
    if (file !== undefined && fs.realpathSync(file) !== fs.realpathSync(wanted)) {
      throw new Error(`the engine loaded plugin ${plugin.name} from ${file}, not from ${wanted}`);
    }
  }
}

async function inRoot(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  input?: string,
): Promise<string> {
  const options = { cwd: root, env, ...(input === undefined ? {} : { input }) };
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}:\n${stdout}${stderr}`);
  return stdout;
}

up().catch((error: Error) => {
  console.error(`\nmake up stopped: ${error.message}`);
  process.exit(1);
});
