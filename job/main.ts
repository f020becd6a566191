import { systemClock as clock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { exitCodes, run } from "./run";
import { readSettings } from "./settings";
import { nodeSend } from "../net/transport";
import { teller } from "./webhook";
import type { Settings } from "./settings";

// Not by `import`, for the reason given at clientFor (transport.ts).
const { readFileSync, writeFileSync } = process.getBuiltinModule("node:fs");
const err = (line: string) => void process.stderr.write(`${line}\n`);
const send = nodeSend({ proxyFor: proxyTo });
const tell = teller(process.env, { send, clock, warn: err });

async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = readSettings(process.env, { readText: (path) => readFileSync(path, "utf8") });
  } catch (error) {
    const { message } = error as Error;
    err(message);
    const [title = "", ...problems] = message.split("\n");
    await tell(title, problems);
    return exitCodes.settings;
  }
  return run(settings, {
    vaultSend: nodeSend({ ...settings.vault.tls, proxyFor: proxyTo }),
    apisecSend: send,
    clock,
    out: (line) => void process.stdout.write(`${line}\n`),
    err,
    writeReport: writeFileSync,
    tell,
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  async (error: Error) => {
    err(`stopped by a fault of its own: ${error.message}`);
    process.exitCode = exitCodes.someFailed;
    await tell("stopped by a fault of its own, which its log tells", []);
  },
);
