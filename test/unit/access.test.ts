import { checkAccess } from "../../checks/access";
import { worldOf } from "../../checks/world";
import { readConfig } from "../../config/readConfig";
import { accessOf, holdersOf } from "../../desired/access";
import { capabilitiesAt, isReadable, rightsOf } from "../../desired/rights";
import { systemClock } from "../../net/http";
import { sourceOf } from "../support/configSource";

const settings = readConfig(
  sourceOf({
    accounts: ["admin", "scanner", "nightly"].map((name) => ({
      name,
      username: `${name}@acme.example`,
      publishToken: name !== "admin",
    })),
    adminGroups: ["platform"],
    developerGroups: ["developers"],
    consumers: [{ name: "scan", project: "shop/api", accounts: ["scanner"] }],
  }),
);
const declared = new Map(holdersOf(settings).map(({ policy, text }) => [policy, text]));
const verifier = "apisec-prod-verifier";

/** What is found where Vault has these policies; `undefined` = it denies them. */
async function found(policies: ReadonlyMap<string, string | undefined>): Promise<string[]> {
  const world = worldOf({
    time: "after",
    settings,
    vault: {
      clock: systemClock,
      address: "https://vault.example.com",
      token: "hvs.monitor",
      send: ({ url }) => {
        const name = url.replace(/^.*\/acl\//, "");
        if (!policies.has(name)) return answer(404, { errors: [] });
        const policy = policies.get(name);
        return policy === undefined
          ? answer(403, { errors: ["1 error occurred:\n\t* permission denied\n\n"] })
          : answer(200, { data: { name, policy } });
      },
    },
    gitlab: undefined,
  });
  const findings = await checkAccess(world);
  return findings.map((one) => `${one.state} ${one.subject}: ${one.found}`);
}

const answer = (status: number, body: object) =>
  Promise.resolve({ status, headers: {}, body: JSON.stringify(body) });

test("who can read and change what, by the texts in Vault", async () => {
  expect(await found(declared)).toEqual([
    "ok members of group platform: reads the password of all 3 accounts and the token of all 3 accounts; changes nothing",
    "ok whoever has policy apisec-prod-admin: reads the password of all 3 accounts and the token of all 3 accounts; changes nothing",
    "ok members of group developers: reads the token of scanner, nightly; changes nothing",
    "ok whoever has policy apisec-prod-developer: reads the token of scanner, nightly; changes nothing",
    "ok pipelines of project shop/api (consumer scan): reads the token of scanner; changes nothing",
    "ok the rotation job in platform/apisec-rotation: reads the password of scanner, nightly and the token of scanner, nightly; changes the token of scanner, nightly",
    "ok the deployer: reads the password of all 3 accounts and the token of all 3 accounts; changes the password of all 3 accounts and the token of all 3 accounts",
    "ok the verifier: nothing: there is no policy apisec-prod-verifier",
  ]);
  expect(accessOf(settings, ["scanner"])).toContainEqual({
    ...{ who: "members of group developers", right: "read", secret: "token", account: "scanner" },
  });
});

test("a policy that somebody has edited says what it gives now", async () => {
  const name = "apisec-prod-developer";
  const edited = `${declared.get(name)}
# path "of a comment" {}
  path "apisec/data/admin/*" {
    allowed_parameters = ["x"]
    capabilities=["read",  "update"]
}`;
  const lines = await found(new Map([...declared, [name, edited]]));
  expect(lines[2]).toBe(
    "ok members of group developers: reads the password of admin and the token of all 3 accounts; changes the password of admin and the token of admin",
  );
});

test("what this token may not read, and what is written in another way, is never nothing", async () => {
  const json = '{"path": {"apisec/*": {"capabilities": ["read"]}}}';
  const lines = await found(
    new Map([...declared, ["apisec-prod-deployer", undefined], [verifier, json]]),
  );
  expect(lines.slice(-2)).toEqual([
    expect.stringMatching(
      /^skipped the deployer: not known: Vault denies GET sys\/policies\/acl\/apisec-prod-deployer \(403\)/,
    ),
    `warning the verifier: not known: policy ${verifier} is not written as this program writes it`,
  ]);
});

test.each([
  ['path "a/+/c" { capabilities = ["read"] }', 1, true],
  ['path "a" { capabilities = ["read"] }\npath "a" { capabilities = ["update"] }', 1, false],
  ['path "a" { policy = "write" }', 0, false],
  ['# path "a" {}\n// path', 0, true],
])("%j: %i paths seen, all of them: %s", (policy, count, isWhole) => {
  expect([rightsOf(policy).size, isReadable(policy)]).toEqual([count, isWhole]);
});

// Compared with Vault's own answers in check.e2e.
test("one path that is denied is denied, whatever a wider one gives", () => {
  const rights = rightsOf(
    'path "a/*" { capabilities = ["read"] }\npath "a/b" { capabilities = ["deny"] }',
  );
  expect([capabilitiesAt(rights, "a/b"), capabilitiesAt(rights, "a/c")]).toEqual([[], ["read"]]);
});
