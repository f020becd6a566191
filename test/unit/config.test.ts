import { readConfig } from "../../config/readConfig";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { defaultOf, kindOf } from "../../config/keys";
import { shape } from "../../config/schema";
import type { ConfigSource } from "../../config/settings";
import { problemLines, sourceOf } from "../support/configSource";

const account = (name: string, more: object = {}) => ({
  name,
  username: `${name}@acme.example`,
  ...more,
});
const canary = "Canary-9f3kQ-secret";

function problemsOf(
  keys: Record<string, unknown>,
  rest?: Parameters<typeof sourceOf>[1],
): string[] {
  return problemLines(() => readConfig(sourceOf(keys, rest)));
}

describe("a configuration that is right", () => {
  test("has its defaults filled in", () => {
    expect(readConfig(sourceOf())).toEqual({
      project: "apisec-credentials",
      stack: "prod",
      accounts: [
        {
          name: "scanner",
          username: "scanner@acme.example",
          host: "https://cloud.apisec.ai",
          passwordGeneration: 1,
          acceptAdminToken: false,
          publishToken: true,
        },
      ],
      firstPasswordsFor: [],
      apisecUrl: "https://cloud.apisec.ai",
      mount: "apisec",
      createMount: true,
      authPath: "gitlab",
      createAuth: true,
      policyPrefix: "apisec",
      gitlabProject: "platform/apisec-rotation",
      gitlabBranch: "main",
      manageProjectFiles: true,
      pipelineFile: "own",
      adminGroups: [],
      developerGroups: [],
      consumers: [],
      cron: "17 */6 * * *",
      cronTimezone: "UTC",
      tokenLifetime: 86_400,
      shareMount: false,
      commitMessage: "Deliver {path} from {project}/{stack} [skip ci]",
      tokenEndsInVault: true,
      firstRun: "wait",
      apisecPaths: {
        login: "/login",
        whoAmI: "/api/v1/orgs/login-status",
        change: "/api/v1/orgs/{orgId}/users/{userId}/reset-password",
        probe: "/api/v1/projects?page=0&pageSize=1",
      },
      vaultAddress: "https://vault.example.com:8200",
      gitlabUrl: "https://gitlab.com",
      warnings: [],
    });
  });

  test("may set every key", () => {
    const settings = readConfig(
      sourceOf({
        accounts: [
          account("admin", { publishToken: false, organization: "Acme" }),
          account("scanner", {
            host: "https://Tenant.apisec.example/",
            organization: 4711,
            passwordGeneration: 3,
            acceptAdminToken: true,
            renamedFrom: "scan",
          }),
        ],
        firstPasswords: { scanner: canary },
        apisecUrl: "http://127.0.0.1:8081",
        mount: "team/apisec_kv",
        createMount: "false",
        authPath: "jwt/gitlab",
        createAuth: false,
        jwksUrl: "https://gitlab.example.com/oauth/discovery/keys",
        policyPrefix: "creds",
        gitlabProject: "42",
        gitlabBranch: "release/1.x",
        manageProjectFiles: "false",
        jobImage: "registry.example.com:5000/ci/node:22.1",
        cron: "5 1,13 * JAN-DEC *",
        cronTimezone: "Europe/Berlin",
        tokenLifetime: "25h30m",
        apisecPaths: { login: "/auth/login" },
        adminGroups: ["AppSec Admins", 4711],
        developerGroups: ["ldap/Entwickler, Team=Ü", "AppSec Admins"],
        consumers: [
          { name: "api", project: "payments/sub.group/api", accounts: ["scanner"] },
          { name: "all", group: 77 },
        ],
      }),
    );
    expect(settings).toMatchObject({
      adminGroups: ["AppSec Admins", "4711"],
      developerGroups: ["ldap/Entwickler, Team=Ü", "AppSec Admins"],
      consumers: [
        { name: "api", project: "payments/sub.group/api", accounts: ["scanner"] },
        { name: "all", group: "77" },
      ],
      accounts: [
        { name: "admin", host: "http://127.0.0.1:8081", publishToken: false },
        { host: "https://tenant.apisec.example", organization: "4711", passwordGeneration: 3 },
      ],
      firstPasswordsFor: ["scanner"],
      mount: "team/apisec_kv",
      createMount: false,
      createAuth: false,
      gitlabProject: "42",
      manageProjectFiles: false,
      tokenLifetime: 91_800,
      apisecPaths: { login: "/auth/login", whoAmI: "/api/v1/orgs/login-status" },
    });
    expect(JSON.stringify(settings)).not.toContain(canary);
  });

  test("takes Vault and GitLab from config or environment", () => {
    const settings = readConfig(
      sourceOf(
        {},
        {
          values: {
            "vault:address": "https://vault.example.com/",
            "vault:namespace": "teams/security",
            "gitlab:baseUrl": "https://git.example.com/gitlab/api/v4/",
          },
          env: {
            VAULT_ADDR: "https://vault.example.com",
            VAULT_CACERT: "/ca.pem",
            GITLAB_BASE_URL: "https://other.example.com",
          },
          hasTokenFile: true,
          readText: (path) => `-----BEGIN CERTIFICATE-----\n${path}`,
        },
      ),
    );
    expect(settings).toMatchObject({
      vaultAddress: "https://vault.example.com",
      vaultNamespace: "teams/security",
      vaultCa: "-----BEGIN CERTIFICATE-----\n/ca.pem",
      vaultClient: undefined,
      gitlabUrl: "https://git.example.com/gitlab",
    });
  });

  test("may use what others made under names that this program would not choose", () => {
    const named = {
      mount: "Team.A/KV",
      createMount: false,
      authPath: "jwt/gitlab.example.com",
      createAuth: false,
      adminGroups: ["R&D (AppSec)", "ACME\\AppSec", 'a"b', "${x}"],
    };
    expect(readConfig(sourceOf(named))).toMatchObject(named);
  });

  const pem = (end: string) =>
    ["-----BEGIN PUBLIC KEY-----", "AAAA", "BBBB", "-----END PUBLIC KEY-----"].join(end);
  const oddly: [string, unknown, unknown][] = [
    ["mount", " apisec\n", "apisec"],
    ["authPath", "gitlab ", "gitlab"],
    ["policyPrefix", "\tapisec", "apisec"],
    ["gitlabProject", " platform/rotation\r\n", "platform/rotation"],
    ["gitlabBranch", "main ", "main"],
    ["jobImage", " node:22.21.1 ", "node:22.21.1"],
    ["cron", "  17  */6\t* * * ", "17 */6 * * *"],
    ["cronTimezone", " UTC ", "UTC"],
    ["tokenLifetime", " 24h ", 86_400],
    ["passwordMaxAge", "90d\n", 90 * 86_400],
    ["apisecUrl", " https://a.example/ ", "https://a.example"],
    ["jwksUrl", " https://a.example/keys/ ", "https://a.example/keys"],
    ["jwtPublicKeys", [`${pem("\r\n")}\r\n`, ` ${pem("\n")}\n\n`], [pem("\n"), pem("\n")]],
    ["commitMessage", " Deliver {path}\n", "Deliver {path}"],
    ["jobTags", [" linux "], ["linux"]],
    ["webhookUrl", " https://a.example/x\n", "https://a.example/x"],
    ["heartbeatUrl", "https://a.example/x ", "https://a.example/x"],
    [
      "accounts",
      [{ name: " a ", username: "a@acme.example\n", organization: " Acme " }],
      [{ name: "a", organization: "Acme" }],
    ],
    [
      "consumers",
      [{ name: "api ", project: " payments/api" }],
      [{ name: "api", project: "payments/api" }],
    ],
    ["apisecPaths", { login: " /login " }, { login: "/login" }],
  ];

  test.each(oddly)("%s is stored as the server will store it: %j", (name, given, stored) => {
    const settings = readConfig(
      sourceOf({ [name]: given }, { secret: ["webhookUrl", "heartbeatUrl"] }),
    );
    expect(settings).toMatchObject({ [name]: stored });
  });

  test("every key that takes a text is among those with odd white space", () => {
    const choices = ["pipelineFile", "firstRun"];
    const untouched = ["firstPasswords", "adminGroups", "developerGroups"];
    const tried = [...oddly.map(([name]) => name), ...choices, ...untouched];
    const texts = Object.entries(shape).filter(([, type]) => kindOf(type) !== "boolean");
    expect(texts.map(([name]) => name).filter((name) => !tried.includes(name))).toEqual([]);
  });

  test("may have 2000 accounts", () => {
    const accounts = Array.from({ length: 2000 }, (_, index) => account(`a${index}`));
    expect(readConfig(sourceOf({ accounts })).accounts).toHaveLength(2000);
  });
});

const reader = { name: "api", project: "payments/api" };

/** The text of a problem up to its remedy, and the command that fixes it. */
const wrong: [string, Record<string, unknown>, string, string][] = [
  [
    "no accounts",
    { accounts: undefined },
    "accounts: is missing; expected a list of accounts",
    "config set --path 'accounts[0].name' …",
  ],
  [
    "an empty list",
    { accounts: [] },
    "accounts: is []; expected at least one account",
    "config rm accounts",
  ],
  [
    "accounts of another type",
    { accounts: "scanner" },
    'accounts: is "scanner"; expected a list of accounts',
    "config rm accounts",
  ],
  [
    "an account of another type",
    { accounts: [account("a"), 7] },
    "accounts[1]: is 7; expected an object with name and username",
    "config set --path 'accounts[1].name' …",
  ],
  [
    "too many accounts",
    { accounts: Array.from({ length: 2001 }, () => 7) },
    `accounts: is ${JSON.stringify(Array.from({ length: 40 }, () => 7)).slice(0, 79)}…; expected at most 2000 accounts a stack`,
    "stack init",
  ],
  [
    "no user name",
    { accounts: [{ name: "a" }] },
    "accounts[0].username: is missing; expected the user name that APIsec mailed",
    "config set --path 'accounts[0].username' …",
  ],
  [
    "a generation of 0",
    { accounts: [account("a", { passwordGeneration: 0 })] },
    "accounts[0].passwordGeneration: is 0; expected a whole number of 1 or more",
    "config set --path 'accounts[0].passwordGeneration' …",
  ],
  [
    "a generation of 1.5",
    { accounts: [account("a", { passwordGeneration: 1.5 })] },
    "accounts[0].passwordGeneration: is 1.5; expected a whole number of 1 or more",
    "config set --path 'accounts[0].passwordGeneration' …",
  ],
  [
    "an unknown field",
    { accounts: [account("a", { "pass'word": 1 })] },
    `accounts[0]["pass'word"]: does not exist; expected one of name, username, host, organization, passwordGeneration, changedBy, acceptAdminToken, publishToken, renamedFrom`,
    `config rm --path 'accounts[0]["pass'\\''word"]'`,
  ],
  [
    "an unknown key",
    { mounts: "x" },
    "mounts: does not exist; expected one of accounts, firstPasswords, apisecUrl, mount, createMount, shareMount, authPath, createAuth, jwksUrl, jwtPublicKeys, policyPrefix, gitlabProject, gitlabBranch, manageProjectFiles, pipelineFile, commitMessage, jobImage, jobTags, cron, cronTimezone, firstRun, tokenLifetime, tokenEndsInVault, passwordMaxAge, apisecPaths, adminGroups, developerGroups, consumers, webhookUrl, heartbeatUrl",
    "config rm mounts",
  ],
  [
    "a key named __proto__",
    { ["__proto__"]: { mount: "x" } },
    '["__proto__"]: does not exist; expected one of',
    `config rm --path '["__proto__"]'`,
  ],
  [
    "two accounts of one name",
    { accounts: [account("a"), account("b"), account("a", { username: "c" })] },
    'accounts[2].name: is "a", as that of accounts[0]; expected a name of its own',
    "config set --path 'accounts[2].name' …",
  ],
  [
    "one account under two names",
    { accounts: [account("a"), account("b", { username: "A@ACME.example" })] },
    "accounts[1]: has host and username of accounts[0]; expected each account once, as it has one password",
    "config set --path 'accounts[1].username' …",
  ],
  [
    "a changer that is none",
    { accounts: [account("a", { changedBy: "b" })] },
    'accounts[0].changedBy: is "b"; expected the name of another account of this stack',
    "config set --path 'accounts[0].changedBy' …",
  ],
  [
    "an account that is its own changer",
    { accounts: [account("a", { changedBy: "a" })] },
    'accounts[0].changedBy: is "a"; expected the name of another account of this stack',
    "config set --path 'accounts[0].changedBy' …",
  ],
  [
    "a changer whose token is published",
    { accounts: [account("a"), account("b", { changedBy: "a" })] },
    'accounts[1].changedBy: is "a", whose token developers read; expected an account that does not publish its token, as that can reset passwords',
    "config set --path 'accounts[0].publishToken' false",
  ],
  [
    "a changer at another host",
    {
      accounts: [
        account("a", { publishToken: false }),
        account("b", { changedBy: "a", host: "https://other.example" }),
      ],
    },
    'accounts[1].changedBy: is "a", at another host; expected an account at the same host',
    "config set --path 'accounts[1].changedBy' …",
  ],
  [
    "a changer of another organization",
    {
      accounts: [
        account("a", { publishToken: false, organization: "A" }),
        account("b", { changedBy: "a", organization: "B" }),
      ],
    },
    'accounts[1].changedBy: is "a", of another organization; expected one of the same organization',
    "config set --path 'accounts[1].changedBy' …",
  ],
  [
    "a chain of changers",
    {
      accounts: [
        account("a", { publishToken: false }),
        account("b", { publishToken: false, changedBy: "a" }),
        account("c", { changedBy: "b" }),
      ],
    },
    'accounts[2].changedBy: is "b", which is changed by another itself; expected an account that changes its own password',
    "config set --path 'accounts[2].changedBy' …",
  ],
  [
    "a former name still in use",
    { accounts: [account("a"), account("b", { renamedFrom: "a" })] },
    'accounts[1].renamedFrom: is "a", which is still an account; expected a former name',
    "config rm --path 'accounts[1].renamedFrom'",
  ],
  [
    "one former name twice",
    { accounts: [account("a", { renamedFrom: "o" }), account("b", { renamedFrom: "o" })] },
    'accounts[1].renamedFrom: is "o", as that of accounts[0]; expected a former name of its own',
    "config rm --path 'accounts[1].renamedFrom'",
  ],
  [
    "plain http to another machine",
    { apisecUrl: "http://apisec.example" },
    'apisecUrl: is "http://apisec.example"; expected an https:// address',
    "config set apisecUrl …",
  ],
  [
    "a user in an address",
    { apisecUrl: "https://u:p@ss@apisec.example" },
    'apisecUrl: is "https://…@apisec.example"; expected an https:// address',
    "config set apisecUrl …",
  ],
  [
    "a mount that climbs",
    { mount: "../sys" },
    'mount: is "../sys"; expected the path of a mount: letters, digits, dots, - and _',
    "config set mount …",
  ],
  [
    "a mount of its own with capitals",
    { mount: "Team/KV" },
    'mount: is "Team/KV"; expected a path of lower-case letters',
    "config set mount …",
  ],
  [
    "an auth mount of its own with dots",
    { authPath: "jwt/gitlab.example.com" },
    'authPath: is "jwt/gitlab.example.com"; expected a path of lower-case letters',
    "config set authPath …",
  ],
  [
    "a mount shared by one that only uses it",
    { createMount: false, shareMount: true },
    "shareMount: is true, but createMount is false; expected the mount's owner to say so; set that in the stack that owns the mount",
    "config rm shareMount",
  ],
  [
    "a commit message with another placeholder",
    { commitMessage: "Deliver {file}" },
    'commitMessage: is "Deliver {file}"; expected one to ten lines of text, in which {path}, {project} and {stack} stand for',
    "config set commitMessage …",
  ],
  [
    "runner tags of another type",
    { jobTags: "linux" },
    'jobTags: is "linux"; expected a list of runner tags',
    "config rm jobTags --stack prod` and set it with `pulumi config set --path 'jobTags[0]' …",
  ],
  [
    "a runner tag that GitLab would expand",
    { jobTags: ["linux", "$TAG"] },
    'jobTags[1]: is "$TAG"; expected a runner\'s tag, such as docker',
    "config set --path 'jobTags[1]' …",
  ],
  [
    "a password's age without a unit",
    { passwordMaxAge: "90" },
    'passwordMaxAge: is "90"; expected a number of days, such as 90d',
    "config set passwordMaxAge …",
  ],
  [
    "another way to run first",
    { firstRun: "later" },
    'firstRun: is "later"; expected wait, start or off',
    "config set firstRun …",
  ],
  [
    "a flag that is none",
    { createMount: "nonsense" },
    'createMount: is "nonsense"; expected true or false',
    "config set createMount …",
  ],
  [
    "a flag that is null",
    { createAuth: null },
    "createAuth: is null; expected true or false",
    "config set createAuth …",
  ],
  [
    "two sources of keys",
    {
      jwksUrl: "https://x.example/k",
      jwtPublicKeys: ["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"],
    },
    "jwksUrl: stands beside jwtPublicKeys; expected one of them",
    "config rm jwksUrl",
  ],
  [
    "a key that is no PEM",
    { jwtPublicKeys: ["x"] },
    'jwtPublicKeys[0]: is "x"; expected a public key in PEM form',
    "config set --path 'jwtPublicKeys[0]' …",
  ],
  [
    "a prefix with a wildcard",
    { policyPrefix: "a*" },
    'policyPrefix: is "a*"; expected 1 to 63 lower-case letters',
    "config set policyPrefix …",
  ],
  [
    "a project without a group",
    { gitlabProject: "rotation" },
    'gitlabProject: is "rotation"; expected the rotation project\'s id or full path, such as platform/apisec-rotation',
    "config set gitlabProject …",
  ],
  [
    "a branch that is a range",
    { gitlabBranch: "a..b" },
    'gitlabBranch: is "a..b"; expected a branch name',
    "config set gitlabBranch …",
  ],
  [
    "an image that floats",
    { jobImage: "node:lts" },
    'jobImage: is "node:lts"; expected a container image with node 20 or newer and an exact version or digest, such as node:26.11.1-alpine3.24',
    "config set jobImage …",
  ],
  [
    "a cron of four fields",
    { cron: "0 * * *" },
    'cron: is "0 * * *"; expected five cron fields, such as 17 */6 * * *',
    "config set cron …",
  ],
  [
    "a cron that is none",
    { cron: "61 * * * *" },
    'cron: is "61 * * * *"; expected minute 0-59, hour 0-23, day 1-31, month 1-12 and weekday 0-7, such as 17 */6 * * *',
    "config set cron …",
  ],
  [
    "a cron for another scheduler",
    { cron: "H H * * *" },
    'cron: is "H H * * *"; expected five cron fields, such as 17 */6 * * *',
    "config set cron …",
  ],
  [
    "once a day",
    { cron: "0 3 * * *" },
    'cron: is "0 3 * * *", which leaves 24 h between two runs; expected at most 12 h',
    "config set cron '17 */6 * * *'",
  ],
  [
    "runs rarer than a token lives",
    { tokenLifetime: "6h" },
    'cron: is "17 */6 * * *", which leaves 6 h between two runs; expected at most 5.5 h, since a token lives 6 h and is readable 0.5 h less',
    "config set cron '17 */6 * * *'",
  ],
  [
    "no such zone",
    { cronTimezone: "Mars/Base" },
    'cronTimezone: is "Mars/Base"; expected a time zone such as UTC or Europe/Berlin',
    "config set cronTimezone …",
  ],
  [
    "a lifetime too short",
    { tokenLifetime: "1h59m" },
    'tokenLifetime: is "1h59m"; expected a duration of 2h or more, such as 24h',
    "config set tokenLifetime …",
  ],
  [
    "paths of another type",
    { apisecPaths: [] },
    "apisecPaths: is []; expected an object with login, whoAmI, change, probe",
    "config rm apisecPaths",
  ],
  [
    "a path to another host",
    { apisecPaths: { probe: "//evil.example/" } },
    'apisecPaths.probe: is "//evil.example/"; expected a path that begins with one slash',
    "config set --path 'apisecPaths.probe' …",
  ],
  [
    "an empty first password",
    { firstPasswords: { scanner: "" } },
    "firstPasswords.scanner: is no text, or empty; expected a secret object of account names and passwords",
    "config set --secret --path 'firstPasswords.scanner'",
  ],
  [
    "first passwords of another type",
    { firstPasswords: "x" },
    "firstPasswords: is no text, or empty; expected a secret object of account names and passwords",
    "config set --secret --path 'firstPasswords.<name>'",
  ],
  [
    "a first password of no account",
    { firstPasswords: { scaner: "x" } },
    "firstPasswords.scaner: is of no account; expected names of accounts",
    "config rm --path 'firstPasswords.scaner'",
  ],
  [
    "consumers of another type",
    { consumers: "payments" },
    'consumers: is "payments"; expected a list of consumers',
    "config rm consumers --stack prod` and set it with `pulumi config set --path 'consumers[0].name' …",
  ],
  [
    "a consumer of another type",
    { consumers: [reader, "payments/api"] },
    'consumers[1]: is "payments/api"; expected an object with name and project or group',
    "config set --path 'consumers[1].name' …",
  ],
  [
    "a consumer without a name",
    { consumers: [{ project: "payments/api" }] },
    "consumers[0].name: is missing; expected 1 to 63 lower-case letters",
    "config set --path 'consumers[0].name' …",
  ],
  [
    "a consumer's name with a dot",
    { consumers: [{ ...reader, name: "a.b" }] },
    'consumers[0].name: is "a.b"; expected 1 to 63 lower-case letters',
    "config set --path 'consumers[0].name' …",
  ],
  [
    "two consumers of one name",
    { consumers: [reader, { name: "api", group: "payments" }] },
    'consumers[1].name: is "api", as that of consumers[0]; expected a name of its own',
    "config set --path 'consumers[1].name' …",
  ],
  [
    "a consumer of nothing",
    { consumers: [{ name: "api" }] },
    "consumers[0]: names no project and no group; expected a project, or a group",
    "config set --path 'consumers[0].project' …",
  ],
  [
    "a consumer of two things",
    { consumers: [{ ...reader, group: "payments" }] },
    "consumers[0]: names both; expected a project, or a group",
    "config rm --path 'consumers[0].group'",
  ],
  [
    "a consumer's project without a group",
    { consumers: [{ name: "api", project: "api" }] },
    'consumers[0].project: is "api"; expected a GitLab project\'s id or full path, such as payments/api',
    "config set --path 'consumers[0].project' …",
  ],
  [
    "a consumer's group that is a pattern",
    { consumers: [{ name: "api", group: "payments/*" }] },
    'consumers[0].group: is "payments/*"; expected a GitLab group\'s id or full path, such as payments',
    "config set --path 'consumers[0].group' …",
  ],
  [
    "an unknown field of a consumer",
    { consumers: [{ ...reader, account: "scanner" }] },
    "consumers[0].account: does not exist; expected one of name, project, group, accounts",
    "config rm --path 'consumers[0].account'",
  ],
  [
    "a consumer with an empty list of accounts",
    { consumers: [{ ...reader, accounts: [] }] },
    "consumers[0].accounts: is []; expected at least one account, or no list at all: then it reads all tokens",
    "config rm --path 'consumers[0].accounts' --stack prod` and set it with `pulumi config set --path 'consumers[0].accounts[0]' …",
  ],
  [
    "a consumer's accounts of another type",
    { consumers: [{ ...reader, accounts: "scanner" }] },
    'consumers[0].accounts: is "scanner"; expected a list of accounts',
    "config rm --path 'consumers[0].accounts' --stack prod` and set it with `pulumi config set --path 'consumers[0].accounts[0]' …",
  ],
  [
    "a consumer of an account that is none",
    { consumers: [{ ...reader, accounts: ["scanner", "scaner"] }] },
    'consumers[0].accounts[1]: is "scaner"; expected the name of an account of this stack',
    "config set --path 'consumers[0].accounts[1]' …",
  ],
  [
    "a consumer of one account twice",
    { consumers: [{ ...reader, accounts: ["scanner", "scanner"] }] },
    'consumers[0].accounts[1]: is "scanner" once more; expected each account once',
    "config rm --path 'consumers[0].accounts[1]'",
  ],
  [
    "a consumer of a token that is not published",
    {
      accounts: [account("admin", { publishToken: false }), account("scanner")],
      consumers: [{ ...reader, accounts: ["admin"] }],
    },
    'consumers[0].accounts[0]: is "admin", whose token is not published; expected an account whose token may be read',
    "config set --path 'consumers[0].accounts[0]' …",
  ],
  [
    "a consumer where no token is published",
    { accounts: [account("admin", { publishToken: false })], consumers: [reader] },
    "consumers[0]: is to read all published tokens, and there are none; expected an account whose token may be read",
    "config rm --path 'consumers[0]'",
  ],
  [
    "groups of another type",
    { adminGroups: "admins" },
    'adminGroups: is "admins"; expected a list of identity groups',
    "config rm adminGroups --stack prod` and set it with `pulumi config set --path 'adminGroups[0]' …",
  ],
  ...[
    "*",
    "a*",
    "+",
    "a/+/b",
    "{{identity.entity.id}}",
    "../sys",
    "a/../b",
    "a//b",
    "/a",
    "a/",
    " a",
    "a ",
    "a\nb",
    "a\u200bb",
    "",
  ].map((name): (typeof wrong)[number] => [
    `a group named ${JSON.stringify(name)}`,
    { developerGroups: ["developers", name] },
    `developerGroups[1]: is ${JSON.stringify(name).replaceAll(/\u200b/g, " ")}; expected the name of a Vault identity group, without *, {{ or }}`,
    "config set --path 'developerGroups[1]' …",
  ]),
];

describe("a configuration that is wrong", () => {
  test.each(wrong)("%s: key, value, expectation, remedy", (_, keys, problem, command) => {
    const lines = problemsOf(keys);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`apisec-credentials:${problem}`);
    expect(lines[0]).toContain(`\`pulumi ${command}`);
    // Whichever stack is the selected one.
    const commands = lines[0]?.match(/`pulumi config .+?`/g) ?? [];
    expect(commands.filter((one) => !one.endsWith(" --stack prod`"))).toEqual([]);
  });

  test("is one error that lists every problem, whatever hides behind another", () => {
    const lines = problemsOf(
      {
        accounts: [
          { name: "A/B", username: 1.5, host: "x" },
          account("b", { changedBy: "zz", organization: "" }),
          account("b", { username: "B@acme.example" }),
        ],
        firstPasswords: 7,
        gitlabProject: undefined,
        createMount: "nonsense",
        cron: "0 3 * * *",
        apisecPaths: { login: 5, logout: "/x" },
      },
      { stack: "prod", secret: [], env: { GITLAB_BASE_URL: "x" } },
    );
    expect(lines.map((line) => line.split(/: (?=is|has|does|stands)/)[0])).toEqual([
      "apisec-credentials:firstPasswords",
      "apisec-credentials:createMount",
      "apisec-credentials:gitlabProject",
      "apisec-credentials:accounts[0].name",
      "apisec-credentials:accounts[0].username",
      "apisec-credentials:accounts[0].host",
      "apisec-credentials:accounts[1].organization",
      "apisec-credentials:apisecPaths.login",
      "apisec-credentials:apisecPaths.logout",
      "VAULT_TOKEN",
      "vault:address (or VAULT_ADDR)",
      "gitlab:baseUrl (or GITLAB_BASE_URL)",
      "apisec-credentials:accounts[2].name",
      "apisec-credentials:accounts[2]",
      "apisec-credentials:firstPasswords",
      "apisec-credentials:cron",
    ]);
    for (const line of lines) expect(line).toMatch(/^\S.*: .+; expected .+; .*`(pulumi|vault) .+`/);
  });

  test.each([
    ["Prod", "the stack's name"],
    ["a+b", "a wildcard in it"],
  ])("stack %s: %s", (stack) => {
    expect(() => readConfig(sourceOf({}, { stack }))).toThrow(
      `stack ${stack}: is named "${stack}"; expected 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends; rename it with \`pulumi stack rename … --stack ${stack}\``,
    );
  });

  test("is none for plain http to this machine only", () => {
    for (const apisecUrl of ["http://localhost:1", "http://127.3.2.1", "http://[::1]:8080"]) {
      expect(problemsOf({ apisecUrl })).toEqual([]);
    }
    for (const apisecUrl of ["http://127.0.0.1.evil.example", "http://localhost.evil.example"]) {
      expect(problemsOf({ apisecUrl })).toHaveLength(1);
    }
  });
});

describe("the surroundings", () => {
  const vaultCases: [string, Partial<ConfigSource>, string][] = [
    [
      "no Vault",
      { env: { VAULT_TOKEN: "t" } },
      "vault:address (or VAULT_ADDR): is missing; expected an https:// address",
    ],
    [
      "no token",
      { env: { VAULT_ADDR: "https://v", VAULT_TOKEN: "" } },
      "VAULT_TOKEN: is not set, and ~/.vault-token does not exist; expected a token; log in with `vault login`",
    ],
    [
      "two addresses",
      { values: { "vault:address": "https://a" } },
      'vault:address: is "https://a", and VAULT_ADDR is "https://vault.example.com:8200"; expected one of them, or both alike; keep one: `pulumi config rm vault:address --stack prod` or `unset VAULT_ADDR`',
    ],
    [
      "two namespaces",
      {
        values: { "vault:namespace": "a" },
        env: { VAULT_ADDR: "https://v", VAULT_TOKEN: "t", VAULT_NAMESPACE: "b" },
      },
      'vault:namespace: is "a", and VAULT_NAMESPACE is "b"; expected one of them',
    ],
    [
      "plain http",
      { env: { VAULT_ADDR: "http://vault.example.com", VAULT_TOKEN: "t" } },
      'vault:address (or VAULT_ADDR): is "http://vault.example.com", which is not https (plain http is accepted on this machine only); expected an https:// address',
    ],
    [
      "an endless address",
      { env: { VAULT_ADDR: `https://v/${"x".repeat(200)}`, VAULT_TOKEN: "t" } },
      "expected an address of at most 180 characters; set it with `pulumi config set vault:address https://… --stack prod`",
    ],
    [
      "an odd namespace",
      { values: { "vault:namespace": "a b" } },
      'vault:namespace (or VAULT_NAMESPACE): is "a b"; expected a namespace path such as teams/security; set it with `pulumi config set vault:namespace … --stack prod`',
    ],
    [
      "a CA file that is not there",
      { env: { VAULT_ADDR: "https://v", VAULT_TOKEN: "t", VAULT_CACERT: "/ca.pem" } },
      'VAULT_CACERT: is the unreadable file "/ca.pem"; expected a readable file with PEM certificates; set it with `export VAULT_CACERT=…`',
    ],
    [
      "a CA bundle too long for a CI variable",
      {
        env: { VAULT_ADDR: "https://v", VAULT_TOKEN: "t", VAULT_CACERT: "/ca.pem" },
        readText: () => `-----BEGIN CERTIFICATE-----${"x".repeat(9_980)}`,
      },
      "VAULT_CACERT: is a file of 10007 characters; expected those certificates that Vault needs, at most 10000 characters: the job gets it as a CI variable; set it",
    ],
    [
      "a client certificate without its key",
      {
        env: { VAULT_ADDR: "https://v", VAULT_TOKEN: "t", VAULT_CLIENT_CERT: "/client.pem" },
        readText: () => "-----BEGIN CERTIFICATE-----",
      },
      "VAULT_CLIENT_KEY: is nothing; expected a file's name, as for VAULT_CLIENT_CERT: Vault is shown both or neither; set it with `export VAULT_CLIENT_KEY=…`",
    ],
    [
      "a Vault that is not checked",
      { env: { VAULT_ADDR: "https://v", VAULT_TOKEN: "t", VAULT_SKIP_VERIFY: "true" } },
      "VAULT_SKIP_VERIFY: is set; expected it unset: passwords go only to a Vault that has proven who it is; for a private CA set VAULT_CACERT; `unset VAULT_SKIP_VERIFY`",
    ],
    [
      "checks that only the plugin would skip",
      { values: { "vault:skipTlsVerify": "true" } },
      "vault:skipTlsVerify: is set; expected a Vault that has proven who it is; for a private CA set VAULT_CACERT; remove it with `pulumi config rm vault:skipTlsVerify --stack prod`",
    ],
    [
      "a CA that only the plugin would read",
      { values: { "vault:caCertFile": "/ca.pem" } },
      "vault:caCertFile: is set; expected VAULT_CACERT, the name of a file; remove it with",
    ],
    [
      "a proxy that is none",
      {
        env: {
          VAULT_ADDR: "https://v",
          VAULT_TOKEN: "t",
          HTTPS_PROXY: `socks5://me:${canary}@p:1080`,
        },
      },
      "HTTPS_PROXY: is no proxy's address; expected a proxy such as http://proxy.example.com:3128; `export HTTPS_PROXY=…`",
    ],
    [
      "another scheme for GitLab",
      { values: { "gitlab:baseUrl": "ftp://git.example.com" } },
      'gitlab:baseUrl (or GITLAB_BASE_URL): is "ftp://git.example.com", which is not https',
    ],
  ];

  test.each(vaultCases)("%s", (_, rest, problem) => {
    const lines = problemsOf({}, rest);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(problem);
  });
});

describe("the schedule", () => {
  test.each([
    ["17 */6 * * *", "24h", undefined],
    ["0 */8 * * *", "24h", undefined],
    [
      "0 */12 * * *",
      "24h",
      'One missed run of "0 */12 * * *" leaves readers without a valid token: runs lie up to 12 h apart and a token lives 24 h. Four runs a day ("17 */6 * * *") survive two misses.',
    ],
    [
      "0 */6 * * *",
      "12h15m",
      'One missed run of "0 */6 * * *" leaves readers only 0.3 h: runs lie up to 6 h apart and a token lives 12.3 h. Four runs a day ("17 */6 * * *") survive two misses.',
    ],
  ])("%s with tokens of %s", (cron, tokenLifetime, warning) => {
    const { warnings } = readConfig(sourceOf({ cron, tokenLifetime }));
    expect(warnings).toEqual(warning === undefined ? [] : [warning]);
  });

  test("is not refused in the weeks when the clocks change", () => {
    for (const cron of ["0 */12 * * *", "30 2,14 * * *"]) {
      for (const now of [Date.UTC(2026, 2, 25), Date.UTC(2026, 9, 21)]) {
        const source = sourceOf({ cron, cronTimezone: "Europe/Berlin" }, { now });
        expect(readConfig(source).warnings).toHaveLength(1);
      }
    }
  });

  test("that cannot be followed is a problem, not a crash", () => {
    const now = Date.UTC(2026, 3, 2);
    const keys = { cron: "0 */12 * * *", cronTimezone: "Australia/Lord_Howe" };
    expect(problemsOf(keys, { now })).toEqual([
      'apisec-credentials:cron: is "0 */12 * * *", which cannot be followed through the next week in its time zone; expected five cron fields, such as 17 */6 * * *; set it with `pulumi config set cron … --stack prod`, or the zone with `pulumi config set cronTimezone UTC --stack prod`',
    ]);
  });
});

describe("secrets", () => {
  test("a first password in clear is refused, and not shown", () => {
    expect(problemsOf({ firstPasswords: {} }, { secret: [] })).toEqual([]);
    const lines = problemsOf({ firstPasswords: { scanner: canary } }, { secret: [] });
    expect(lines).toEqual([
      "apisec-credentials:firstPasswords: is not encrypted in the stack's file; expected secrets, and other passwords than those that can be read there; clear it with `pulumi config rm firstPasswords --stack prod` and set it with `pulumi config set --secret --path 'firstPasswords.<name>' --stack prod`",
    ]);
  });

  test("a first password in the place of a name is not shown", () => {
    for (const firstPasswords of [{ [canary]: "scanner" }, { [canary]: "" }, [canary], canary]) {
      const lines = problemsOf({ firstPasswords });
      expect(lines).toHaveLength(1);
      expect(lines.join()).not.toContain(canary);
    }
  });

  test("no value of a key that is marked secret is shown, whatever is wrong with it", () => {
    const name = "canary-name-in-secret";
    const accounts = [
      account(name),
      account(name, { username: `${name}@acme.example`, [`x${name}`]: 1 }),
      account("b", { changedBy: name, renamedFrom: name, organization: `o${name}` }),
      account("c", { changedBy: `${name}-z`, host: `http://${name}` }),
    ];
    const lines = problemsOf(
      {
        accounts,
        mount: `${name}/`,
        cron: "0 3 * * *",
        apisecPaths: { login: name, [name]: "/" },
      },
      {
        secret: ["accounts", "mount", "cron", "apisecPaths", "vault:address", "gitlab:baseUrl"],
        values: { "vault:address": `https://${name}`, "gitlab:baseUrl": `ftp://${name}` },
      },
    );
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.join("\n")).not.toContain(name);
    expect(lines.join("\n")).not.toContain("0 3 * * *");
    expect(lines).toContainEqual(
      "apisec-credentials:accounts[1]: has a key that does not exist; expected one of name, username, host, organization, passwordGeneration, changedBy, acceptAdminToken, publishToken, renamedFrom; look at it with `pulumi config get accounts --stack prod`",
    );
  });

  const many = Array.from({ length: 501 }, (_, index) => account(`a${index}`));
  test.each<[string, Record<string, unknown>, string[], RegExp[]]>([
    [
      "in clear",
      { heartbeatUrl: `https://a.example/${canary}` },
      [],
      [/^apisec-credentials:heartbeatUrl: is not encrypted/],
    ],
    [
      "for many jobs",
      { heartbeatUrl: `https://a.example/${canary}`, accounts: many },
      ["heartbeatUrl"],
      [
        /^apisec-credentials:heartbeatUrl: does not contain \{shard\}, and 2 jobs share the accounts; expected an address with \{shard\}/,
      ],
    ],
    [
      "with the number of the job",
      { heartbeatUrl: `https://a.example/${canary}-{shard}`, accounts: many },
      ["heartbeatUrl"],
      [],
    ],
    ["for one job", { heartbeatUrl: `https://a.example/${canary}` }, ["heartbeatUrl"], []],
  ])("the heartbeat's address %s", (_, keys, secret, expected) => {
    const lines = problemsOf(keys, { secret });
    expect(lines).toHaveLength(expected.length);
    lines.forEach((line, index) => expect(line).toMatch(expected[index] ?? /^$/));
    expect(lines.join()).not.toContain(canary);
  });

  test("nor in a warning", () => {
    const source = sourceOf({ cron: "0 */12 * * *" }, { secret: ["cron"] });
    expect(readConfig(source).warnings[0]).toMatch(/^One missed run of a secret value leaves/);
  });
});

test("Pulumi.yaml has the defaults of the schema", () => {
  const { config } = parse(readFileSync(join(__dirname, "../../Pulumi.yaml"), "utf8")) as {
    config: Record<string, { default: unknown }>;
  };
  expect(Object.keys(config).length).toBeGreaterThan(5);
  for (const [key, { default: given }] of Object.entries(config)) {
    expect([key, defaultOf(shape[key as keyof typeof shape])]).toEqual([key, given]);
  }
});
