import { readConfig } from "../../config";
import { policyName } from "../../desired/names";
import { renderPolicy } from "../../desired/policies";
import type { PolicyName, PolicyValues } from "../../desired/policies";
import { policyValues } from "../../desired/policyValues";
import { sourceOf } from "../support/configSource";

const values: PolicyValues = {
  project: "apisec-credentials",
  stack: "prod",
  prefix: "apisec",
  mount: "kv/apisec",
  ownsMount: true,
  authPath: "gitlab",
  ownsAuth: true,
  accounts: ["admin", "scanner"],
  publishedAccounts: ["scanner"],
  oldAccounts: [],
  consumers: [],
  consumerAccounts: ["scanner"],
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
  ...(["deployer", "preview", "monitor"] as const),
];

/** The rights of a policy, by path. Anything but comments and plain path blocks is an error. */
function rightsOf(name: PolicyName, changed: Partial<PolicyValues> = {}): Record<string, string> {
  const text = renderPolicy(name, { ...values, ...changed });
  const block =
    /path "([^"]+)" \{\n {2}capabilities = \[("\w+"(?:, "\w+")*)\]\n(?: {2}allowed_parameters = \{\n {4}"(\w+)" = \[\]\n {2}\}\n)?\}\n/g;
  expect(text.replace(block, "").replace(/^#.*$/gm, "").trim()).toBe("");
  const blocks = [...text.matchAll(block)].map(([, path = "", rights = "", parameter]) => [
    path,
    rights.replaceAll('"', "") + (parameter === undefined ? "" : ` of ${parameter}`),
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

test("the rotation job reads passwords, writes tokens, ends itself", () => {
  expect(rightsOf("rotator")).toEqual({
    "kv/apisec/data/scanner/password": "read",
    "kv/apisec/data/scanner/token": "create, read, update",
    "auth/token/revoke-self": "update",
  });
});

test("the deployer has this stack's secrets, policies, role and mounts, each by name", () => {
  const write = "create, read, update";
  expect(rightsOf("deployer", { oldAccounts: ["scan"] })).toEqual({
    "kv/apisec/data/admin/password": write,
    "kv/apisec/data/scanner/password": write,
    "kv/apisec/data/admin/token": write,
    "kv/apisec/data/scanner/token": write,
    "kv/apisec/metadata/admin/password": write,
    "kv/apisec/metadata/scanner/password": write,
    "kv/apisec/metadata/admin/token": write,
    "kv/apisec/metadata/scanner/token": write,
    "kv/apisec/data/scan/password": "read",
    "sys/mounts/kv/apisec": write,
    "sys/mounts/kv/apisec/tune": "read, update",
    "kv/apisec/config": "read",
    "sys/mounts": "read",
    "sys/auth/gitlab": "create, read, update, delete, sudo",
    "sys/auth": "read",
    "sys/mounts/auth/gitlab": "read",
    "sys/mounts/auth/gitlab/tune": "read, update",
    "auth/gitlab/config": write,
    "auth/gitlab/role/apisec-prod-rotator": `${write}, delete`,
    "sys/policies/acl/apisec-prod-admin": `${write}, delete`,
    "sys/policies/acl/apisec-prod-developer": `${write}, delete`,
    "sys/policies/acl/apisec-prod-rotator": `${write}, delete`,
    "auth/token/create": "update",
    "auth/token/lookup-self": "read",
    "auth/token/revoke-self": "update",
  });
});

test("the deployer changes no mount that the stack only uses", () => {
  const rights = rightsOf("deployer", { ownsMount: false, ownsAuth: false });
  expect(rights["sys/mounts/kv/apisec"]).toBe("read");
  expect(rights["sys/auth/gitlab"]).toBe("read, sudo");
  for (const path of ["sys/mounts/kv/apisec/tune", "auth/gitlab/config"]) {
    expect(rights).not.toHaveProperty([path]);
  }
});

test("the deployer has roles and policies of the consumers, and the groups' policies, each by name or id", () => {
  const own = "create, read, update, delete";
  const more = { ...rightsOf("deployer", everything) };
  for (const path of Object.keys(rightsOf("deployer", { oldAccounts: ["old"] }))) delete more[path];
  expect(more).toEqual({
    "auth/gitlab/role/apisec-prod-consumer.api": own,
    "auth/gitlab/role/apisec-prod-consumer.all": own,
    "sys/policies/acl/apisec-prod-consumer.api": own,
    "sys/policies/acl/apisec-prod-consumer.all": own,
    "identity/group/name/AppSec Admins": "read",
    "identity/group/name/ldap/Team=Ü": "read",
    "identity/group/id/1f-2": "read, update of policies",
    "identity/group/id/3a-4": "read, update of policies",
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
    if (!path.startsWith("auth/token/")) expect(rights).toMatch(/^read(, sudo)?$/);
  }
});

test("the monitor sees settings and dates, and no value of any key", () => {
  for (const [path, rights] of Object.entries(rightsOf("monitor", { consumers: ["ci"] }))) {
    expect(path).not.toContain("/data/");
    if (/^(auth\/token\/|sys\/capabilities-self$)/.test(path)) expect(rights).toBe("update");
    else expect(rights).toMatch(/^read(, sudo)?$/);
  }
});

describe.each(everyPolicy)("%s", (name) => {
  test("begins with its owner's marker, has no pattern and no placeholder left", () => {
    const text = renderPolicy(name, { ...values, ...everything });
    expect(text.split("\n")[0]).toBe("# managed by apisec-credentials/prod");
    expect(text).not.toMatch(/path "[^"]*[*+$]/);
    expect(text.endsWith("}\n")).toBe(true);
  });

  test("never deletes, undeletes, destroys or patches a secret", () => {
    for (const [path, rights] of Object.entries(rightsOf(name, everything))) {
      expect(rights).not.toContain("patch");
      expect(path).not.toMatch(/\/(delete|undelete|destroy)\//);
      if (path.startsWith("kv/apisec/")) expect(rights).not.toContain("delete");
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
      const names = { accounts: [odd], publishedAccounts: [odd], consumerAccounts: [odd] };
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
  "a\\",
  "${mount}",
  "../acl",
  "a\nb",
  "a\u0000",
  "a#",
  "",
])("no policy is written for a group, id or consumer named %j", (odd) => {
  for (const evil of [{ groups: [odd] }, { groupIds: [odd] }, { consumers: [odd] }]) {
    expect(() => renderPolicy("deployer", { ...values, ...evil })).toThrow(
      /^A policy placeholder cannot be filled: (group|groupId|consumer)$/,
    );
  }
});

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
    authPath: "gitlab",
    ownsAuth: true,
    accounts: ["admin", "scanner"],
    publishedAccounts: ["scanner"],
    oldAccounts: ["scan"],
    consumers: ["api"],
    groups: ["a", "b", "c"],
  });
  expect(policyName("creds", "prod", "developer")).toBe("creds-prod-developer");
});
