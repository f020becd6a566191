import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { preflight } from "../../checks/preflight";
import { worldOf } from "../../checks/world";
import { readConfig } from "../../config/readConfig";
import { UserError } from "../../core/messageCode";
import { renderRoot } from "../../desired/pipelineFile";
import { systemClock } from "../../net/http";
import { nodeSend } from "../../net/transport";
import { sourceOf } from "../support/configSource";

type Vault = Record<string, Answer | ((sent: string) => Answer)>;
interface Answer {
  status: number;
  body?: unknown;
}

const token = "hvs.canary-token";
const absent = { status: 404, body: { errors: [] } };
const mount = {
  type: "kv",
  options: { version: "2" },
  description: "APIsec passwords and tokens, managed by apisec-credentials/prod for gitlab.com/42",
};
const auth = {
  type: "jwt",
  description: "Logins of GitLab jobs, managed by apisec-credentials/prod for gitlab.com/42",
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
  "sys/policies/acl/apisec-prod-admin": marked(
    "# managed by apisec-credentials/prod for gitlab.com/42",
  ),
  "sys/policies/acl/apisec-prod-developer": marked(
    "# managed by apisec-credentials/prod for gitlab.com/42",
  ),
  "sys/policies/acl/apisec-prod-rotator": marked(
    "# managed by apisec-credentials/prod for gitlab.com/42 ",
  ),
};

const upgrade: Answer = {
  status: 400,
  body: { errors: ["Upgrading from non-versioned to versioned data. This backend will be …"] },
};

/** A GitLab in which the rotation project is there, seen by its Maintainer; files by path. */
const project = {
  id: 42,
  path_with_namespace: "platform/apisec-rotation",
  web_url: "https://gitlab.example.com/platform/apisec-rotation",
  permissions: { project_access: { access_level: 40 } },
};
const gitlabBefore: Record<string, unknown> = {
  user: { username: "deployer" },
  "personal_access_tokens/self": { scopes: ["api"], expires_at: null },
  "projects/platform%2Fapisec-rotation": project,
  "projects/42/repository/branches/main": { protected: true, can_push: true },
  "projects/payments%2Fapi": { id: 43 },
};
const fileOf = (text: string) => ({ content: Buffer.from(text).toString("base64") });

let server: Server;
/** So many answers are those of a mount that was just made. */
let upgrading = 0;
let address: string;
let answers: Vault;
let asked: { method: string; path: string; token: unknown; namespace: unknown }[];

beforeAll(async () => {
  server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "", url = "", headers } = request;
  const path = url.replace("/v1/", "");
  asked.push({
    method,
    path,
    token: headers["x-vault-token"],
    namespace: headers["x-vault-namespace"],
  });
  const sent = Buffer.concat(await request.toArray()).toString();
  const { status, body } = upgrading-- > 0 ? upgrade : answerTo(path, sent);
  // No wait between the tries of a test.
  response.writeHead(status, { "retry-after": "0.001" });
  response.end(body === undefined ? "" : JSON.stringify(body));
}

afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  upgrading = 0;
});

interface Options {
  namespace?: string;
  gitlab?: Record<string, unknown>;
  isPreview?: boolean;
}

/** What every Vault has besides what a test is about: its health, the token, and the rights of root. */
function answerTo(path: string, sent: string): Answer {
  const known: Answer | ((sent: string) => Answer) | undefined = answers[path];
  if (typeof known === "function") return known(sent);
  if (known !== undefined) return known;
  if (path.startsWith("sys/health?")) {
    return { status: 200, body: { initialized: true, sealed: false, version: "1.21.4" } };
  }
  if (path === "auth/token/lookup-self")
    return found({ policies: ["apisec-prod-deployer"], ttl: 7200 });
  if (path === "sys/capabilities-self") {
    const { paths } = JSON.parse(sent) as { paths: string[] };
    return found(Object.fromEntries(paths.map((one) => [one, ["root"]])));
  }
  if (path === "sys/internal/ui/mounts")
    return { status: 404, body: { errors: ["namespace not found"] } };
  if (path === "apisec/metadata/scanner/token") return absent;
  return { status: 500 };
}

async function lookWithCodes(
  vault: Vault,
  keys: Record<string, unknown> = {},
  { namespace = "", gitlab = {}, isPreview = false }: Options = {},
) {
  answers = vault;
  const env = { VAULT_ADDR: address, VAULT_TOKEN: token, VAULT_NAMESPACE: namespace };
  const firstPasswords = { scanner: "canary-first" };
  const settings = readConfig(sourceOf({ firstPasswords, ...keys }, { env }));
  return preflight(
    worldOf({
      time: "in",
      settings,
      vault: {
        send: nodeSend(),
        clock: systemClock,
        address,
        namespace: settings.vaultNamespace,
        token,
        met: {},
      },
      gitlab: (path) => {
        const answer = { ...gitlabBefore, ...gitlab }[path.replace(/\?.*/, "")];
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
      isPreview,
    }),
  );
}

/** Without the codes, which have a test of their own. */
async function look(...asked: Parameters<typeof lookWithCodes>) {
  const without = (text: string) => text.replaceAll(/ \[APC-[A-Z-]+\]/g, "");
  try {
    const ready = await lookWithCodes(...asked);
    return { ...ready, warnings: ready.warnings.map(without) };
  } catch (error) {
    throw error instanceof UserError ? new UserError(without(error.message)) : error;
  }
}

/** The problems that `preflight` lists, in one error. */
async function problems(
  vault: Vault,
  keys?: Record<string, unknown>,
  options: Options = {},
): Promise<string[]> {
  const error: unknown = await look(vault, keys, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UserError)) throw new Error(`No UserError: ${String(error)}`);
  const [head, ...lines] = error.message.split("\n");
  const where =
    options.gitlab === undefined ? `Vault at ${address}` : "GitLab at https://gitlab.com";
  expect(head).toBe(`${where} is not ready for stack prod; nothing was touched.`);
  expect(error.message).not.toContain("canary");
  return lines.map((line) => line.replace("  - ", ""));
}

test("a Vault without anything of this stack is ready", async () => {
  await expect(look(fresh)).resolves.toEqual({
    project: {
      id: "42",
      uri: "gitlab.example.com/platform/apisec-rotation",
      pipelineFile: ".gitlab-ci.yml",
    },
    claims: new Map(),
    groupIds: new Map(),
    mountExists: false,
    warnings: [],
  });
});

test("so is one after an `up`; it is read, with the caller's token, and nothing else", async () => {
  await expect(look(ours)).resolves.toMatchObject({ mountExists: true });
  const always = [
    ...["auth/token/lookup-self", "sys/capabilities-self", "sys/health"],
    "apisec/metadata/scanner/token",
  ];
  const paths = asked.map(({ path }) => path.replace(/\?.*/, ""));
  expect(paths.sort()).toEqual([...Object.keys(ours), ...always].sort());
  for (const { path, ...request } of asked) {
    const method = path === "sys/capabilities-self" ? "POST" : "GET";
    expect(request).toMatchObject(
      path.startsWith("sys/health") ? { token: undefined } : { method, token },
    );
  }
});

test("another life of tokens is said, with the policy that allows it; none at all needs no policy", async () => {
  const key = "apisec/metadata/scanner/token";
  const vault = { ...ours, [key]: found({ delete_version_after: "23h30m0s" }) };
  const warningsWith = async (keys: object, options: Options = {}) =>
    (await look(vault, { ...keys }, options)).warnings;
  expect(await warningsWith({ tokenLifetime: "12h" })).toEqual([
    "key settings delete_version_after of tokens becomes 11h30m0s (23h30m0s now), which the deployer's policy has to allow: as Vault's admin: `npm run --silent policy -- deployer --stack prod | vault policy write apisec-prod-deployer -`",
  ]);
  for (const same of [{}, { tokenEndsInVault: false }]) {
    expect(await warningsWith(same)).toEqual([]);
  }
  expect(await warningsWith({ tokenLifetime: "12h" }, { isPreview: true })).toEqual([]);
});

test("mounts of others may be used by a stack that does not create them", async () => {
  const others = {
    ...ours,
    "sys/mounts/apisec": found({ ...mount, description: "" }),
    "sys/mounts/auth/gitlab": found({ type: "jwt", description: "" }),
    "auth/gitlab/config": { status: 403, body: { errors: ["1 error: permission denied"] } },
  };
  const shared = { createMount: false, createAuth: false };
  await expect(look(others, shared)).resolves.toMatchObject({ mountExists: true });
  expect(await problems(fresh, shared)).toEqual([
    "mount apisec/ does not exist and createMount is false: create it as KV version 2, or set createMount to true",
    "auth mount gitlab/ does not exist and createAuth is false: enable it with `vault auth enable -path=gitlab jwt`, or set createAuth to true",
  ]);
});

test("an auth mount of others that takes another issuer's ID tokens is refused, where its settings are shown", async () => {
  const path = "auth/gitlab/config";
  const of = (config: object): Vault => ({
    ...ours,
    "sys/mounts/auth/gitlab": found({ type: "jwt", description: "" }),
    [path]: found(config),
  });
  const keys = { createAuth: false };
  const discovery = { oidc_discovery_url: "https://gitlab.com", default_role: "" };
  expect(await problems(of({ ...discovery, bound_issuer: "gitlab.com" }), keys)).toEqual([
    "auth mount gitlab/ takes ID tokens of gitlab.com alone, and GitLab's are of https://gitlab.com: it refuses every job: as its owner, with all its other settings: `vault write auth/gitlab/config bound_issuer=https://gitlab.com oidc_discovery_url=https://gitlab.com`",
  ]);
  for (const bound_issuer of ["https://gitlab.com", ""]) {
    await expect(look(of({ ...discovery, bound_issuer }), keys)).resolves.toMatchObject({
      warnings: [],
    });
  }
  // What GitLab names as issuer of its ID tokens may be set apart from its address: such an `up` works.
  const apart = of({ ...discovery, bound_issuer: "https://oidc.example.com" });
  await expect(look(apart, keys)).resolves.toMatchObject({
    warnings: [expect.stringContaining("unless GitLab has that as `ci_id_tokens_issuer_url`")],
  });
  const denied = {
    ...of({}),
    [path]: { status: 403, body: { errors: ["1 error: permission denied"] } },
  };
  await expect(look(denied, keys)).resolves.toBeDefined();
});

test("a lease time that was tuned by hand, and that an up with another description resets, is said before", async () => {
  const config = { default_lease_ttl: 3600, max_lease_ttl: 0, force_no_cache: false };
  const vault = { ...ours, "sys/mounts/apisec": found({ ...mount, config }) };
  expect((await look(vault)).warnings).toEqual([]);
  expect((await look(vault, { shareMount: true })).warnings).toEqual([
    "mount apisec/ has a default_lease_ttl of 1h0m0s set by hand, which `up` sets back to 0 with the new description; KV version 2 gives no leases",
  ]);
  expect((await look(ours, { shareMount: true })).warnings).toEqual([]);
});

test("every problem says its code", async () => {
  const version1 = found({ ...mount, options: { version: "1" } });
  await expect(lookWithCodes({ ...ours, "sys/mounts/apisec": version1 })).rejects.toThrow(
    /^Vault at \S+ is not ready for stack prod; nothing was touched\.\n {2}- mount apisec\/ is .* \[APC-MOUNT\]: /,
  );
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
    `policy apisec-prod-${name} exists and does not begin with "# managed by apisec-credentials/prod for gitlab.com/42": delete it if nobody needs it, or set another policyPrefix`;
  expect(await problems(conflicts)).toEqual([
    "mount apisec/ exists and is not this stack's: set createMount to false to use it, or choose another `mount`",
    "auth mount gitlab/ is of type oidc, expected jwt: choose another authPath",
    policy("admin"),
    policy("developer"),
    policy("rotator"),
  ]);
});

describe("a mark of before version 2, which names no project", () => {
  const old = (text: string) => text.replace(" for gitlab.com/42", "");
  const marks = {
    "sys/mounts/apisec": found({ ...mount, description: old(mount.description) }),
    "sys/mounts/auth/gitlab": found({ ...auth, description: old(auth.description) }),
    "sys/policies/acl/apisec-prod-admin": marked("# managed by apisec-credentials/prod"),
  };
  const role = (id: unknown) => ({
    "auth/gitlab/role/apisec-prod-rotator": found({ bound_claims: { project_id: id } }),
  });

  test("is ours where our role is bound to our project, or may not be seen", async () => {
    for (const known of [
      role("42"),
      role(["42"]),
      { "auth/gitlab/role/apisec-prod-rotator": { status: 403 } },
    ]) {
      await expect(look({ ...ours, ...marks, ...known })).resolves.toMatchObject({
        mountExists: true,
      });
    }
  });

  test("of a stack of the same names in another project: mounts and policies stay its, whatever the role", async () => {
    const theirs = Object.fromEntries(
      Object.entries(ours).map(([path, answer]) => [
        path,
        JSON.parse(JSON.stringify(answer).replaceAll("gitlab.com/42", "gitlab.com/43")) as Answer,
      ]),
    );
    for (const known of [role("42"), role("43")]) {
      const lines = await problems({ ...theirs, ...known });
      expect(lines).toHaveLength(5);
      const owner = "apisec-credentials/prod for gitlab.com/43";
      expect(lines).toContain(
        `mount apisec/ belongs to ${owner}, a stack of another project: choose another \`mount\`. If it was this stack's before its project or host changed, as Vault's admin: \`vault secrets tune -description="${mount.description}" apisec/\``,
      );
      expect(lines).toContain(
        `policy apisec-prod-admin belongs to ${owner}, a stack of another project: set another policyPrefix. If it was this stack's before its project or host changed, as Vault's admin: \`vault policy read apisec-prod-admin | sed '1s|.*|# managed by apisec-credentials/prod for gitlab.com/42|' | vault policy write apisec-prod-admin -\``,
      );
    }
  });

  test("is another team's where that role is bound to another project, or is not there", async () => {
    for (const known of [role("7"), { "auth/gitlab/role/apisec-prod-rotator": absent }]) {
      expect(await problems({ ...ours, ...marks, ...known })).toHaveLength(3);
    }
  });
});

test("a mount of another stack of this program is used only where its owner says so", async () => {
  const of = (text: string) => ({
    ...ours,
    "sys/mounts/apisec": found({
      ...mount,
      description: `${text}, managed by acme/dev for gitlab.com/7`,
    }),
  });
  const keys = { createMount: false };
  expect(await problems(of("APIsec passwords and tokens"), keys)).toEqual([
    "mount apisec/ belongs to acme/dev for gitlab.com/7, which does not say that other stacks use it: its admins and deployers reach every account: in the program of acme/dev for gitlab.com/7: `pulumi config set shareMount true --stack dev && pulumi up --stack dev`; or choose another `mount` (`pulumi config set mount … --stack prod`)",
  ]);
  const shared = of("APIsec passwords and tokens, shared with other stacks");
  await expect(look(shared, keys)).resolves.toMatchObject({ mountExists: true });
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
    `choose another \`mount\`. If old for gitlab.com/42 is this stack's former name: \`vault secrets tune -description="${mount.description}" apisec/\``,
  ],
  [
    "an auth mount of the stack's former name",
    {
      "sys/mounts/auth/gitlab": found({
        ...auth,
        description: auth.description.replace("/prod", "/old"),
      }),
    },
    `choose another authPath. If old for gitlab.com/42 is this stack's former name: \`vault auth tune -description="${auth.description}" gitlab/\``,
  ],
  [
    "an auth mount of others",
    { "sys/mounts/auth/gitlab": found({ type: "jwt", description: "of others" }) },
    "auth mount gitlab/ exists and is not this stack's: set createAuth to false to use it, or choose another authPath",
  ],
  [
    "a right that is missing",
    {
      "apisec/config": {
        status: 403,
        body: { errors: ["1 error occurred:\n\t* permission denied\n\n"] },
      },
    },
    "Vault denies GET apisec/config (403): the token's policies do not allow it: `npm run --silent policy -- deployer --stack prod | vault policy write apisec-prod-deployer -`",
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

/** What Vault says of itself. */
const health = (more: object) => {
  const codes = ["standbycode", "performancestandbycode", "sealedcode", "uninitcode"];
  const quiet = [...codes, "drsecondarycode", "removedcode"].map((code) => `${code}=200`);
  const body = { initialized: true, sealed: false, version: "1.21.4", ...more };
  return { [`sys/health?${quiet.join("&")}`]: { status: 200, body } };
};

test.each<[string, object, string]>([
  ["sealed", { sealed: true }, "is sealed: `vault operator unseal`"],
  ["new", { initialized: false }, "is not initialised: `vault operator init`"],
  ["a node that was removed", { removed_from_cluster: true }, "was removed from its cluster"],
  [
    "a disaster-recovery secondary",
    { replication_dr_mode: "secondary" },
    "is a disaster-recovery secondary, which answers no request",
  ],
])("a Vault that is %s is one problem, and nothing else is asked of it", async (_, more, text) => {
  const lines = await problems({ ...ours, ...health(more) });
  expect(lines).toEqual([expect.stringContaining(`Vault ${address}, version 1.21.4, ${text}`)]);
});

describe("a namespace", () => {
  const path = "sys/internal/ui/mounts";
  const inNamespace = { namespace: "teams/a" };

  test("that Vault knows is used for every request but health", async () => {
    // The first answer is for a namespace that cannot exist.
    let n = 0;
    const answersOf = { ...ours };
    Object.defineProperty(answersOf, path, {
      get: () =>
        n++ === 0 ? { status: 404, body: { errors: ["namespace not found"] } } : found({}),
    });
    await look(answersOf, {}, inNamespace);
    const of = (one: string) => asked.filter(({ path: other }) => other === one);
    expect(of(path).map(({ namespace }) => namespace)).toEqual(["teams/a/cubbyhole", "teams/a"]);
    expect(of("sys/mounts/apisec").map(({ namespace }) => namespace)).toEqual(["teams/a"]);
  });

  test("that is not there is one problem", async () => {
    const lines = await problems(ours, {}, inNamespace);
    expect(lines).toEqual([
      "namespace teams/a does not exist: `unset VAULT_NAMESPACE; pulumi config rm vault:namespace --stack prod`",
    ]);
  });

  test.each([
    ["says that it is not Enterprise", health({ enterprise: false })],
    ["answers for one that cannot exist", { [path]: found({}) }],
  ])("is a problem where Vault has none: it %s", async (_, vault) => {
    const lines = await problems({ ...ours, ...vault }, {}, inNamespace);
    expect(lines).toEqual([
      expect.stringContaining("this Vault has no namespaces and ignores their names"),
    ]);
  });
});

test("a token that is no good is one problem", async () => {
  const unknown = { status: 403, body: { errors: ["permission denied"] } };
  const denied = Object.fromEntries(Object.keys(ours).map((path) => [path, unknown]));
  expect(await problems({ ...denied, "auth/token/lookup-self": unknown })).toEqual([
    "Vault token is not valid: it is wrong, or has ended: `vault login`",
  ]);
});

test("a token without the policy is one problem, and what else was found stays", async () => {
  const denied = Object.fromEntries(Object.keys(ours).map((path) => [path, { status: 403 }]));
  const why = "the token is not valid, or its policies do not allow it";
  const [line = "", ...others] = await problems({
    ...denied,
    "sys/mounts/auth/gitlab": found({ type: "oidc" }),
  });
  expect(line).toContain(
    `Vault denies GET sys/mounts/apisec (403): ${why} (4 paths in all): \`npm run --silent policy -- deployer --stack prod | vault policy write`,
  );
  expect(others).toEqual([
    "auth mount gitlab/ is of type oidc, expected jwt: choose another authPath",
  ]);
});

describe("rights that the token lacks", () => {
  /** Vault's answer where only `lacking` is denied. */
  const rights = (lacking: string) => {
    const answer = (sent: string) => {
      const { paths } = JSON.parse(sent) as { paths: string[] };
      return found(
        Object.fromEntries(paths.map((path) => [path, path === lacking ? ["deny"] : ["root"]])),
      );
    };
    return { ...ours, "sys/capabilities-self": answer };
  };

  test("stop `up` before its first change, with the list and the command", async () => {
    expect(await problems(rights("auth/gitlab/config"))).toEqual([
      "Vault rights of what `up` needs are missing:",
      "      auth/gitlab/config: read, update: as Vault's admin: `npm run --silent policy -- deployer --stack prod | vault policy write apisec-prod-deployer -`",
    ]);
  });

  test("are a warning of a preview, and so is a GitLab user who may not write", async () => {
    const reporter = { ...project, permissions: { project_access: { access_level: 20 } } };
    const gitlab = {
      "projects/platform%2Fapisec-rotation": reporter,
      "personal_access_tokens/self": { scopes: ["read_api"] },
    };
    const { warnings } = await look(rights("auth/gitlab/config"), {}, { gitlab, isPreview: true });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^Vault rights lacks what `up` needs on 1 of \d+ paths, such as auth\/gitlab\/config: read, update/,
      ),
      expect.stringMatching(
        /^GitLab role the token's user has access level 20 in platform\/apisec-rotation/,
      ),
    ]);
  });

  test("are asked of every path of this run", async () => {
    const accounts = Array.from({ length: 300 }, (_, n) => ({ name: `a${n}`, username: `u${n}` }));
    const firstPasswords = Object.fromEntries(accounts.map(({ name }) => [name, "canary"]));
    const denied = rights("apisec/data/a299/password");
    expect(await problems(denied, { accounts, firstPasswords })).toEqual([
      expect.any(String),
      expect.stringContaining("apisec/data/a299/password: create, read, update"),
    ]);
  });

  test("that cannot be asked are no reason to stop", async () => {
    const vault = { ...ours, "sys/capabilities-self": { status: 403 } };
    const { warnings } = await look(vault);
    expect(warnings).toEqual([
      expect.stringContaining("Vault rights unknown: the token may not ask"),
    ]);
  });
});

describe("what this change adds, and a token that previews may not see", () => {
  test("is a warning, not checked yet", async () => {
    const denied = { status: 403, body: { errors: ["1 error occurred: * permission denied"] } };
    const vault = {
      ...ours,
      "identity/group/name/new": denied,
      "sys/policies/acl/apisec-prod-consumer.api": absent,
    };
    const keys = {
      adminGroups: ["new"],
      consumers: [{ name: "api", project: "payments/api" }],
    };
    const gitlab = { "projects/payments%2Fapi": undefined };
    const { warnings, groupIds, claims } = await look(vault, keys, { isPreview: true, gitlab });
    expect(warnings).toEqual([
      "group new not checked yet: Vault denies GET identity/group/name/new (403): the token's policies do not allow it",
      "consumer api not checked yet: project payments/api is not there, or not shown to this token's user",
    ]);
    expect([groupIds.size, claims.size]).toEqual([0, 0]);
    expect(await problems(vault, { adminGroups: ["new"] })).toHaveLength(1);
  });
});

describe("an account without a first password in config", () => {
  const without = { firstPasswords: undefined };
  const key = "apisec/metadata/scanner/password";
  const problem =
    "account scanner has no password in Vault and no first password in config: hand over what APIsec mailed with `npm run hand-over -- --stack prod --account scanner`, or set it with `pulumi config set --secret --path 'firstPasswords.scanner' --stack prod`";

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

test("a record that names another owner is said before: a renamed stack may have lost its state", async () => {
  const key = "apisec/metadata/scanner/password";
  const of = (owner: string) => ({
    ...ours,
    [key]: found({ versions: { "1": {} }, custom_metadata: { owner } }),
  });
  const without = { firstPasswords: undefined };
  const mine = "apisec-credentials/prod for gitlab.com/42";
  expect((await look(of(mine), without)).warnings).toEqual([]);
  expect((await look(of(mine.replace("/prod", "/old")), without)).warnings).toEqual([
    'account scanner has a record that belongs to "apisec-credentials/old for gitlab.com/42": `up` takes it only where the stack\'s state knows it by that name: choose another account name; if the stack was renamed and its state lost, as Vault\'s admin: `vault kv metadata patch -mount=apisec -custom-metadata="owner=apisec-credentials/prod for gitlab.com/42" scanner/password`',
  ]);
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
    expect(await problems(some, groups)).toEqual(
      ["AppSec Admins", "ldap/Team=Ü"].map(
        (name) =>
          `group ${name} is not there: Vault knows no identity group of that name: correct adminGroups and developerGroups, or create it with \`vault write identity/group name="${name}"\` (type=external for a group of OIDC or LDAP)`,
      ),
    );
  });

  test("that are one under two names are a problem: Vault ignores case", async () => {
    const twice = { ...known, [at("appsec%20admins")]: found({ id: "id-1" }) };
    const lists = { adminGroups: ["AppSec Admins"], developerGroups: ["appsec admins"] };
    const [line] = await problems(twice, lists);
    expect(line).toBe(
      'group appsec admins is the same identity group as "AppSec Admins": write its name the same way in adminGroups and developerGroups',
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
    for (const policy of [
      absent,
      marked("# managed by apisec-credentials/prod for gitlab.com/42"),
    ]) {
      const { mountExists } = await look({ ...ours, [path]: policy }, { consumers });
      expect(mountExists).toBe(true);
    }
  });

  test("of another owner is not overwritten", async () => {
    const others = { ...ours, [path]: marked("# managed by apisec-credentials/prod-consumer") };
    expect(await problems(others, { consumers })).toEqual([
      'policy apisec-prod-consumer.api exists and does not begin with "# managed by apisec-credentials/prod for gitlab.com/42": delete it if nobody needs it, or set another policyPrefix',
    ]);
  });
});

describe("the rotation project", () => {
  const old = "# managed by apisec-credentials/prod";
  const ours42 = `${old} for gitlab.com/42`;
  const foreign = "stages: [build]\nbuild: {script: [make]}\n";
  const path = "projects/platform%2Fapisec-rotation";
  const withFiles = (files: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(files).map(([file, text]) => [
        `projects/42/repository/files/${encodeURIComponent(file)}`,
        fileOf(text),
      ]),
    );

  test("is found by its path or its id, or named with the reason", async () => {
    const gitlab = {
      "projects/4711": { ...project, id: 4711 },
      "projects/4711/repository/branches/main": {},
    };
    const byId = await look(fresh, { gitlabProject: "4711" }, { gitlab });
    expect(byId.project.id).toBe("4711");
    expect(await problems(ours, { gitlabProject: "404" }, { gitlab: {} })).toEqual([
      expect.stringMatching(
        /^rotation project 404 is not there, or not shown to this token's user: correct gitlabProject; export GITLAB_TOKEN=…/,
      ),
    ]);
    const error = Object.assign(new Error("GitLab answers GET user with 401: no"), { status: 401 });
    expect(await problems(ours, {}, { gitlab: { user: error } })).toEqual([
      expect.stringMatching(/^GitLab answers GET user with 401: no: `export GITLAB_TOKEN=…/),
    ]);
  });

  test("of consumers, and groups, are looked for by id or path; all that are missing are named", async () => {
    const consumers = [
      { name: "a", project: "payments/api" },
      { name: "b", project: "4711" },
      { name: "c", group: "payments" },
      { name: "d", group: 78 },
    ];
    const vault = {
      ...ours,
      ...Object.fromEntries(
        consumers.map(({ name }) => [`sys/policies/acl/apisec-prod-consumer.${name}`, absent]),
      ),
    };
    const gitlab = {
      "projects/payments%2Fapi": { id: 43 },
      "projects/4711": { id: 4711 },
      "groups/payments": { id: 77 },
      "groups/78": { id: 78 },
    };
    const { claims } = await look(vault, { consumers }, { gitlab });
    expect(Object.fromEntries(claims)).toEqual({
      a: { project_id: "43" },
      b: { project_id: "4711" },
      c: { namespace_id: "77" },
      d: { namespace_id: "78" },
    });
    expect(
      await problems(
        vault,
        { consumers },
        { gitlab: { "groups/78": { id: 78 }, "projects/payments%2Fapi": undefined } },
      ),
    ).toEqual([
      expect.stringMatching(/^consumer a project payments\/api is not there/),
      expect.stringMatching(/^consumer b project 4711 is not there/),
      expect.stringMatching(/^consumer c group payments is not there/),
    ]);
  });

  test.each([
    ["scopes", { "personal_access_tokens/self": { scopes: ["read_api"] } }, "`up` needs scope api"],
    [
      "role",
      { [path]: { ...project, permissions: { group_access: { access_level: 30 } } } },
      "`up` needs 40 (Maintainer)",
    ],
    [
      "branch",
      { "projects/42/repository/branches/main": { protected: true, can_push: false } },
      "is protected from this token's user too",
    ],
  ])("must be one that the token may write to: %s", async (_, gitlab, text) => {
    expect(await problems(ours, {}, { gitlab })).toEqual([expect.stringContaining(text)]);
  });

  test.each<[string, Record<string, string>]>([
    ["own", { ".gitlab-ci.yml": `${ours42}\r\nrotate: {}\n` }],
    ["own", { ".gitlab-ci.yml": `${old}\n` }],
    ["shared", { ".gitlab-ci.yml": renderRoot(), "apisec/prod.yml": `${old}\n` }],
    ["shared", { ".gitlab-ci.yml": `${ours42}\n` }],
    ["shared", { ".gitlab-ci.yml": renderRoot(), "apisec/prod.yml": `${ours42}\n` }],
    ["included", { ".gitlab-ci.yml": foreign, "apisec/prod.yml": `${ours42}\n` }],
    ["included", { ".gitlab-ci.yml": `${ours42}\n`, "rotate.mjs": foreign }],
  ])("takes up its own files in mode %s: %j", async (pipelineFile, files) => {
    const ready = await look(ours, { pipelineFile }, { gitlab: withFiles(files) });
    const isIncluded = files[".gitlab-ci.yml"]?.includes("apisec/") === true;
    expect(ready.warnings).toHaveLength(pipelineFile === "included" && !isIncluded ? 1 : 0);
  });

  test.each<[string, string, string, string]>([
    ["own", ".gitlab-ci.yml", foreign, ": it is not"],
    ["own", ".gitlab-ci.yml", renderRoot(), ' but with "# managed by apisec-credentials for every'],
    ["own", ".gitlab-ci.yml", `${old}-eu\n`, ' but with "# managed by apisec-credentials/prod-eu"'],
    ["own", ".gitlab-ci.yml", "", ": it is not"],
    [
      "own",
      ".gitlab-ci.yml",
      `${old} for gitlab.com/43\n`,
      ' but with "# managed by apisec-credentials/prod for gitlab.com/43"',
    ],
    ["shared", ".gitlab-ci.yml", foreign, ": it is not"],
    ["shared", "apisec/prod.yml", foreign, ": it is not"],
    [
      "included",
      "apisec/prod.yml",
      "# managed by other/prod\n",
      ' but with "# managed by other/prod"',
    ],
  ])(
    "mode %s does not overwrite a %s that begins otherwise",
    async (pipelineFile, file, text, found) => {
      const gitlab = withFiles({ [file]: text });
      const lines = await problems(ours, { pipelineFile }, { gitlab });
      expect(lines).toEqual([
        expect.stringContaining(
          `file ${file} in project platform/apisec-rotation does not begin with "${ours42}"${found}`,
        ),
      ]);
      expect(lines[0]).not.toContain("make]");
      await look(ours, { pipelineFile, manageProjectFiles: false }, { gitlab });
    },
  );

  test.each(["ci.yml@group/project", "https://ci.example.com/a.yml", "a,b.yml", "../a.yml"])(
    "is refused with a pipeline file that no ID token can name: %s",
    async (ci_config_path) => {
      const gitlab = { [path]: { ...project, ci_config_path } };
      const [line] = await problems(ours, {}, { gitlab });
      expect(line).toContain(`has its pipeline file at "${ci_config_path}"`);
    },
  );

  describe("has CI variables of the stack's environment", () => {
    const variable = "projects/42/variables/VAULT_ADDR";
    const of = (description: unknown) => ({ [variable]: { key: "VAULT_ADDR", description } });
    const mark = "managed by apisec-credentials/prod for gitlab.com/42";

    test.each<[string, object]>([
      ["with this stack's mark", of(mark)],
      ["of before GitLab's address changed", of(mark.replace("gitlab.com", "git.example.com"))],
      ["of a GitLab that keeps no description", { [variable]: { key: "VAULT_ADDR" } }],
      [
        "of a GitLab that kept none then, with this stack's value",
        { "projects/42/variables/APISEC_MOUNT": { description: null, value: "apisec" } },
      ],
    ])("%s: ready", async (_, gitlab) => {
      await expect(look(ours, {}, { gitlab: { ...gitlab } })).resolves.toMatchObject({
        warnings: [],
      });
    });

    test.each<[string, unknown, string]>([
      ["made by hand", null, "was not made by this program"],
      ["made by hand, with a text", "of the platform team", "was not made by this program"],
      ["of another stack", mark.replace("/prod", "/old"), "belongs to apisec-credentials/old for"],
    ])("%s: refused, before GitLab would in the middle", async (_, description, found) => {
      const lines = await problems(ours, {}, { gitlab: of(description) });
      expect(lines).toEqual([
        expect.stringContaining(
          `CI variable VAULT_ADDR of environment apisec/prod in project platform/apisec-rotation ${found}`,
        ),
      ]);
      expect(lines[0]).toContain(
        '`glab api -X DELETE "projects/42/variables/VAULT_ADDR?filter%5Benvironment_scope%5D=apisec%2Fprod" && pulumi up --refresh --stack prod`',
      );
    });

    test("that only a Maintainer sees: a preview says so, once", async () => {
      const error = Object.assign(new Error("GitLab answers GET … with 403: no"), { status: 403 });
      const keys = ["VAULT_ADDR", "VAULT_AUTH_PATH", "APISEC_ACCOUNTS"];
      const gitlab = Object.fromEntries(keys.map((key) => [`projects/42/variables/${key}`, error]));
      const { warnings } = await look(ours, {}, { gitlab, isPreview: true });
      expect(warnings.filter((line) => line.startsWith("CI variables"))).toEqual([
        "CI variables are not shown to this token's user",
      ]);
    });
  });

  test("tells where mount and auth mount were: one that was moved in config is refused with the procedure", async () => {
    const gitlab = {
      "projects/42/variables/APISEC_MOUNT": { value: "apisec" },
      "projects/42/variables/VAULT_AUTH_PATH": { value: "gitlab" },
    };
    const vault = {
      ...ours,
      "sys/mounts/moved": fresh["sys/mounts/apisec"] as Answer,
      "sys/mounts/auth/jwt": absent,
    };
    const error = look(vault, { mount: "moved", authPath: "jwt" }, { gitlab });
    await expect(error).rejects.toThrow(
      "mount moved/ is not where this stack has it, apisec/, and `up` cannot move it: set it back with `pulumi config set mount apisec --stack prod`; or to move it, as Vault's admin `vault secrets move apisec/ moved/`, then `pulumi refresh --yes --stack prod`, then `npm run adopt -- --stack prod` and the commands that it prints",
    );
    await expect(error).rejects.toThrow("`vault auth move auth/gitlab/ auth/jwt/`");
    const done = {
      ...vault,
      "sys/mounts/moved": found(mount),
      "moved/config": found({}),
      "sys/mounts/auth/jwt": found(auth),
    };
    await expect(
      look(done, { mount: "moved", authPath: "jwt" }, { gitlab }),
    ).resolves.toBeDefined();
  });
});
