import { readFileSync } from "node:fs";
import { join } from "node:path";
import { accessTable, rightsOn } from "../../lab/access";
import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import type { StackRun, TestStack } from "../support/stack";

interface Secret {
  data: { data: Record<string, unknown>; metadata: { version: number } };
}

let lab: TestLab;
let stack: TestStack;
/** Everything that any command printed. */
let output = "";
/** What the first preview and the first `up` printed. */
let firstOutput = "";
async function noted(run: Promise<StackRun>): Promise<StackRun> {
  const done = await run;
  output += done.printed;
  return done;
}

async function secretOf(key: string): Promise<Secret["data"]> {
  const answer = await lab.asRoot("GET", `apisec/data/${key}`);
  return (answer.body as Secret).data;
}

async function secretsInPlay(): Promise<string[]> {
  const passwords = await Promise.all(
    ["admin", "scanner"].map(async (name) => (await secretOf(`${name}/password`)).data["password"]),
  );
  const token = (await secretOf("scanner/token")).data["token"];
  return [
    ...passwords.map(String),
    String(token),
    lab.env["VAULT_TOKEN"] ?? "",
    lab.world.secrets.gitlabToken,
    ...Object.values(lab.world.secrets.firstPasswords),
  ];
}

const isLive = async (name: string, password: unknown) =>
  lab.apisec("POST", `accounts/${name}@acme.example/check`, { password });

/** See run.ts. */
const oldestNode = process.env["OLDEST_NODE"];

beforeAll(async () => {
  lab = await startTestLab({ node: oldestNode });
  const { firstPasswords } = lab.world.secrets;
  stack = await lab.stack("dev", devConfig(lab.world), firstPasswords);
  await noted(stack.preview());
  await noted(stack.up());
  firstOutput = output;
});

afterAll(() => lab?.stop());

if (oldestNode !== undefined) {
  test("the program and the job run on the oldest Node", async () => {
    const { stdout: oldest } = await run(join(oldestNode, "node"), ["--version"], { env: {} });
    const { stdout } = await run("node", ["--version"], { env: lab.env });
    expect(stdout).toBe(oldest);
    const { stdout: ofJob } = await run("node", ["--version"], {
      env: { PATH: process.env["PATH"] },
    });
    expect(ofJob).toBe(oldest);
  });
}

test("the first preview and the first up of a new project show no error", () => {
  expect(firstOutput).toContain("Resources:");
  expect(firstOutput).not.toMatch(/\berrored\b|\berror:/);
});

test("both passwords are changed: the stored ones log in, the first ones do not", async () => {
  for (const name of ["admin", "scanner"]) {
    const { data } = await secretOf(`${name}/password`);
    expect(data).toMatchObject({ generation: 1, organization: "Acme" });
    expect(data).not.toHaveProperty("pending_password");
    expect(await isLive(name, data["password"])).toEqual({ live: true });
    const first = lab.world.secrets.firstPasswords[name];
    expect(await isLive(name, first)).toEqual({ live: false });
  }
});

test("up publishes the scanner's token and not the admin's", async () => {
  const { data } = await secretOf("scanner/token");
  expect(data).toMatchObject({ username: "scanner@acme.example", source: "pulumi up" });
  expect((await lab.asRoot("GET", "apisec/data/admin/token")).status).toBe(404);
});

test("a second preview changes nothing, and makes no call to APIsec", async () => {
  await lab.apisec("DELETE", "requests");
  const preview = await noted(stack.preview({ expectNoChanges: true }));
  expect(preview.changes).toEqual({ same: expect.any(Number) as number });
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
});

test("each policy allows what it says and nothing else", async () => {
  const personas: Record<string, string> = {};
  for (const role of ["admin", "developer", "rotator"]) {
    personas[role] = await tokenWith(lab.world.vault, `apisec-dev-${role}`);
  }
  const allowed = (rows: Awaited<ReturnType<typeof accessTable>>, persona: string) =>
    rows.filter(({ verdicts }) => verdicts[persona] === "yes").map(({ right }) => right);
  const { address } = lab.world.vault;
  const scanner = await accessTable(address, personas, rightsOn("apisec", "scanner"));
  expect(allowed(scanner, "developer")).toEqual(["read token"]);
  expect(allowed(scanner, "rotator")).toEqual(["read password", "read token", "write token"]);
  expect(allowed(scanner, "admin")).toEqual([
    "read password",
    "read metadata of password",
    "read token",
    "read metadata of token",
  ]);
  const admin = await accessTable(address, personas, rightsOn("apisec", "admin"));
  expect(allowed(admin, "developer")).toEqual([]);
  expect(allowed(admin, "rotator")).toEqual([]);
});

test("the schedule's job logs in by ID token and rotates the token", async () => {
  const before = await secretOf("scanner/token");
  // A token of the same second would not expire later than the stored one.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const { scheduleId } = await stack.outputs();
  const { status, trace } = await lab.runSchedule(Number(scheduleId));
  output += trace;
  expect(trace).toMatch(/^scanner {2}rotated {2}expires \d{4}-/m);
  expect(status).toBe("success");
  const after = await secretOf("scanner/token");
  expect(after.metadata.version).toBe(before.metadata.version + 1);
  expect(after.data["source"]).toMatch(/\/-\/pipelines\/\d+$/);
  const audit = readFileSync(lab.world.vault.auditLog, "utf8");
  expect(audit).toContain('"path":"auth/gitlab/login"');
  expect(audit).toContain('"pipeline_id"');
});

test("refresh finds nothing to restore after a rotation", async () => {
  await noted(stack.refresh());
  const preview = await noted(stack.preview({ expectNoChanges: true }));
  expect(Object.keys(preview.changes)).toEqual(["same"]);
});

test("first passwords taken out of config leave the state with the next up", async () => {
  const { firstPasswords } = lab.world.secrets;
  const { stdout } = await lab.pulumi(["stack", "export", "--show-secrets"]);
  expect(stdout).toContain(firstPasswords["scanner"]);
  await stack.removeConfig("firstPasswords");
  await noted(stack.up());
  const after = await lab.pulumi(["stack", "export", "--show-secrets"]);
  for (const secret of await secretsInPlay()) expect(after.stdout).not.toContain(secret);
});

test("raising passwordGeneration changes the password once more, in place", async () => {
  const before = await secretOf("scanner/password");
  const oldToken = await secretOf("scanner/token");
  const config = devConfig(lab.world);
  const [admin, scanner] = config["accounts"] as object[];
  lab.writeConfig("dev", {
    ...config,
    accounts: [admin, { ...scanner, passwordGeneration: 2 }],
  });
  stack = await lab.stack("dev");
  const { changes } = await noted(stack.up());
  // The account itself, which also publishes a token of the new password; nothing is replaced.
  const { same, ...changed } = changes;
  expect(changed).toEqual({ update: 1 });
  expect(same).toBeGreaterThan(0);
  const after = await secretOf("scanner/password");
  expect(after.data).toMatchObject({ generation: 2 });
  expect(await isLive("scanner", before.data["password"])).toEqual({ live: false });
  expect(await isLive("scanner", after.data["password"])).toEqual({ live: true });
  const token = await secretOf("scanner/token");
  expect(token.metadata.version).toBe(oldToken.metadata.version + 1);
  expect(token.data).toMatchObject({ source: "pulumi up" });
  expect(token.data["token"]).not.toBe(oldToken.data["token"]);
});

test("nothing that was printed holds a secret", async () => {
  expect(output.length).toBeGreaterThan(1_000);
  for (const secret of await secretsInPlay()) expect(output).not.toContain(secret);
});

test("destroy keeps the secrets, says so, and can be repeated", async () => {
  const before = await secretOf("scanner/password");
  const { printed: said } = await stack.destroy();
  for (const kept of ["Password scanner", "KeySettings store", "Mount store"]) {
    expect(said).toMatch(new RegExp(`${kept} deleted .*\\[retain\\]`));
  }
  expect((await secretOf("scanner/password")).metadata).toEqual(before.metadata);
  await noted(stack.destroy());
});
