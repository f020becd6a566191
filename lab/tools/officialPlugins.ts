import * as fs from "node:fs";
import * as path from "node:path";

import { isExecutable, run } from "../process";
import { lastLine } from "./context";
import type { Context, Tool } from "./context";
import {
  installTimeoutMs,
  notTriedBecause,
  officialReachable,
  outOfReach,
  rememberFailures,
} from "./official";
import { askPluginVersion } from "./pluginVersion";
import { isAccepted } from "./version";

export type PluginName = "vault" | "gitlab" | "command";

/** The versions of their SDKs in package.json: a plugin may be newer, of the same major version. */
const pluginVersions: Record<PluginName, string> = {
  vault: "7.8.0",
  gitlab: "10.1.1",
  command: "1.2.1",
};

export interface PluginResult {
  tool: Tool;
  found: boolean;
}

/**
 * The official plugins: found on PATH or in `pulumiHome`, else downloaded into it. A failed download
 * is tried again after some hours; LAB_OFFLINE=1 tries none, LAB_OFFLINE=0 tries at once.
 * @throws where a plugin on PATH is too old or none: the engine would use that one.
 */
export async function ensurePlugins(context: Context, pulumi: Tool): Promise<PluginResult[]> {
  const names = Object.keys(pluginVersions) as PluginName[];
  const onPath = await pluginsOnPath(context, names);
  const reason = (name: PluginName) => notTriedBecause(context, pluginKey(name));
  const present = (name: PluginName) => onPath[name] ?? downloadedPlugin(context, name);
  const attempts = names.filter((name) => !present(name) && reason(name) === undefined);
  const fresh = attempts.length > 0 ? await installPlugins(context, pulumi, attempts) : {};
  return names.map((name) => {
    const tool = present(name);
    if (tool) return { tool, found: true };
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

async function pluginsOnPath(
  context: Context,
  names: PluginName[],
): Promise<Partial<Record<PluginName, Tool>>> {
  const problems: string[] = [];
  const found = await Promise.all(
    names.map(async (name): Promise<[PluginName, Tool][]> => {
      const detail = context.onPath(`pulumi-resource-${name}`);
      if (!detail) return [];
      const said = await askPluginVersion(detail, context.env);
      const problem = pluginProblem(name, detail, said);
      if (problem) problems.push(problem);
      return [[name, { name, version: said || "-", source: "PATH", detail }]];
    }),
  );
  if (problems.length > 0) throw new Error(problems.sort().join("\n"));
  return Object.fromEntries(found.flat());
}

/** Why a plugin on PATH cannot be used. One that names no version is somebody's own build: used. */
function pluginProblem(
  name: PluginName,
  file: string,
  said: string | undefined,
): string | undefined {
  const atLeast = pluginVersions[name];
  const below = Number(atLeast.split(".")[0]) + 1;
  const needed = `Version ${atLeast} or later, below ${below}, is needed: install it with \`pulumi plugin install resource ${name} ${atLeast}\`, or take ${file} off PATH`;
  if (said === undefined) return `${file} does not answer as a Pulumi plugin does. ${needed}.`;
  if (said === "" || isAccepted(said, { atLeast, below })) return undefined;
  return `${file} is version ${said}. ${needed}.`;
}

function downloadedPlugin(context: Context, name: PluginName): Tool | undefined {
  const version = pluginVersions[name];
  const directory = path.join(context.pulumiHome, "plugins", `resource-${name}-v${version}`);
  const detail = path.join(directory, `pulumi-resource-${name}`);
  const complete = isExecutable(detail) && !fs.existsSync(`${directory}.partial`);
  return complete ? { name, version, source: "official", detail } : undefined;
}

/** Installs by `pulumi plugin install`. Returns what failed, and why. */
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
    for (const name of names) problems[name] = outOfReach;
  }
  const byKey = Object.entries(problems).map(([name, reason]) => [
    pluginKey(name as PluginName),
    reason,
  ]);
  rememberFailures(context, Object.fromEntries(byKey) as Record<string, string>);
  return problems;
}
