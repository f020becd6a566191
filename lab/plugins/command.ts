import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { text, type Log, type Props, type ResourceType } from "./resource";
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
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve(code === null ? `signal: ${signal}` : `exit status ${code}`);
    });
  }).finally(() => running.delete(child));
  if (status !== "exit status 0") {
    throw new Error(`${status}: running ${JSON.stringify(line)}:\n${both.join("\n")}`);
  }
  return { stdout: stdout.join("\n"), stderr: stderr.join("\n") };
}

/** Ends a command with all that it has started. */
function endGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid ?? NaN));
  } catch {
    // It has ended by itself.
  }
}

const command: ResourceType = {
  inputs: {
    create: {},
    update: {},
    delete: {},
    dir: {},
    environment: {},
    interpreter: {},
    stdin: {},
    logging: {},
    addPreviousOutputInEnv: { default: true },
    triggers: { replace: true },
  },
  outputs: ["stdout", "stderr"],
  changing: ["stdout", "stderr"],
  async create(inputs, log) {
    const output = inputs.create === undefined ? {} : await run(inputs.create, inputs, {}, log);
    return { id: `command-${randomBytes(4).toString("hex")}`, state: { ...inputs, ...output } };
  },
  async read(_, state) {
    return state;
  },
  async update(_, was, now, log) {
    const line = now.update ?? now.create;
    const { stdout, stderr } = was;
    const output = line === undefined ? { stdout, stderr } : await run(line, now, was, log);
    return { ...now, ...output };
  },
  async delete(_, state, log) {
    if (state.delete !== undefined) {
      await run(state.delete, state, state, log);
    }
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
