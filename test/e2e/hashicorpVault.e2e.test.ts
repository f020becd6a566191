import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonReport } from "../../checks/report";
import { startOpenBao } from "../../lab/openbao";
import { run } from "../../lab/process";
import { followFix } from "../support/followFix";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLive, recordOf } from "../support/managed";
import { isLong } from "../support/sampled";
import { startVaultFront, vaultVersion } from "../support/vaultFront";
import type { VaultFront } from "../support/vaultFront";
import { textOf } from "../support/textOf";

/*
 * No registry has HashiCorp's binary: this is OpenBao behind a front that does what Vault Community was seen to
 * do. Where a binary is at hand, LAB_VAULT=<path> runs every test on it.
 */

const server = process.env["LAB_VAULT"] ?? join(__dirname, "../support/hashicorpVault/vault");

/** How long the leader is gone: Vault's was for 8 s. */
const goneMs = isLong ? 8_000 : 3_000;

const dir = mkdtempSync(join(tmpdir(), "apisec-vault-test-"));
let lab: TestLab;
let front: VaultFront;
/** The next request to which this applies finds the leader gone. */
let moment: RegExp | undefined;

beforeAll(async () => {
  const behind = await startOpenBao({ dir, bao: server });
  front = await startVaultFront({
    target: behind.address,
    async onRequest({ method, path }) {
      if (moment?.test(`${method} ${path}`)) {
        moment = undefined;
        front.leaderIsGone(goneMs);
      }
      return "pass";
    },
  });
  const stop = async () => {
    await front.close();
    await behind.stop();
  };
  lab = await startTestLab({ runningVault: { ...behind, address: front.url, stop } });
  await lab.stack("dev", devConfig(lab.world), lab.world.secrets.firstPasswords);
});

afterAll(async () => {
  await lab?.stop();
  rmSync(dir, { recursive: true, force: true });
});

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

test("a namespace, which this Vault ignores, is refused by doctor and before anything by up", async () => {
  const problem =
    "namespace teams cannot be used: this Vault has no namespaces and ignores their names";
  const env = { VAULT_NAMESPACE: "teams" };
  const { code, ...printed } = await up(env);
  expect(code).not.toBe(0);
  expect(textOf(printed)).toContain("nothing was touched");
  expect(textOf(printed)).toContain(
    `${problem}: \`unset VAULT_NAMESPACE; pulumi config rm vault:namespace --stack dev\``,
  );
  const args = ["cli/bin.js", "doctor", "--stack", "dev"];
  const doctor = await run(process.execPath, args, {
    cwd: lab.program,
    env: { ...lab.env, ...env },
  });
  expect(doctor.code).toBe(2);
  expect(doctor.stdout.replace(/ +/g, " ")).toContain(`PROBLEM ${problem}`);
});

test("a stack of the same names in another backend, of another project, is refused before anything", async () => {
  const other = mkdtempSync(join(lab.world.dir, "backend-"));
  const env = { PULUMI_BACKEND_URL: `file://${other}` };
  const made = await fetch(`${lab.world.gitlab.url}/api/v4/projects`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${lab.world.secrets.gitlabToken}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ name: "shop", path: "shop" }),
  });
  expect(made.status).toBe(201);
  lab.writeConfig("dev", { ...devConfig(lab.world), gitlabProject: "rotation-bot/shop" });
  const policy = async () => (await lab.asRoot("GET", "sys/policies/acl/apisec-dev-rotator")).body;
  const before = await policy();
  expect((await lab.pulumi(["stack", "init", "dev"], env)).code).toBe(0);
  const { code, ...printed } = await up(env);
  expect(code).not.toBe(0);
  expect(textOf(printed)).toContain("nothing was touched");
  expect(await policy()).toMatchObject({ data: (before as { data: object }).data });
  const args = ["cli/bin.js", "doctor", "--stack", "dev", "--json"];
  const doctor = await run(process.execPath, args, {
    cwd: lab.program,
    env: { ...lab.env, ...env },
  });
  expect(doctor.code).toBe(2);
  const { findings } = JSON.parse(doctor.stdout) as JsonReport;
  for (const subject of ["mount apisec/", "auth mount gitlab/", "policy apisec-dev-rotator"]) {
    const finding = findings.find((one) => one.subject === subject);
    expect(finding).toMatchObject({ state: "problem" });
    expect(finding?.found).toMatch(
      /^belongs to apisec-credentials\/dev for \S+\/1, a stack of another project$/,
    );
    expect(textOf(printed)).toContain(`${subject} ${finding?.found}`);
  }
});

const keptFor = async () => {
  const { body } = await lab.asRoot("GET", "apisec/metadata/scanner/token");
  return (body as { data: { delete_version_after: string } }).data.delete_version_after;
};

test("tokens that do not end in Vault need no other policy of the deployer", async () => {
  lab.writeConfig("dev", { ...devConfig(lab.world), tokenEndsInVault: false });
  expect(await keptFor()).toBe("23h30m0s");
  const { code, stdout, stderr } = await up();
  expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
  expect(stdout + stderr).not.toContain("warning: key settings");
  expect(await keptFor()).toBe("0s");
});

test("another life of the tokens does: up says so, and how it is written", async () => {
  lab.writeConfig("dev", { ...devConfig(lab.world), tokenLifetime: "12h" });
  const refused = await up();
  expect(refused.code).not.toBe(0);
  const said = textOf(refused);
  expect(said).toContain("delete_version_after of tokens becomes 11h30m0s (0s now)");
  const fix = /which the deployer's policy has to allow: as Vault's admin: `([^`]*)`/.exec(
    said,
  )?.[1];
  await followFix(lab, fix ?? "");
  const { code, stdout, stderr } = await up();
  expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
  expect(await keptFor()).toBe("11h30m0s");
});

test("an auth mount of others with another issuer: doctor shows it, and the command that it prints fixes it", async () => {
  lab.writeConfig("dev", { ...devConfig(lab.world), createAuth: false });
  const { body } = await lab.asRoot("GET", "auth/gitlab/config");
  const { oidc_discovery_url } = (body as { data: { oidc_discovery_url: string } }).data;
  const set = (bound_issuer: string) =>
    lab.asRoot("POST", "auth/gitlab/config", { oidc_discovery_url, bound_issuer });
  await set("gitlab.example.com");
  const ofAuthMount = async () => {
    const args = ["cli/bin.js", "doctor", "--stack", "dev", "--json"];
    const env = { ...lab.env, VAULT_TOKEN: lab.world.vault.rootToken };
    const { stdout } = await run(process.execPath, args, { cwd: lab.program, env });
    return (JSON.parse(stdout) as JsonReport).findings.find(({ id }) => id === "auth-mount");
  };
  const finding = await ofAuthMount();
  expect(finding).toMatchObject({ state: "problem" });
  expect(finding?.found).toContain("takes ID tokens of gitlab.example.com alone");
  await followFix(lab, /`(.*)`/.exec(finding?.fix ?? "")?.[1] ?? "");
  expect(await ofAuthMount()).toMatchObject({ state: "ok" });
  expect((await lab.asRoot("GET", "auth/gitlab/config")).body).toMatchObject({
    data: { oidc_discovery_url, bound_issuer: oidc_discovery_url },
  });
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

describe("while the leader changes, reads, too, are redirected to a dead node:", () => {
  test("the front does that", async () => {
    expect((await fetch(`${front.url}/v1/sys/health`)).status).toBe(200);
    front.leaderIsGone();
    const moved = await fetch(`${front.url}/v1/apisec/data/scanner/token`, { redirect: "manual" });
    expect([moved.status, moved.headers.get("location")]).toEqual([
      307,
      "http://127.0.0.1:1/v1/apisec/data/scanner/token",
    ]);
    front.leaderIsThere();
  });

  test("the job waits for the new one", async () => {
    const { data } = await recordOf(lab, "scanner");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    front.leaderIsGone(goneMs);
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
  });

  const calls: [string, RegExp][] = [
    ["the new password is staged", /^POST \S+\/data\/scanner\/password$/],
    ["the record is read", /^GET \S+\/data\/scanner\/password$/],
    ["its mark is written", /^POST \S+\/metadata\/scanner\/password$/],
    ["a token is published", /^POST \S+\/data\/scanner\/token$/],
  ];
  let generation = 1;
  test.each(isLong ? calls : calls.slice(0, 1))("so does an up, when %s", async (_, call) => {
    generation += 1;
    const { accounts, ...others } = devConfig(lab.world) as { accounts: object[] };
    const raised = accounts.map((one) => ({ ...one, passwordGeneration: generation }));
    lab.writeConfig("dev", { ...others, tokenLifetime: "12h", accounts: raised });
    moment = call;
    const { code, stdout, stderr } = await up();
    expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
    expect(moment).toBeUndefined();
    for (const name of ["admin", "scanner"]) {
      const { data } = await recordOf(lab, name);
      expect(data).toMatchObject({ generation });
      expect(await isLive(lab, name, data["password"])).toBe(true);
    }
  });

  test("and so does a check", async () => {
    const check = async () => {
      const args = ["cli/bin.js", "check", "--stack", "dev", "--json"];
      const { stdout } = await run(process.execPath, args, { cwd: lab.program, env: lab.env });
      const { findings } = JSON.parse(stdout) as JsonReport;
      return findings.map(({ id, subject, state }) => `${id} ${subject}: ${state}`);
    };
    const before = await check();
    moment = /^GET \S+\/metadata\//;
    expect(await check()).toEqual(before);
    expect(moment).toBeUndefined();
  });
});
