import type { RunResult } from "../../lab/process";

/** How many resources a run has created, updated, …; `same` are those that it left as they were. */
export type Changes = Partial<Record<(typeof operations)[keyof typeof operations], number>>;

/** What a run of the engine printed, on both outputs, and what it says that it did or would do. */
export interface StackRun {
  printed: string;
  changes: Changes;
}

/** A stack in the hands of its deployer. Each call is one `pulumi` process, and throws what it printed where it fails. */
export interface TestStack {
  up(options?: { refresh?: boolean }): Promise<StackRun>;
  preview(options?: {
    refresh?: boolean;
    diff?: boolean;
    expectNoChanges?: boolean;
  }): Promise<StackRun>;
  refresh(): Promise<StackRun>;
  destroy(): Promise<StackRun>;
  /** By name, the secret ones in clear. */
  outputs(): Promise<Record<string, unknown>>;
  /** Sets secrets in config, and each account's first password. */
  setSecrets(secrets: {
    firstPasswords: Record<string, string>;
    webhookUrl?: string;
  }): Promise<void>;
  removeConfig(key: string): Promise<void>;
}

/** The stack of this name, which is created if need be; `pulumi` runs the CLI in the program's folder. */
export async function openStack(
  pulumi: (args: string[]) => Promise<RunResult>,
  name: string,
): Promise<TestStack> {
  async function done(...args: string[]): Promise<RunResult> {
    const result = await pulumi([...args, "--non-interactive", "--color", "never"]);
    if (result.code === 0) return result;
    const command = ["pulumi", ...args.slice(0, 2)].join(" ");
    throw new Error(`${command}: exit code ${result.code}\n${result.stdout}\n${result.stderr}`);
  }
  const ofStack = ["--stack", name];
  async function engine(...args: string[]): Promise<StackRun> {
    const { stdout, stderr } = await done(...args, ...ofStack);
    return { printed: `${stdout}\n${stderr}`, changes: changesIn(stdout) };
  }
  const unasked = ["--yes", "--skip-preview"];
  const flag = (name: string, isSet = false) => (isSet ? [name] : []);

  await done("stack", "select", "--create", name);
  return {
    up: ({ refresh } = {}) => engine("up", ...unasked, ...flag("--refresh", refresh)),
    preview: ({ refresh, diff, expectNoChanges } = {}) =>
      engine(
        "preview",
        ...flag("--refresh", refresh),
        ...flag("--diff", diff),
        ...flag("--expect-no-changes", expectNoChanges),
      ),
    refresh: () => engine("refresh", ...unasked),
    destroy: () => engine("destroy", ...unasked),
    async outputs() {
      const { stdout } = await done("stack", "output", "--json", "--show-secrets", ...ofStack);
      return JSON.parse(stdout) as Record<string, unknown>;
    },
    async setSecrets({ firstPasswords, ...others }) {
      const first = Object.entries(firstPasswords).map(
        ([name, value]) => `firstPasswords.${name}=${value}`,
      );
      const other = Object.entries(others).map(([key, value]) => `${key}=${value}`);
      // As arguments: no password of a lab has to be hidden on its own machine.
      const secrets = [...first, ...other].flatMap((one) => ["--secret", one]);
      await done("config", "set-all", "--path", ...secrets, ...ofStack);
    },
    async removeConfig(key) {
      await done("config", "rm", key, ...ofStack);
    },
  };
}

/** The CLI's words, of what was done and of what is to be done, and the engine's own. */
const operations = {
  created: "create",
  updated: "update",
  replaced: "replace",
  deleted: "delete",
  imported: "import",
  refreshed: "refresh",
  unchanged: "same",
} as const;

/**
 * What the CLI sums up under "Resources:", as `{ create: 1, same: 19 }`.
 * @throws where there is no such block, or a word in it that is not known here.
 */
export function changesIn(printed: string): Changes {
  // The last one: a diff may show a text that has such a line, too.
  const block = [...printed.matchAll(/^Resources:\n((?: {4}.*\n?)*)/gm)].pop()?.[1];
  if (block === undefined) throw new Error(`no sum of changes in: ${printed}`);
  const changes: Changes = {};
  for (const [, count, to, word = ""] of block.matchAll(/(\d+) (to )?(\w+)/g)) {
    // "3 changes" is the sum of the lines above it.
    if (/^changes?$/.test(word)) continue;
    const done = to === undefined ? word : word.replace(/e?$/, "ed");
    if (!isOperation(done)) throw new Error(`"${word}" is no known change in: ${block}`);
    changes[operations[done]] = Number(count);
  }
  return changes;
}

const isOperation = (word: string): word is keyof typeof operations =>
  Object.hasOwn(operations, word);
