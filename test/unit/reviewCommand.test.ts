import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { review as command } from "../../cli/review";
import { run } from "../../lab/process";
import manifest from "../../package.json";
import { startLabGitlab } from "../support/labGitlab";
import type { LabGitlab } from "../support/labGitlab";

const token = "glpat-review-0123456789";

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "apisec-review-"));
  await git("init", "--quiet", "--initial-branch=main");
  file("program/Pulumi.yaml", "name: acme\nruntime: nodejs\nstackConfigDir: stacks\n");
  file("program/stacks/Pulumi.prod.yaml", stackFile());
  await commit("first");
});
afterEach(() => rmSync(folder, { recursive: true }));

function file(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function stackFile(accounts = ["scanner"], secret = "v1:first:cipher", more = ""): string {
  const lines = accounts.map((name) => `    - { name: ${name}, username: ${name}@acme.example }`);
  return `config:
  acme:gitlabProject: platform/rotation
  acme:firstPasswords: { scanner: { secure: ${secret} } }
  acme:accounts:
${lines.join("\n")}
${more}`;
}

async function git(...args: string[]): Promise<string> {
  const who = ["-c", "user.name=x", "-c", "user.email=x@acme.example"];
  const { code, stdout, stderr } = await run("git", [...who, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder },
  });
  expect([code, stderr]).toEqual([0, expect.anything()]);
  return stdout.trim();
}

async function commit(message: string): Promise<string> {
  await git("add", "--all");
  await git("commit", "--quiet", "--message", message);
  return git("rev-parse", "HEAD");
}

const own = { env: process.env, cwd: process.cwd() };
afterEach(() => {
  process.env = own.env;
  process.chdir(own.cwd);
  jest.restoreAllMocks();
});

/** Without Vault, GitLab, passphrase or token; from a folder below the program's. Its exit code is what main.ts makes. */
async function review(args: string[], env: NodeJS.ProcessEnv = {}) {
  process.env = { PATH: own.env["PATH"], HOME: folder, ...env };
  process.chdir(join(folder, "program", "stacks"));
  let stdout = "";
  jest.spyOn(console, "log").mockImplementation((text: string) => (stdout += `${text}\n`));
  try {
    const code = await command.run(["--stack", "prod", ...args]);
    return { code, stdout, stderr: "" };
  } catch (error) {
    return { code: 2, stdout, stderr: `${(error as Error).message}\n` };
  }
}

test("what lies here is compared with a commit, by the files alone", async () => {
  file("program/stacks/Pulumi.prod.yaml", stackFile(["scanner", "web"], "v1:second:cipher"));
  for (const base of ["main", "HEAD", await git("rev-parse", "main")]) {
    const { code, stdout, stderr } = await review(["--base", base]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^## Stack prod\n\n### Who gains\n/);
    expect(stdout).toContain(
      "| whoever has policy apisec-prod-developer | read | the token of web |",
    );
    expect(stdout).toContain("- web: new; its first password is changed");
    expect(stdout).toContain("- firstPasswords.scanner: changed");
    expect(stdout).not.toContain("cipher");
  }
});

test("settings in Pulumi.yaml are compared, too, and so is the folder that it names", async () => {
  file("program/Pulumi.yaml", "name: acme\nruntime: nodejs\nconfig: { cron: 0 */4 * * * }\n");
  await git("mv", "program/stacks/Pulumi.prod.yaml", "program/Pulumi.prod.yaml");
  const { stdout } = await review(["--base", "main"]);
  expect(stdout).toContain("- before: `17 */6 * * *` UTC");
  expect(stdout).toContain("- after: `0 */4 * * *` UTC");
  expect(stdout).not.toContain("This stack is new");
});

test("a stack's file that comes, that goes, and that is nowhere", async () => {
  await git("rm", "--quiet", "program/stacks/Pulumi.prod.yaml");
  const gone = await commit("gone");
  file("program/stacks/x", "");
  expect((await review(["--base", "HEAD~1"])).stdout).toContain("This stack's file is taken away.");
  expect(await review(["--base", "main"])).toMatchObject({
    code: 2,
    stdout: "",
    stderr: "Pulumi.prod.yaml is neither here nor in main.\n",
  });
  file("program/stacks/Pulumi.prod.yaml", stackFile());
  expect((await review(["--base", gone])).stdout).toContain("This stack is new.");
});

test("a wrong configuration here is an error; one in the base is said, and the rest is shown", async () => {
  const wrong = stackFile(["scanner"], "v1:x:y", "  acme:createMount: perhaps\n");
  file("program/stacks/Pulumi.prod.yaml", wrong);
  const here = await review(["--base", "main"]);
  expect(here).toMatchObject({ code: 2, stdout: "" });
  expect(here.stderr).toContain("createMount");
  await commit("wrong");
  file("program/stacks/Pulumi.prod.yaml", stackFile());
  const { code, stdout } = await review(["--base", "main"]);
  expect(code).toBe(0);
  expect(stdout).toContain("### Who gains");
  expect(stdout).toMatch(/### What cannot be compared\n\n.*\n\n {2}- .*createMount/);
});

test("a base that git does not know, or that looks like an option, is an error", async () => {
  for (const base of ["nowhere", "--output=x", "main:program/Pulumi.yaml"]) {
    const { code, stdout, stderr } = await review([`--base=${base}`]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`git knows no commit ${base} here. Fetch it first`);
  }
  expect((await review([])).stderr).toMatch(/^Compared with what\?\nUsage: /);
  rmSync(join(folder, ".git"), { recursive: true });
  expect((await review(["--base", "main"])).stderr).toMatch(/not a git repository/);
});

test("the command is one of the list, and npm knows it", async () => {
  const bin = join(__dirname, "..", "..", "cli", "bin.js");
  const { code, stdout } = await run(process.execPath, [bin, "review", "--help"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Usage: (npm run --silent review --|npx apisec-credentials review) --stack prod --base <ref>/,
  );
  expect(manifest.scripts.review).toBe("node cli/bin.js review");
});

describe("--note", () => {
  let gitlab: LabGitlab;
  let labFolder: string;
  beforeAll(async () => {
    labFolder = mkdtempSync(join(tmpdir(), "apisec-review-gitlab-"));
    gitlab = await startLabGitlab(labFolder, {
      users: [
        { username: "bot", tokens: [{ token }, { token: `${token}-r`, scopes: ["read_api"] }] },
        { username: "dev", tokens: [{ token: "glpat-dev-0123456789" }] },
      ],
      projects: [{ path: "sec/program", members: { bot: "reporter", dev: "developer" } }],
    });
    await api("POST", "projects/1/merge_requests", "glpat-dev-0123456789", {
      title: "web",
      source_branch: "web",
      target_branch: "main",
    });
  });
  afterAll(async () => {
    await gitlab.stop();
    rmSync(labFolder, { recursive: true });
  });

  async function api(method: string, path: string, as: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${gitlab.url}/api/v4/${path}`, {
      method,
      headers: { "private-token": as, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    return answer.json();
  }
  const notes = async () =>
    (await api("GET", "projects/1/merge_requests/1/notes", token)) as { body: string }[];
  const inPipeline = (as = token) => ({
    CI_API_V4_URL: `${gitlab.url}/api/v4`,
    CI_MERGE_REQUEST_PROJECT_ID: "1",
    CI_MERGE_REQUEST_IID: "1",
    GITLAB_TOKEN: as,
  });

  test("writes one note, and over it the next time; another's note stays", async () => {
    const mark = "<!-- apisec-credentials review prod -->";
    await api("POST", "projects/1/merge_requests/1/notes", "glpat-dev-0123456789", { body: mark });
    const first = await review(["--base", "main", "--note"], inPipeline());
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect((await notes()).map(({ body }) => body)).toEqual([
      `${mark}\n${first.stdout.trimEnd()}\n`,
      mark,
    ]);
    file("program/stacks/Pulumi.prod.yaml", stackFile(["scanner", "web"]));
    const second = await review(["--base", "main", "--note"], inPipeline());
    expect(second.stdout).toContain("the token of web");
    expect((await notes()).map(({ body }) => body)).toEqual([
      `${mark}\n${second.stdout.trimEnd()}\n`,
      mark,
    ]);
  });

  test("says what it lacks, and what GitLab refuses; the review is printed all the same", async () => {
    const lacking = await review(["--base", "main", "--note"], { GITLAB_TOKEN: token });
    expect(lacking.code).toBe(2);
    expect(lacking.stdout).toContain("## Stack prod");
    expect(lacking.stderr).toMatch(/^--note needs CI_API_V4_URL, CI_MERGE_REQUEST_PROJECT_ID, CI_/);
    const reader = await review(["--base", "main", "--note"], inPipeline(`${token}-r`));
    expect(reader).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^GitLab answers (POST|PUT) .* with 403/) as string,
    });
    const plain = { ...inPipeline(), CI_API_V4_URL: "http://gitlab.acme.example/api/v4" };
    expect((await review(["--base", "main", "--note"], plain)).stderr).toContain(
      "GITLAB_TOKEN is sent to no such address.",
    );
    const none = { ...inPipeline(), CI_MERGE_REQUEST_IID: "7" };
    expect((await review(["--base", "main", "--note"], none)).stderr).toBe(
      "GitLab shows the owner of GITLAB_TOKEN no merge request 7 of project 1.\n",
    );
  });
});
