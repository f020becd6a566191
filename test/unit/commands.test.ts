import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { valuesOf } from "../../config/stackFiles";
import { printed } from "../../core/printed";
import { run } from "../../lab/process";

const root = join(__dirname, "..", "..");
const bin = join(root, "cli", "bin.js");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "apisec-commands-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function call(args: string[], cwd = folder, script = bin) {
  const env = { PATH: process.env["PATH"], HOME: folder };
  return run(process.execPath, [script, ...args], { cwd, env });
}

test.each(["check", "doctor"])(
  "%s loads no Pulumi and no gRPC, and at most 250 modules",
  async (name) => {
    const count = `
    const { join } = require("node:path");
    require("./build/typescript.js");
    const before = new Set(Object.keys(require.cache));
    require("./cli/main.ts");
    require("./cli/${name}.ts");
    const loaded = Object.keys(require.cache).filter((file) => !before.has(file));
    console.log(JSON.stringify(loaded));`;
    const { stdout, stderr } = await run(process.execPath, ["-e", count], { cwd: root });
    expect(stderr).toBe("");
    const loaded = JSON.parse(stdout) as string[];
    expect(loaded.filter((file) => /@pulumi|grpc|arborist|axios/.test(file))).toEqual([]);
    expect(loaded).toContain(join(root, "checks", "list.ts"));
    expect(loaded.length).toBeLessThanOrEqual(250);
  },
);

test("what is called is all that is loaded", async () => {
  const print = join(folder, "print.cjs");
  writeFileSync(
    print,
    'process.on("exit", () => console.log(JSON.stringify(Object.keys(require.cache))))',
  );
  const args = ["-r", print, bin, "check", "--stack", "prod"];
  const { stdout, stderr } = await run(process.execPath, args, { cwd: folder });
  expect(stderr).toContain("There is no Pulumi.yaml");
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded.some((file) => file.includes("/zod/"))).toBe(true);
  const heavy = /@pulumi|grpc|arborist|axios|ts-node|node_modules\/typescript/;
  expect(loaded.filter((file) => heavy.test(file))).toEqual([]);
});

/** Parts of this checkout. */
function copy(parts: readonly string[], to: string): void {
  for (const part of parts) cpSync(join(root, part), join(to, part), { recursive: true });
}

test("without its packages it says so, and shows no stack", async () => {
  copy(["cli/bin.js", "cli/main.ts", "build/typescript.js"], folder);
  const { code, stdout, stderr } = await call(["check"], folder, join(folder, "cli", "bin.js"));
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toBe(
    "apisec-credentials is not installed completely: Cannot find module 'pirates'; run `npm ci --ignore-scripts` in its checkout. [APC-INCOMPLETE]\n",
  );
});

test("with the packages of another machine it says so, too", async () => {
  copy(["cli/bin.js", "cli/main.ts", "build/typescript.js"], folder);
  for (const [name, text] of [
    ["pirates", "exports.addHook = () => undefined;"],
    ["@swc/core", 'throw new Error("Failed to load native binding");'],
  ] as const) {
    const own = join(folder, "node_modules", name);
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, "index.js"), text);
  }
  const { code, stderr } = await call(["check"], folder, join(folder, "cli", "bin.js"));
  expect(code).toBe(2);
  expect(stderr).toBe(
    "apisec-credentials is not installed completely: Failed to load native binding; run `npm ci --ignore-scripts` in its checkout. [APC-INCOMPLETE]\n",
  );
});

test("a checkout runs wherever it lies, below a folder node_modules too", async () => {
  const checkout = join(folder, "node_modules", "copy");
  const parts = "build checks cli clients config core desired job net package.json";
  copy(parts.split(" "), checkout);
  symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"));
  const { stderr } = await call(["chekc"], folder, join(checkout, "cli", "bin.js"));
  expect(stderr).toContain("Unknown command 'chekc'");
});

test("a list of the commands is shown to whoever names none, or another", async () => {
  const help = await call(["--help"]);
  expect(help).toMatchObject({ code: 0, stderr: "" });
  for (const name of ["check", "doctor", "rotate", "policy", "adopt"]) {
    expect(help.stdout).toMatch(new RegExp(`^ {2}${name} +\\w`, "m"));
  }
  expect(await call([])).toMatchObject({ code: 2, stdout: "" });
  const unknown = await call(["chekc"]);
  expect(unknown).toMatchObject({ code: 2, stdout: "" });
  expect(unknown.stderr).toMatch(
    /^Unknown command 'chekc' \[APC-USAGE\]\nUsage: npx apisec-credentials <command>/,
  );
});

test("outside of a program it says where it looked", async () => {
  const { code, stderr } = await call(["policy", "monitor", "--stack", "prod"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^There is no Pulumi.yaml in \/.* or above/);
});

/** A program that depends on this package, with settings common to its stacks. */
function program(common: string, own: string): void {
  writeFileSync(join(folder, "Pulumi.yaml"), `name: acme\nruntime: nodejs\n${common}`);
  const file = join(folder, "stacks", "Pulumi.prod.yaml");
  mkdirSync(join(folder, "stacks"));
  writeFileSync(file, own);
}

test("settings are those of Pulumi.yaml and of the stack's file, wherever both lie, by every name of the stack", async () => {
  program(
    `stackConfigDir: stacks
config:
  gitlabProject: platform/rotation
  mount: { type: string, default: common }
  policyPrefix: { value: acme }
  accounts:
    value: [{ name: scanner, username: scanner@acme.example }]
`,
    "config: { acme:mount: own, acme:createMount: false, acme:firstPasswords: { scanner: { secure: v1 } } }\n",
  );
  const below = join(folder, "below");
  mkdirSync(below);
  for (const stack of ["prod", "acme-org/acme/prod"]) {
    const { code, stdout, stderr } = await call(["policy", "monitor", "--stack", stack], below);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^# managed by acme\/prod/);
    expect(stdout).toContain('path "own/metadata/scanner/password"');
    expect(stdout).toContain('path "sys/policies/acl/acme-prod-admin"');
  }
  const none = await call(["check", "--stack", "acme-org/acme/nowhere"], below);
  expect(none.stderr).toBe(
    "Pulumi.nowhere.yaml is not there: run `pulumi stack init acme-org/acme/nowhere` first. [APC-NO-STACK-FILE]\n",
  );
});

test("the own Pulumi.yaml's defaults are read as the engine does", () => {
  const text = readFileSync(join(root, "Pulumi.yaml"), "utf8");
  const file = { config: { mount: { type: "string", default: "apisec" }, "vault:address": "x" } };
  expect(text).toContain("default: apisec");
  expect(
    valuesOf("p", file, { config: { "p:mount": "own", "p:on": true, "p:x": { secure: "v1" } } }),
  ).toEqual({
    "p:mount": "own",
    "vault:address": "x",
    "p:on": "true",
  });
});

test.each([
  ["npm", "npm run rotate -- --stack a/b/prod --account x"],
  ["npx", "npx apisec-credentials rotate --stack a/b/prod --account x"],
] as const)(
  "a command is printed as %s runs it, with the stack as it was named",
  (runner, text) => {
    const print = printed("a/b/prod", runner);
    expect(print.own("rotate", { options: "--account x" })).toBe(text);
    expect(print.pulumi("up --refresh")).toBe("pulumi up --refresh --stack a/b/prod");
    const policy = print.own("policy", { of: "monitor", isPiped: true });
    expect(policy).toBe(
      runner === "npx"
        ? "npx apisec-credentials policy monitor --stack a/b/prod"
        : "npm run --silent policy -- monitor --stack a/b/prod",
    );
  },
);
