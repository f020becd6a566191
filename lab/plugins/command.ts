import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Handler } from "./handler";
import type { Change } from "./lifecycle";
import { stable, text, unknown, type Log, type Props } from "./resource";
import { serve } from "./server";

const running = new Set<ChildProcess>();

/**
 * Runs one command line of the resource.
 * @throws with its exit status and what it printed when it fails.
 */
async function run(line: unknown, inputs: Props, before: Props, log: Log): Promise<Props> {
  const [shell = "", ...flags] = (inputs.interpreter as string[] | undefined) ?? ["/bin/sh", "-c"];
  const given = (inputs.environment ?? {}) as Record<string, string>;
  const previous =
    inputs.addPreviousOutputInEnv !== false && before.stdout !== undefined
      ? {
          PULUMI_COMMAND_STDOUT: text(before.stdout),
          PULUMI_COMMAND_STDERR: text(before.stderr),
        }
      : {};
  const child = spawn(shell, [...flags, text(line)], {
    cwd: inputs.dir as string | undefined,
    env: { ...process.env, ...given, ...previous },
    stdio: "pipe",
    detached: true,
  });
  running.add(child);
  child.stdin.on("error", () => {
    // A command need not read its input.
  });
  child.stdin.end(text(inputs.stdin));

  const logging = text(inputs.logging ?? "stdoutAndStderr").toLowerCase();
  const both: string[] = [];
  const collect = (name: "stdout" | "stderr") => {
    const lines: string[] = [];
    createInterface({ input: child[name] }).on("line", (printed) => {
      lines.push(printed);
      both.push(printed);
      if (logging.includes(name)) {
        log(printed);
      }
    });
    return lines;
  };
  const [stdout, stderr] = [collect("stdout"), collect("stderr")];
  const status = await new Promise<string>((resolve, reject) => {
    child.on("error", (error: NodeJS.ErrnoException) => {
      const what = existsSync(text(inputs.dir ?? "."))
        ? `fork/exec ${shell}`
        : `chdir ${text(inputs.dir)}`;
      reject(error.code === "ENOENT" ? notThere(what, line) : error);
    });
    child.on("close", (code, signal) => {
      resolve(code === null ? `signal: ${signals[signal ?? ""] ?? signal}` : `exit status ${code}`);
    });
  }).finally(() => running.delete(child));
  if (status !== "exit status 0") {
    throw new Error(`${status}: running ${JSON.stringify(line)}:\n${both.join("\n")}`);
  }
  return { stdout: stdout.join("\n"), stderr: stderr.join("\n") };
}

/** Go's words. */
const signals: Record<string, string> = { SIGKILL: "killed", SIGTERM: "terminated" };

const notThere = (what: string, line: unknown): Error =>
  new Error(`${what}: no such file or directory: running ${JSON.stringify(line)}:\n`);

/** Ends a command with all that it has started. */
function endGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid ?? NaN));
  } catch {
    // It has ended by itself.
  }
}

const inputs = [
  ...["create", "update", "delete", "dir", "environment", "interpreter", "stdin"],
  ...["logging", "addPreviousOutputInEnv", "triggers"],
];

const known = (properties: Props): Props =>
  Object.fromEntries(Object.entries(properties).filter(([key]) => inputs.includes(key)));

const changedKeys = (state: Props, news: Props): string[] =>
  inputs.filter((key) => stable(state[key] ?? null) !== stable(news[key] ?? null));

const kindOf = (was: unknown, now: unknown): Change["kind"] =>
  was === undefined ? "ADD" : now === undefined ? "DELETE" : "UPDATE";

function changedTriggers(state: Props, news: Props): Change[] {
  const [was, now] = [state.triggers as unknown[], news.triggers as unknown[]];
  const all = Array.from({ length: Math.max(was.length, now.length) }, (_, at) => at);
  return all
    .filter((at) => stable(was[at] ?? null) !== stable(now[at] ?? null))
    .map((at) => ({ key: `triggers[${at}]`, kind: kindOf(was[at], now[at]), replaces: false }));
}

/** A changed way of logging runs nothing. */
const runsAgain = (state: Props, news: Props): boolean =>
  changedKeys(state, news).some((key) => key !== "logging");

const command: Handler = {
  check(news) {
    const strange = Object.keys(news).filter(
      (key) => !inputs.includes(key) && !key.startsWith("__"),
    );
    return {
      inputs: news,
      failures: strange.map((key) => [key, "this stand-in does not know the property"]),
    };
  },
  async diff(state, news) {
    return changedKeys(state, news).flatMap((key) => {
      const kind = kindOf(state[key], news[key]);
      // Other triggers replace the resource by the SDK's own word, which names them one by one.
      if (key === "triggers" && kind === "UPDATE") return changedTriggers(state, news);
      return [{ key, kind, replaces: key === "triggers" }];
    });
  },
  async previewCreate(news) {
    return { ...news, stdout: unknown, stderr: unknown };
  },
  async create(news, log) {
    const output =
      news.create === undefined
        ? { stdout: "", stderr: "" }
        : await run(news.create, news, {}, log);
    return { id: `command-${randomBytes(4).toString("hex")}`, state: { ...news, ...output } };
  },
  async read(_, state) {
    return { state, inputs: known(state) };
  },
  async previewUpdate(was, now) {
    const { stdout, stderr } = runsAgain(was, now) ? { stdout: unknown, stderr: unknown } : was;
    return { ...now, stdout, stderr };
  },
  async update(_, was, now, log) {
    const line = runsAgain(was, now) ? (now.update ?? now.create) : undefined;
    const { stdout, stderr } = was;
    const output = line === undefined ? { stdout, stderr } : await run(line, now, was, log);
    return { ...now, ...output };
  },
  async delete(_, state, log) {
    if (state.delete !== undefined) await run(state.delete, state, state, log);
  },
};

serve({
  version: "1.2.1",
  config: [],
  async configure() {},
  types: { "command:local:Command": command },
  cancel() {
    running.forEach(endGroup);
  },
});
