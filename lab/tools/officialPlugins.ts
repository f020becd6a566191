import * as fs from "node:fs";
import * as https from "node:https";
import * as path from "node:path";

import { isExecutable, run } from "../process";
import { lastLine } from "./context";
import type { Context, Tool } from "./context";

export type PluginName = "vault" | "gitlab" | "command";

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

export interface PluginResult {
  tool: Tool;
  found: boolean;
}

/**
 * The official plugins: found on PATH or in `pulumiHome`, else downloaded into it. A failed download
 * is tried again after some hours; LAB_OFFLINE=1 tries none, LAB_OFFLINE=0 tries at once.
 */
export async function ensurePlugins(context: Context, pulumi: Tool): Promise<PluginResult[]> {
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
