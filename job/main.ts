import { withCode } from "../core/messageCode";
import { systemClock as clock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { heartbeat } from "./heartbeat";
import { exitCodes, run } from "./run";
import { span } from "./tokenLeft";
import { readSettings } from "./settings";
import { nodeSend } from "../net/transport";
import { teller } from "./webhook";
import type { Stop } from "./run";
import type { Settings } from "./settings";

// Not by `import`, for the reason given at clientFor (transport.ts).
const { readFileSync, renameSync, statSync, writeFileSync } = process.getBuiltinModule("node:fs");
const err = (line: string, code?: string) => void process.stderr.write(`${withCode(line, code)}\n`);
const send = nodeSend({ proxyFor: proxyTo });
const messenger = { send, clock, warn: err };
const tell = teller(process.env, messenger);
const beat = heartbeat(process.env, messenger);

/** An account that is under way when the time is over has a minute to end; when the job is being killed, it has not. */
const graceMs = { deadline: 60_000, signal: 2_000 };

async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = readSettings(process.env, { readText: (path) => readFileSync(path, "utf8") });
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    const text = withCode(message, code);
    err(text);
    const [title = "", ...problems] = text.split("\n");
    await Promise.all([tell(title, problems), beat(false)]);
    return exitCodes.settings;
  }
  const stop = stopOf(settings.deadlineSeconds);
  const code = await run(settings, {
    vaultSend: nodeSend({ ...settings.vault.tls, proxyFor: proxyTo }),
    apisecSend: send,
    clock,
    out: (line) => void process.stdout.write(`${line}\n`),
    err,
    writeReport: writeWhole,
    tell,
    beat,
    stop,
  });
  // What was under way when it stopped would keep the process alive.
  if (stop.aborted) setTimeout(() => process.exit(), 1_000).unref();
  return code;
}

/** Before GitLab ends the job, which would leave no report and tell nobody; or when it does. */
function stopOf(deadlineSeconds: number): AbortSignal {
  const stop = new AbortController();
  const end = (text: string, grace: number) => stop.abort({ text, graceMs: grace } satisfies Stop);
  const text = `the job's time was over after ${span(deadlineSeconds)}`;
  setTimeout(() => end(text, graceMs.deadline), deadlineSeconds * 1000).unref();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => end(`the job was stopped by ${signal}`, graceMs.signal));
  }
  return stop.signal;
}

/** A file that is there whole or not at all; a device is written to. */
function writeWhole(path: string, text: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
    return writeFileSync(path, text);
  }
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  async (error: Error) => {
    err(`stopped by an unexpected error: ${error.message}`, "unexpected");
    process.exitCode = exitCodes.someFailed;
    const text = "stopped by an unexpected error: see its log";
    await Promise.all([tell(text, []), beat(false)]);
  },
);
