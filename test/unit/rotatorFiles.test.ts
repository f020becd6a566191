import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { evaluate } from "../../lab/gitlab/ciRules";
import { run } from "../../lab/process";
import { defaultImage, renderPipeline, renderRoot, sharedMarker } from "../../desired/pipelineFile";
import { junit } from "../../job/report";
import type { PipelineOptions } from "../../desired/pipelineFile";

const options: PipelineOptions = {
  marker: "# managed by apisec-credentials/dev",
  script: "rotate.mjs",
  stack: "dev",
  audience: "https://vault.example.com:8200",
  image: defaultImage,
  minLifetime: "23h30m",
  timeoutMinutes: 15,
  shards: 1,
  settings: { VAULT_ADDR: "https://vault.example.com:8200", VAULT_NAMESPACE: "" },
};

describe("the pipeline file", () => {
  const rules = [{ if: '$CI_PIPELINE_SOURCE == "schedule"' }];

  test("has one job, for schedules only", () => {
    const text = renderPipeline(options);
    expect(text.split("\n")[0]).toBe("# managed by apisec-credentials/dev");
    expect(parse(text)).toEqual({
      workflow: { rules },
      rotate: {
        stage: "deploy",
        inherit: { default: false, variables: false },
        needs: [],
        image: defaultImage,
        rules,
        environment: { name: "apisec/dev", action: "access" },
        id_tokens: { VAULT_ID_TOKEN: { aud: "https://vault.example.com:8200" } },
        variables: {
          GIT_DEPTH: "1",
          GIT_SUBMODULE_STRATEGY: "none",
        },
        script: [expect.stringMatching(/ node rotate\.mjs$/)],
        resource_group: "apisec-dev-rotate",
        timeout: "15 minutes",
        interruptible: false,
        artifacts: {
          when: "always",
          paths: ["rotation-report.xml", "rotation-metrics.txt"],
          reports: { junit: "rotation-report.xml" },
          expire_in: "30 days",
        },
      },
    });
  });

  test("gives its settings to the job as they are, whatever the shell or YAML would read in them", async () => {
    const settings = { A: `'"$HOME#{}:\\`, B: '{"login":"/a?b=c&d"}' };
    const { rotate } = parse(renderPipeline({ ...options, settings })) as {
      rotate: { script: [string] };
    };
    const line = rotate.script[0].replace("node rotate.mjs", `sh -c 'printf "%s\\n" "$A" "$B"'`);
    const { stdout } = await run("sh", ["-c", line], { env: process.env });
    expect(stdout.split("\n")).toEqual([settings.A, settings.B, ""]);
  });

  /** What the script's last command is given, in this shell, with these variables around. */
  async function environmentIn(shell: string, more: Partial<PipelineOptions>, env: object) {
    const { rotate } = parse(renderPipeline({ ...options, ...more })) as {
      rotate: { script: [string] };
    };
    const line = rotate.script[0].replace(
      "node rotate.mjs",
      `"${process.execPath}" -p 'JSON.stringify(process.env)'`,
    );
    const { stdout, stderr } = await run(
      "sh",
      ["-c", 'exec "$0" -ec "$1" < /dev/null', shell, line],
      {
        env: { PATH: process.env["PATH"] ?? "", ...env },
      },
    );
    expect(stderr).toBe("");
    const told = JSON.parse(stdout) as Record<string, string>;
    // Each shell says something of itself.
    for (const name of ["_", "PWD", "SHLVL", "OLDPWD", "SHELLOPTS"]) delete told[name];
    return told;
  }

  test.each(["dash", "bash"])("unsets in %s whatever the job does not need", async (shell) => {
    const needed = {
      VAULT_ID_TOKEN: "ey.canary",
      APISEC_ACCOUNTS: "scanner,build",
      APISEC_WEBHOOK: "https://hooks.example.com/x",
      CI_DEBUG_TRACE: "true",
      NODE_EXTRA_CA_CERTS: join(__dirname, "../support/tls/ca.pem"),
      HTTPS_PROXY: "http://proxy:3128",
      // Lines that look like what a shell says of others.
      APISEC_URL: 'x\nexport PATH="y"\ndeclare -x APISEC_ACCOUNTS="z" *\n',
    };
    const dangers = {
      ...{ NODE_OPTIONS: "--title=x", NODE_USE_SYSTEM_CA: "1", NODE_TLS_REJECT_UNAUTHORIZED: "0" },
      ...{
        NODE_PATH: "/x",
        NODE_DEBUG: "http",
        NODE_V8_COVERAGE: "/tmp/x",
        NODE_COMPILE_CACHE: "/x",
      },
      ...{ SSL_CERT_FILE: "/x", SSL_CERT_DIR: "/x", OPENSSL_CONF: "/x", OPENSSL_MODULES: "/x" },
      ...{
        LD_PRELOAD: "",
        LD_AUDIT: "",
        LD_LIBRARY_PATH: "/x",
        GLIBC_TUNABLES: "",
        HOSTALIASES: "/x",
      },
      ...{
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "a.b",
        GIT_CONFIG_VALUE_0: "x",
        HTTP_PROXY: "x",
      },
      ...{
        BASH_ENV: "/nowhere",
        ENV: "/nowhere",
        IFS: "E",
        OPTIND: "7",
        name: "x",
        PS4: "x",
        CDPATH: "/",
      },
      ...{
        VAULT_TOKEN: "hvs.x",
        VAULT_SKIP_VERIFY: "1",
        APISEC_ACCOUNTS_FILE: "x",
        APISEC_DEADLINE: "1s",
      },
      ...{ GREETING: 'a "b" $(c) `d`', EMPTY: "", MANY: "a\nb\n\nc'd" },
    };
    const told = await environmentIn(shell, {}, { ...dangers, ...needed, ...script("1", "9") });
    const { PATH, OPTIND, ...rest } = told;
    expect(PATH).toBe(process.env["PATH"]);
    expect(rest).toEqual({ ...needed, ...options.settings, ...script("1", "1") });
    expect(["1", undefined]).toContain(OPTIND);
  });

  const script = (index: string, total: string) => ({
    APISEC_MIN_LIFETIME: "23h30m",
    APISEC_REPORT: "rotation-report.xml",
    APISEC_METRICS: "rotation-metrics.txt",
    CI_NODE_INDEX: index,
    CI_NODE_TOTAL: total,
  });

  test("says its list of accounts, whatever a CI variable says", async () => {
    const more = { accountsFile: "accounts.txt" };
    const told = await environmentIn("sh", more, {
      APISEC_ACCOUNTS: "x",
      APISEC_ACCOUNTS_FILE: "y",
    });
    expect(told).toMatchObject({ APISEC_ACCOUNTS: "", APISEC_ACCOUNTS_FILE: "accounts.txt" });
  });

  test("asks for a runner with these tags", () => {
    const tags = ["docker", "größe L", "eu-west/1"];
    const { rotate } = parse(renderPipeline({ ...options, tags })) as { rotate: object };
    expect(rotate).toMatchObject({ tags });
  });

  test("has a job a shard, each with its own resource group", () => {
    const text = renderPipeline({ ...options, shards: 3, accountsFile: "accounts.txt" });
    const { workflow, ...jobs } = parse(text) as Record<
      string,
      { resource_group: string; script: [string] }
    >;
    expect(workflow).toBeDefined();
    expect(Object.keys(jobs)).toEqual(["rotate 1/3", "rotate 2/3", "rotate 3/3"]);
    expect(jobs["rotate 2/3"]).toMatchObject({
      resource_group: "apisec-dev-rotate-2",
    });
    expect(jobs["rotate 2/3"]?.script[0]).toMatch(
      /APISEC_ACCOUNTS_FILE='accounts.txt' [^]*CI_NODE_INDEX='2' [^]*CI_NODE_TOTAL='3' /,
    );
  });

  test.each<[string, Partial<PipelineOptions>]>([
    ["marker", { marker: "# managed by x\nevil: {}" }],
    ["sharedWith", { sharedWith: 'x" || "a" == "a' }],
    ["script", { script: "../rotate.mjs" }],
    ["script", { script: "rotate.mjs; env" }],
    ["stack", { stack: 'dev"\nevil: {script: [env]}' }],
    ["stack", { stack: "$CI_COMMIT_MESSAGE" }],
    ["audience", { audience: "https://vault.example.com\nx" }],
    ["audience", { audience: "https://$HOST" }],
    ["image", { image: "node:latest" }],
    ["image", { image: "node" }],
    ["image", { image: "registry.example:5000/node" }],
    ["image", { image: 'node:22.1"\n' }],
    ["minLifetime", { minLifetime: "1 day" }],
    ["timeoutMinutes", { timeoutMinutes: 16 }],
    ["tags", { tags: [] }],
    ["tags", { tags: ["docker", "$HOME"] }],
    ["tags", { tags: ['a"b'] }],
    ["tags", { tags: ["a "] }],
    ["shards", { shards: 0 }],
    ["shards", { shards: 1.5 }],
    ["accountsFile", { accountsFile: "../accounts" }],
    ["accountsFile", { accountsFile: "a b" }],
    ["settings", { settings: { VAULT_ADDR: "https://vault\nscript: [env]" } }],
    ["settings", { settings: { VAULT_NAMESPACE: "a  b" } }],
  ])("refuses a %s that does not fit", (name, bad) => {
    expect(() => renderPipeline({ ...options, ...bad })).toThrow(`bad ${name}`);
  });

  test.each([`node@sha256:${"a".repeat(64)}`, "registry.example:5000/ci/node:22.21.1"])(
    "accepts the image %s",
    (image) => {
      expect(parse(renderPipeline({ ...options, image }))).toMatchObject({ rotate: { image } });
    },
  );
});

describe("the file of a stack that shares a project", () => {
  const sharedWith = "Rotate the APIsec tokens of apisec-credentials/dev into Vault";
  const text = renderPipeline({ ...options, script: "apisec/dev.mjs", sharedWith });
  const [header, jobs] = parseAllDocuments(text).map(
    (document) => document.toJSON() as unknown,
  ) as [unknown, Record<string, Record<string, unknown>>];
  const rule = (jobs["apisec-dev"]?.["rules"] as [{ if: string }])[0].if;

  test("begins with the owner, takes the stage as an input, and leaves the pipeline to others", () => {
    expect(text.split("\n")[0]).toBe("# managed by apisec-credentials/dev");
    expect(header).toEqual({ spec: { inputs: { stage: { default: "deploy" } } } });
    expect(Object.keys(jobs)).toEqual(["apisec-dev"]);
    expect(jobs["apisec-dev"]).toMatchObject({
      stage: "$[[ inputs.stage ]]",
      inherit: { default: false, variables: false },
      needs: [],
      script: [expect.stringMatching(/ node apisec\/dev\.mjs$/)],
      resource_group: "apisec-dev-rotate",
    });
  });

  test.each<[Record<string, string>, boolean]>([
    [{ CI_PIPELINE_SOURCE: "schedule", CI_PIPELINE_SCHEDULE_DESCRIPTION: sharedWith }, true],
    [{ CI_PIPELINE_SOURCE: "schedule", CI_PIPELINE_SCHEDULE_DESCRIPTION: "nightly" }, false],
    [{ CI_PIPELINE_SOURCE: "schedule", CI_PIPELINE_SCHEDULE_DESCRIPTION: "" }, false],
    // Before GitLab 17.8.
    [{ CI_PIPELINE_SOURCE: "schedule" }, true],
    [{ CI_PIPELINE_SOURCE: "push" }, false],
    [{ CI_PIPELINE_SOURCE: "push", CI_PIPELINE_SCHEDULE_DESCRIPTION: sharedWith }, false],
  ])("its job runs for %j: %s", (variables, runs) => {
    expect(evaluate(rule, variables)).toBe(runs);
  });

  test("shards of one stack have no name that another stack's job could have", () => {
    const names = (stack: string, shards: number) =>
      Object.keys(
        parseAllDocuments(
          renderPipeline({ ...options, stack, shards, sharedWith }),
        )[1]?.toJSON() as object,
      );
    expect(names("prod", 2)).toEqual(["apisec-prod 1/2", "apisec-prod 2/2"]);
    expect(names("prod-1", 1)).toEqual(["apisec-prod-1"]);
  });

  test("is included by a file that belongs to no one stack", () => {
    expect(renderRoot().split("\n")[0]).toBe(sharedMarker);
    expect(parse(renderRoot())).toEqual({
      workflow: { rules: [{ if: '$CI_PIPELINE_SOURCE == "schedule"' }] },
      include: [{ local: "/apisec/*.yml" }],
    });
  });
});

describe("the report", () => {
  test("has one case an account, with escaped text", () => {
    const text = junit([
      { name: "good", seconds: 0.1234, failure: undefined, warnings: [] },
      { name: "odd", seconds: 1, failure: undefined, warnings: ["a & b"] },
      { name: "bad", seconds: 2, failure: `<"x'>&\u0000\u001b\ud800\uffff€😀`, warnings: [] },
    ]);
    expect(text).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" time="3.123">
  <testsuite name="rotation" tests="3" failures="1" time="3.123">
    <testcase classname="rotation" name="good" time="0.123"/>
    <testcase classname="rotation" name="odd" time="1.000"><system-err>a &amp; b</system-err></testcase>
    <testcase classname="rotation" name="bad" time="2.000"><failure message="&lt;&quot;x&apos;&gt;&amp;    €😀"/></testcase>
  </testsuite>
</testsuites>
`);
  });

  test("without accounts is a report all the same", () => {
    expect(junit([])).toContain('tests="0" failures="0"');
  });
});
