import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "../../lab/process";
import type { RunResult } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import { isLong } from "../support/sampled";
import { withoutCodes } from "../support/textOf";

let lab: TestLab;
let firstPasswords: Record<string, string>;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  lab = await startTestLab();
  firstPasswords = lab.world.secrets.firstPasswords;
  // The runbook's command is Vault's.
  const bin = join(lab.program, "..", "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "vault"), '#!/bin/sh\nexec bao "$@"\n');
  chmodSync(join(bin, "vault"), 0o755);
  lab.env["PATH"] = [bin, lab.env["PATH"]].join(delimiter);
  // No first password in config, and none is ever set there.
  lab.writeConfig("dev", { ...devConfig(lab.world), accounts: accountsOf() });
}, 240_000);

afterAll(() => lab?.stop());

/** Which organisation scanner is of, APIsec says. */
function accountsOf(): Record<string, unknown>[] {
  const [admin = {}, scanner] = devConfig(lab.world)["accounts"] as Record<string, unknown>[];
  return [admin, { ...scanner, organization: undefined }];
}

async function bash(commands: string, token: string, input?: string): Promise<RunResult> {
  const result = await run("bash", ["--norc", "-euo", "pipefail", "-c", commands], {
    cwd: lab.program,
    env: { ...lab.env, VAULT_TOKEN: token },
    timeoutMs: 240_000,
    ...(input === undefined ? {} : { input }),
  });
  return { ...result, stderr: withoutCodes(result.stderr) };
}

/** As who has the policy of this account's hand-over, and no other. */
async function handOver(account: string, password: string): Promise<RunResult> {
  tokens[account] ??= await tokenWith(lab.world.vault, `apisec-dev-handover-${account}`);
  const command = `npm run --silent hand-over -- --stack dev --account ${account}`;
  return bash(command, tokens[account], `${password}\n`);
}

/** The command that a message shows, run by Vault's admin. */
async function follow({ stderr }: RunResult): Promise<void> {
  const [, command = ""] = /^ {2}(.*vault .*)$/m.exec(stderr) ?? [];
  expect(command).not.toBe("");
  expect(await bash(command, lab.world.vault.rootToken)).toMatchObject({ code: 0 });
}

test("each command that it prints brings it further: the policy, then the mount", async () => {
  const unknown = await handOver("nobody", "x");
  expect(unknown).toMatchObject({ code: 2, stdout: "" });
  expect(unknown.stderr).toContain(
    "Stack dev has no account nobody: --account is one of admin, scanner",
  );
  for (const account of ["admin", "scanner"]) {
    const denied = await handOver(account, firstPasswords[account] ?? "");
    expect(denied).toMatchObject({ code: 2, stdout: "" });
    expect(denied.stderr).toContain("It takes the policy of this account's hand-over:");
    await follow(denied);
  }
  const noMount = await handOver("scanner", firstPasswords["scanner"] ?? "");
  expect(noMount.stderr).toMatch(/ has no mount apisec\/ yet: nothing was written\. Have Vault's/);
  await follow(noMount);
}, 120_000);

test("it writes the first record of its account, and nothing else; and only once", async () => {
  expect(await handOver("scanner", "")).toMatchObject({
    code: 2,
    stderr: "The first password is empty: nothing was written.\n",
  });
  for (const account of ["admin", "scanner"]) {
    const { code, stdout, stderr } = await handOver(account, firstPasswords[account] ?? "");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(
      `apisec/${account}/password holds the first password of ${account}. Next: pulumi up --stack dev\n`,
    );
    const { body } = await lab.asRoot("GET", `apisec/data/${account}/password`);
    expect(body).toMatchObject({
      data: {
        data: {
          username: `${account}@acme.example`,
          password: firstPasswords[account],
          host: lab.world.apisec.url,
          organization: account === "admin" ? "Acme" : "",
          generation: 0,
          changed_at: "",
        },
        metadata: {
          version: 1,
          deletion_time: "",
          custom_metadata: {
            owner: expect.stringMatching(/^apisec-credentials\/dev for 127.*\/\d+$/) as string,
          },
        },
      },
    });
    expect((await lab.asRoot("GET", `apisec/metadata/${account}/password`)).body).toMatchObject({
      data: { cas_required: true, max_versions: 10, delete_version_after: "0s" },
    });
  }
  const again = await handOver("scanner", "Another-first-1");
  expect(again).toMatchObject({ code: 2, stdout: "" });
  expect(again.stderr).toMatch(
    /^apisec\/scanner\/password is there already: nothing was written\./,
  );
  const body = { options: { cas: "1" }, data: { password: "x" } };
  const { vault } = lab.world;
  const asHolder = (method: string, path: string) =>
    vault.request(tokens["scanner"] ?? "", method, path, method === "POST" ? body : undefined);
  for (const [method, path] of [
    ["GET", "apisec/data/scanner/password"],
    ["GET", "apisec/metadata/scanner/password"],
    ["POST", "apisec/data/scanner/password"],
    ["POST", "apisec/data/admin/password"],
    ["POST", "apisec/data/scanner/token"],
  ] as const) {
    expect({ method, path, ...(await asHolder(method, path)) }).toMatchObject({
      method,
      path,
      status: 403,
    });
  }
}, 120_000);

test("`up` goes on from there, with no first password in config, and the next has nothing to do", async () => {
  const stack = await lab.stack("dev");
  const { printed } = await stack.up();
  expect(printed).not.toContain("firstPasswords");
  for (const [account, first] of Object.entries(firstPasswords)) {
    const { body } = await lab.asRoot("GET", `apisec/data/${account}/password`);
    const { data } = (body as { data: { data: { password: string } } }).data;
    expect(data).toMatchObject({ generation: 1, organization: "Acme" });
    expect(data.password).not.toBe(first);
    expect(
      await lab.apisec("POST", `accounts/${account}@acme.example/check`, {
        password: data.password,
      }),
    ).toMatchObject({ live: true });
  }
  expect((await lab.asRoot("GET", "apisec/data/scanner/token")).status).toBe(200);
  const preview = await lab.pulumi([
    "preview",
    "--stack",
    "dev",
    "--refresh",
    "--expect-no-changes",
  ]);
  expect(preview.code).toBe(0);
}, 240_000);

describe("the first run", () => {
  const withFirstRun = () => ({
    ...devConfig(lab.world),
    accounts: accountsOf(),
    firstRun: "wait",
  });
  const policy = "sys/policies/acl/apisec-dev-rotator";
  const pipelines = async () => {
    const all: unknown = await (await lab.gitlab("GET", "pipelines?source=schedule")).json();
    return (all as { status: string }[]).map(({ status }) => status);
  };

  test("of a job that does not work is a warning, with its pipeline and the command to play it again", async () => {
    const { body } = await lab.asRoot("GET", policy);
    const [mark] = (body as { data: { policy: string } }).data.policy.split("\n");
    const nothing = `${mark}\npath "nothing" {\n  capabilities = ["read"]\n}\n`;
    await lab.asRoot("PUT", policy, { policy: nothing });
    const stack = await lab.stack("dev", withFirstRun());
    const { printed, changes } = await stack.up();
    expect(changes).toMatchObject({ create: 1 });
    expect(printed).toMatch(
      /warning: First run: the pipeline failed; its job's log says why \[APC-PIPELINE-FAILED\]: http\S+\/pipelines\/\d+\. Once/,
    );
    expect(printed).toContain("`npm run first-run -- --stack dev`");
    expect(await pipelines()).toEqual(["failed"]);
  }, 240_000);

  test("goes well by that command, once what was wrong is not; nothing plays it where nothing has changed", async () => {
    const { printed } = await (await lab.stack("dev")).up({ refresh: true });
    expect(printed).not.toContain("First run");
    // GitLab lets nobody play it twice within a minute: the command waits for it, as `make test-long` does.
    if (!isLong) {
      await fetch(`${lab.world.gitlab.url}/-/lab/plays`, { method: "DELETE" });
    }
    const again = await bash(
      "npm run --silent first-run -- --stack dev",
      lab.world.vault.rootToken,
    );
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(again.stdout).toMatch(/^the pipeline has rotated the tokens: .*\/pipelines\/\d+$/m);
    expect(await pipelines()).toEqual(["success", "failed"]);
    const preview = await lab.pulumi(["preview", "--stack", "dev", "--expect-no-changes"]);
    expect(preview.code).toBe(0);
  }, 240_000);
});

test("the first passwords are in no file of the program and of its state", () => {
  const files = filesBelow(join(lab.program, "..")).filter(
    (file) =>
      !/\/(node_modules|vault|openbao|apisec|gitlab|dist|plugins)\/|\/secrets\.json$/.test(file),
  );
  expect(files.some((file) => /dev\.json$/.test(file))).toBe(true);
  const holding = files.filter((file) => {
    const text = readFileSync(file, "latin1");
    return Object.values(firstPasswords).some((password) => text.includes(password));
  });
  expect(holding).toEqual([]);
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) return [];
    return entry.isDirectory() ? filesBelow(path) : statSync(path).isFile() ? [path] : [];
  });
}
