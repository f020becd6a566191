/** The lab's GitLab as a process of its own, as `make up` starts it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Seed } from "../../lab/gitlab/seed";

const root = join(__dirname, "../..");

export interface LabGitlab {
  url: string;
  /** Asks the control side, below `/-/lab/`. */
  lab(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  stop(): Promise<void>;
}

export async function startLabGitlab(dir: string, seed: Seed, port = 0): Promise<LabGitlab> {
  const args = ["--dir", dir, "--port", String(port), "--path", "/gitlab", "--seed", "-"];
  const tools = ["--scheduler", "--tool-path", join(root, "lab/tools/rsync")];
  const main = join(root, "lab/gitlab/main.ts");
  const child = spawn(process.execPath, ["-r", "./build/typescript.js", main, ...args, ...tools], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, VAULT_TOKEN: "lab-secret-of-the-parent" },
  });
  child.stdin.end(JSON.stringify(seed));
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    async lab(method, path, body) {
      const response = await fetch(`${url}/-/lab/${path}`, {
        method,
        ...(body !== undefined && {
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" },
        }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}
