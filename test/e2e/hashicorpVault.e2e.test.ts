import { join } from "node:path";
import { run } from "../../lab/process";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLive, recordOf } from "../support/managed";
import { startVaultFront, vaultVersion } from "../support/vaultFront";

/*
 * No registry has HashiCorp's binary: this is OpenBao behind a front that does what Vault Community was seen to
 * do. Where a binary is at hand, LAB_VAULT=<path> runs every test on it.
 */

const server = process.env["LAB_VAULT"] ?? join(__dirname, "../support/hashicorpVault/vault");

let lab: TestLab;

beforeAll(async () => {
  lab = await startTestLab({ server });
  await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
});

afterAll(() => lab?.stop());

const up = (env: Record<string, string> = {}) =>
  lab.pulumi(["up", "--yes", "--skip-preview", "--color", "never"], env);

test("the server says that it is Vault's Community edition", async () => {
  const { body } = await lab.asRoot("GET", "sys/health");
  expect(body).toMatchObject({ enterprise: false });
  if (process.env["LAB_VAULT"] === undefined) expect(body).toMatchObject({ version: vaultVersion });
});

test("up provisions everything, and its second run finds nothing to change", async () => {
  const { code, stdout, stderr } = await up();
  expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
  for (const name of ["admin", "scanner"]) {
    const { data } = await recordOf(lab, name);
    expect(data).toMatchObject({ generation: 1 });
    expect(await isLive(lab, name, data["password"])).toBe(true);
  }
  const again = await lab.pulumi(["preview", "--expect-no-changes", "--color", "never"]);
  expect([again.code, again.code === 0 ? "" : again.stdout + again.stderr]).toEqual([0, ""]);
});

test("the job logs in and rotates", async () => {
  // A token of the same second would not expire later than the stored one.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const { status, trace } = await lab.runSchedule(1);
  expect([status, trace]).toEqual(["success", expect.stringContaining("scanner  rotated")]);
});

test("a policy that is too large is answered by 500, and the reason is Vault's", async () => {
  const policy = `# ${"x".repeat(1_100_000)}\n`;
  const { status, body } = await lab.asRoot("PUT", "sys/policies/acl/large", { policy });
  expect([status, JSON.stringify(body)]).toEqual([500, expect.stringMatching(/too large|exceeds/)]);
});

test("reads are redirected to a dead node while the leader changes; the job waits for the new one", async () => {
  const front = await startVaultFront({ target: lab.world.vault.address });
  try {
    const answer = await fetch(`${front.url}/v1/sys/health`);
    expect(answer.status).toBe(200);
    front.leaderIsGone(8_000);
    const moved = await fetch(`${front.url}/v1/apisec/data/scanner/token`, { redirect: "manual" });
    expect([moved.status, moved.headers.get("location")]).toEqual([
      307,
      "http://127.0.0.1:1/v1/apisec/data/scanner/token",
    ]);
    const { data } = await recordOf(lab, "scanner");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const rotated = await run(process.execPath, [join(lab.program, "dist/rotate.mjs")], {
      cwd: lab.world.dir,
      env: {
        PATH: process.env["PATH"],
        VAULT_ADDR: front.url,
        VAULT_TOKEN: lab.world.vault.rootToken,
        APISEC_MOUNT: "apisec",
        APISEC_ACCOUNTS: "scanner",
      },
    });
    expect([rotated.code, rotated.stderr]).toEqual([0, ""]);
    expect(rotated.stdout).toContain("scanner  rotated");
    expect(await isLive(lab, "scanner", data["password"])).toBe(true);
  } finally {
    await front.close();
  }
});
