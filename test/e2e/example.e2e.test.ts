import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { startTestLab } from "../support/lab";
import type { JsonReport } from "../../checks/report";
import type { TestLab } from "../support/lab";
import { isLive, recordOf } from "../support/managed";
import { openStack } from "../support/stack";

const root = join(__dirname, "..", "..");
const example = join(root, "examples", "own-program");

interface Packed {
  filename: string;
  files: { path: string }[];
}

let lab: TestLab;
let dir: string;
/** The other company's program, with this package in its node_modules as npm would put it there. */
let program: string;
let packed: Packed;

async function done(command: string, args: string[], cwd = program): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, { cwd, env: lab.env });
  if (code !== 0) throw new Error(`${stdout}\n${stderr}`);
  return stdout;
}

const up = () => done("pulumi", ["up", "--yes", "--skip-preview", "--color", "never"]);

const manifest = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<
    "dependencies" | "devDependencies",
    Record<string, string>
  >;

/** Unpacks the tarball; what the package and the program need besides lies in the checkout. */
async function install(): Promise<void> {
  const modules = join(program, "node_modules");
  const own = join(modules, "apisec-credentials");
  mkdirSync(own, { recursive: true });
  await done("tar", ["-xzf", join(dir, packed.filename), "-C", own, "--strip-components=1"]);
  const { dependencies, devDependencies } = manifest(program);
  const wanted = { ...manifest(own).dependencies, ...dependencies, ...devDependencies };
  for (const name of Object.keys(wanted).filter((one) => one !== "apisec-credentials")) {
    const link = join(modules, name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, "node_modules", name), link);
  }
  // As npm does with `bin`.
  mkdirSync(join(modules, ".bin"));
  const command = join(own, "cli", "bin.js");
  chmodSync(command, 0o755);
  symlinkSync(command, join(modules, ".bin", "apisec-credentials"));
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "apisec-example-"));
  lab = await startTestLab();
  program = join(dir, "program");
  cpSync(example, program, { recursive: true });
  const answer = await done("npm", ["pack", "--json", "--pack-destination", dir], root);
  [packed] = JSON.parse(answer) as [Packed];
  await install();
  const pulumi = (args: string[]) => run("pulumi", args, { cwd: program, env: lab.env });
  const stack = await openStack(pulumi, "dev");
  await done("pulumi", ["config", "set", "apisecUrl", lab.world.apisec.url]);
  await stack.setSecrets({ firstPasswords: lab.world.secrets.firstPasswords });
  const policy = await done("npx", ["apisec-credentials", "policy", "deployer", "--stack", "dev"]);
  lab.env["VAULT_TOKEN"] = await tokenWith(lab.world.vault, "apisec-dev-deployer", policy);
});

afterAll(async () => {
  await lab?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test("the package holds what other programs need, and nothing else", () => {
  const files = packed.files.map(({ path }) => path);
  expect(files.filter((path) => !path.startsWith("dist/lib/")).sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "cli/bin.js",
    "dist/passwordProvider.cjs",
    "dist/rotate.mjs",
    "dist/scan.mjs",
    "job/gitlab-ci.yml",
    "job/once.sh",
    "package.json",
    ...["admin", "consumer", "deployer", "developer", "handover", "monitor", "preview"].map(
      (name) => `policies/${name}.hcl`,
    ),
    ...["rotator", "verifier"].map((name) => `policies/${name}.hcl`),
  ]);
  expect(files.filter((path) => !/^dist\/lib\/.+\.(js|d\.ts)$/.test(path))).toHaveLength(19);
});

test("the program's types fit", async () => {
  await done(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", program]);
});

/** A command as somebody runs it in that program, and its findings. */
async function findings(command: string, env: Record<string, string> = {}, cwd = program) {
  const args = [
    "apisec-credentials",
    command,
    "--stack",
    "organization/acme-security/dev",
    "--json",
  ];
  const { code, stdout, stderr } = await run("npx", args, { cwd, env: { ...lab.env, ...env } });
  if (stdout === "") throw new Error(stderr);
  const report = JSON.parse(stdout) as JsonReport;
  expect(report).toMatchObject({ schema: 1, project: "acme-security", stack: "dev" });
  return { code, seen: report.findings };
}

test("doctor, as npx runs it, finds all ready by the program's own config", async () => {
  const { code, seen } = await findings("doctor");
  expect(seen.filter(({ state }) => state !== "ok")).toEqual([]);
  expect(code).toBe(0);
});

test("up changes the passwords, and the records are in Vault", async () => {
  await up();
  for (const name of ["admin", "scanner"] as const) {
    const { data } = await recordOf(lab, name);
    expect(data).toMatchObject({ generation: 1, username: `${name}@acme.example` });
    expect(await isLive(lab, name, data["password"])).toBe(true);
    expect(await isLive(lab, name, lab.world.secrets.firstPasswords[name])).toBe(false);
  }
  const token = await lab.asRoot("GET", "apisec/data/scanner/token");
  expect(token.body).toMatchObject({ data: { data: { username: "scanner@acme.example" } } });
  const policy = await lab.asRoot("GET", "sys/policies/acl/apisec-dev-developer");
  expect(policy.body).toMatchObject({
    data: { policy: expect.stringMatching(/^# managed by acme-security\/dev for /) as string },
  });
});

test("the second up changes nothing and asks APIsec nothing", async () => {
  await lab.apisec("DELETE", "requests");
  expect(await up()).toMatch(/Resources:\s+\d+ unchanged/);
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
});

test("check, as npx runs it, prints commands as npx runs them, also in a folder below", async () => {
  const monitor = await done("npx", ["apisec-credentials", "policy", "monitor", "--stack", "dev"]);
  const VAULT_TOKEN = await tokenWith(lab.world.vault, "apisec-dev-monitor", monitor);
  await lab.asRoot("DELETE", "apisec/data/scanner/token");
  const below = join(program, "below");
  mkdirSync(below);
  const { code, seen } = await findings("check", { VAULT_TOKEN }, below);
  expect(seen.find(({ id }) => id === "token")).toMatchObject({
    state: "problem",
    fix: "npx apisec-credentials rotate --stack organization/acme-security/dev --account scanner",
  });
  expect(code).toBe(2);
  const fix = ["apisec-credentials", "rotate", "--stack", "organization/acme-security/dev"];
  await done("npx", [...fix, "--account", "scanner"], below);
  const after = await findings("check", { VAULT_TOKEN });
  expect(after.seen.find(({ id }) => id === "token")).toMatchObject({ state: "ok" });
});

test("the state is the same on every machine", async () => {
  const { deployment } = JSON.parse(await done("pulumi", ["stack", "export"])) as {
    deployment: { resources: { inputs?: object; outputs?: object }[] };
  };
  const state = JSON.stringify(
    deployment.resources.map(({ inputs, outputs }) => ({ inputs, outputs })),
  );
  expect(state).toContain("apisec-credentials/passwordProvider");
  for (const folder of [dir, root]) expect(state).not.toContain(folder);
});

test("the schedule rotates the token", async () => {
  const { scheduleId } = JSON.parse(await done("pulumi", ["stack", "output", "--json"])) as {
    scheduleId: number;
  };
  const { status, trace } = await lab.runSchedule(scheduleId);
  expect([status, trace]).toEqual(["success", expect.stringMatching(/scanner +rotated/)]);
});
