import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../lab/process";
import type { RunResult } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { recordOf } from "../support/managed";
import { startWebhook } from "../support/rotationServers";
import type { TestServer } from "../support/rotationServers";
import { secretHunt } from "../support/secretHunt";
import { filesBelow } from "../support/stateFiles";

let lab: TestLab;
let webhook: TestServer;
/** A word that stands in the webhook's address only. */
const canary = "hookCanary7Zq";
let printed = "";
let scheduleId = 0;

const textOf = ({ stdout, stderr }: RunResult) => `${stdout}\n${stderr}`;

async function pulumi(...args: string[]): Promise<string> {
  const result = await lab.pulumi([...args, "--stack", "dev", "--color", "never"]);
  if (result.code !== 0) throw new Error(textOf(result));
  printed += textOf(result);
  return result.stdout;
}

const setPassword = (password: unknown) =>
  lab.apisec("POST", "accounts/scanner@acme.example/password", { password });

/** What a developer gets: the status, and the record. */
async function readToken(): Promise<{ status: number; record: Record<string, unknown> }> {
  const developer = await tokenWith(lab.world.vault, "apisec-dev-developer", undefined, "5m");
  const answer = await fetch(`${lab.world.vault.address}/v1/apisec/data/scanner/token`, {
    headers: { "X-Vault-Token": developer },
  });
  const { data } = (await answer.json()) as { data?: { data?: Record<string, unknown> } };
  return { status: answer.status, record: data?.data ?? {} };
}

/** `npm run rotate`, with a token of one policy. */
async function rotate(policy: string, ...args: string[]): Promise<RunResult> {
  const env = {
    ...lab.env,
    VAULT_TOKEN: await tokenWith(lab.world.vault, `apisec-dev-${policy}`),
    APISEC_WEBHOOK: `${webhook.url}/services/${canary}`,
  };
  const command = ["run", "--silent", "rotate", "--", "--stack", "dev", ...args];
  const result = await run("npm", command, { cwd: lab.program, env, timeoutMs: 60_000 });
  printed += textOf(result);
  return result;
}

beforeAll(async () => {
  [lab, webhook] = await Promise.all([startTestLab(), startWebhook()]);
  const stack = await lab.stack("dev", devConfig(lab.world));
  await stack.setSecrets({
    firstPasswords: lab.world.secrets.firstPasswords,
    webhookUrl: `${webhook.url}/services/${canary}`,
  });
  await pulumi("up", "--yes", "--diff");
  scheduleId = Number(await pulumi("stack", "output", "scheduleId"));
});

afterAll(async () => {
  webhook?.close();
  await lab?.stop();
});

test("the address is a masked, protected CI variable of the stack's environment", async () => {
  const scope = "?filter%5Benvironment_scope%5D=apisec%2Fdev";
  const answer = await lab.gitlab("GET", `variables/APISEC_WEBHOOK${scope}`);
  expect(await answer.json()).toMatchObject({
    value: `${webhook.url}/services/${canary}`,
    masked: true,
    protected: true,
    raw: true,
    environment_scope: "apisec/dev",
  });
});

test("a run that goes well tells nobody; one that fails tells how long readers have a token", async () => {
  // A token of the same second would not expire later than the stored one.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const good = await lab.runSchedule(scheduleId);
  expect(good.status).toBe("success");
  expect(webhook.seen).toEqual([]);

  await setPassword("Changed-outside-123");
  const bad = await lab.runSchedule(scheduleId);
  expect(bad.status).toBe("failed");
  expect(webhook.seen).toHaveLength(1);
  const [{ id }] = (await (await lab.gitlab("GET", "pipelines")).json()) as [{ id: number }];
  const [job] = (await (await lab.gitlab("GET", `pipelines/${id}/jobs`)).json()) as [
    { id: number },
  ];
  const report = await lab.gitlab("GET", `jobs/${job.id}/artifacts/rotation-report.xml`);
  const reportText = await report.text();
  printed += good.trace + bad.trace + reportText;

  const { body } = await lab.asRoot("GET", "apisec/data/scanner/token");
  const { deletion_time } = (body as { data: { metadata: { deletion_time: string } } }).data
    .metadata;
  const life = `readers have a token until ${deletion_time.slice(0, 19)}Z (23 h `;
  const [head, pipeline, line] = String(webhook.seen[0]?.body["text"]).split("\n");
  expect(head).toBe("apisec/dev: 1 of 1 tokens not rotated");
  expect(pipeline).toMatch(new RegExp(`^${lab.world.gitlab.url}/.+/-/pipelines/${id}$`));
  expect(line?.startsWith(`• scanner: ${life}`)).toBe(true);
  expect(line).toMatch(/ min\); APIsec refuses the stored password: /);
  for (const text of [bad.trace, reportText]) expect(text).toContain(life);
});

test("Vault lets the job in nowhere: that is told too, once", async () => {
  const role = "auth/gitlab/role/apisec-dev-rotator";
  const { data } = (await lab.asRoot("GET", role)).body as { data: Record<string, unknown> };
  await lab.asRoot("DELETE", role);
  const { status, trace } = await lab.runSchedule(scheduleId);
  printed += trace;
  await lab.asRoot("POST", role, data);
  expect(status).toBe("failed");
  expect(webhook.seen).toHaveLength(2);
  const { text } = webhook.seen[1]?.body as { text: string };
  expect(text).toContain("• all accounts: whether readers still have a token is not known; Vault");
});

describe("npm run rotate, after the token record was deleted", () => {
  beforeAll(async () => {
    await lab.asRoot("DELETE", "apisec/data/scanner/token");
    expect((await readToken()).status).toBe(404);
  });

  test("shows the job's lines and ends with its exit code", async () => {
    const { code, stdout, stderr } = await rotate("rotator");
    expect(code).toBe(1);
    expect(stdout).toContain("0 rotated, 0 kept, 1 failed");
    expect(stderr).toMatch(
      /^scanner {2}failed {2}APIsec refuses .* \[APC-LOGIN-REFUSED\]; no valid token is left$/m,
    );
  });

  test("of accounts that it cannot be for: a clear error, nothing tried", async () => {
    const named = ["scanner", "nobody", "admin"].flatMap((name) => ["--account", name]);
    const { code, stdout, stderr } = await rotate("rotator", ...named);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(
      '--account "nobody": stack dev has no such account [APC-NO-ACCOUNT]\n',
    );
    expect(stderr).toContain("--account admin: its token is not published");
    expect(stderr).toContain("Published accounts of stack dev: scanner");
  });

  test("as the admin: told whose policy it takes", async () => {
    const { data } = await recordOf(lab, "scanner");
    await setPassword(data["password"]);
    const { code, stderr } = await rotate("admin");
    expect(code).toBe(3);
    expect(stderr).toContain("Vault denies POST apisec/data/scanner/token (403)");
    expect(stderr).toContain("needs the policy apisec-dev-rotator, or the deployer's");
    expect((await readToken()).status).toBe(404);
  });

  test.each(["rotator", "deployer"])("as the %s: readers have a token again", async (policy) => {
    await lab.asRoot("DELETE", "apisec/data/scanner/token");
    const { code, stdout, stderr } = await rotate(policy, "--account", "scanner");
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^scanner {2}rotated {2}expires /m);
    const { status, record } = await readToken();
    expect(status).toBe(200);
    const answer = await fetch(`${lab.world.apisec.url}/api/v1/projects?page=0&pageSize=1`, {
      headers: { authorization: `Bearer ${String(record["token"])}` },
    });
    expect(answer.status).toBe(200);
  });

  test("goes to nobody's webhook", () => expect(webhook.seen).toHaveLength(2));
});

test("nothing changes with a further preview, and the address is nowhere to be read", async () => {
  await pulumi("preview", "--diff", "--refresh");
  await pulumi("config");
  await pulumi("stack", "output");
  await pulumi("stack", "export");
  const hunt = secretHunt();
  hunt.add("webhook", `${webhook.url}/services/${canary}`);
  hunt.add("webhook", canary);
  const state = filesBelow(join(lab.world.dir, "state"));
  expect(state.length).toBeGreaterThan(0);
  for (const { path, text } of state) expect([path, hunt.in(text)]).toEqual([path, []]);
  expect(hunt.in(readFileSync(join(lab.program, "Pulumi.dev.yaml"), "utf8"))).toEqual([]);
  expect(printed).toContain("APISEC_WEBHOOK");
  expect(hunt.in(printed)).toEqual([]);
  // What was told holds neither password nor token.
  hunt.add("password", (await recordOf(lab, "scanner")).data["password"]);
  hunt.add("token", (await readToken()).record["token"]);
  for (const { body } of webhook.seen) expect(hunt.in(JSON.stringify(body))).toEqual([]);
});
