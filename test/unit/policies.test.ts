import { readConfig } from "../../config/readConfig";
import { policyName } from "../../desired/names";
import { renderPolicy } from "../../desired/policies";
import type { PolicyName, PolicyValues } from "../../desired/policies";
import { missingRights, narrowingPolicies, rightsAsked } from "../../desired/rights";
import { policyValues } from "../../desired/policyValues";
import { sourceOf } from "../support/configSource";

const values: PolicyValues = {
  project: "apisec-credentials",
  stack: "prod",
  instance: "gitlab.com/42",
  prefix: "apisec",
  mount: "kv/apisec",
  ownsMount: true,
  sharesMount: true,
  authPath: "gitlab",
  ownsAuth: true,
  accounts: ["admin", "scanner"],
  publishedAccounts: ["scanner"],
  oldAccounts: [],
  consumers: [],
  tokenKept: "23h30m0s",
  consumerAccounts: ["scanner"],
  handoverAccount: "scanner",
  groups: [],
};
/** All that a stack can have. */
const everything: Partial<PolicyValues> = {
  oldAccounts: ["old"],
  consumers: ["api", "all"],
  groups: ["AppSec Admins", "ldap/Team=Ü"],
  groupIds: ["1f-2", "3a-4"],
};
const everyPolicy: PolicyName[] = [
  ...(["admin", "developer", "rotator", "consumer"] as const),
  ...(["deployer", "preview", "monitor", "verifier", "handover"] as const),
];

/** Where nobody else's secrets are in the mount. */
const alone: Partial<PolicyValues> = { sharesMount: false };

/** The rights of a policy, by path. Anything but comments and plain path blocks is an error. */
function rightsOf(name: PolicyName, changed: Partial<PolicyValues> = {}): Record<string, string> {
  const text = renderPolicy(name, { ...values, ...changed });
  const block =
    /path "([^"]+)" \{\n {2}capabilities = \[("\w+"(?:, "\w+")*)\]\n(?: {2}required_parameters = \["options"\]\n)?(?: {2}allowed_parameters = \{\n((?: {4}"\w+" = \[.*\]\n)+) {2}\}\n)?\}\n/g;
  expect(text.replace(block, "").replace(/^#.*$/gm, "").trim()).toBe("");
  const blocks = [...text.matchAll(block)].map(([, path = "", rights = "", parameters]) => [
    path,
    rights.replaceAll('"', "") +
      (parameters === undefined ? "" : ` of ${parameters.trim().replace(/\n\s+/g, ", ")}`),
  ]);
  // Vault joins the rights of a path that is named twice: here that would be a mistake.
  expect(new Set(blocks.map(([path]) => path)).size).toBe(blocks.length);
  return Object.fromEntries(blocks) as Record<string, string>;
}

test("the developer reads the published tokens and nothing else", () => {
  expect(rightsOf("developer")).toEqual({ "kv/apisec/data/scanner/token": "read" });
});

test("the admin reads everything of these accounts and changes nothing", () => {
  expect(rightsOf("admin")).toEqual({
    "kv/apisec/data/admin/password": "read",
    "kv/apisec/data/scanner/password": "read",
    "kv/apisec/data/admin/token": "read",
    "kv/apisec/data/scanner/token": "read",
    "kv/apisec/metadata/admin/password": "read",
    "kv/apisec/metadata/scanner/password": "read",
    "kv/apisec/metadata/admin/token": "read",
    "kv/apisec/metadata/scanner/token": "read",
    "kv/apisec/metadata/admin/": "list",
    "kv/apisec/metadata/scanner/": "list",
    "kv/apisec/metadata/": "list",
  });
});

test("the admin reads every account of a mount that is the stack's alone, one taken out of config, too", () => {
  expect(rightsOf("admin", alone)).toEqual({
    "kv/apisec/data/+/password": "read",
    "kv/apisec/data/+/token": "read",
    "kv/apisec/metadata/+/password": "read",
    "kv/apisec/metadata/+/token": "read",
    "kv/apisec/metadata/+/": "list",
    "kv/apisec/metadata/": "list",
  });
});

test("the rotation job reads passwords, writes tokens, ends itself", () => {
  for (const sharesMount of [true, false]) {
    expect(rightsOf("rotator", { sharesMount })).toEqual({
      "kv/apisec/data/scanner/password": "read",
      "kv/apisec/data/scanner/token": "create, read, update",
      "auth/token/revoke-self": "update",
    });
  }
});

const write = "create, read, update";
const passwordSettings = `${write} of "cas_required" = [true], "max_versions" = ["10"], "delete_version_after" = ["0s"], "custom_metadata" = []`;
const tokenSettings = `${write} of "cas_required" = [true], "delete_version_after" = ["23h30m0s", "0s"]`;
const deployersMounts = {
  "sys/mounts/kv/apisec": "read, update",
  "sys/mounts/kv/apisec/tune":
    'update of "description" = ["APIsec passwords and tokens, managed by apisec-credentials/prod for gitlab.com/42", "APIsec passwords and tokens, shared with other stacks, managed by apisec-credentials/prod for gitlab.com/42"], "options" = [{"version" = "2"}], "default_lease_ttl" = ["0s"], "max_lease_ttl" = ["0s"]',
  "kv/apisec/config": "read",
  "sys/auth/gitlab": "update, delete, sudo",
  "sys/mounts/auth/gitlab": "read",
  "sys/mounts/auth/gitlab/tune": "read",
  "auth/gitlab/config": "read, update",
  "auth/gitlab/role/apisec-prod-rotator": `${write}, delete`,
  "auth/gitlab/role/apisec-prod-consumer.*": `${write}, delete`,
  "sys/policies/acl/apisec-prod-admin": "read, update, delete",
  "sys/policies/acl/apisec-prod-developer": "read, update, delete",
  "sys/policies/acl/apisec-prod-rotator": "read, update, delete",
  "sys/policies/acl/apisec-prod-consumer.*": "read, update, delete",
  "sys/capabilities-self": "update",
  "auth/token/create": "update",
  "auth/token/lookup-self": "read",
};

test("the deployer has this stack's secrets, policies, role and mounts", () => {
  expect(rightsOf("deployer", { oldAccounts: ["scan"] })).toEqual({
    "kv/apisec/data/admin/password": write,
    "kv/apisec/data/scanner/password": write,
    "kv/apisec/data/admin/token": write,
    "kv/apisec/data/scanner/token": write,
    "kv/apisec/metadata/admin/password": passwordSettings,
    "kv/apisec/metadata/scanner/password": passwordSettings,
    "kv/apisec/metadata/admin/token": tokenSettings,
    "kv/apisec/metadata/scanner/token": tokenSettings,
    "kv/apisec/data/scan/password": "read",
    ...deployersMounts,
  });
});

test("where GitLab was not asked, the deployer may write its own description for any project", () => {
  const rights = rightsOf("deployer", { instance: undefined })["sys/mounts/kv/apisec/tune"];
  expect(rights).toContain(
    '"APIsec passwords and tokens, managed by apisec-credentials/prod for *"',
  );
});

test("the deployer of a mount of its own needs no new policy for an account, a former name or a consumer", () => {
  const rights = {
    "kv/apisec/data/+/password": write,
    "kv/apisec/data/+/token": write,
    "kv/apisec/metadata/+/password": passwordSettings,
    "kv/apisec/metadata/+/token": tokenSettings,
    ...deployersMounts,
  };
  expect(rightsOf("deployer", alone)).toEqual(rights);
  const more = {
    accounts: ["admin", "scanner", "third"],
    oldAccounts: ["scan"],
    consumers: ["api"],
  };
  expect(rightsOf("deployer", { ...alone, ...more })).toEqual(rights);
});

test("the deployer changes no mount that the stack only uses", () => {
  for (const sharesMount of [true, false]) {
    const rights = rightsOf("deployer", { ownsMount: false, sharesMount, ownsAuth: false });
    expect(rights["sys/mounts/kv/apisec"]).toBe("read");
    expect(rights["sys/mounts/auth/gitlab"]).toBe("read");
    for (const path of ["sys/mounts/kv/apisec/tune", "auth/gitlab/config", "sys/auth/gitlab"]) {
      expect(rights).not.toHaveProperty([path]);
    }
    expect(Object.keys(rights).filter((path) => path.includes("+"))).toEqual([]);
  }
});

test("the deployer has the groups' policies, each by name or id", () => {
  const more = { ...rightsOf("deployer", everything) };
  for (const path of Object.keys(rightsOf("deployer", { oldAccounts: ["old"] }))) delete more[path];
  expect(more).toEqual({
    "identity/group/name/AppSec Admins": "read",
    "identity/group/name/ldap/Team=Ü": "read",
    "identity/group/id/1f-2": 'read, update of "policies" = []',
    "identity/group/id/3a-4": 'read, update of "policies" = []',
  });
});

/** As Vault does: of a token's policies, an exact path replaces what patterns say of it. */
test.each(["admin", "deployer", "monitor"] as const)(
  "the %s has no exact path below data/ or metadata/ where it has patterns: it would replace them",
  (name) => {
    for (const path of Object.keys(rightsOf(name, { ...everything, ...alone }))) {
      if (/^kv\/apisec\/(data|metadata)\/./.test(path)) expect(path).toContain("/+/");
    }
  },
);

test("a token narrows its deployer's rights by policies of developers, jobs and consumers", () => {
  const policies = ["default", "apisec-prod-deployer", "apisec-prod-admin", "apisec-prod-monitor"];
  const narrowing = ["apisec-prod-developer", "apisec-prod-rotator", "apisec-prod-consumer.api"];
  const all = [...policies, ...narrowing, "apisec-prod-eu-developer"];
  expect(narrowingPolicies({ ...values, ...alone }, all)).toEqual(narrowing);
  expect(narrowingPolicies(values, all)).toEqual([]);
  expect(narrowingPolicies({ ...values, ...alone, ownsMount: false }, all)).toEqual([]);
});

describe("what is asked of Vault", () => {
  const given = { ...values, ...everything, ...alone };

  test.each(["deployer", "preview", "monitor"] as const)(
    "%s: each right of the policy, on paths without a pattern",
    (name) => {
      const asked = rightsAsked(name, given);
      expect([...asked.keys()].filter((path) => /[+*]/.test(path))).toEqual([]);
      const matches = (pattern: string, path: string) =>
        new RegExp(
          `^${pattern.replace(/[.]/g, "\\.").replace("+", "[^/]+").replace(/\*$/, ".*")}$`,
        ).test(path);
      for (const [pattern, rights] of Object.entries(rightsOf(name, given))) {
        if (pattern.endsWith("/metadata/") && name === "monitor") continue;
        const found = [...asked].filter(([path]) => matches(pattern, path));
        expect({ pattern, count: found.length > 0 }).toEqual({ pattern, count: true });
        for (const [path, capabilities] of found) {
          if (path.endsWith("/old/password")) continue;
          expect({ path, rights: capabilities.join(", ") }).toEqual({
            path,
            rights: rights.replace(/ of .*/, ""),
          });
        }
      }
    },
  );

  test("what is missing is named by path; root misses nothing", () => {
    const wanted = rightsAsked("deployer", given);
    const all = new Map(wanted);
    expect(missingRights(wanted, all)).toEqual([]);
    const root = new Map([...all.keys()].map((path) => [path, ["root"]]));
    expect(missingRights(wanted, root)).toEqual([]);
    all.set("kv/apisec/data/scanner/password", ["read"]);
    all.set("sys/mounts/kv/apisec", ["deny"]);
    expect(missingRights(wanted, all)).toEqual([
      "kv/apisec/data/scanner/password: create, update",
      "sys/mounts/kv/apisec: read, update",
    ]);
  });
});

test("the verifier reads passwords and writes a mark beside them, nothing else", () => {
  for (const sharesMount of [true, false]) {
    expect(rightsOf("verifier", { sharesMount })).toEqual({
      "kv/apisec/data/admin/password": "read",
      "kv/apisec/data/scanner/password": "read",
      "kv/apisec/metadata/admin/password": 'read, update of "custom_metadata" = []',
      "kv/apisec/metadata/scanner/password": 'read, update of "custom_metadata" = []',
      "auth/token/revoke-self": "update",
    });
  }
});

test("who hands a first password over can create that record, and read and change nothing", () => {
  expect(rightsOf("handover")).toEqual({
    "kv/apisec/data/scanner/password": 'create, update of "data" = [], "options" = [{"cas" = "0"}]',
    "kv/apisec/metadata/scanner/password":
      'create of "cas_required" = [true], "max_versions" = ["10"], "delete_version_after" = ["0s"], "custom_metadata" = []',
    "auth/token/revoke-self": "update",
  });
});

test("a consumer reads the tokens it was given, and ends its login", () => {
  expect(rightsOf("consumer")).toEqual({
    "kv/apisec/data/scanner/token": "read",
    "auth/token/revoke-self": "update",
  });
});

test("the previewer reads no secret", () => {
  for (const [path, rights] of Object.entries(rightsOf("preview", everything))) {
    expect(path).not.toMatch(/\/(data|metadata)\//);
    if (!/^(auth\/token\/create|sys\/capabilities-self)$/.test(path)) expect(rights).toBe("read");
  }
});

test("the monitor sees settings, names and dates, and no value of any key", () => {
  for (const more of [{}, alone]) {
    const { "sys/capabilities-self": itself, ...all } = rightsOf("monitor", more);
    expect(itself).toBe("update");
    for (const [path, rights] of Object.entries(all)) {
      expect(path).not.toContain("/data/");
      expect(rights).toBe(path.endsWith("/") ? "list" : "read");
    }
    const lists = Object.keys(all).filter((path) => path.endsWith("/"));
    const names = ["sys/policies/acl/", "auth/gitlab/role/"];
    expect(lists).toEqual(more === alone ? ["kv/apisec/metadata/", ...names] : names);
  }
});

describe.each(everyPolicy)("%s", (name) => {
  test("begins with its owner's marker, has no pattern but those of consumers and no placeholder left", () => {
    const text = renderPolicy(name, { ...values, ...everything });
    expect(text.split("\n")[0]).toBe("# managed by apisec-credentials/prod for gitlab.com/42");
    expect(text.replaceAll("-consumer.*", "")).not.toMatch(/path "[^"]*[*+$]/);
    expect(text.endsWith("}\n")).toBe(true);
  });

  test("never deletes, undeletes, destroys or patches a secret", () => {
    for (const [path, rights] of Object.entries(rightsOf(name, everything))) {
      expect(rights).not.toContain("patch");
      expect(path).not.toMatch(/\/(delete|undelete|destroy)\//);
      if (path.startsWith("kv/apisec/")) expect(rights).not.toMatch(/\bdelete(,|$)/);
    }
  });

  test("says each comment once, however many accounts there are", () => {
    const accounts = ["a", "b", "c"];
    const lists = { accounts, publishedAccounts: accounts, consumerAccounts: accounts };
    const text = renderPolicy(name, { ...values, ...everything, ...lists });
    const comments = text.split("\n").filter((line) => line.startsWith("#"));
    expect(new Set(comments).size).toBe(comments.length);
  });

  test("is not written where a value would be read as something else", () => {
    for (const odd of ["", "a*", "+", "a/+/b", 'a"', "a\n", "${mount}", "../a", "a b", "a}"]) {
      const names = {
        ...{ accounts: [odd], publishedAccounts: [odd], consumerAccounts: [odd] },
        handoverAccount: odd,
      };
      const everywhere = { ...names, mount: odd, authPath: odd };
      expect(() => renderPolicy(name, { ...values, ...everywhere })).toThrow(
        /^A policy placeholder cannot be filled: \w+$/,
      );
    }
  });
});

test.each([
  'x" { capabilities = ["sudo"] }\npath "*',
  "*",
  "a*",
  "+",
  "a/+/b",
  "{{identity.entity.id}}",
  "../acl",
  "a\nb",
  "a\u0000",
  "",
])("no policy is written for a group or id named %j", (odd) => {
  for (const evil of [{ groups: [odd] }, { groupIds: [odd] }]) {
    expect(() => renderPolicy("deployer", { ...values, ...evil })).toThrow(
      /^A policy placeholder cannot be filled: (group|groupId)$/,
    );
  }
});

test.each(["R&D (AppSec)", "ACME\\AppSec", 'x" { } path "y', "${mount}", "a#", "a+b", "a*b"])(
  "group %j is named by its path and no other",
  (group) => {
    const paths = (name: string) =>
      [
        ...renderPolicy("monitor", { ...values, groups: [name] }).matchAll(/^path (".*") \{$/gm),
      ].map(([, path = ""]) => JSON.parse(path) as string);
    expect(paths(group)).toEqual(paths("plain").map((path) => path.replace("plain", () => group)));
    expect(paths(group)).toContain(`identity/group/name/${group}`);
    // An id is given by Vault, which knows no such ids.
    const evil = { ...values, groupIds: [group] };
    expect(() => renderPolicy("deployer", evil)).toThrow(/cannot be filled/);
  },
);

test("the values come from the configuration", () => {
  const accounts = [
    { name: "admin", username: "a", publishToken: false },
    { name: "scanner", username: "s", changedBy: "admin", renamedFrom: "scan" },
  ];
  const keys = {
    ...{ accounts, mount: "kv", policyPrefix: "creds", createMount: false },
    ...{ adminGroups: ["a", "b"], developerGroups: ["b", "c"] },
    consumers: [{ name: "api", project: "payments/api" }],
  };
  expect(policyValues(readConfig(sourceOf(keys)))).toEqual({
    project: "apisec-credentials",
    stack: "prod",
    prefix: "creds",
    mount: "kv",
    ownsMount: false,
    sharesMount: false,
    authPath: "gitlab",
    ownsAuth: true,
    accounts: ["admin", "scanner"],
    publishedAccounts: ["scanner"],
    oldAccounts: ["scan"],
    consumers: ["api"],
    tokenKept: "23h30m0s",
    groups: ["a", "b", "c"],
  });
  expect(policyName("creds", "prod", "developer")).toBe("creds-prod-developer");
});
