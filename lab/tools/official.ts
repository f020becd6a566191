import * as fs from "node:fs";
import * as https from "node:https";
import * as path from "node:path";

import { writeWhole } from "../../cli/wholeFile";
import type { Context } from "./context";

// Pulumi's archives and the plugins' releases; either answer means that there is a way out.
const officialHosts = ["https://get.pulumi.com/", "https://api.github.com/"];
const probeTimeoutMs = 5_000;
const retryAfterMs = 6 * 3600_000;

export const installTimeoutMs = 300_000;

/** Behind a proxy only a real attempt tells: Node 20 cannot ask through one. */
export async function officialReachable(env: NodeJS.ProcessEnv): Promise<boolean> {
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

export const outOfReach = "its download cannot be reached from here";

type Failures = Record<string, { at: number; reason: string }>;

/**
 * Why an official download is not tried now, or undefined. A failed one is tried again after some hours;
 * LAB_OFFLINE=1 tries none, LAB_OFFLINE=0 tries at once.
 */
export function notTriedBecause(context: Context, key: string): string | undefined {
  if (context.env.LAB_OFFLINE === "1") return "LAB_OFFLINE=1";
  const failure = context.env.LAB_OFFLINE === "0" ? undefined : readFailures(context)[key];
  if (!failure || Date.now() - failure.at > retryAfterMs) return undefined;
  return `${failure.reason}; tried at ${new Date(failure.at).toISOString()}`;
}

/** Keeps why downloads failed, by their keys. */
export function rememberFailures(context: Context, problems: Record<string, string>): void {
  const failures = readFailures(context);
  for (const [key, reason] of Object.entries(problems)) failures[key] = { at: Date.now(), reason };
  fs.mkdirSync(context.cache, { recursive: true });
  writeWhole(failuresFile(context), JSON.stringify(failures, undefined, 2));
}

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
