import { systemClock } from "../core/http";
import { nodeKnowsProxies, proxyFor } from "./proxy";
import { exitCodes, run } from "./run";
import { proxyAdvice, readSettings } from "./settings";
import { nodeSend } from "./transport";
import type { Settings } from "./settings";

// Not by `import`, for the reason given at clientFor (transport.ts).
const { readFileSync, writeFileSync } = process.getBuiltinModule("node:fs");
const err = (line: string) => void process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = readSettings(process.env, {
      readText: (path) => readFileSync(path, "utf8"),
      nodeKnowsProxies,
    });
  } catch (error) {
    err((error as Error).message);
    return exitCodes.settings;
  }
  const proxy = (origin: string) => proxyFor(origin, process.env)?.url;
  const apisecSend = nodeSend({ proxyFor: proxy });
  return run(settings, {
    vaultSend: nodeSend({ ca: settings.vault.ca, proxyFor: proxy }),
    apisecSend(host) {
      const wanted = proxyFor(host, process.env);
      if (wanted === undefined || nodeKnowsProxies()) return apisecSend;
      throw new Error(`${wanted.variable} names a proxy for ${host}: use ${proxyAdvice}`);
    },
    clock: systemClock,
    out: (line) => void process.stdout.write(`${line}\n`),
    err,
    writeReport: writeFileSync,
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    err(`stopped by a fault of its own: ${error.message}`);
    process.exitCode = exitCodes.someFailed;
  },
);
