import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { join } from "node:path";
import type { PasswordInputs, Stored } from "../../providers/passwordMethods";

const root = join(__dirname, "..", "..");
const hurry = ["-r", join(__dirname, "hurry.cjs")];

export interface ProcessOptions {
  env: Record<string, string>;
  /** Waits and time limits are 20 times as short. */
  hurried?: boolean;
}

export interface ProviderRequest {
  firstPasswords: Record<string, string>;
  inputs: PasswordInputs;
  /** With them it is an update. */
  olds?: Partial<Stored> | undefined;
  /** How far its clock is ahead. */
  minutesLater?: number;
}

/** `told`: everything that it printed. Neither `outs` nor `error`: it was killed. */
export interface ProviderAnswer {
  outs?: Stored;
  error?: { code?: string; name: string; message: string };
  told: string;
  /** The most memory that the process had so far, in KB. */
  rss?: number;
}

/** The built provider code in a process of its own; it does one thing after the other. */
export interface Provider {
  readonly isAlive: boolean;
  ready: Promise<void>;
  run(request: ProviderRequest): Promise<ProviderAnswer>;
  /** SIGKILL; returns when the process is gone. */
  kill(): Promise<void>;
}

export function startProvider({ env, hurried = false }: ProcessOptions): Provider {
  const args = [...(hurried ? hurry : []), join(__dirname, "providerProcess.cjs")];
  const child = spawn(process.execPath, args, { cwd: root, env: environment(env) });
  let [out, err] = ["", ""];
  let onAnswer: () => void;
  const nextAnswer = () => new Promise<void>((resolve) => (onAnswer = resolve));
  const ready = nextAnswer();
  child.stdout.on("data", (part: Buffer) => {
    out += part.toString();
    if (answerIn(out) !== undefined) onAnswer();
  });
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  child.stdin.on("error", () => undefined);
  const ended = endOf(child);
  return {
    ready: Promise.race([ready, ended]),
    get isAlive() {
      return child.exitCode === null && child.signalCode === null;
    },
    async run(request) {
      await this.ready;
      [out, err] = ["", ""];
      const answered = nextAnswer();
      child.stdin.write(`${JSON.stringify(request)}\n`);
      await Promise.race([answered, ended]);
      const answer = JSON.parse(answerIn(out) ?? "{}") as Omit<ProviderAnswer, "told">;
      return { ...answer, told: out + err };
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The whole line of JSON among what the provider tells the engine's user. */
function answerIn(out: string): string | undefined {
  return out
    .split("\n")
    .slice(0, -1)
    .find((line) => line.startsWith("{"));
}

/** Providers that are used one case after the other; a killed one is replaced. */
export function providerPool(options: ProcessOptions) {
  const idle: Provider[] = [];
  return {
    async use<T>(work: (provider: Provider) => Promise<T>): Promise<T> {
      const provider = idle.pop() ?? startProvider(options);
      await provider.ready;
      try {
        return await work(provider);
      } finally {
        if (provider.isAlive) idle.push(provider);
      }
    },
    async close() {
      await Promise.all(idle.map((provider) => provider.kill()));
    },
  };
}

export interface Rotation {
  /** Undefined: it was killed. */
  code: number | undefined;
  out: string;
  err: string;
}

/** The built rotation job as a process; `kill` returns when it is gone. */
export function startRotation({ env, hurried = false }: ProcessOptions, cwd: string) {
  const args = [...(hurried ? hurry : []), join(root, "dist", "rotate.mjs")];
  const child = spawn(process.execPath, args, { cwd, env: environment(env) });
  let [out, err] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  const ended = endOf(child);
  return {
    pid: child.pid ?? 0,
    ended: ended.then((): Rotation => ({ code: child.exitCode ?? undefined, out, err })),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function environment(env: Record<string, string>): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", ...env };
}

function endOf(child: ChildProcessWithoutNullStreams): Promise<void> {
  return new Promise((resolve) => child.once("close", () => resolve()));
}
