// `make test`: build, type check, lint, format, unit and end-to-end tests; ends with "N passed, M failed".
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ensureTools } from "../lab/tools";

const root = join(__dirname, "..");
const bin = (name: string) => join(root, "node_modules", ".bin", name);
const results = join(root, ".lab", "test-results");

interface Check {
  name: string;
  command: string[];
  /** Where jest writes its counts; a check without is one test. */
  counts?: string;
}

function jest(project: string, ...options: string[]): Check {
  const counts = join(results, `${project}.json`);
  const args = ["--selectProjects", project, "--json", "--outputFile", counts, ...options];
  return { name: `${project} tests`, command: [bin("jest"), ...args], counts };
}

const checks: Check[] = [
  { name: "build", command: ["npm", "run", "--silent", "build"] },
  { name: "type check", command: [bin("tsc"), "-p", "."] },
  { name: "lint", command: [bin("eslint"), "."] },
  { name: "format", command: [bin("prettier"), "--check", "--log-level=warn", "."] },
  jest("unit", "--maxWorkers=2"),
  // Each file has a lab of its own; two at once fill two cores.
  jest("e2e", "--maxWorkers=2"),
];

function run(command: string[]): Promise<number> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", () => resolve(127));
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

async function main(): Promise<void> {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  await ensureTools({ log: (line) => console.log(`   ${line}`) });
  let passed = 0;
  let failed = 0;
  for (const { name, command, counts } of checks) {
    const started = Date.now();
    console.log(`\n== ${name} ==`);
    const code = await run(command);
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    const tests = counts === undefined ? undefined : readCounts(counts);
    passed += tests?.passed ?? (code === 0 ? 1 : 0);
    // A run that ends badly without a failed test (a suite that does not load) has failed once.
    failed += tests?.failed ?? 0;
    if (code !== 0 && (tests?.failed ?? 0) === 0) failed += 1;
    console.log(`${name}: ${code === 0 ? "ok" : "FAILED"}, ${seconds} s`);
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
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

void main();
