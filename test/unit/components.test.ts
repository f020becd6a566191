import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { registered } from "../../components/registered";
import { SecretStore } from "../../components/secretStore";
import { askToForget } from "../../components/serviceAccount";
import { accountList, TokenRotation } from "../../components/tokenRotation";
import { defaultImage } from "../../desired/pipelineFile";
import { desiredState } from "../../desired/state";
import { readConfig } from "../../config/readConfig";
import type { ConsumerClaim } from "../../desired/facts";
import { renderPolicy } from "../../desired/policies";
import { policyValues } from "../../desired/policyValues";
import { sourceOf } from "../support/configSource";
import { neededBy, resource, withMocks } from "../support/programMocks";
import type { Monitor, Registered } from "../support/programMocks";

const mockGroupIds = new Map<string, string>();
const mockClaims = new Map<string, ConsumerClaim>();
jest.mock("../../components/preflight", () => ({
  preflight: async () => ({
    mountExists: false,
    groupIds: mockGroupIds,
    claims: mockClaims,
    project: {
      id: "42",
      uri: "gitlab.example.com/platform/apisec-rotation",
      pipelineFile: ".gitlab-ci.yml",
    },
    warnings: [],
  }),
}));

const type = {
  mount: "vault:index/mount:Mount",
  keys: "pulumi-nodejs:dynamic/apisec:KeySettings",
  policy: "vault:index/policy:Policy",
  auth: "vault:jwt/authBackend:AuthBackend",
  role: "vault:jwt/authBackendRole:AuthBackendRole",
  schedule: "gitlab:index/pipelineSchedule:PipelineSchedule",
  variable: "gitlab:index/projectVariable:ProjectVariable",
  file: "gitlab:index/repositoryFile:RepositoryFile",
  password: "pulumi-nodejs:dynamic/apisec:Password",
  command: "command:local:Command",
  group: "vault:identity/groupPolicies:GroupPolicies",
};
const canary = "Canary-first-password";
const accounts = [
  // In this order, so that the one it is changed by comes later in config.
  { name: "scanner", username: "scanner@acme.example", changedBy: "admin", organization: "Acme" },
  { name: "admin", username: "admin@acme.example", publishToken: false, organization: "Acme" },
];
const token = "hvs.canary-deployer";
const environment = { VAULT_ADDR: "https://vault.example.com:8200", VAULT_TOKEN: token };

/** Runs the whole program with this configuration. */
async function runProgram(keys: Record<string, unknown> = {}, preview = false) {
  const { values, secretKeys } = sourceOf({ accounts, ...keys });
  const before = { ...process.env };
  Object.assign(process.env, environment, {
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(secretKeys),
  });
  try {
    return await withMocks(async () => {
      pulumi.runtime.setAllConfig(values, [...secretKeys]);
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const program = require("../../index") as () => Promise<Record<string, unknown>>;
      return program();
    }, preview);
  } finally {
    process.env = before;
  }
}

/** The GitLab side alone, for settings that are large or odd. */
function runRotation(
  keys: Record<string, unknown>,
  rest?: Parameters<typeof sourceOf>[1],
  pipelineFile = ".gitlab-ci.yml",
) {
  const settings = readConfig(sourceOf(keys, rest));
  const project = { id: "42", uri: "gitlab.example.com/platform/apisec-rotation", pipelineFile };
  const wanted = desiredState(settings, { project, claims: new Map(), groupIds: new Map() });
  const { vault, gitlab } = wanted;
  return withMocks(() => {
    const rotation = new TokenRotation("rotation", {
      ...vault,
      ...gitlab,
      project,
      files: gitlab.files ?? [],
      mountPath: settings.mount,
      policy: "apisec-prod-rotator",
    });
    return [rotation, ...accountList("rotation", project, gitlab, [])];
  });
}

function variablesOf(resources: Registered[]): Record<string, unknown> {
  return Object.fromEntries(
    resources
      .filter((one) => one.type === type.variable)
      .map(({ inputs }) => [inputs["key"], inputs["value"]]),
  ) as Record<string, unknown>;
}

describe("the program", () => {
  let resources: Registered[];
  let outputs: Record<string, unknown>;
  let warnings: string[];

  beforeAll(async () => {
    const warn = jest.spyOn(pulumi.log, "warn").mockResolvedValue();
    const run = await runProgram({ firstPasswords: { scanner: canary } });
    // What outputs lead to comes some ticks after the program.
    await new Promise((resolve) => setImmediate(resolve));
    warnings = warn.mock.calls.map(([text]) => text);
    warn.mockRestore();
    resources = run.resources;
    outputs = run.result;
  });

  const inputsOf = (kind: string, name: string) => resource(resources, kind, name).inputs;

  test("registers these resources and no others", () => {
    const found = resources.map((one) =>
      one.urn.replace("urn:pulumi:prod::apisec-credentials::", ""),
    );
    const store = "apisec:index:SecretStore";
    const rotation = "apisec:index:TokenRotation";
    expect(found.sort()).toEqual(
      [
        `${store}::store`,
        `${store}$${type.mount}::store`,
        `${store}$${type.keys}::store`,
        ...["admin", "developer", "rotator"].map(
          (name) => `${store}$${type.policy}::store-${name}`,
        ),
        `${rotation}::rotation`,
        `${rotation}$${type.auth}::rotation`,
        `${rotation}$${type.role}::rotation`,
        `${rotation}$${type.schedule}::rotation`,
        ...["script", "pipeline"].map((name) => `${rotation}$${type.file}::rotation-${name}`),
        ...["vault-addr", "vault-auth-path", "vault-auth-role", "apisec-mount"].map(
          (name) => `${rotation}$${type.variable}::rotation-${name}`,
        ),
        `${type.variable}::rotation-apisec-accounts`,
        ...["admin", "scanner"].map((name) => `${type.password}::${name}`),
        `${type.command}::first-run`,
      ].sort(),
    );
  });

  test("plays the schedule when all else is there, and again only where the job has changed", async () => {
    const { inputs } = resource(resources, type.command, "first-run");
    const needed = neededBy(resources, resource(resources, type.command, "first-run"));
    const others = resources.filter(
      ({ urn, type: kind }) => kind.includes("/") && !/first-run$/.test(urn),
    );
    expect(others.map(({ urn }) => urn).filter((urn) => !needed.has(urn))).toEqual([]);
    expect(inputs).toMatchObject({ create: "node 'cli/bin.js' first-run", update: ":" });
    const triggersWith = async (keys: Record<string, unknown>) => {
      const found = (await runProgram(keys)).resources.filter((one) => one.type === type.command);
      return found.map((one) => one.inputs["triggers"]);
    };
    const [known] = await triggersWith({});
    expect(await triggersWith({ firstRun: "start" })).toEqual([known]);
    expect(await triggersWith({ passwordMaxAge: "90d" })).toEqual([known]);
    expect(await triggersWith({ jobTags: ["apisec"] })).not.toEqual([known]);
    expect(await triggersWith({ firstRun: "off" })).toEqual([]);
    // Nobody's token is published: there is nothing to rotate.
    const accounts = [{ name: "admin", username: "a@acme.example", publishToken: false }];
    expect(await triggersWith({ accounts })).toEqual([]);
  });

  test("puts no secret into an input or an output, nor the deployer's token", () => {
    const text = JSON.stringify([resources, outputs]);
    expect(text).not.toContain(canary);
    expect(text).not.toContain(token);
  });

  test("keeps the mount whatever happens, and says whose it is", () => {
    const mount = resource(resources, type.mount, "store");
    expect(mount.inputs).toEqual({
      path: "apisec",
      type: "kv",
      options: { version: "2" },
      description:
        "APIsec passwords and tokens, managed by apisec-credentials/prod for gitlab.com/42",
    });
    expect(mount.retainOnDelete).toBe(true);
    expect(mount.importId).toBe("");
  });

  test("takes away with destroy all but mount, keys, passwords and the pipeline file, which may be another's by then", () => {
    const kept = resources.filter(({ retainOnDelete }) => retainOnDelete);
    expect(kept.map(({ name }) => name).sort()).toEqual([
      "admin",
      "rotation-pipeline",
      "scanner",
      "store",
      "store",
    ]);
  });

  test("sets every key of the accounts, after the mount", () => {
    const { inputs, dependencies } = resource(resources, type.keys, "store");
    const { __provider, ...rest } = inputs;
    expect(typeof __provider).toBe("string");
    expect(rest).toEqual({
      mount: "apisec",
      vaultAddress: environment.VAULT_ADDR,
      settings: {
        password: { cas_required: true, max_versions: 10, delete_version_after: "0s" },
        token: { cas_required: true, delete_version_after: "23h30m0s" },
      },
      accounts: { admin: ["password"], scanner: ["password", "token"] },
    });
    expect(dependencies).toEqual([resource(resources, type.mount, "store").urn]);
  });

  test("writes the three policies as rendered", () => {
    const project = { id: "42", uri: "", pipelineFile: "" };
    const values = policyValues(readConfig(sourceOf({ accounts })), { project });
    for (const role of ["admin", "developer", "rotator"] as const) {
      expect(inputsOf(type.policy, `store-${role}`)).toEqual({
        name: `apisec-prod-${role}`,
        policy: renderPolicy(role, values),
      });
    }
  });

  test("schedules the job on the branch by its full name, without variables of its own", () => {
    expect(inputsOf(type.schedule, "rotation")).toEqual({
      project: "42",
      description: "Rotate the APIsec tokens of apisec-credentials/prod into Vault",
      ref: "refs/heads/main",
      cron: "17 */6 * * *",
      cronTimezone: "UTC",
      active: true,
      takeOwnership: true,
    });
    expect(resources.filter(({ type: one }) => /ScheduleVariable/.test(one))).toEqual([]);
  });

  test("gives the job protected variables, for its environment alone", () => {
    const variables = resources.filter((one) => one.type === type.variable);
    for (const { inputs } of variables) {
      expect(inputs).toMatchObject({
        project: "42",
        protected: true,
        raw: true,
        environmentScope: "apisec/prod",
        variableType: "env_var",
        description: "managed by apisec-credentials/prod for gitlab.com/42",
      });
    }
    expect(variablesOf(resources)).toEqual({
      VAULT_ADDR: "https://vault.example.com:8200",
      VAULT_AUTH_PATH: "gitlab",
      VAULT_AUTH_ROLE: "apisec-prod-rotator",
      APISEC_MOUNT: "apisec",
      APISEC_ACCOUNTS: "scanner",
    });
  });

  test("delivers the script before the pipeline file, and both before the schedule", () => {
    const [script, pipeline] = ["script", "pipeline"].map((name) =>
      resource(resources, type.file, `rotation-${name}`),
    ) as [Registered, Registered];
    expect(script.inputs).toEqual({
      project: "42",
      branch: "main",
      filePath: "rotate.mjs",
      content: readFileSync(join(__dirname, "..", "..", "dist", "rotate.mjs"), "utf8"),
      encoding: "text",
      commitMessage: "Deliver rotate.mjs from apisec-credentials/prod [skip ci]",
      overwriteOnCreate: true,
    });
    expect(pipeline.inputs).toMatchObject({ filePath: ".gitlab-ci.yml", overwriteOnCreate: true });
    expect(pipeline.dependencies).toContain(script.urn);
    expect(resource(resources, type.schedule, "rotation").dependencies).toContain(pipeline.urn);
  });

  test("lets only this project's protected branch, pipeline file, schedule and owner log in", () => {
    const role = inputsOf(type.role, "rotation");
    expect(role).toEqual({
      backend: "gitlab",
      roleName: "apisec-prod-rotator",
      roleType: "jwt",
      userClaim: "project_id",
      boundAudiences: ["https://vault.example.com:8200/apisec/prod"],
      boundClaimsType: "string",
      boundClaims: {
        project_id: "42",
        ref: "main",
        ref_type: "branch",
        ref_protected: "true",
        pipeline_source: "schedule",
        user_id: "5",
        ci_config_ref_uri:
          "gitlab.example.com/platform/apisec-rotation//.gitlab-ci.yml@refs/heads/main",
        environment: "apisec/prod",
      },
      claimMappings: { pipeline_id: "pipeline_id", job_id: "job_id", user_login: "user_login" },
      tokenType: "service",
      tokenPolicies: ["apisec-prod-rotator"],
      tokenNoDefaultPolicy: true,
      tokenTtl: 900,
      tokenMaxTtl: 900,
      tokenExplicitMaxTtl: 900,
    });
    const file = parse(String(inputsOf(type.file, "rotation-pipeline")["content"])) as {
      rotate: Record<string, unknown>;
    };
    expect(file.rotate).toMatchObject({
      id_tokens: { VAULT_ID_TOKEN: { aud: "https://vault.example.com:8200/apisec/prod" } },
      environment: { name: "apisec/prod" },
      timeout: "15 minutes",
    });
    expect(inputsOf(type.auth, "rotation")).toEqual({
      type: "jwt",
      path: "gitlab",
      description: "Logins of GitLab jobs, managed by apisec-credentials/prod for gitlab.com/42",
      boundIssuer: "https://gitlab.com",
      oidcDiscoveryUrl: "https://gitlab.com",
    });
  });

  test("changes passwords last, an account's after its changer's", () => {
    const [admin, scanner] = ["admin", "scanner"].map((name) =>
      resource(resources, type.password, name),
    ) as [Registered, Registered];
    const of = (kind: string) => resources.filter((one) => one.type === kind).map(({ urn }) => urn);
    const list = resource(resources, type.variable, "rotation-apisec-accounts").urn;
    const kinds = [
      type.keys,
      type.policy,
      type.auth,
      type.role,
      type.schedule,
      type.variable,
      type.file,
    ];
    const rest = kinds.flatMap(of).filter((urn) => urn !== list);
    expect(admin.dependencies.sort()).toEqual(rest.sort());
    // What its changer waited for, it need not name again.
    expect(scanner.dependencies).toEqual([admin.urn]);
    expect([...neededBy(resources, scanner)]).toEqual(expect.arrayContaining(rest));
  });

  test("names an account to the job once all have their passwords", () => {
    const list = resource(resources, type.variable, "rotation-apisec-accounts");
    const passwords = ["admin", "scanner"].map((name) => resource(resources, type.password, name));
    expect(list.dependencies.sort()).toEqual(passwords.map(({ urn }) => urn).sort());
  });

  test("tells the password's provider what is wanted, and where", () => {
    const { __provider, ...inputs } = inputsOf(type.password, "scanner");
    expect(typeof __provider).toBe("string");
    expect(inputs).toEqual({
      name: "scanner",
      username: "scanner@acme.example",
      host: "https://cloud.apisec.ai",
      organization: "Acme",
      generation: 1,
      changedBy: { name: "admin", username: "admin@acme.example" },
      published: true,
      mount: "apisec",
      vaultAddress: "https://vault.example.com:8200",
      owner: { project: "apisec-credentials", stack: "prod", instance: "gitlab.com/42" },
      minLifetimeSeconds: 84_600,
    });
  });

  test("tells it what is not at its default, and nothing of the rest", async () => {
    const { resources } = await runProgram({
      accounts: [{ name: "admin", username: "admin@acme.example", acceptAdminToken: true }],
      apisecPaths: { login: "/auth/login", probe: "/api/v1/projects?page=0&pageSize=1" },
      shareMount: true,
      tokenEndsInVault: false,
    });
    const { inputs } = resource(resources, type.password, "admin");
    expect(inputs).toMatchObject({
      acceptAdminToken: true,
      apisecPaths: { login: "/auth/login" },
      sharedMount: true,
      tokenEndsInVault: false,
    });
    expect(inputs["apisecPaths"]).toEqual({ login: "/auth/login" });
  });

  test("says what the stack gives", async () => {
    const known: Record<string, unknown> = {};
    for (const [key, output] of Object.entries(outputs)) {
      const later = pulumi.output(output) as pulumi.Output<unknown>;
      known[key] = await new Promise((resolve) => later.apply(resolve));
    }
    expect(known).toMatchObject({
      mount: "apisec",
      passwordPaths: {
        admin: "apisec/data/admin/password",
        scanner: "apisec/data/scanner/password",
      },
      tokenPaths: { scanner: "apisec/data/scanner/token" },
      policies: {
        admin: "apisec-prod-admin",
        developer: "apisec-prod-developer",
        rotator: "apisec-prod-rotator",
      },
      role: "apisec-prod-rotator",
      scheduleId: 17,
      howToReadToken: { scanner: "vault kv get -mount=apisec -field=token scanner/token" },
    });
    expect(known["tokenPaths"]).not.toHaveProperty("admin");
    // What depends on the clock breaks saved plans.
    expect(Object.keys(known).sort()).toEqual([
      "howToReadToken",
      "mount",
      "passwordPaths",
      "policies",
      "role",
      "scheduleId",
      "tokenPaths",
    ]);
  });

  test("asks to forget the first password once it has been changed", async () => {
    while (warnings.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(warnings).toEqual([
      expect.stringMatching(
        /^First passwords in config have been changed: .*`pulumi config rm firstPasswords --stack prod`/,
      ),
    ]);
  });
});

const remove = "pulumi config rm";

test.each<[string, Record<string, number>, boolean, string | undefined]>([
  ["all, by one command", { admin: 1, scanner: 2 }, false, `${remove} firstPasswords --stack prod`],
  [
    "those that have been changed alone",
    { admin: 1, open: 0, scanner: 1 },
    false,
    ["admin", "scanner"]
      .map((n) => `${remove} --path firstPasswords.${n} --stack prod`)
      .join(" && "),
  ],
  ["none that is still needed", { scanner: 0 }, false, undefined],
  ["none in a preview, which the update follows", { scanner: 1 }, true, undefined],
  ["none where there is none", {}, false, undefined],
])("first passwords to be forgotten: %s", async (_, generations, preview, command) => {
  const warn = jest.spyOn(pulumi.log, "warn").mockResolvedValue();
  const accounts = Object.entries(generations).map(([accountName, generation]) => ({
    accountName,
    currentGeneration: pulumi.output(generation),
  }));
  await withMocks(() => askToForget(accounts), preview);
  await new Promise(setImmediate);
  const asked = warn.mock.calls.map(([text]) => /`([^`]+)`/.exec(text)?.[1]);
  warn.mockRestore();
  expect(asked).toEqual(command === undefined ? [] : [command]);
});

describe("with consumers and groups", () => {
  let resources: Registered[];
  let outputs: Record<string, unknown>;
  const own = ["reader", "scanner", "admin"];

  beforeAll(async () => {
    mockGroupIds.set("AppSec Admins", "id-1").set("ldap/Team=Ü", "id-2").set("both", "id-3");
    mockClaims.set("by-project", { project_id: "43" }).set("by-group", { namespace_id: "77" });
    const run = await runProgram({
      accounts: [...accounts, { name: "reader", username: "reader@acme.example" }],
      consumers: [
        { name: "by-project", project: "payments/api", accounts: ["scanner"] },
        { name: "by-group", group: "payments" },
      ],
      adminGroups: ["AppSec Admins", "both"],
      developerGroups: ["ldap/Team=Ü", "both"],
    });
    mockGroupIds.clear();
    mockClaims.clear();
    resources = run.resources;
    outputs = run.result;
  });

  const inputsOf = (kind: string, name: string) => resource(resources, kind, name).inputs;

  test("registers a policy and a role for each consumer, and one resource for each group", () => {
    const parents = /apisec:index:(Consumer|GroupPolicies)/;
    const found = resources
      .map(({ urn }) => urn.replace("urn:pulumi:prod::apisec-credentials::", ""))
      .filter((urn) => parents.test(urn));
    const consumer = "apisec:index:Consumer";
    const groups = "apisec:index:GroupPolicies";
    expect(found.sort()).toEqual(
      [
        ...["by-project", "by-group"].flatMap((name) => [
          `${consumer}::${name}`,
          `${consumer}$${type.policy}::consumer-${name}`,
          `${consumer}$${type.role}::consumer-${name}`,
        ]),
        `${groups}::groups`,
        ...["id-1", "id-2", "id-3"].map((id) => `${groups}$${type.group}::groups-${id}`),
      ].sort(),
    );
  });

  test.each([
    ["by-project", { project_id: "43" }, ["scanner"]],
    ["by-group", { namespace_id: "77" }, ["scanner", "reader"]],
  ])("%s logs in from protected branches alone, and reads its tokens", (name, claim, readable) => {
    const vaultName = `apisec-prod-consumer.${name}`;
    expect(inputsOf(type.role, `consumer-${name}`)).toEqual({
      backend: "gitlab",
      roleName: vaultName,
      roleType: "jwt",
      userClaim: "project_id",
      boundAudiences: ["https://vault.example.com:8200/apisec/prod/read"],
      boundClaimsType: "string",
      boundClaims: { ...claim, ref_type: "branch", ref_protected: "true" },
      claimMappings: { pipeline_id: "pipeline_id", job_id: "job_id", user_login: "user_login" },
      tokenType: "service",
      tokenPolicies: [vaultName],
      tokenNoDefaultPolicy: true,
      tokenTtl: 900,
      tokenMaxTtl: 900,
      tokenExplicitMaxTtl: 900,
    });
    const { name: policyName, policy } = inputsOf(type.policy, `consumer-${name}`);
    expect(policyName).toBe(vaultName);
    expect([...String(policy).matchAll(/^path "(.*)"/gm)].map(([, path]) => path)).toEqual([
      ...readable.map((account) => `apisec/data/${account}/token`),
      "auth/token/revoke-self",
    ]);
  });

  test("says what a consumer's job needs; the ID token is no argument", async () => {
    const later = pulumi.output(
      outputs["consumers"] as Record<string, { role: string; snippet: string; scanJob: string }>,
    );
    const known = await new Promise<pulumi.Unwrap<typeof later>>((resolve) => later.apply(resolve));
    expect(Object.keys(known)).toEqual(["by-project", "by-group"]);
    const { role, snippet, scanJob } = known["by-project"] ?? {
      role: "",
      snippet: "",
      scanJob: "",
    };
    expect(role).toBe("apisec-prod-consumer.by-project");
    expect(parse(snippet)).toEqual({
      "read-token": {
        rules: [{ if: '$CI_COMMIT_BRANCH && $CI_COMMIT_REF_PROTECTED == "true"' }],
        id_tokens: {
          VAULT_ID_TOKEN: { aud: "https://vault.example.com:8200/apisec/prod/read" },
        },
        script: [
          'export VAULT_ADDR="https://vault.example.com:8200"',
          `VAULT_TOKEN="$(printf %s "$VAULT_ID_TOKEN" | vault write -field=token auth/gitlab/login role=${role} jwt=-)"`,
          "export VAULT_TOKEN",
          'APISEC_TOKEN="$(vault kv get -mount=apisec -field=token scanner/token)"',
          'APISEC_HOST="$(vault kv get -mount=apisec -field=host scanner/token)"',
          "vault token revoke -self",
          "unset VAULT_TOKEN VAULT_ID_TOKEN",
          "export APISEC_TOKEN APISEC_HOST",
        ],
      },
    });
    expect(snippet).not.toContain("type file");
    const { script, ...rest } =
      (parse(scanJob) as Record<string, { script: string[] }>)["apisec-scan"] ?? {};
    expect(script?.slice(0, -1)).toEqual([
      'export VAULT_ADDR="https://vault.example.com:8200"',
      `export VAULT_AUTH_PATH="gitlab" VAULT_AUTH_ROLE="${role}"`,
      'export APISEC_MOUNT="apisec" APISEC_ACCOUNT="scanner"',
    ]);
    expect(script?.at(-1)).toMatch(
      /^node \.gitlab\/apisec-scan\.mjs --project "\$CI_PROJECT_NAME" /,
    );
    expect(rest).toMatchObject({
      image: defaultImage,
      id_tokens: { VAULT_ID_TOKEN: { aud: "https://vault.example.com:8200/apisec/prod/read" } },
      rules: [{ if: '$CI_COMMIT_BRANCH && $CI_COMMIT_REF_PROTECTED == "true"' }],
    });
  });

  test("gives each group the policies of its lists, and takes nothing else over", () => {
    const [admin, developer] = ["apisec-prod-admin", "apisec-prod-developer"];
    const wanted = { "id-1": [admin], "id-2": [developer], "id-3": [admin, developer] };
    for (const [groupId, policies] of Object.entries(wanted)) {
      const { inputs } = resource(resources, type.group, `groups-${groupId}`);
      expect(inputs).toEqual({ groupId, policies, exclusive: false });
    }
  });

  test("changes no password before all of that is there", () => {
    const before = resources
      .filter(({ urn }) => /apisec:index:(Consumer|GroupPolicies)\$/.test(urn))
      .map(({ urn }) => urn);
    expect(before).toHaveLength(7);
    for (const name of own) {
      const needed = neededBy(resources, resource(resources, type.password, name));
      expect([...needed]).toEqual(expect.arrayContaining(before));
    }
  });
});

test("a consumer's job is told of what Vault asks for besides", () => {
  const settings = readConfig(
    sourceOf(
      { consumers: [{ name: "api", project: "payments/api" }] },
      {
        env: { ...environment, VAULT_NAMESPACE: "teams/a", VAULT_CACERT: "/ca.pem" },
        readText: () => "-----BEGIN CERTIFICATE-----",
      },
    ),
  );
  const client = { cert: "-----BEGIN CERTIFICATE-----", key: "canary-key" };
  const claims = new Map([["api", { project_id: "43" }]]);
  const facts = { claims, groupIds: new Map() };
  const { vault } = desiredState({ ...settings, vaultClient: client }, facts);
  const result = vault.consumers[0]?.snippet;
  expect(result).toContain(
    "# Vault needs CI variables of type file: VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY.",
  );
  expect(result).toContain('- export VAULT_NAMESPACE="teams/a"');
  expect(result).not.toContain("canary");
});

describe("a preview", () => {
  test("registers the same resources", async () => {
    const first = await runProgram({}, true);
    const second = await runProgram();
    expect(first.resources.map(({ urn }) => urn).sort()).toEqual(
      second.resources.map(({ urn }) => urn).sort(),
    );
  });
});

describe("other settings", () => {
  test("a mount and an auth mount of others are used, not created; files stay out", async () => {
    const { resources } = await runProgram({
      createMount: false,
      createAuth: false,
      manageProjectFiles: false,
      mount: "shared/kv",
      authPath: "jwt/all",
    });
    for (const kind of [type.mount, type.auth, type.file]) {
      expect(resources.filter((one) => one.type === kind)).toEqual([]);
    }
    expect(resource(resources, type.role, "rotation").inputs["backend"]).toBe("jwt/all");
    expect(variablesOf(resources)).toMatchObject({
      VAULT_AUTH_PATH: "jwt/all",
      APISEC_MOUNT: "shared/kv",
    });
  });

  test("without a published account no first token is bought", async () => {
    const [, admin] = accounts;
    const { resources } = await runProgram({ accounts: [admin] });
    expect(resources.filter((one) => one.type === type.command)).toEqual([]);
  });

  test("a mount that outlived its state is taken up again", async () => {
    const facts = { claims: new Map(), groupIds: new Map() };
    const { vault } = desiredState(readConfig(sourceOf()), facts);
    const { resources } = await withMocks(
      () => new SecretStore("store", { ...vault, mountExists: true }),
    );
    expect(resource(resources, type.mount, "store").importId).toBe("apisec");
    expect(resource(resources, type.keys, "store").dependencies).toEqual([]);
  });

  test("a pipeline file elsewhere in the project is the one that is written and named", async () => {
    const { resources } = await runRotation({ pipelineFile: "shared" }, undefined, "ci/all.yml");
    expect(resource(resources, type.role, "rotation").inputs).toMatchObject({
      boundClaims: {
        ci_config_ref_uri:
          "gitlab.example.com/platform/apisec-rotation//ci/all.yml@refs/heads/main",
      },
    });
    const root = resource(resources, type.file, "rotation-pipeline");
    expect(root).toMatchObject({ inputs: { filePath: "ci/all.yml" }, retainOnDelete: true });
    const job = resource(resources, type.file, "rotation-job");
    expect(job).toMatchObject({ inputs: { filePath: "apisec/prod.yml" }, retainOnDelete: false });
    expect(root.dependencies).toContain(job.urn);
  });

  test("GitLab's keys come by discovery, from a URL, or as given", async () => {
    const jwksUrl = "https://git.example.com/oauth/discovery/keys";
    const byUrl = await runRotation({ jwksUrl });
    expect(resource(byUrl.resources, type.auth, "rotation").inputs).toMatchObject({ jwksUrl });
    const pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
    const given = await runRotation({ jwtPublicKeys: [pem] });
    expect(resource(given.resources, type.auth, "rotation").inputs).toMatchObject({
      jwtValidationPubkeys: [pem],
    });
    for (const { resources } of [byUrl, given]) {
      const { inputs } = resource(resources, type.auth, "rotation");
      expect(inputs).not.toHaveProperty("oidcDiscoveryUrl");
      expect(inputs).toMatchObject({ boundIssuer: "https://gitlab.com" });
    }
  });

  test("namespace, CA and other paths reach the job", async () => {
    const { resources } = await runRotation(
      { apisecPaths: { login: "/auth/login", change: "/other" } },
      {
        env: {
          ...environment,
          VAULT_ADDR: "https://[2001:db8::1]:8200",
          VAULT_NAMESPACE: "teams/a",
          VAULT_CACERT: "/ca.pem",
        },
        readText: () => "-----BEGIN CERTIFICATE-----",
      },
    );
    expect(variablesOf(resources)).toMatchObject({
      VAULT_ADDR: "https://[2001:db8::1]:8200",
      VAULT_NAMESPACE: "teams/a",
      VAULT_CACERT: "-----BEGIN CERTIFICATE-----",
      APISEC_PATHS: '{"login":"/auth/login","probe":"/api/v1/projects?page=0&pageSize=1"}',
    });
    const ca = resource(resources, type.variable, "rotation-vault-cacert");
    expect(ca.inputs).toMatchObject({ variableType: "file", protected: true });
    const role = resource(resources, type.role, "rotation");
    const file = resource(resources, type.file, "rotation-pipeline");
    const [audience] = role.inputs["boundAudiences"] as string[];
    expect(parse(String(file.inputs["content"]))).toMatchObject({
      rotate: { id_tokens: { VAULT_ID_TOKEN: { aud: audience } } },
    });
  });

  test("more accounts than a CI variable holds go into a file, and into a job for every 500", async () => {
    const many = Array.from({ length: 1_001 }, (_, index) => ({
      name: `account-${index}`,
      username: `u${index}`,
    }));
    const { resources } = await runRotation({ accounts: many });
    expect(variablesOf(resources)).not.toHaveProperty("APISEC_ACCOUNTS");
    const list = resource(resources, type.file, "rotation-accounts");
    expect(list.inputs).toMatchObject({
      filePath: "apisec-accounts-prod.txt",
      content: `${many.map(({ name }) => name).join("\n")}\n`,
    });
    const pipeline = resource(resources, type.file, "rotation-pipeline");
    const { workflow, ...jobs } = parse(String(pipeline.inputs["content"])) as Record<
      string,
      { script: [string] }
    >;
    expect(workflow).toBeDefined();
    expect(Object.keys(jobs)).toEqual(["rotate 1/3", "rotate 2/3", "rotate 3/3"]);
    for (const job of Object.values(jobs)) {
      expect(job.script[0]).toContain("APISEC_ACCOUNTS_FILE='apisec-accounts-prod.txt'");
    }
  });

  test("the list of accounts, variable or file, is written once each has its password, and its old name is known", async () => {
    const many = Array.from({ length: 150 }, (_, index) => ({
      name: `account-${index}-${"x".repeat(45)}`,
      username: `u${index}`,
    }));
    const inVariable = (await runProgram()).resources;
    const inFile = (await runProgram({ accounts: many })).resources;
    for (const [resources, list] of [
      [inVariable, resource(inVariable, type.variable, "rotation-apisec-accounts")],
      [inFile, resource(inFile, type.file, "rotation-accounts")],
    ] as const) {
      const passwords = resources.filter((one) => one.type === type.password);
      expect(list.dependencies).toEqual(expect.arrayContaining(passwords.map(({ urn }) => urn)));
      expect(list.aliases).toEqual([
        expect.stringMatching(/::apisec:index:TokenRotation::rotation$/),
      ]);
    }
  });

  test("what the state holds of an account does not grow with their number", async () => {
    const sizeWith = async (count: number) => {
      const many = Array.from({ length: count }, (_, index) => ({
        name: `account-${index}`,
        username: `u${index}`,
      }));
      const { resources } = await runProgram({ accounts: many });
      return Math.max(
        ...resources
          .filter((one) => one.type === type.password)
          .map(({ dependencies }) => dependencies.length),
      );
    };
    expect(await sizeWith(30)).toBe(await sizeWith(3));
  });
});

test("what comes after `registered` is sent after the component's own resources", async () => {
  class Outer extends pulumi.ComponentResource {
    constructor() {
      super("test:index:Outer", "outer");
      new pulumi.ComponentResource("test:index:Inner", "inner", {}, { parent: this });
    }
  }
  const { resources } = await withMocks(async () => {
    // An engine takes its time.
    const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
    const register = monitor.registerResource.bind(monitor);
    monitor.registerResource = (...call) => void setTimeout(() => register(...call), 20);
    await registered(new Outer());
    new pulumi.ComponentResource("test:index:Later", "later");
  });
  expect(resources.map(({ name }) => name)).toEqual(["outer", "inner", "later"]);
});
