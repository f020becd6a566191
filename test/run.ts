// `make test`: build, type check, lint, form, fences, unit and end-to-end tests; ends with "N passed, M failed".
// With the argument `unit` (`make test-unit`): the quick part, which is the unit tests without exploration.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { ensureTools } from "../lab/tools";
import { ensureOpenMetrics, ensurePromtool } from "../lab/tools/metricsTools";
import { currentNodeVersion, ensureCurrentNode } from "../lab/tools/currentNode";
import { isLong } from "./support/sampled";

const root = join(__dirname, "..");
const bin = (name: string) => join(root, "node_modules", ".bin", name);
const results = join(root, ".lab", "test-results");

/** Searched for whole state spaces. */
const explorations = ["interleavings", "randomSchedules"];

/**
 * Unit tests that run on the oldest Node, too: the others say nothing of Node. In `make test-long` all of them. The
 * current Node takes two thirds of the time, and half of it for the explorations.
 */
const unitOnOldest = isLong
  ? { without: explorations }
  : {
      files: [
        "transport",
        "providerRoundtrip",
        "apisecClient",
        "vaultClient",
        "rotateProcess",
        "scan.test",
      ],
    };

/** End-to-end tests that wait more than they work: they run beside the others, which keep two processors busy. */
const waiting = ["cluster", "killMatrix", "outside", "rotationFaults", "together"].map(
  (name) => `${name}.e2e`,
);

/** End-to-end tests that `make test-long` runs on the oldest Node, too; `mainJob` always has its programs on it. */
const e2eOnOldest = { files: ["mainJob", "lifeCycle"] };

/**
 * End-to-end tests for which only `make test-long` has time: what conformance shows of the plugins, in whole stacks, and
 * the lab's own APIsec, GitLab and OpenBao, for who changes them.
 */
const onlyLong = isLong ? [] : ["plugins.e2e", "apisecLab.e2e", "/gitlab.e2e", "openbao.e2e"];

interface Check {
  name: string;
  command: string[];
  /** Where jest writes its counts; a check without is one test. */
  counts?: string;
  env?: NodeJS.ProcessEnv;
}

interface JestOptions {
  /** Parts of file names. */
  files?: string[];
  without?: string[];
  /** Another Node than this one's. */
  node?: string | undefined;
  env?: NodeJS.ProcessEnv;
  /** Files at once. */
  workers?: number;
}

function jest(name: string, project: "unit" | "e2e", options: JestOptions = {}): Check {
  const { files = [], without = [], node, env, workers = 2 } = options;
  const counts = join(results, `${name.replaceAll(/\W+/g, "-")}.json`);
  const args = [
    "--json",
    "--outputFile",
    counts,
    `--maxWorkers=${workers}`,
    `--selectProjects=${project}`,
  ];
  if (without.length > 0) args.push(`--testPathIgnorePatterns=${without.join("|")}`);
  const command = [node ?? process.execPath, bin("jest"), ...args, "--", ...files];
  return { name, command, counts, env: { ...withNode(node), ...env } };
}

/** The programs and jobs that tests start take `node` from PATH, as the tools of node_modules do. */
function withNode(node: string | undefined): NodeJS.ProcessEnv {
  const PATH = [...(node ? [dirname(node)] : []), process.env["PATH"]].join(delimiter);
  return { ...process.env, PATH };
}

const build: Check = { name: "build", command: ["npm", "run", "--silent", "build"] };
const quick = jest("unit tests", "unit", { without: explorations });

/** One after the other; what stands together in a list runs at once. */
async function everything(): Promise<(Check | Check[])[]> {
  const log = (line: string) => console.log(`   ${line}`);
  const [, node] = await Promise.all([
    ensureTools({ log }),
    ensureCurrentNode({ log }),
    ensurePromtool({ log }),
    ensureOpenMetrics({ log }),
  ]);
  const onCurrent = node === undefined ? "" : ` on Node ${currentNodeVersion}`;
  const env = withNode(node?.detail);
  const check = (name: string, ...command: string[]): Check => ({ name, command, env });
  const ofE2e = {
    node: node?.detail,
    env: {
      OLDEST_NODE: dirname(process.execPath),
      // A third of what each `pulumi` costs is Node compiling the same files once more.
      NODE_COMPILE_CACHE: join(root, ".lab", "compile-cache"),
    },
  };
  return [
    build,
    [
      check("type check", bin("tsc"), "-p", "."),
      check("lint", bin("eslint"), "."),
      check("format", bin("prettier"), "--check", "--log-level=warn", "."),
      check("fences", "npm", "run", "--silent", "fences"),
    ],
    jest(`unit tests${onCurrent}`, "unit", { node: node?.detail }),
    ...(node === undefined ? [] : [jest("unit tests on the oldest Node", "unit", unitOnOldest)]),
    // Each file has a lab of its own; two that work and one that waits fill two cores.
    [
      jest(`e2e tests${onCurrent}`, "e2e", { without: [...onlyLong, ...waiting], ...ofE2e }),
      jest(`e2e tests that wait${onCurrent}`, "e2e", {
        files: waiting,
        workers: 1,
        node: ofE2e.node,
        env: { ...ofE2e.env, LAB_STREAM: "1" },
      }),
    ],
    ...(isLong && node !== undefined
      ? [jest("e2e tests on the oldest Node", "e2e", e2eOnOldest)]
      : []),
  ];
}

function run({ command, env }: Check): Promise<number> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", () => resolve(127));
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

async function main(part: string | undefined): Promise<void> {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const checks = part === "unit" ? [build, quick] : await everything();
  let passed = 0;
  let failed = 0;
  for (const some of checks) {
    const counted = await Promise.all([some].flat().map(outcomeOf));
    for (const count of counted) {
      passed += count.passed;
      failed += count.failed;
    }
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

async function outcomeOf(check: Check): Promise<{ passed: number; failed: number }> {
  const { name } = check;
  const started = Date.now();
  console.log(`\n== ${name} ==`);
  const code = await run(check);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`${name}: ${code === 0 ? "ok" : "FAILED"}, ${seconds} s`);
  const tests = check.counts === undefined ? undefined : readCounts(check.counts);
  // A run that ends badly without a failed test (a suite that does not load) has failed once.
  const isUncounted = code !== 0 && (tests?.failed ?? 0) === 0;
  return {
    passed: tests?.passed ?? (code === 0 ? 1 : 0),
    failed: (tests?.failed ?? 0) + (isUncounted ? 1 : 0),
  };
}

function readCounts(file: string): { passed: number; failed: number } {
  try {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = JSON.parse(
      readFileSync(file, "utf8"),
    ) as Record<string, number>;
    return {
      passed: numPassedTests ?? 0,
      failed: (numFailedTests ?? 0) + (numRuntimeErrorTestSuites ?? 0),
    };
  } catch {
    return { passed: 0, failed: 0 };
  }
}

void main(process.argv[2]);
