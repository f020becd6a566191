import * as pulumi from "@pulumi/pulumi";
import { SecretStore } from "../../components/secretStore";
import type { SecretStoreArgs } from "../../components/secretStore";
import { ServiceAccount } from "../../components/serviceAccount";
import type { ServiceAccountArgs } from "../../components/serviceAccount";
import { settingsFrom } from "../../config/load";
import type { SettingsInCode } from "../../config/load";
import { resource, withMocks } from "../support/programMocks";

const accounts = [
  { name: "admin", username: "admin@acme.example", publishToken: false },
  { name: "scanner", username: "scanner@acme.example" },
];
const vaultAddress = "https://vault.acme.example";
const keysType = "pulumi-nodejs:dynamic/apisec:KeySettings";
const passwordType = "pulumi-nodejs:dynamic/apisec:Password";

/** Two accounts as a program of its own writes them: the first one changes the second. */
function build(
  store: Partial<SecretStoreArgs> = {},
  second: Partial<ServiceAccountArgs> = {},
  name = "scanner",
): ServiceAccount {
  const common = { store: new SecretStore("store", { accounts, vaultAddress, ...store }) };
  const changer = new ServiceAccount("admin", { ...common, username: "admin@acme.example" });
  return new ServiceAccount(name, {
    ...common,
    username: "scanner@acme.example",
    changer,
    ...second,
  });
}

/** Caught inside, so that what was registered before the refusal is done with before the next test. */
const refusal = async (...args: Parameters<typeof build>): Promise<string> => {
  let text = "";
  await withMocks(() => {
    try {
      build(...args);
    } catch (error) {
      text = (error as Error).message;
    }
  });
  return text;
};

describe("components in a program of its own", () => {
  test("need no more than names, users and the Vault: the rest has the defaults of config", async () => {
    const { resources, result } = await withMocks(() => build());
    expect(resource(resources, passwordType, "scanner").inputs).toMatchObject({
      name: "scanner",
      host: "https://cloud.apisec.ai",
      generation: 1,
      changedBy: { name: "admin", username: "admin@acme.example" },
      acceptAdminToken: false,
      published: true,
      mount: "apisec",
      vaultAddress,
    });
    expect(resource(resources, passwordType, "admin").inputs).toMatchObject({ published: false });
    expect(result.tokenPath).toBe("apisec/data/scanner/token");
    const keys = resource(resources, keysType, "store");
    expect(keys.inputs).toMatchObject({
      mount: "apisec",
      vaultAddress,
      settings: { token: { delete_version_after: "23h30m0s" } },
      accounts: { admin: ["password"], scanner: ["password", "token"] },
    });
  });

  test("change a password after the store's policies and keys, and set those after the mount", async () => {
    const { resources } = await withMocks(() => build());
    const { dependencies } = resource(resources, passwordType, "scanner");
    const namesOf = (urns: string[]) =>
      urns.map((urn) => urn.slice(urn.lastIndexOf("::") + 2)).sort();
    // What its changer waited for, it need not name again.
    expect(namesOf(dependencies)).toEqual(["admin"]);
    const changer = resource(resources, passwordType, "admin");
    expect(namesOf(changer.dependencies)).toEqual([
      ...["store", "store-admin", "store-developer", "store-rotator"],
    ]);
    expect(namesOf(resource(resources, keysType, "store").dependencies)).toEqual(["store"]);
  });

  test.each([
    [
      { mount: "a+/b", accounts: [{ name: "Scan*" }] },
      {},
      /^SecretStore store: mount is "a\+\/b"; expected the path of a mount/,
    ],
    [{ accounts: [{ name: "*" }] }, {}, /^SecretStore store: name is "\*"; expected 1 to 63/],
    [{}, { username: "a b" }, /^ServiceAccount scanner: username is "a b"; expected the user name/],
    [{}, { host: "http://apisec.acme.example" }, /^ServiceAccount scanner: host is .*https:/],
    [
      {},
      { passwordGeneration: 0 },
      /^ServiceAccount scanner: passwordGeneration is 0; expected a whole number/,
    ],
    [
      {},
      { host: "https://other.acme.example" },
      /^ServiceAccount scanner: its changer admin is at https:\/\/cloud\.apisec\.ai; expected an account at https:\/\/other/,
    ],
    [
      { accounts: accounts.map(({ name }) => ({ name })) },
      {},
      /^ServiceAccount scanner: its changer admin publishes its token, which can reset passwords/,
    ],
  ])("are refused with %j, %j", async (store, second, expected) => {
    expect(await refusal(store, second)).toMatch(expected);
  });

  test("a changer whose password is in another store is refused", async () => {
    await withMocks(() => {
      const [one, other] = ["one", "other"].map(
        (mount) => new SecretStore(mount, { accounts, vaultAddress, mount }),
      ) as [SecretStore, SecretStore];
      const changer = new ServiceAccount("admin", { store: one, username: "a" });
      expect(() => new ServiceAccount("scanner", { store: other, username: "s", changer })).toThrow(
        "its changer admin is kept in another store; expected one of the same store",
      );
    });
  });

  test("an account that the store does not keep is refused", async () => {
    expect(await refusal({}, {}, "other")).toBe(
      "The secret store has no account other: name it in the store's `accounts`.",
    );
  });
});

describe("settings in code", () => {
  const read = async (code: Partial<SettingsInCode>, config: Record<string, string> = {}) => {
    const before = { ...process.env };
    Object.assign(process.env, { VAULT_ADDR: "https://vault.acme.example", VAULT_TOKEN: "t" });
    try {
      const { result } = await withMocks(() => {
        const keys = Object.entries(config).map(([key, value]) => [
          `apisec-credentials:${key}`,
          value,
        ]);
        pulumi.runtime.setAllConfig(Object.fromEntries(keys) as Record<string, string>);
        return settingsFrom({ accounts, gitlabProject: "platform/rotation", ...code });
      });
      return result;
    } finally {
      process.env = before;
      pulumi.runtime.setAllConfig({});
    }
  };

  test("have the defaults of config", async () => {
    expect(await read({ createMount: false })).toMatchObject({
      mount: "apisec",
      createMount: false,
      cron: "17 */6 * * *",
      tokenLifetime: 86_400,
      accounts: [{ name: "admin", passwordGeneration: 1 }, { name: "scanner" }],
    });
  });

  test("yield to the stack's config; the program's other keys are its own", async () => {
    const config = { apisecUrl: "https://apisec.acme.example", color: "blue" };
    expect(await read({ apisecUrl: "https://cloud.apisec.ai" }, config)).toMatchObject({
      apisecUrl: "https://apisec.acme.example",
      accounts: [{ host: "https://apisec.acme.example" }, {}],
    });
  });

  test("are checked like config", async () => {
    await expect(read({ cron: "0 0 * * *" })).rejects.toThrow(
      /apisec-credentials:cron: is "0 0 \* \* \*", which leaves 24 h between two runs/,
    );
  });
});
