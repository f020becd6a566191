import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { renderPolicy } from "../../desired/policies";
import type { PolicyName, PolicyValues } from "../../desired/policies";
import { rightsOf } from "../../desired/rights";
import { askedByPlugin, askedOfVault } from "../support/askedRights";
import type { Asked } from "../support/askedRights";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import type { TestStack } from "../support/stack";

/** Rights that nobody asked in what is run here, and why a policy has them all the same. */
const unasked: Record<string, string> = {
  "create apisec/data/+/password":
    "a key's settings come first, so that each write is an update; Vault asks `create` where they are gone",
  "create apisec/data/+/token": "likewise",
  "update sys/capabilities-self": "a preview may ask it, to warn of what `up` would lack",
  "list apisec/metadata/": "a check may look for accounts that config does not know",
  "list sys/policies/acl/": "likewise for consumers",
  "list auth/gitlab/role/": "likewise",
};

let lab: TestLab;
let stack: TestStack;
let values: PolicyValues;
let plugin: Asked;

/** One of the program's commands, which has to look and to say what it saw, whatever that was. */
async function command(name: string, args: string[], env: Record<string, string> = {}) {
  const all = ["cli/bin.js", name, ...args, "--stack", "dev"];
  const ran = await run(process.execPath, all, { cwd: lab.program, env: { ...lab.env, ...env } });
  if (ran.stdout === "") throw new Error(`${name}: ${ran.code} ${ran.stderr}`);
  return ran;
}

async function tokenOf(policy: "preview" | "monitor"): Promise<string> {
  const { stdout } = await command("policy", [policy]);
  return tokenWith(lab.world.vault, `apisec-dev-${policy}`, stdout);
}

function config(changed: object = {}): Record<string, unknown> {
  return {
    ...devConfig(lab.world),
    consumers: [{ name: "api", project: "shop/api" }],
    developerGroups: ["developers"],
    ...changed,
  };
}

/** All that a stack goes through, with no more than its policies. */
beforeAll(async () => {
  lab = await startTestLab();
  const { world } = lab;
  const answer = await lab.asRoot("POST", "identity/group", { name: "developers" });
  const groupId = (answer.body as { data: { id: string } }).data.id;
  await fetch(`${world.gitlab.url}/-/lab/projects`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ path: "shop/api", members: { "rotation-bot": "reporter" } }),
  });
  // The group's id is looked up for the deployer's policy.
  lab.env["VAULT_TOKEN"] = world.vault.rootToken;
  stack = await lab.stack("dev", config(), world.secrets.firstPasswords);
  await command("doctor", []);
  await stack.up();
  await lab.pulumi(["preview", "--stack", "dev"], { VAULT_TOKEN: await tokenOf("preview") });
  await command("check", [], { VAULT_TOKEN: await tokenOf("monitor") });
  await command("rotate", ["--account", "scanner"]);
  const { accounts } = config() as { accounts: object[] };
  // As adding an account and taking one away: nobody writes a policy for it.
  const renamed = { ...accounts[1], name: "scan", renamedFrom: "scanner", passwordGeneration: 2 };
  lab.writeConfig("dev", config({ accounts: [accounts[0], renamed], consumers: [] }));
  // A key's settings that were changed by hand are put right.
  await lab.asRoot("POST", "apisec/metadata/admin/password", { cas_required: false });
  await lab.asRoot("POST", "apisec/metadata/scan/token", { delete_version_after: "1h" });
  await stack.up({ refresh: true });
  await stack.preview({ refresh: true });
  await stack.destroy();

  values = {
    ...{ project: "apisec-credentials", stack: "dev", prefix: "apisec" },
    ...{ mount: "apisec", ownsMount: true, sharesMount: false },
    ...{ authPath: "gitlab", ownsAuth: true },
    ...{ accounts: ["admin", "scanner"], publishedAccounts: ["scanner"], oldAccounts: [] },
    ...{ consumers: ["api"], groups: ["developers"], groupIds: [groupId], tokenKept: "23h30m0s" },
  };
  const own = ["admin", "developer", "rotator"].map((role) => `apisec-dev-${role}`);
  plugin = askedByPlugin({
    mount: "apisec",
    authPath: "gitlab",
    policies: [...own, "apisec-dev-consumer.api"],
    roles: ["apisec-dev-rotator", "apisec-dev-consumer.api"],
    groupIds: [groupId],
  });
}, 600_000);

afterAll(() => lab?.stop());

/** Whether a policy's path is that one; `+` is one segment, `*` at the end whatever follows. */
function covers(pattern: string, path: string): boolean {
  const text = pattern
    .replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
    .replaceAll("\\+", "[^/]+")
    .replace(/\\\*$/, ".*");
  return new RegExp(`^${text}/?$`).test(path);
}

/** The two differences between what a policy gives and what was asked. */
function compared(name: PolicyName, asked: Asked) {
  const rights = rightsOf(renderPolicy(name, values));
  const given = [...rights].flatMap(([path, capabilities]) =>
    // Needed beside what is asked: the next test shows it.
    capabilities.filter((one) => one !== "sudo").map((capability) => ({ capability, path })),
  );
  const all = [...asked].map((one) => {
    const [capability = "", path = ""] = one.split(/ (.*)/);
    return { capability, path };
  });
  const fits = (right: (typeof given)[number], one: (typeof all)[number]) =>
    right.capability === one.capability && covers(right.path, one.path);
  const text = ({ capability, path }: (typeof all)[number]) => `${capability} ${path}`;
  return {
    missing: all.filter((one) => !given.some((right) => fits(right, one))).map(text),
    superfluous: given
      .filter((right) => !all.some((one) => fits(right, one)))
      .map(text)
      .filter((one) => !(one in unasked)),
  };
}

const none = { missing: [], superfluous: [] };

test("the deployer may do what the official plugin and this program ask, and nothing else", () => {
  const { asked, denied } = askedOfVault(lab.world.vault.auditLog, "apisec-dev-deployer");
  expect(denied).toEqual([]);
  expect(asked.size).toBeGreaterThan(20);
  expect(plugin.size).toBeGreaterThan(30);
  expect(compared("deployer", new Set([...asked, ...plugin]))).toEqual(none);
});

test("who previews may do what a preview asks, and nothing else", () => {
  const { asked, denied } = askedOfVault(lab.world.vault.auditLog, "apisec-dev-preview");
  expect(denied).toEqual([]);
  // Without --refresh the plugin asks nothing but its token.
  const token = [...plugin].filter((one) => one.includes(" auth/token/"));
  expect(compared("preview", new Set([...asked, ...token]))).toEqual(none);
});

test("the monitor may do what `check` asks, and nothing else", () => {
  const { asked, denied } = askedOfVault(lab.world.vault.auditLog, "apisec-dev-monitor");
  expect(denied).toEqual([]);
  expect(compared("monitor", asked)).toEqual(none);
});

test("an auth mount takes sudo to make and to remove, and none to read", async () => {
  const { vault } = lab.world;
  const rule = (path: string, capabilities: string[]) =>
    `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }\n`;
  const all = ["create", "read", "update", "delete"];
  const policy = rule("sys/auth/other", all) + rule("sys/mounts/auth/other", ["read"]);
  const token = await tokenWith(vault, "without-sudo", policy);
  const call = async (method: string, path: string) =>
    (await vault.request(token, method, path, method === "POST" ? { type: "jwt" } : undefined))
      .status;
  expect(await call("POST", "sys/auth/other")).toBe(403);
  await lab.asRoot("POST", "sys/auth/other", { type: "jwt" });
  expect(await call("DELETE", "sys/auth/other")).toBe(403);
  expect(await call("GET", "sys/auth/other")).toBe(403);
  expect(await call("GET", "sys/mounts/auth/other")).toBe(200);
});
