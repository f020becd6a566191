import fc from "../support/fastCheck";
import { readConfig } from "../../config/readConfig";
import type { ConfigSource, Settings } from "../../config/settings";
import { accountShape, pathsShape, shape } from "../../config/schema";
import { formatDuration } from "../../core/duration";
import { UserError } from "../../core/messageCode";
import { opensEveryAccount, renderPolicy } from "../../desired/policies";
import { policyValues } from "../../desired/policyValues";
import { defaultImage, renderPipeline } from "../../desired/pipelineFile";
import { project, sourceOf } from "../support/configSource";

const canary = "Canary-7Yx2";
const keys = Object.keys(shape);

/** A value as somebody may write it into a stack's file: any JSON, and often something near the right. */
const nearly = fc.oneof(
  fc.constantFrom("apisec", "a", "main", "true", "24h", "UTC", "constructor", "__proto__", ""),
  fc.constantFrom("https://a.example", "http://127.0.0.1:1", "https://a.example/x?y", "//a", "/a"),
  fc.constantFrom(
    "../x",
    "a/../b",
    "a/b",
    "*",
    "+",
    "a+",
    "a/*",
    "%2e%2e",
    "a\n# b",
    "a${b}",
    'a"b',
  ),
  fc.constantFrom<unknown>(true, false, null, 0, 1, 2.5, [], {}),
  fc.stringMatching(/^[a-z0-9*,/ -]{0,20}$/),
);
const anything = fc.oneof(nearly, fc.jsonValue({ maxDepth: 3 }), fc.string({ unit: "binary" }));

const field = (names: string[]) =>
  fc.dictionary(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...names) }, fc.string()),
    anything,
    {
      maxKeys: 5,
    },
  );
const account = fc.oneof(
  { weight: 1, arbitrary: anything },
  { weight: 2, arbitrary: field(Object.keys(accountShape)) },
  {
    weight: 4,
    arbitrary: fc.record(
      {
        name: fc.oneof(fc.constantFrom("a", "b", "constructor"), nearly),
        username: fc.oneof(fc.constantFrom("a@acme.example", "B@acme.example"), nearly),
        host: nearly,
        changedBy: fc.constantFrom("a", "b"),
        publishToken: fc.boolean(),
        renamedFrom: fc.constantFrom("a", "c"),
      },
      { requiredKeys: ["name", "username"] },
    ),
  },
);
const right = {
  accounts: fc.uniqueArray(
    fc.record(
      {
        name: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
        username: fc.stringMatching(/^[a-z.+-]{1,20}@acme\.example$/),
        organization: fc.oneof(fc.constant("Acme"), fc.nat()),
        passwordGeneration: fc.integer({ min: 1, max: 9 }),
        publishToken: fc.boolean(),
      },
      { requiredKeys: ["name", "username"] },
    ),
    { minLength: 1, maxLength: 4, selector: ({ name }) => name },
  ),
  firstPasswords: fc.constant({}),
  apisecUrl: fc.constantFrom("https://a.example", "http://127.0.0.1:1/", "https://[2001:db8::1]"),
  mount: fc.constantFrom("apisec", "team/apisec", "a_b-c/0"),
  createMount: fc.boolean(),
  authPath: fc.constantFrom("gitlab", "jwt/gitlab"),
  createAuth: fc.boolean(),
  policyPrefix: fc.constantFrom("apisec", "a-b"),
  gitlabProject: fc.constantFrom<unknown>("a/b", "a/b.c/d-e", 7),
  gitlabBranch: fc.constantFrom("main", "release/1.x"),
  manageProjectFiles: fc.boolean(),
  jobImage: fc.constantFrom("node:22", "a.example:5000/node:22.1-alpine"),
  cron: fc.constantFrom("0 */6 * * *", "7 1,13 * * *"),
  cronTimezone: fc.constantFrom("UTC", "America/New_York", "Asia/Kathmandu"),
  tokenLifetime: fc.constantFrom("24h", "13h", "999999h"),
  apisecPaths: fc.constantFrom({}, { login: "/auth/login?x=%20" }),
  commitMessage: fc.constantFrom("chore: {path} of {project}/{stack}\n\nRef: OPS-1", "x"),
  shareMount: fc.boolean(),
  jobTags: fc.constantFrom(["linux"], ["linux", "team a"]),
  firstRun: fc.constantFrom("wait", "start", "off"),
  tokenEndsInVault: fc.boolean(),
  passwordMaxAge: fc.constantFrom("90d", "2160h"),
};

/** A stack whose keys are right but for some. */
const configured = fc
  .tuple(
    fc.record(right, { requiredKeys: ["accounts", "gitlabProject"] }),
    fc.oneof(
      fc.constant({}),
      fc.dictionary(fc.constantFrom(...keys, "other", "__proto__"), anything, { maxKeys: 3 }),
      fc.record({ accounts: fc.array(account, { maxLength: 4 }) }),
      fc.record({ apisecPaths: field(Object.keys(pathsShape)) }),
      fc.record({ firstPasswords: fc.dictionary(fc.constantFrom("a", "b"), fc.string()) }),
    ),
  )
  .map(([good, odd]) => ({ ...good, ...odd }));

/** Settings, or the message of the one error. Anything but a UserError is no answer. */
function read(source: ConfigSource): Settings | string {
  try {
    return readConfig(source);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}

function problemsIn(message: string): string[] {
  const [head = "", ...lines] = message.split("\n");
  expect(lines.pop()).toBe("docs/configuration.md lists every key.");
  expect(Number(/has (\d+) problems?; nothing was touched\.$/.exec(head)?.[1])).toBe(lines.length);
  return lines;
}

/** What the stack is built from must follow from every configuration that is accepted. */
function canBeBuilt(settings: Settings): void {
  const values = policyValues(settings);
  const names = settings.accounts.map(({ name }) => name);
  for (const policy of ["admin", "developer", "rotator", "deployer", "verifier"] as const) {
    const paths = [...renderPolicy(policy, values).matchAll(/^path "(.*)" \{$/gm)];
    for (const [, path = ""] of paths) {
      expect(path.replace(/-consumer\.\*$/, "")).toMatch(/^[a-z0-9](\/\+(?=\/)|[a-z0-9/_-])*$/i);
      const [, kind, name, leaf] =
        new RegExp(`^${settings.mount}/(data|metadata)/([^/]*)/?(.*)$`).exec(path) ?? [];
      if (kind === undefined || name === "") continue;
      const own = opensEveryAccount(values) && ["admin", "deployer"].includes(policy);
      expect(own ? ["+"] : [...names, ...values.oldAccounts]).toContain(name);
      expect(["password", "token", ""]).toContain(leaf);
    }
  }
  renderPipeline({
    marker: "# managed by apisec-credentials/prod",
    stack: settings.stack,
    audience: "https://vault.example.com",
    image: settings.jobImage ?? defaultImage,
    minLifetime: formatDuration(settings.tokenLifetime),
    timeoutMinutes: 15,
    script: "rotate.mjs",
    shards: 1,
  });
  for (const { host } of settings.accounts) {
    for (const path of Object.values(settings.apisecPaths)) {
      expect(new URL(host + path).origin).toBe(host);
    }
  }
}

test("any JSON in any key: settings to build from, or one error with a remedy for every problem", () => {
  let accepted = 0;
  const runs = 300;
  fc.assert(
    fc.property(configured, (config) => {
      const answer = read(sourceOf(config));
      if (typeof answer !== "string") {
        accepted += 1;
        canBeBuilt(answer);
        return;
      }
      for (const line of problemsIn(answer)) {
        expect(line).toMatch(/^ {2}- [a-z].*?: .+; expected .+; .*`pulumi [^\n]+`/);
      }
    }),
    { numRuns: runs },
  );
  expect(accepted).toBeGreaterThan(runs / 10);
  expect(accepted).toBeLessThan(runs / 2);
});

/** For each key a value that is wrong for it whatever the others are. */
const wrong = {
  apisecUrl: fc.constantFrom("http://a.example", "x", "https://u@a.example", "7"),
  mount: fc.constantFrom("", "/a", "a/", "a//b", "a b", "a/../b", "a+"),
  createMount: fc.constantFrom<unknown>("nonsense", 7, null, []),
  authPath: fc.constantFrom("", "a/", "*"),
  createAuth: fc.constantFrom<unknown>("yes", 0, {}),
  jwksUrl: fc.constantFrom("ftp://a.example", "x"),
  jwtPublicKeys: fc.constantFrom<unknown>([], "x", ["x"]),
  policyPrefix: fc.constantFrom("a_b", "-a", "a*"),
  gitlabProject: fc.constantFrom<unknown>("a", "a/", undefined),
  gitlabBranch: fc.constantFrom("a b", "a..b", "-a"),
  manageProjectFiles: fc.constantFrom<unknown>("on", 1),
  jobImage: fc.constantFrom("node", "node:lts", "Node:22"),
  cron: fc.constantFrom("hourly", "0 3 * * *", "61 * * * *"),
  cronTimezone: fc.constantFrom("Mars/Base", "+01:00"),
  tokenLifetime: fc.constantFrom("5", "1h", "0d"),
  shareMount: fc.constantFrom<unknown>("yes", 1),
  jobTags: fc.constantFrom<unknown>("linux", [], [""], ["a\nb"], ["$X"]),
  commitMessage: fc.constantFrom("", "{branch}", "{", "x".repeat(1001)),
  tokenEndsInVault: fc.constantFrom<unknown>("never", null),
  passwordMaxAge: fc.constantFrom("90", "23h", "x"),
  firstRun: fc.constantFrom<unknown>("later", true),
  heartbeatUrl: fc.constantFrom("http://a.example", "x", "https://a.example/a b"),
  apisecPaths: fc.constantFrom<unknown>(7, { login: "x" }, { other: "/x" }),
  firstPasswords: fc.constantFrom<unknown>(7, { scanner: "" }, { other: "x" }, { scanner: 7 }),
  accounts: fc.constantFrom<unknown>(undefined, [], 7, [7], [{ name: "A", username: "a" }]),
  other: fc.constantFrom("x"),
};

test("every wrong key is named, however many there are", () => {
  const some = fc.record(wrong, { requiredKeys: [] });
  fc.assert(
    fc.property(some, (config) => {
      fc.pre(Object.keys(config).length > 0);
      // Which names of first passwords are unknown shows only with the accounts.
      fc.pre(!("accounts" in config && JSON.stringify(config.firstPasswords) === '{"other":"x"}'));
      // A cron is judged in its zone.
      fc.pre(!("cronTimezone" in config && config.cron === "0 3 * * *"));
      const answer = read(sourceOf(config));
      const lines = problemsIn(answer as string);
      const named = lines.map((line) => /^ {2}- apisec-credentials:(\w+)/.exec(line)?.[1]);
      expect([...new Set(named)].sort()).toEqual(Object.keys(config).sort());
    }),
    { numRuns: 300 },
  );
});

test("no account name escapes its path", () => {
  const name = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^[a-z0-9./+*%\\-]{1,70}$/),
    fc
      .tuple(fc.string(), fc.constantFrom("/", "..", "+", "*", "\n", "\0", "%2f"), fc.string())
      .map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(name, fc.constantFrom("name", "renamedFrom", "changedBy"), (text, key) => {
      const account = { name: "scanner", username: "a@acme.example", [key]: text };
      const answer = read(sourceOf({ accounts: [account] }));
      // Kept without blanks at its ends.
      const isName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text.trim());
      if (!isName) expect(answer).toContain(`${project}:accounts[0].${key}: is `);
      else if (typeof answer !== "string") canBeBuilt(answer);
    }),
    { numRuns: 300 },
  );
});

/** Any JSON with the canary somewhere in it: as a text, in a text, as the name of a field. */
const withCanary = fc.oneof(
  fc.tuple(fc.string(), fc.string()).map(([before, after]) => before + canary + after),
  fc
    .constantFrom("https://", "http://", "/", "https://a@", "a/", "")
    .map((start) => start + canary),
  anything.map((value) => ({ [canary]: value })),
  fc.tuple(anything, anything).map(([a, b]) => [a, canary, b]),
  fc.tuple(fc.constantFrom(...Object.keys(accountShape)), anything).map(([name, value]) => [
    { name: "a", username: "a@acme.example", [name]: canary, [`x${canary}`]: value },
    { name: canary, username: canary, changedBy: canary, renamedFrom: canary },
  ]),
);

test("no secret is ever in the message, in whichever key it was put", () => {
  const others = ["vault:address", "vault:namespace", "gitlab:baseUrl"];
  const secretKey = fc.oneof(
    fc.constantFrom("accounts", "apisecPaths", "firstPasswords"),
    fc.constantFrom(...keys, ...others),
  );
  let refused = 0;
  fc.assert(
    fc.property(configured, secretKey, withCanary, (config, key, value) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      const source = sourceOf(key.includes(":") ? config : { ...config, [key]: value }, {
        secret: ["firstPasswords", key],
        values: key.includes(":") ? { [key]: text } : {},
      });
      const answer = read(source);
      if (typeof answer === "string") refused += 1;
      expect(typeof answer === "string" ? answer : answer.warnings.join()).not.toContain(canary);
    }),
    { numRuns: 300 },
  );
  expect(refused).toBeGreaterThan(100);
});
