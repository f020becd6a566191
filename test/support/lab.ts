import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { stringify } from "yaml";
import { labEnvironment } from "../../lab/environment";
import type { BaoAnswer } from "../../lab/openbao";
import { buildStandIns } from "../../lab/plugins/build";
import { run } from "../../lab/process";
import type { RunResult } from "../../lab/process";
import { runSchedule } from "../../lab/schedule";
import { ensureTools } from "../../lab/tools";
import { rotationProject, startWorld, tokenWith } from "../../lab/world";
import type { World, WorldOptions } from "../../lab/world";
import { openStack } from "./stack";
import type { TestStack } from "./stack";

const root = join(__dirname, "..", "..");
const programFiles = [
  ...["Pulumi.yaml", "package.json", "tsconfig.json"],
  ...["index.ts"],
  ...[
    "build",
    "checks",
    "cli",
    "clients",
    "components",
    "config",
    "core",
    "desired",
    "dist",
    "job",
    "net",
    "policies",
    "providers",
    "scan",
    "sdks",
  ],
];

/** A whole world of its own for one test file: servers, a copy of the program, a deployer. */
export interface TestLab {
  world: World;
  /** The copy of the program; a test may change it. */
  program: string;
  /** What `pulumi` runs with: the deployer's tokens and nothing of the caller's environment. */
  env: Record<string, string>;
  /** Writes `Pulumi.<stack>.yaml` anew; secrets that were set there are gone. */
  writeConfig(stack: string, config: Record<string, unknown>): void;
  /** The stack, created if need be, with this config and the first passwords as secrets. */
  stack(
    name: string,
    config?: Record<string, unknown>,
    firstPasswords?: Record<string, string>,
  ): Promise<TestStack>;
  /** Runs the `pulumi` CLI in the program's folder. */
  pulumi(args: string[], env?: Record<string, string>): Promise<RunResult>;
  asRoot(method: string, path: string, body?: object): Promise<BaoAnswer>;
  /** A call of the lab's APIsec behind its back, such as `accounts/NAME/check`. */
  apisec(method: string, path: string, body?: unknown): Promise<unknown>;
  /** A call of GitLab's REST API as the rotation project's bot; `path` below the project. */
  gitlab(method: string, path: string, body?: object): Promise<Response>;
  /** Lets a schedule run as GitLab's worker would, and waits for the pipeline's end. */
  runSchedule(id: number): Promise<{ status: string; trace: string }>;
  stop(): Promise<void>;
}

/** The stack `dev` of the lab, as `make up` has it. */
export function devConfig(world: World): Record<string, unknown> {
  return {
    apisecUrl: world.apisec.url,
    gitlabProject: rotationProject,
    accounts: [
      { name: "admin", username: "admin@acme.example", organization: "Acme", publishToken: false },
      {
        name: "scanner",
        username: "scanner@acme.example",
        organization: "Acme",
        changedBy: "admin",
      },
    ],
  };
}

/** `server`: another binary than the one that the tools have found. */
export async function startTestLab({
  server,
  node,
  ...networks
}: Pick<WorldOptions, "vault" | "gitlabPath" | "runningVault"> & {
  server?: string;
  /** The folder of another Node, for the program and the job. */
  node?: string | undefined;
} = {}): Promise<TestLab> {
  const dir = mkdtempSync(join(tmpdir(), "apisec-lab-"));
  const plugins = join(root, ".lab", "plugins");
  const tools = await ensureTools({ log: () => undefined });
  await buildStandIns(tools.missingPlugins, plugins);
  const PATH = [...(node ? [node] : []), plugins, ...tools.path, process.env["PATH"]].join(
    delimiter,
  );
  // The lab's servers have it from here, and with it the jobs that GitLab starts.
  process.env["PATH"] = PATH;
  const world = await startWorld({
    dir,
    bao: server ?? tools.vault,
    ports: { vault: 0, apisec: 0, apisecControl: 0, gitlab: 0 },
    toolPath: tools.path,
    detached: false,
    ...networks,
  });
  const program = join(dir, "program");
  mkdirSync(program);
  for (const file of programFiles) {
    cpSync(join(root, file), join(program, file), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(root, "node_modules"), join(program, "node_modules"));

  const writeConfig = (stack: string, config: Record<string, unknown>) => {
    // Who tests it switches it on: each `up` would wait for a pipeline.
    const keys = Object.entries({ firstRun: "off", ...config }).map(([key, value]) => [
      key.includes(":") ? key : `apisec-credentials:${key}`,
      value,
    ]);
    writeFileSync(
      join(program, `Pulumi.${stack}.yaml`),
      stringify({ config: Object.fromEntries(keys) as object }),
    );
  };
  const asRoot = (method: string, path: string, body?: object) =>
    world.vault.request(world.vault.rootToken, method, path, body);
  const env: Record<string, string> = {
    PATH,
    HOME: join(dir, "home"),
    // The official plugins try for over a minute where a group is gone.
    LAB_PLUGIN_WAITS: "0.02",
    // `pulumi up` looks once and not twice; mainJob's has a preview of its own.
    PULUMI_OPTION_SKIP_PREVIEW: "true",
    ...compileCache(),
    ...labEnvironment(
      dir,
      { vault: world.vault.address, gitlab: world.gitlab.url, apisec: world.apisec.url },
      { vault: "", gitlab: world.secrets.gitlabToken },
    ),
  };
  mkdirSync(env["HOME"] ?? "");

  const stacks = new Map<string, TestStack>();
  const lab: TestLab = {
    world,
    program,
    env,
    writeConfig,
    async stack(name, config, firstPasswords = {}) {
      if (config !== undefined) writeConfig(name, config);
      env["VAULT_TOKEN"] = await deployerToken(lab, name);
      const stack = stacks.get(name) ?? (await openStack((args) => lab.pulumi(args), name));
      stacks.set(name, stack);
      if (Object.keys(firstPasswords).length > 0) await stack.setSecrets({ firstPasswords });
      return stack;
    },
    pulumi: (args, more = {}) =>
      run("pulumi", args, { cwd: program, env: { ...env, ...more }, timeoutMs: 120_000 }),
    asRoot,
    async apisec(method, path, body) {
      const answer = await fetch(`${world.apisec.controlUrl}/-/lab/${path}`, {
        method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      const text = await answer.text();
      return text === "" ? undefined : (JSON.parse(text) as unknown);
    },
    gitlab(method, path, body) {
      const project = encodeURIComponent(rotationProject);
      return fetch(`${world.gitlab.url}/api/v4/projects/${project}/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${world.secrets.gitlabToken}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    },
    async runSchedule(id) {
      const { status, jobs } = await runSchedule(world, id);
      return { status, trace: jobs.map(({ trace }) => trace).join("\n") };
    },
    async stop() {
      await world.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return lab;
}

/** Where Node keeps what it has compiled: see run.ts. */
function compileCache(): Record<string, string> {
  const folder = process.env["NODE_COMPILE_CACHE"];
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

/** A token with nothing but the policy that `npm run policy` prints for the stack, in its namespace. */
async function deployerToken(lab: TestLab, stack: string): Promise<string> {
  const args = ["cli/bin.js", "policy", "deployer", "--stack", stack];
  const { code, stdout, stderr } = await run(process.execPath, args, {
    cwd: lab.program,
    env: lab.env,
  });
  if (code !== 0) throw new Error(stderr);
  const namespace = lab.env["VAULT_NAMESPACE"];
  return tokenWith(lab.world.vault, `apisec-${stack}-deployer`, stdout, undefined, namespace);
}
