import { redact } from "../core/redact";
import { systemClock as clock } from "../net/http";
import type { HttpRequest, HttpResponse, Send } from "../net/http";
import { proxyTo } from "../net/proxy";
import { isAnswer, isBusy, retry, wasNotSent } from "../net/retry";
import { nodeSend } from "../net/transport";
import { scanApiAt } from "./apisec";
import { exitCodes, scan } from "./run";
import { readScanSettings, usage } from "./settings";
import type { ScanSettings } from "./settings";
import { heldToken } from "./token";
import { shown, withCode } from "../core/messageCode";

// Not by `import`, for the reason given at clientFor (transport.ts).
const { readFileSync, writeFileSync } = process.getBuiltinModule("node:fs");
const out = (line: string) => void process.stdout.write(`${line}\n`);
const err = (line: string) => void process.stderr.write(`${line}\n`);

const retryForMs = 60_000;

/** Starting a scan or registering an API twice is not the same as once: repeated only where nothing was sent. */
function patiently(send: Send): Send {
  return (request: HttpRequest): Promise<HttpResponse> =>
    retry(send, request, clock, {
      withinMs: retryForMs,
      again: (outcome) =>
        wasNotSent(outcome) ||
        (isAnswer(outcome) && outcome.status === 429) ||
        (request.method !== "POST" && (!isAnswer(outcome) || isBusy(outcome))),
    });
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(usage);
    return exitCodes.passed;
  }
  let settings: ScanSettings;
  try {
    settings = readScanSettings(args, process.env, (path) => readFileSync(path, "utf8"));
  } catch (error) {
    err(shown(error as Error));
    return exitCodes.settings;
  }
  const { source } = settings;
  const secrets = [source.kind === "vault" ? source.idToken : source.token];
  try {
    const tls = source.kind === "vault" ? source.tls : {};
    const { token, host } = await heldToken(source, nodeSend({ ...tls, proxyFor: proxyTo }), clock);
    secrets.push(token);
    const api = scanApiAt(patiently(nodeSend({ proxyFor: proxyTo })), host, token);
    const world = { api, host, clock, secrets, out, write: writeFileSync };
    return await scan(settings, world);
  } catch (error) {
    err(redact(shown(error as Error), secrets));
    return exitCodes.failed;
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    err(withCode(`stopped by an unexpected error: ${error.name}`, "unexpected"));
    process.exitCode = exitCodes.failed;
  },
);
