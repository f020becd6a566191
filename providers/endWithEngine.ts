import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";

const everyMs = 1_000;

/**
 * Ends this process, the program's or a provider's, when the engine that started it is gone: killed, or piped
 * into something that has ended. The SDK does not: a provider stays, and a program may loop for ever over an
 * error that it cannot report, and grow by gigabytes. Whatever was begun is safe: the next `up` goes on.
 * It runs when it is loaded: tsconfig.json has ts-node load it, which is before the program's first request.
 * In a process that no engine started it does nothing.
 */
function endWithEngine(engine: string | undefined): void {
  if (engine === undefined) return;
  const look = () => probe(engine, () => process.exit(1));
  look();
  setInterval(look, everyMs).unref();
  // The SDK's loop consists of these, and lets no timer run.
  process.prependListener("unhandledRejection", () => {
    if (isGone(engine)) process.exit(1);
  });
  // However this process ends.
  process.on("exit", () => {
    if (isGone(engine)) endOthersOf(engine);
  });
}

/** The program is told its engine by the language host, a provider by its argument. */
function engineAddress(): string | undefined {
  const ofProgram = process.env["PULUMI_NODEJS_ENGINE"];
  if (ofProgram !== undefined) return ofProgram;
  const isProvider = process.argv.some((word) => word.includes("dynamic-provider"));
  return isProvider ? process.argv.find((word) => /^[\w.]+:\d+$/.test(word)) : undefined;
}

function probe(engine: string, gone: () => void): void {
  const colon = engine.lastIndexOf(":");
  const socket = connect(Number(engine.slice(colon + 1)), engine.slice(0, colon));
  socket.unref();
  socket.on("connect", () => socket.destroy());
  // Any other error (no file handle left, for one) says nothing about the engine.
  socket.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "ECONNREFUSED") gone();
  });
}

/** The same without waiting: nobody listens at the engine's port. */
function isGone(engine: string): boolean {
  const port = Number(engine.slice(engine.lastIndexOf(":") + 1));
  const listens = `:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`;
  try {
    return !readFileSync("/proc/net/tcp", "utf8").includes(listens);
  } catch {
    return process.ppid === 1; // Not Linux: its parent, the language host, has ended at least.
  }
}

/**
 * What the same engine started and what does not end by itself: a provider process that has not been asked for
 * a resource yet, so has not loaded this file, and the language host. Both have the engine's address as argument.
 */
function endOthersOf(engine: string): void {
  for (const pid of processIds()) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const isOurs = words.some((word) =>
        /dynamic-provider|pulumi-(language|resource-pulumi)-nodejs$/.test(word),
      );
      if (pid !== process.pid && isOurs && words.includes(engine)) process.kill(pid);
    } catch {
      // It has ended meanwhile, or is somebody else's.
    }
  }
}

function processIds(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return []; // Not Linux.
  }
}

endWithEngine(engineAddress());
