import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { RunError } from "@pulumi/pulumi";
import { readConfig } from "../../config/readConfig";
import { preflight } from "../../checks/preflight";
import { sourceOf } from "../support/configSource";

interface Answer {
  status: number;
  body?: unknown;
}

const token = "hvs.canary-token";
const absent = { status: 404, body: { errors: [] } };
const mount = {
  type: "kv",
  options: { version: "2" },
  description: "APIsec passwords and tokens, managed by apisec-credentials/prod",
};
const auth = {
  type: "jwt",
  description: "Logins of GitLab jobs, managed by apisec-credentials/prod",
};
const found = (data: object): Answer => ({ status: 200, body: { data } });
const marked = (marker: string) => found({ policy: `${marker}\npath "x" {}\n` });

/** A Vault in which nothing of this stack is there yet. */
const fresh: Record<string, Answer> = {
  "sys/mounts/apisec": { status: 400, body: { errors: ["No secret engine mount at apisec/"] } },
  "sys/mounts/auth/gitlab": {
    status: 400,
    body: { errors: ["No secret engine mount at auth/gitlab/"] },
  },
  "sys/policies/acl/apisec-prod-admin": absent,
  "sys/policies/acl/apisec-prod-developer": absent,
  "sys/policies/acl/apisec-prod-rotator": absent,
};
/** A Vault after the stack's first `up`. */
const ours: Record<string, Answer> = {
  "sys/mounts/apisec": found(mount),
  "apisec/config": found({ delete_version_after: "0s" }),
  "sys/mounts/auth/gitlab": found(auth),
  "sys/policies/acl/apisec-prod-admin": marked("# managed by apisec-credentials/prod"),
  "sys/policies/acl/apisec-prod-developer": marked("# managed by apisec-credentials/prod"),
  "sys/policies/acl/apisec-prod-rotator": marked("# managed by apisec-credentials/prod "),
};

const upgrade: Answer = {
  status: 400,
  body: { errors: ["Upgrading from non-versioned to versioned data. This backend will be …"] },
};

let server: Server;
/** So many answers are those of a mount that was just made. */
let upgrading = 0;
let address: string;
let answers: Record<string, Answer>;
let asked: { method: string; path: string; token: unknown; namespace: unknown }[];

beforeAll(async () => {
  server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    const path = url.replace("/v1/", "");
    asked.push({
      method,
      path,
      token: headers["x-vault-token"],
      namespace: headers["x-vault-namespace"],
    });
    const { status, body } = upgrading-- > 0 ? upgrade : (answers[path] ?? { status: 500 });
    // No wait between the tries of a test.
    response.writeHead(status, { "retry-after": "0.001" });
    response.end(body === undefined ? "" : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  upgrading = 0;
});

async function look(
  vault: Record<string, Answer>,
  keys: Record<string, unknown> = {},
  namespace = "",
) {
  answers = vault;
  const env = { VAULT_ADDR: address, VAULT_TOKEN: token, VAULT_NAMESPACE: namespace };
  const before = process.env["VAULT_TOKEN"];
  process.env["VAULT_TOKEN"] = token;
  try {
    const firstPasswords = { scanner: "canary-first" };
    return await preflight(readConfig(sourceOf({ firstPasswords, ...keys }, { env })));
  } finally {
    if (before === undefined) delete process.env["VAULT_TOKEN"];
    else process.env["VAULT_TOKEN"] = before;
  }
}

/** The problems that `preflight` lists, in one error. */
async function problems(
  vault: Record<string, Answer>,
  keys?: Record<string, unknown>,
): Promise<string[]> {
  const error: unknown = await look(vault, keys).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!RunError.isInstance(error)) throw new Error(`No RunError: ${String(error)}`);
  const [head, ...lines] = error.message.split("\n");
  expect(head).toBe(`Vault at ${address} is not ready for stack prod; nothing was touched.`);
  expect(error.message).not.toContain("canary");
  return lines.map((line) => line.replace("  - ", ""));
}

test("a Vault without anything of this stack is ready", async () => {
  await expect(look(fresh)).resolves.toEqual({ mountExists: false, groupIds: new Map() });
});

test("so is one after an `up`; it is read, with the caller's token, and nothing else", async () => {
  await expect(look(ours, {}, "teams/a")).resolves.toMatchObject({ mountExists: true });
  expect(asked.map(({ path }) => path).sort()).toEqual(Object.keys(ours).sort());
  for (const request of asked) {
    expect(request).toMatchObject({ method: "GET", token, namespace: "teams/a" });
  }
});

test("mounts of others may be used by a stack that does not create them", async () => {
  const others = {
    ...ours,
    "sys/mounts/apisec": found({ ...mount, description: "" }),
    "sys/mounts/auth/gitlab": found({ type: "jwt", description: "" }),
  };
  const shared = { createMount: false, createAuth: false };
  await expect(look(others, shared)).resolves.toMatchObject({ mountExists: true });
  expect(await problems(fresh, shared)).toEqual([
    "mount apisec/ does not exist and createMount is false: create it as KV version 2, or set createMount to true",
    "auth mount gitlab/ does not exist and createAuth is false: enable it with `vault auth enable -path=gitlab jwt`, or set createAuth to true",
  ]);
});

test("every conflict is listed, each with its remedy", async () => {
  const conflicts = {
    "sys/mounts/apisec": found({ ...mount, description: "of others" }),
    "sys/mounts/auth/gitlab": found({ type: "oidc" }),
    "sys/policies/acl/apisec-prod-admin": marked("# managed by apisec-credentials/prod-eu"),
    "sys/policies/acl/apisec-prod-developer": marked("# mine"),
    "sys/policies/acl/apisec-prod-rotator": found({ policy: 'path "x" {}' }),
  };
  const policy = (name: string) =>
    `policy apisec-prod-${name} exists and does not begin with "# managed by apisec-credentials/prod": delete it if nobody needs it, or set another policyPrefix`;
  expect(await problems(conflicts)).toEqual([
    "mount apisec/ exists and is not this stack's: set createMount to false to use it, or choose another `mount`",
    "auth mount gitlab/ is of type oidc, expected jwt: choose another authPath",
    policy("admin"),
    policy("developer"),
    policy("rotator"),
  ]);
});

const conflicts: [string, Record<string, Answer>, string][] = [
  [
    "a mount of KV version 1",
    { "sys/mounts/apisec": found({ ...mount, options: { version: "1" } }) },
    'mount apisec/ is not KV version 2 (it is {"type":"kv","options":{"version":"1"}}): choose another `mount`, or upgrade it with `vault kv enable-versioning apisec/`',
  ],
  [
    "a mount of another kind",
    { "sys/mounts/apisec": found({ type: "transit", options: null }) },
    'mount apisec/ is not KV version 2 (it is {"type":"transit","options":{}})',
  ],
  [
    "a mount that deletes passwords by itself",
    { "apisec/config": found({ delete_version_after: "72h0m0s" }) },
    'mount apisec/ deletes every version after "72h0m0s", passwords too: set it to 0s with `vault write apisec/config delete_version_after=0s`',
  ],
  [
    "a mount of the stack's former name",
    {
      "sys/mounts/apisec": found({
        ...mount,
        description: mount.description.replace("/prod", "/old"),
      }),
    },
    `choose another \`mount\`. If old is this stack's former name: \`vault secrets tune -description="${mount.description}" apisec/\``,
  ],
  [
    "an auth mount of the stack's former name",
    {
      "sys/mounts/auth/gitlab": found({
        ...auth,
        description: auth.description.replace("/prod", "/old"),
      }),
    },
    `choose another authPath. If old is this stack's former name: \`vault auth tune -description="${auth.description}" gitlab/\``,
  ],
  [
    "an auth mount of others",
    { "sys/mounts/auth/gitlab": found({ type: "jwt", description: "of others" }) },
    "auth mount gitlab/ exists and is not this stack's: set createAuth to false to use it, or choose another authPath",
  ],
  [
    "a right that is missing",
    { "apisec/config": { status: 403, body: { errors: ["permission denied"] } } },
    "Vault denies GET apisec/config (403)",
  ],
  [
    "a namespace that is not there",
    { "sys/mounts/apisec": { status: 404, body: { errors: ["namespace not found"] } } },
    "Vault answers GET sys/mounts/apisec with 404: namespace not found",
  ],
  [
    "a standby node",
    { "sys/mounts/auth/gitlab": { status: 307 } },
    "redirects GET sys/mounts/auth/gitlab (307), as a standby node does",
  ],
];
test.each(conflicts)("%s", async (_, changed, text) => {
  const lines = await problems({ ...ours, ...changed });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(text);
});

test("a sealed Vault is one problem, not five", async () => {
  const sealed = Object.fromEntries(Object.keys(ours).map((path) => [path, { status: 503 }]));
  expect(await problems(sealed)).toEqual([`Vault at ${address} is sealed (503)`]);
});

test("a token that is no good is one problem, and what else was found stays", async () => {
  const denied = Object.fromEntries(Object.keys(ours).map((path) => [path, { status: 403 }]));
  const why = "the token is not valid, or its policies do not allow it";
  const [line = "", ...others] = await problems({
    ...denied,
    "sys/mounts/auth/gitlab": found({ type: "oidc" }),
  });
  expect(line).toContain(
    `Vault denies GET sys/mounts/apisec (403): ${why} (4 paths in all): log in with`,
  );
  expect(line).toContain("`npm run doctor -- --stack prod`");
  expect(others).toEqual([
    "auth mount gitlab/ is of type oidc, expected jwt: choose another authPath",
  ]);
});

describe("an account without a first password in config", () => {
  const without = { firstPasswords: undefined };
  const key = "apisec/metadata/scanner/password";
  const problem =
    "account scanner has no password in Vault and no first password in config: set what APIsec mailed with `pulumi config set --secret --path 'firstPasswords.scanner' --stack prod`";

  test("is a problem where Vault has no version of its record", async () => {
    expect(await problems(fresh, without)).toEqual([problem]);
    expect(await problems({ ...ours, [key]: absent }, without)).toEqual([problem]);
    // Settings of the key, and no value yet.
    expect(await problems({ ...ours, [key]: found({ versions: {} }) }, without)).toEqual([problem]);
  });

  test("is none where Vault has one, or where the account was renamed", async () => {
    const recorded = { ...ours, [key]: found({ versions: { "1": {} } }) };
    await expect(look(recorded, without)).resolves.toMatchObject({ mountExists: true });
    const accounts = [
      { name: "scanner", username: "scanner@acme.example", renamedFrom: "scanner-old" },
    ];
    await expect(look(ours, { ...without, accounts })).resolves.toMatchObject({
      mountExists: true,
    });
  });
});

describe("identity groups", () => {
  const at = (name: string) => `identity/group/name/${name}`;
  const groups = {
    adminGroups: ["AppSec Admins"],
    developerGroups: ["ldap/Team=Ü", "AppSec Admins"],
  };
  const known = {
    ...ours,
    [at("AppSec%20Admins")]: found({ id: "id-1", policies: ["theirs"] }),
    [at("ldap/Team%3D%C3%9C")]: found({ id: "id-2" }),
  };

  test("are found by name, each once", async () => {
    const { groupIds } = await look(known, groups);
    expect([...groupIds].sort()).toEqual([
      ["AppSec Admins", "id-1"],
      ["ldap/Team=Ü", "id-2"],
    ]);
    expect(asked.filter(({ path }) => path.startsWith("identity/"))).toHaveLength(2);
  });

  test("that Vault does not know are named, with the command that makes one", async () => {
    const some = { ...known, [at("AppSec%20Admins")]: absent, [at("ldap/Team%3D%C3%9C")]: absent };
    expect(await problems(some, groups)).toEqual([
      'Vault knows no identity group "AppSec Admins", "ldap/Team=Ü": correct adminGroups and developerGroups, or create it with `vault write identity/group name="AppSec Admins"` (type=external for a group of OIDC or LDAP)',
    ]);
  });

  test("that are one under two names are a problem: Vault ignores case", async () => {
    const twice = { ...known, [at("appsec%20admins")]: found({ id: "id-1" }) };
    const lists = { adminGroups: ["AppSec Admins"], developerGroups: ["appsec admins"] };
    const [line] = await problems(twice, lists);
    expect(line).toMatch(
      /^"(AppSec Admins|appsec admins)" and "(AppSec Admins|appsec admins)" are one identity group: write its name the same way in adminGroups and developerGroups$/,
    );
  });

  test("that may not be looked up are a problem", async () => {
    const denied = { status: 403, body: { errors: ["permission denied"] } };
    const [line] = await problems({ ...known, [at("AppSec%20Admins")]: denied }, groups);
    expect(line).toContain("Vault denies GET identity/group/name/AppSec%20Admins (403)");
  });
});

describe("a consumer's policy", () => {
  const consumers = [{ name: "api", project: "payments/api" }];
  const path = "sys/policies/acl/apisec-prod-consumer.api";

  test("may be there as this stack's, or not at all", async () => {
    for (const policy of [absent, marked("# managed by apisec-credentials/prod")]) {
      const { mountExists } = await look({ ...ours, [path]: policy }, { consumers });
      expect(mountExists).toBe(true);
    }
  });

  test("of another owner is not overwritten", async () => {
    const others = { ...ours, [path]: marked("# managed by apisec-credentials/prod-consumer") };
    expect(await problems(others, { consumers })).toEqual([
      'policy apisec-prod-consumer.api exists and does not begin with "# managed by apisec-credentials/prod": delete it if nobody needs it, or set another policyPrefix',
    ]);
  });
});
