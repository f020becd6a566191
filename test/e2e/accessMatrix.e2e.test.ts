import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tryRight } from "../../lab/access";
import type { Right } from "../../lab/access";
import { accessMatrix, pathsOf, personas } from "../../lab/accessMatrix";
import type { Capability, Persona, Row } from "../../lab/accessMatrix";
import { run } from "../../lab/process";
import { tokenWith } from "../../lab/world";
import { idToken, logIn } from "../support/idTokens";
import { devConfig, startTestLab } from "../support/lab";
import type { TestLab } from "../support/lab";
import type { TestStack } from "../support/stack";

const root = join(__dirname, "..", "..");
const methods = {
  read: "GET",
  list: "LIST",
  update: "POST",
  patch: "PATCH",
  delete: "DELETE",
} as const;
type Verb = keyof typeof methods;
const verbs = Object.keys(methods) as Verb[];

let lab: TestLab;
let dev: TestStack;
const tokens = {} as Record<Persona, string>;
let tried = 0;

/** The rotation job's token, bought as the job buys it. */
async function rotatorOf(stack: string): Promise<string> {
  const { auth, problem } = await logIn(lab, stack, await idToken(lab, stack));
  if (auth === undefined) throw new Error(problem);
  return auth.client_token;
}

type Printed = "deployer" | "preview" | "monitor" | "verifier" | "handover";

async function policyOf(name: Printed, stack: string, ...more: string[]): Promise<string> {
  const args = ["cli/bin.js", "policy", name, "--stack", stack, ...more];
  const { stdout, stderr } = await run(process.execPath, args, { cwd: lab.program, env: lab.env });
  if (stdout === "") throw new Error(stderr);
  return tokenWith(lab.world.vault, `apisec-${stack}-${name}`, stdout);
}

/** The account that is handed over stands in config before it stands in Vault. */
async function handoverOf(account: string): Promise<string> {
  const config = devConfig(lab.world);
  const added = { name: account, username: `${account}@acme.example` };
  lab.writeConfig("dev", { ...config, accounts: [...(config["accounts"] as object[]), added] });
  const token = await policyOf("handover", "dev", "--account", account);
  lab.writeConfig("dev", config);
  return token;
}

async function otherStack(username: string, more: object): Promise<TestStack> {
  const { world } = lab;
  const name = username.split("@")[0] ?? "";
  const other = { username, password: `First-of-${name}`, userId: `u-${name}` };
  await lab.apisec("POST", "accounts", [
    { ...other, name: "other", org: { id: "org-1", name: "Acme" }, roles: ["ROLE_ADMIN"] },
  ]);
  const config = {
    ...devConfig(world),
    accounts: [{ name: "other", username, acceptAdminToken: true }],
    ...{ createAuth: false, manageProjectFiles: false },
    ...more,
  };
  const stack = await lab.stack("qa", config, { other: other.password });
  await stack.up();
  return stack;
}

async function everybody(): Promise<Record<Persona, string>> {
  const page = readFileSync(join(root, "docs/consumers.md"), "utf8");
  const consumer = /'(path "apisec\/data\/scanner\/token" \{.*\})'/.exec(page)?.[1];
  const { vault } = lab.world;
  return {
    admin: await tokenWith(vault, "apisec-dev-admin"),
    developer: await tokenWith(vault, "apisec-dev-developer"),
    consumer: await tokenWith(vault, "scanner-token", consumer),
    rotator: await rotatorOf("dev"),
    deployer: await policyOf("deployer", "dev"),
    preview: await policyOf("preview", "dev"),
    monitor: await policyOf("monitor", "dev"),
    verifier: await policyOf("verifier", "dev"),
    handover: await handoverOf("new"),
    "other rotator": await rotatorOf("qa"),
    "other deployer": await policyOf("deployer", "qa"),
  };
}

beforeAll(async () => {
  lab = await startTestLab();
  const { world } = lab;
  dev = await lab.stack("dev", devConfig(world), world.secrets.firstPasswords);
  await dev.up();
  await otherStack("other@acme.example", { mount: "apisec-qa" });
  await lab.asRoot("POST", "sys/mounts/elsewhere", { type: "kv", options: { version: "2" } });
  Object.assign(tokens, await everybody());
}, 240_000);

afterAll(() => lab?.stop());

test("docs/security.md shows this table", async () => {
  const args = ["-r", "./build/typescript.js", "build/docTables.ts", "--check"];
  const { code, stderr } = await run(process.execPath, args, { cwd: root, env: process.env });
  expect(stderr).toBe("");
  expect(code).toBe(0);
});

/** A call that would change nothing even where it is allowed, but for `delete`. */
function rightTo(verb: Verb | "create", path: string): Right {
  const changing = ["create", "update", "patch"].includes(verb);
  const body = path.includes("/data/")
    ? { options: { cas: 999_999 }, data: { probe: true } }
    : /^apisec\/(delete|undelete|destroy)\//.test(path)
      ? { versions: [999] }
      : {};
  return {
    name: `${verb} ${path}`,
    method: verb === "create" ? "POST" : methods[verb],
    path,
    ...(changing && { body }),
  };
}

async function capabilitiesOn(token: string, paths: string[]): Promise<Record<string, string[]>> {
  const { body } = await lab.asRoot("POST", "sys/capabilities", { token, paths });
  return (body as { data: Record<string, string[]> }).data;
}

const sorted = (list: string[] = []) => list.filter((one) => one !== "deny").sort();

async function verdictsFor(
  { place, may, absent = false, bound = [] }: Row,
  persona: Persona | "nobody",
) {
  const allowed = persona === "nobody" ? [] : (may[persona] ?? []);
  const token = persona === "nobody" ? "" : tokens[persona];
  for (const path of pathsOf(place)) {
    const found: Capability[] = [];
    for (const verb of verbs) {
      // Vault refuses to write to a folder before it asks who wants to.
      if (path.endsWith("/") && verb !== "read" && verb !== "list") continue;
      // What may be deleted is deleted by the last test.
      if (verb === "delete" && allowed.includes("delete")) continue;
      tried += 1;
      const verdict = await tryRight(lab.world.vault.address, token, rightTo(verb, path));
      if (verdict === "yes") found.push(verb);
    }
    const isAllowed = (verb: Verb) =>
      allowed.includes(absent && verb === "update" ? "create" : verb);
    const isBound = (verb: Verb) => verb === "update" && bound.some((one) => one === persona);
    const expected = verbs.filter((verb) => verb !== "delete" && isAllowed(verb) && !isBound(verb));
    expect({ persona, path, may: found }).toEqual({ persona, path, may: expected });
  }
}

async function tryRow(row: Row): Promise<void> {
  const paths = pathsOf(row.place);
  for (const persona of personas) {
    const said = await capabilitiesOn(tokens[persona], paths);
    for (const path of paths) {
      expect({ persona, path, may: sorted(said[path]) }).toEqual({
        persona,
        path,
        may: sorted(row.may[persona]),
      });
    }
  }
  for (const persona of personas) await verdictsFor(row, persona);
  await verdictsFor(row, "nobody");
}

test.each(accessMatrix("own"))("tried for real and asked of Vault: $place", tryRow);

test("a key whose versions are deleted is created again by who may create it", async () => {
  // The rows above have ended what may end itself.
  Object.assign(tokens, await everybody());
  const rows = accessMatrix("own").filter(
    ({ place, absent }) => !absent && /^apisec\/data\//.test(place),
  );
  for (const { place, may } of rows) {
    for (const path of pathsOf(place)) {
      await lab.asRoot("DELETE", path);
      for (const persona of personas) {
        tried += 1;
        const right = rightTo("create", path);
        const verdict = await tryRight(lab.world.vault.address, tokens[persona], right);
        const expected = may[persona]?.includes("create") ? "yes" : "no";
        expect({ path, persona, verdict }).toEqual({ path, persona, verdict: expected });
      }
      const undelete = path.replace("/data/", "/undelete/");
      await lab.asRoot("POST", undelete, { versions: [1, 2, 3] });
    }
  }
});

describe("the deployer, who may write settings", () => {
  const status = async (method: string, path: string, body: object) =>
    (await lab.world.vault.request(tokens.deployer, method, path, body)).status;
  const password = "apisec/metadata/scanner/password";
  const token = "apisec/metadata/scanner/token";

  test.each<[string, object]>([
    [password, { max_versions: "1" }],
    [password, { max_versions: 1 }],
    [password, { max_versions: 10 }],
    [password, { max_versions: "10", delete_version_after: "1s" }],
    [password, { delete_version_after: "1s" }],
    [password, { delete_version_after: 1 }],
    [password, { cas_required: false }],
    [password, { cas_required: "false" }],
    [token, { max_versions: "1" }],
    [token, { delete_version_after: "1s" }],
    [token, { cas_required: false }],
    [token, { custom_metadata: { note: "x" } }],
    ["sys/mounts/apisec/tune", { audit_non_hmac_request_keys: ["data"] }],
    ["sys/mounts/apisec/tune", { audit_non_hmac_response_keys: ["data"] }],
    ["sys/mounts/apisec/tune", { passthrough_request_headers: ["X-Vault-Token"] }],
    ["sys/mounts/apisec/tune", { max_lease_ttl: "1s" }],
    ["sys/mounts/apisec/tune", { options: { version: "1" } }],
    ["sys/mounts/apisec/tune", { description: "somebody else's" }],
    ["sys/mounts/auth/gitlab/tune", { listing_visibility: "unauth" }],
    ["sys/remount", { from: "apisec", to: "elsewhere" }],
  ])("cannot write to %s: %j", async (path, body) => {
    const before = await lab.asRoot("GET", path);
    expect(await status("POST", path, body)).toBe(403);
    expect(await status("PUT", path, body)).toBe(403);
    expect(await lab.asRoot("GET", path)).toMatchObject({ status: before.status });
  });

  test("can write what `up` declares, and a mark beside a password", async () => {
    const own = { cas_required: true, max_versions: "10", delete_version_after: "0s" };
    expect(await status("POST", password, own)).toBe(204);
    expect(await status("POST", password, { custom_metadata: { version: "1" } })).toBe(204);
    const { body } = await lab.asRoot("GET", password);
    expect(body).toMatchObject({
      data: { cas_required: true, max_versions: 10, custom_metadata: { version: "1" } },
    });
    for (const delete_version_after of ["23h30m0s", "0s", "23h30m0s"]) {
      const settings = { cas_required: true, delete_version_after };
      expect(await status("POST", token, settings)).toBe(204);
    }
    const tune = { options: { version: "2" }, default_lease_ttl: "0s", max_lease_ttl: "0s" };
    const { body: mount } = await lab.asRoot("GET", "sys/mounts/apisec");
    const { description } = (mount as { data: { description: string } }).data;
    expect(await status("POST", "sys/mounts/apisec/tune", { ...tune, description })).toBe(204);
    expect(await status("POST", "sys/mounts/apisec/tune", tune)).toBe(204);
  });
});

test("the verifier writes a mark beside a password, and no setting of it", async () => {
  const path = "apisec/metadata/scanner/password";
  const write = async (body: object) =>
    (await lab.world.vault.request(tokens.verifier, "POST", path, body)).status;
  expect(await write({ custom_metadata: { verified_at: "2026-11-28T00:00:00Z" } })).toBe(204);
  for (const setting of [{ max_versions: "1" }, { cas_required: true }, { max_versions: "10" }]) {
    expect(await write(setting)).toBe(403);
    expect(await write({ custom_metadata: { verified_at: "x" }, ...setting })).toBe(403);
  }
});

test("a first password is handed over once, where there never was one, and its key's settings before", async () => {
  const write = async (path: string, body: object) =>
    (await lab.world.vault.request(tokens.handover, "POST", path, body)).status;
  const [data, metadata] = ["apisec/data/new/password", "apisec/metadata/new/password"];
  const record = { username: "new@acme.example", generation: 0 };
  const settings = { cas_required: true, max_versions: "10", delete_version_after: "0s" };
  expect(await write("apisec/data/new/token", { options: { cas: "0" }, data: record })).toBe(403);
  for (const wrong of [{ max_versions: "1" }, { delete_version_after: "1s" }]) {
    expect(await write(metadata, { ...settings, ...wrong })).toBe(403);
  }
  expect(await write(metadata, { ...settings, custom_metadata: { owner: "x/y" } })).toBe(204);
  // Once only: a mark that says more than this is not the hand-over's.
  expect(await write(metadata, { custom_metadata: { owner: "a/b" } })).toBe(403);
  for (const options of [undefined, {}, { cas: 0 }, { cas: "1" }, { cas: 1 }]) {
    expect(await write(data, { options, data: record })).toBe(403);
  }
  expect(await write(data, { options: { cas: "0" }, data: record })).toBe(200);
  expect(await write(data, { options: { cas: "0" }, data: record })).toBe(400);
  expect(await write(data, { options: { cas: "1" }, data: record })).toBe(403);
  await lab.asRoot("DELETE", data);
  expect(await write(data, { options: { cas: "0" }, data: record })).toBe(400);
  expect(await write(data, { options: { cas: "1" }, data: record })).toBe(403);
  await lab.asRoot("DELETE", metadata);
});

test("an exact path takes the place of `+`, also from another policy of the token", async () => {
  const { vault } = lab.world;
  const both = async (other: Printed | "developer", ...more: string[]) => {
    const policies = ["apisec-dev-deployer", `apisec-dev-${other}`, ...more];
    const body = { policies, no_default_policy: true };
    const { body: answer } = await lab.asRoot("POST", "auth/token/create", body);
    return (answer as { auth: { client_token: string } }).auth.client_token;
  };
  const may = async (token: string, path: string) =>
    sorted((await capabilitiesOn(token, [path]))[path]);
  const written = "apisec/data/scanner/token";
  expect(await may(await both("monitor"), written)).toEqual(["create", "read", "update"]);
  const narrowed = await both("developer");
  expect(await may(narrowed, written)).toEqual(["read"]);
  const cas = { options: { cas: 999_999 }, data: { probe: true } };
  expect((await vault.request(narrowed, "POST", written, cas)).status).toBe(403);
});

test("the job of one stack gets nothing of the other, whatever its settings say", async () => {
  await lab.apisec("DELETE", "requests");
  for (const [mine, theirs] of [
    ["dev", "other"],
    ["qa", "scanner"],
  ] as const) {
    const job = async (role: string) =>
      run(process.execPath, [join(root, "dist", "rotate.mjs")], {
        cwd: lab.env["HOME"] ?? "",
        env: {
          VAULT_ADDR: lab.world.vault.address,
          VAULT_AUTH_PATH: "gitlab",
          VAULT_AUTH_ROLE: `apisec-${role}-rotator`,
          VAULT_ID_TOKEN: await idToken(lab, mine),
          APISEC_MOUNT: "apisec",
          APISEC_ACCOUNTS: theirs,
          APISEC_REPORT: "/dev/null",
        },
      });
    const denied = await job(mine);
    expect(denied.stderr).toMatch(/Vault denies GET apisec\/data\/\w+\/(password|token) \(403\)/);
    expect(denied.code).toBe(3);
    const refused = await job(mine === "dev" ? "qa" : "dev");
    expect(refused.stderr).toMatch(/Vault refuses the login with role/);
    expect(refused.code).toBe(3);
  }
  expect(await lab.apisec("GET", "requests")).toMatchObject({ requests: [] });
});

test("who may only preview can preview, and sees that there is nothing to do", async () => {
  const VAULT_TOKEN = await policyOf("preview", "dev");
  const { code, stdout, stderr } = await lab.pulumi(
    ["preview", "--stack", "dev", "--expect-no-changes"],
    { VAULT_TOKEN },
  );
  expect(stdout + stderr).toMatch(/\d+ unchanged/);
  expect(code).toBe(0);
});

test("what the deployer may delete comes back with the next up", async () => {
  const may = (row: Row) => row.may.deployer?.includes("delete");
  const paths = accessMatrix("own")
    .filter(may)
    .flatMap(({ place }) => pathsOf(place));
  // The auth mount last: its role goes with it.
  for (const path of paths.sort(
    (a, b) => Number(a === "sys/auth/gitlab") - Number(b === "sys/auth/gitlab"),
  )) {
    tried += 1;
    const verdict = await tryRight(
      lab.world.vault.address,
      tokens.deployer,
      rightTo("delete", path),
    );
    expect({ path, verdict }).toEqual({ path, verdict: "yes" });
    expect((await lab.asRoot("GET", path)).status).toBeGreaterThanOrEqual(400);
  }
  const deployer = await policyOf("deployer", "dev");
  lab.env["VAULT_TOKEN"] = deployer;
  await dev.up({ refresh: true });
  await expect(rotatorOf("dev")).resolves.toMatch(/./);
  expect(tried).toBeGreaterThan(2_000);
});
