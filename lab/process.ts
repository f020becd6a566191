import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Text for standard input; without it standard input is empty. */
  input?: string;
  /** Appends both outputs to this file as well. */
  logFile?: string;
  /** After this many milliseconds the child is ended and the code is 124. */
  timeoutMs?: number;
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command to its end. Never rejects: a command that cannot be started answers with code 127,
 * one that was ended by a signal with 128, one that took too long with 124.
 */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    const output = { stdout: "", stderr: "" };
    let timedOut = false;
    const child = spawn(command, args, { cwd: options.cwd, env: options.env });
    const timer = options.timeoutMs
      ? setTimeout(() => {
          timedOut = true;
          child.kill("SIGKILL");
        }, options.timeoutMs)
      : undefined;
    const finish = (code: number) => {
      clearTimeout(timer);
      resolve({ code: timedOut ? 124 : code, ...output });
    };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        output[name] += text;
        if (options.logFile) fs.appendFileSync(options.logFile, text);
      });
    }
    child.on("error", (error) => {
      output.stderr += error.message;
      finish(127);
    });
    child.on("close", (code) => finish(code ?? 128));
    // A child that does not read its input ends before this write does.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** The first executable file of this name on a PATH, or undefined. */
export function findExecutable(name: string, pathVariable: string): string | undefined {
  for (const directory of pathVariable.split(path.delimiter)) {
    const file = path.join(directory || ".", name);
    if (isExecutable(file)) return path.resolve(file);
  }
  return undefined;
}

export function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

const handedOut = new Set<number>();

/**
 * A TCP port that was free a moment ago; another process may still take it first. Where there are enough, it is none of
 * those that the kernel gives to connections, and none that this test file or another of Jest's workers has got, so that
 * a server that is started again finds its port.
 */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const { from, to } = portsOf(ownPart());
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const port = randomInt(from, to);
    const given = handedOut.has(port) && attempt < 100;
    if (given || !(await isFree(port, host))) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error(`no port of ${host} from ${from} to ${to} is free`);
}

/** What a child needs that opens servers of its own, to take its ports where this process does. */
export function ownPortsEnv(): NodeJS.ProcessEnv {
  const { LAB_STREAM, JEST_WORKER_ID } = process.env;
  return { LAB_STREAM, JEST_WORKER_ID };
}

/** Which of eight parts is this process's. */
export function ownPart(): number {
  const { LAB_STREAM: stream = "0", JEST_WORKER_ID: worker = "0" } = process.env;
  return (Number(stream) * 4 + (Number(worker) % 4)) % 8;
}

/** A part of the ports that the kernel does not give to connections: `from`, and those below `to`. */
export function portsOf(part: number, { first, last } = connectionPorts()) {
  const [lowest, highest] = first > 20_000 ? [10_000, first - 1] : [last + 1, 65_535];
  const size = Math.floor((highest - lowest) / 8);
  // Nothing is left where the kernel may give any port.
  if (size < 500) return { from: 10_000, to: 60_000 };
  return { from: lowest + part * size, to: lowest + (part + 1) * size };
}

/** The ports that the kernel gives to connections; IANA's dynamic ports where it does not say. */
function connectionPorts(): { first: number; last: number } {
  try {
    const range = fs.readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
    const [first = 0, last = 0] = range.trim().split(/\s+/).map(Number);
    return { first, last };
  } catch {
    return { first: 49_152, last: 65_535 };
  }
}

/** True where nobody listens at the port, else undefined. */
export function isFree(port: number, host = "127.0.0.1"): Promise<true | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/**
 * Asks until `check` gives something else than undefined and returns that.
 * @throws when `timeoutMs` have passed ("<what> did not happen within ..."), or what `check` throws.
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  check: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const result = await check();
    if (result !== undefined) return result;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // A child that has ended but was not yet waited for still answers to signal 0.
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

/** The command line of a running process, or undefined when there is none with this id. */
export async function commandLine(pid: number): Promise<string | undefined> {
  try {
    return (
      fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() || undefined
    );
  } catch {
    const { code, stdout } = await run("ps", ["-ww", "-o", "args=", "-p", String(pid)]);
    return code === 0 ? stdout.trim() : undefined;
  }
}

/** Ends a process: asks first, and after `graceMs` does not ask any more. Returns once it is gone. */
export async function endProcess(pid: number, graceMs: number): Promise<void> {
  const gone = () => (isAlive(pid) ? undefined : true);
  const signal = (name: NodeJS.Signals) => {
    if (isAlive(pid)) process.kill(pid, name);
  };
  if (graceMs > 0) {
    signal("SIGTERM");
    const ended = await waitFor(`end of process ${pid}`, graceMs, gone).catch(() => false);
    if (ended) return;
  }
  signal("SIGKILL");
  await waitFor(`end of process ${pid}`, 5000, gone);
}
