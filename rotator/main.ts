import { readFileSync, writeFileSync } from "node:fs";
import { nodeKnowsProxies, proxyFor } from "./proxy";
import { exitCodes, run } from "./run";
import { proxyAdvice, readSettings } from "./settings";
import { nodeSend } from "./transport";
import type { Settings } from "./settings";

async function main(): Promise<number> {
  const proxySupport = nodeKnowsProxies();
  let settings: Settings;
  try {
    settings = readSettings(process.env, {
      readText: (path) => readFileSync(path, "utf8"),
      proxySupport,
    });
  } catch (error) {
    console.error((error as Error).message);
    return exitCodes.settings;
  }
  const proxy = (origin: string) => proxyFor(origin, process.env)?.url;
  const apisecSend = nodeSend({ proxyFor: proxy });
  return run(settings, {
    vaultSend: nodeSend({ ca: settings.vault.ca, proxyFor: proxy }),
    apisecSend(host) {
      const wanted = proxyFor(host, process.env);
      if (wanted === undefined || proxySupport) return apisecSend;
      throw new Error(`${wanted.variable} names a proxy for ${host}: use ${proxyAdvice}`);
    },
    clock: {
      now: Date.now,
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    },
    out: (line) => console.log(line),
    err: (line) => console.error(line),
    writeReport: writeFileSync,
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    console.error(`stopped by a fault of its own: ${error.message}`);
    process.exitCode = exitCodes.someFailed;
  },
);
