import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { branchFinding } from "../../checks/branch";
import { readConfig } from "../../config/readConfig";
import { passphrase } from "../../checks/backend";
import { checkBuild } from "../../checks/build";
import { ownTokenFinding } from "../../checks/gitlabToken";
import { checkProxies } from "../../checks/hosts";
import { checks, gates } from "../../checks/list";
import { runChecks } from "../../checks/run";
import { withFirstPasswords } from "../../cli/doctor";
import { readStackFile } from "../../checks/stackFile";
import { plugin } from "../../checks/tools";
import { tokenFinding } from "../../checks/vaultToken";
import { worldOf } from "../../checks/world";
import type { World } from "../../checks/world";
import { isAtLeast } from "../../checks/versions";
import { sourceOf } from "../support/configSource";

const settings = readConfig(sourceOf({ firstPasswords: { scanner: "canary-first" } }));

/** What is looked at before the first `up`. */
function worldWith(gitlab?: World["gitlab"], more: object = {}): World {
  const vault = {
    send: () => Promise.reject(new Error("Vault is not asked")),
    clock: { now: () => 0, sleep: () => Promise.resolve() },
    address: settings.vaultAddress,
  };
  return worldOf({ time: "before", settings: { ...settings, ...more }, vault, gitlab });
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "apisec-doctor-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(file: string, text = "", seconds = 0): void {
  mkdirSync(join(folder, dirname(file)), { recursive: true });
  writeFileSync(join(folder, file), text);
  const time = 1_700_000_000 + seconds;
  utimesSync(join(folder, file), time, time);
}

test.each([
  ["20.19.0", "20.19", true],
  ["20.20.2", "20.19", true],
  ["22.0.0", "20.19", true],
  ["20.9.0", "20.19", false],
  ["v3.259.0", "3.139.0", true],
  ["3.138.9", "3.139.0", false],
  ["3.139.0-alpha.1", "3.139.0", true],
  ["none", "3.139.0", false],
])("%s is at least %s: %s", (version, wanted, expected) => {
  expect(isAtLeast(version, wanted)).toBe(expected);
});

describe("build", () => {
  const sources = () => {
    const folders = ["clients", "core", "desired", "job", "net", "providers"];
    for (const file of [...folders.map((name) => `${name}/b.ts`), "build/build.mjs"]) {
      write(file);
    }
  };
  const built = (seconds: number) => {
    write("dist/rotate.mjs", "", seconds);
    write("dist/passwordProvider.cjs", "", seconds);
  };

  test("is good where it is newer than its sources", () => {
    sources();
    built(1);
    expect(checkBuild(folder)).toMatchObject([{ state: "ok" }]);
  });
  test("is old where one source is newer", () => {
    sources();
    built(1);
    write("job/b.ts", "", 2);
    expect(checkBuild(folder)).toMatchObject([
      { state: "warning", found: "dist/ is older than job/b.ts", fix: "npm run build" },
    ]);
  });
  test("is missing", () => {
    sources();
    write("dist/rotate.mjs");
    expect(checkBuild(folder)).toMatchObject([
      { state: "problem", found: "dist/passwordProvider.cjs is not there" },
    ]);
  });
});

describe("plugin", () => {
  test.each([
    [["7.8.0"], undefined, true, "ok"],
    [["7.7.0"], "/bin/pulumi-resource-vault", false, "ok"],
    [["7.7.0"], undefined, true, "warning"],
    [[], undefined, true, "warning"],
    [[], undefined, false, "problem"],
  ] as const)(
    "installed %j, on PATH %j, downloads %j: %s",
    (installed, onPath, downloads, state) => {
      const finding = plugin("vault", "7.8.0", installed, onPath, downloads);
      expect(finding.state).toBe(state);
      if (state !== "ok") expect(finding.fix).toBe("pulumi plugin install resource vault 7.8.0");
    },
  );
});

describe("the stack's file", () => {
  const read = (text: string) => {
    write("Pulumi.prod.yaml", text);
    return readStackFile("prod", folder);
  };

  test("names first passwords, and no value", () => {
    const text = [
      "config:",
      "  apisec-credentials:firstPasswords:",
      "    admin: { secure: canary-1 }",
      "    scanner: { secure: canary-2 }",
      "  gitlab:token: { secure: canary-3 }",
      "encryptionsalt: v1:salt",
    ].join("\n");
    const file = read(text);
    expect(file).toMatchObject({
      firstPasswords: ["admin", "scanner"],
      needsPassphrase: true,
      gitlab: { tokenInConfig: true },
    });
    expect(JSON.stringify(file)).not.toContain("canary");
  });
  test("may hold them as one secret, and another secrets provider", () => {
    const text =
      "secretsprovider: awskms://x\nconfig: { apisec-credentials:firstPasswords: { secure: x } }";
    expect(read(text)).toMatchObject({
      firstPasswords: [],
      hiddenFirstPasswords: true,
      needsPassphrase: false,
    });
  });
  test("whose names are encrypted: then each account may have a first password", () => {
    const first = (firstPasswords: string[], hiddenFirstPasswords: boolean) => {
      const file = { ...read(""), firstPasswords, hiddenFirstPasswords };
      return withFirstPasswords(settings, file).firstPasswordsFor;
    };
    expect(first([], true)).toEqual(settings.accounts.map(({ name }) => name));
    expect(first(["scanner"], false)).toEqual(["scanner"]);
  });
  test("says nothing where it is not there, or is none", () => {
    expect(readStackFile("none", folder)).toMatchObject({ firstPasswords: [] });
    expect(read("{ a: [")).toMatchObject({ firstPasswords: [] });
  });
});

describe("passphrase", () => {
  const needed = { needsPassphrase: true };
  // Made by `pulumi stack init --secrets-provider passphrase`, of the word "mango".
  const encryptionSalt = "v1:GMuV4gdVdno=:v1:wMHvfKFpxlu6tAYF:eoSEL9x+QN4nWmcgkMvQbMgqAAoA7w==";
  const ofStack = { ...needed, encryptionSalt };
  test.each([
    [{ needsPassphrase: false }, {}, "ok"],
    [needed, { PULUMI_CONFIG_PASSPHRASE: "" }, "ok"],
    [needed, { PULUMI_CONFIG_PASSPHRASE_FILE: __filename }, "ok"],
    [needed, { PULUMI_CONFIG_PASSPHRASE_FILE: "/not/there" }, "problem"],
    [needed, {}, "warning"],
    [ofStack, { PULUMI_CONFIG_PASSPHRASE: "mango" }, "ok"],
    [ofStack, { PULUMI_CONFIG_PASSPHRASE: "mangos" }, "problem"],
    [ofStack, { PULUMI_CONFIG_PASSPHRASE: "" }, "problem"],
    [ofStack, { PULUMI_CONFIG_PASSPHRASE_FILE: __filename }, "problem"],
    [{ ...needed, encryptionSalt: "v2:x" }, { PULUMI_CONFIG_PASSPHRASE: "mango" }, "ok"],
  ])("%j with %j: %s", (file, env, state) => {
    expect(passphrase(file, env).state).toBe(state);
  });
  test("is not shown", () => {
    const finding = passphrase(needed, { PULUMI_CONFIG_PASSPHRASE: "canary" });
    expect(JSON.stringify(finding)).not.toContain("canary");
  });
});

describe("Vault token", () => {
  const token = {
    policies: ["apisec-prod-deployer", "default"],
    expire_time: "2026-11-24T12:00:00Z",
    ttl: 3600,
    type: "service",
    renewable: true,
  };
  test.each([
    [{}, "ok", undefined],
    [{ ttl: 1799 }, "warning", "vault token renew -increment=2h"],
    [{ ttl: 1799, renewable: false }, "warning", "vault login"],
    [{ type: "batch" }, "problem", "log in for a service token"],
    [
      { policies: ["root"], expire_time: null, ttl: 0 },
      "warning",
      "vault token create -policy=apisec-prod-deployer",
    ],
  ])("%j: %s", (more, state, fix) => {
    const finding = tokenFinding({ ...token, ...more }, worldWith());
    expect(finding).toMatchObject({ state, ...(fix === undefined ? {} : { fix }) });
  });
  test("a policy that takes rights from the deployer's is a problem, whoever gives it", () => {
    const policies = ["apisec-prod-deployer", "apisec-prod-consumer.api"];
    for (const more of [{ policies }, { identity_policies: policies.slice(1) }]) {
      const finding = tokenFinding({ ...token, ...more }, worldWith());
      expect(finding).toMatchObject({
        state: "problem",
        fix: "log in as a user whose token does not have apisec-prod-consumer.api",
      });
    }
  });
  test("policies of its identity count, too", () => {
    const finding = tokenFinding({ ...token, identity_policies: ["of-the-group"] }, worldWith());
    expect(finding.found).toBe(
      "policies apisec-prod-deployer, default, of-the-group; ends in 1h0m0s",
    );
  });
});

describe("GitLab", () => {
  const now = Date.UTC(2026, 10, 24);
  test.each([
    [{ scopes: ["api"], expires_at: null }, "ok", "scopes api; does not end"],
    [{ scopes: ["api"], expires_at: "2027-06-01" }, "ok", "scopes api; ends on 2027-06-01"],
    [{ scopes: ["api"], expires_at: "2026-12-01" }, "warning", "scopes api; ends on 2026-12-01"],
    [{ scopes: ["read_api"], expires_at: null }, "problem", "scopes read_api; does not end"],
    [{}, "warning", "is taken; it does not say its scopes and end"],
  ])("token %j: %s", (token, state, found) => {
    const finding = ownTokenFinding(token, { ...worldWith(), now });
    expect(finding.state).toBe(state);
    expect(finding.found).toContain(found);
  });

  const branch = { protected: true, can_push: true, developers_can_push: false };
  test.each([
    [branch, true, "ok"],
    [undefined, true, "problem"],
    [{ ...branch, protected: false }, true, "problem"],
    [{ ...branch, can_push: false }, true, "problem"],
    [{ ...branch, can_push: false }, false, "ok"],
    [{ ...branch, developers_can_merge: true }, true, "warning"],
    [{ ...branch, developers_can_push: true }, true, "warning"],
  ])("branch %j, files delivered: %j: %s", (body, manageProjectFiles, state) => {
    const finding = branchFinding({ gitlabBranch: "main", manageProjectFiles }, body);
    expect(finding).toMatchObject({ subject: "branch main", state });
    if (state !== "ok") expect(finding.fix).toBeDefined();
  });
});

describe("GitLab's answer to one question", () => {
  const answers: Record<string, unknown> = {
    user: { username: "bot" },
    "personal_access_tokens/self": { scopes: ["api"], expires_at: null },
    "projects/platform%2Fapisec-rotation": {
      ...{ id: 42, path_with_namespace: "platform/apisec-rotation", visibility: "private" },
      permissions: { project_access: { access_level: 40 } },
    },
    "projects/42/repository/branches/main": { protected: true, can_push: true },
    "projects/42/pipeline_schedules?per_page=100": [],
  };
  const ofGitlab = checks.filter(({ id }) => /^(gitlab|project|branch|schedule|moved)/.test(id));
  const findings = (refused: RegExp, status: number) => {
    const get = (path: string) =>
      refused.test(path)
        ? Promise.reject(
            Object.assign(new Error(`GitLab answers GET ${path} with ${status}: no`), { status }),
          )
        : Promise.resolve(answers[path]);
    const world = worldWith(get, { gitlabProject: "platform/apisec-rotation" });
    return runChecks(world, ofGitlab, gates);
  };

  test.each([
    [
      /branches/,
      500,
      "branch main",
      "GitLab answers GET projects/42/repository/branches/main with 500",
    ],
    [/files/, 403, "file .gitlab-ci.yml", "GitLab answers GET projects/42/repository/files/"],
  ])("%s refused with %i takes no other finding away", async (refused, status, subject, found) => {
    const whole = await findings(/^$/, 0);
    const stateOf = (all: typeof whole) => all.map((one) => [one.subject, one.state]);
    const expected = stateOf(whole).map(([name, state]) => [
      name,
      name === subject ? "problem" : state,
    ]);
    const seen = await findings(refused, status);
    expect(stateOf(seen)).toEqual(expected);
    const one = seen.find((finding) => finding.subject === subject);
    expect(one?.found).toContain(found);
  });
});

describe("proxies", () => {
  test("are named by host, without user and password", () => {
    const env = { HTTPS_PROXY: "http://me:canary@proxy.acme.example:3128" };
    const found = checkProxies({ settings }, env);
    expect(found).toHaveLength(3);
    expect(found).toContainEqual({
      ...{ id: "proxy", subject: "proxy", values: {} },
      state: "ok",
      found: "https://gitlab.com by proxy.acme.example:3128",
    });
    expect(JSON.stringify(found)).not.toContain("canary");
  });
  test("that lead nowhere are a problem, and NO_PROXY is minded", () => {
    const env = { HTTPS_PROXY: "socks5://canary@x", NO_PROXY: "vault.example.com,.apisec.ai" };
    const found = checkProxies({ settings }, env);
    expect(found).toMatchObject([{ state: "problem" }]);
    expect(JSON.stringify(found)).not.toContain("canary");
  });
  test("are not spoken of where there are none", () => {
    expect(checkProxies({ settings }, {})).toEqual([]);
  });
});
