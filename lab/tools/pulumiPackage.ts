import * as fs from "node:fs";
import * as path from "node:path";

import { run } from "../process";
import { cached, isCached, pinKey } from "./cache";
import { lastLine, messageOf } from "./context";
import type { Context, Tool } from "./context";
import {
  installTimeoutMs,
  notTriedBecause,
  officialReachable,
  outOfReach,
  rememberFailures,
} from "./official";
import { parseVersion } from "./version";

/**
 * The CLI with its language hosts by the official npm package `pulumi`, which runs Pulumi's install script at
 * its first use: pinned by version, not by a checksum; so the version is asked afterwards. Without a tool, the
 * reason: only registries answer, or LAB_OFFLINE=1. Another `spec` stands in for the package in tests.
 */
export async function officialPulumi(
  context: Context,
  version: string,
  spec = `pulumi@${version}`,
): Promise<{ tool?: Tool; reason?: string }> {
  const key = `pulumi-${version}`;
  const pinned = pinKey(version, [spec]);
  const known = isCached(context, "pulumi", pinned) ? undefined : notTriedBecause(context, key);
  if (known !== undefined) return { reason: known };
  if (!isCached(context, "pulumi", pinned) && !(await officialReachable(context.env))) {
    rememberFailures(context, { [key]: outOfReach });
    return { reason: outOfReach };
  }
  try {
    const expected = "by the official npm package, up to a minute";
    const tool = await cached(context, "pulumi", pinned, "official", expected, (into, logFile) =>
      install(context, spec, version, into, logFile),
    );
    return { tool };
  } catch (error) {
    const reason = messageOf(error);
    context.log(`${reason}; it is built instead`);
    rememberFailures(context, { [key]: reason });
    return { reason };
  }
}

async function install(
  context: Context,
  spec: string,
  version: string,
  into: string,
  logFile: string,
): Promise<void> {
  const home = path.join(into, "home");
  const packages = path.join(into, "npm");
  const env = {
    ...context.env,
    PULUMI_HOME: home,
    PULUMI_VERSION: undefined,
    PULUMI_SKIP_UPDATE_CHECK: "1",
  };
  const options = { env, logFile, timeoutMs: installTimeoutMs };
  const args = ["install", "--prefix", packages, "--ignore-scripts", "--no-audit", "--no-fund"];
  const installed = await run("npm", [...args, "--install-links", spec], options);
  if (installed.code !== 0) throw new Error(`npm install failed (${lastLine(installed.stderr)})`);
  const cli = path.join(packages, "node_modules/.bin/pulumi");
  const asked = await run(cli, ["version"], options);
  if (asked.code !== 0) throw new Error(lastLine(asked.stderr) || `ended with code ${asked.code}`);
  const found = parseVersion(asked.stdout);
  if (found !== version) throw new Error(`it brought version ${found ?? "unknown"}`);
  const binaries = path.join(home, "versions", version, "bin");
  for (const file of fs.readdirSync(binaries)) {
    fs.renameSync(path.join(binaries, file), path.join(into, file));
  }
  for (const used of [home, packages]) fs.rmSync(used, { recursive: true, force: true });
}
