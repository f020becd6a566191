import * as pulumi from "@pulumi/pulumi";
import { SecretStore } from "../../components/secretStore";
import { serviceAccounts } from "../../components/serviceAccount";
import { settingsFrom } from "../../config/load";
import type { SettingsInCode } from "../../config/load";
import { desiredState } from "../../desired/state";
import { resource, withMocks } from "../support/programMocks";

const accounts = [
  { name: "scanner", username: "scanner@acme.example", changedBy: "admin" },
  { name: "admin", username: "admin@acme.example", publishToken: false },
];
const vaultAddress = "https://vault.acme.example";
const keysType = "pulumi-nodejs:dynamic/apisec:KeySettings";
const passwordType = "pulumi-nodejs:dynamic/apisec:Password";

/** Runs a program of its own, whose stack has this config. */
async function run<T>(program: () => T, config: Record<string, string> = {}) {
  const before = { ...process.env };
  Object.assign(process.env, { VAULT_ADDR: vaultAddress, VAULT_TOKEN: "t" });
  try {
    return await withMocks(() => {
      const keys = Object.entries(config).map(([key, value]) => [
        `apisec-credentials:${key}`,
        value,
      ]);
      pulumi.runtime.setAllConfig(Object.fromEntries(keys) as Record<string, string>);
      return program();
    });
  } finally {
    process.env = before;
    pulumi.runtime.setAllConfig({});
  }
}

/** The store and the accounts of a program that takes its settings once. */
const build = (code: Partial<SettingsInCode> = {}, config: Record<string, string> = {}) =>
  run(() => {
    const settings = settingsFrom({ accounts, gitlabProject: "platform/rotation", ...code });
    const wanted = desiredState(settings, { claims: new Map(), groupIds: new Map() });
    const store = new SecretStore("store", wanted.vault);
    return serviceAccounts(wanted.accounts, store.ready);
  }, config);

describe("components in a program of its own", () => {
  test("need no more than names, users and the Vault: the rest has the defaults of config", async () => {
    const { resources, result } = await build();
    expect(resource(resources, passwordType, "scanner").inputs).toMatchObject({
      name: "scanner",
      host: "https://cloud.apisec.ai",
      generation: 1,
      changedBy: { name: "admin", username: "admin@acme.example" },
      published: true,
      mount: "apisec",
      vaultAddress,
    });
    expect(resource(resources, passwordType, "admin").inputs).toMatchObject({ published: false });
    expect(result.map(({ accountName, token }) => [accountName, token?.path])).toEqual([
      ["admin", undefined],
      ["scanner", "apisec/data/scanner/token"],
    ]);
    const keys = resource(resources, keysType, "store");
    expect(keys.inputs).toMatchObject({
      mount: "apisec",
      vaultAddress,
      settings: { token: { delete_version_after: "23h30m0s" } },
      accounts: { admin: ["password"], scanner: ["password", "token"] },
    });
  });

  test("change a password after the store's policies and keys, and set those after the mount", async () => {
    const { resources } = await build();
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

  test("have all the same mount and prefix, wherever the settings say them", async () => {
    const { resources } = await build({ mount: "in-code" }, { mount: "kv", policyPrefix: "acme" });
    const policy = resource(resources, "vault:index/policy:Policy", "store-developer");
    expect(policy.inputs["name"]).toBe("acme-prod-developer");
    expect(policy.inputs["policy"]).toContain('path "kv/data/scanner/token"');
    expect(resource(resources, "vault:index/mount:Mount", "store").inputs["path"]).toBe("kv");
    expect(resource(resources, keysType, "store").inputs["mount"]).toBe("kv");
    expect(resource(resources, passwordType, "scanner").inputs["mount"]).toBe("kv");
  });
});

describe("settings in code", () => {
  const read = async (code: Partial<SettingsInCode>, config: Record<string, string> = {}) => {
    const { result } = await run(
      () => settingsFrom({ accounts, gitlabProject: "platform/rotation", ...code }),
      config,
    );
    return result;
  };

  test("have the defaults of config", async () => {
    expect(await read({ createMount: false })).toMatchObject({
      mount: "apisec",
      createMount: false,
      cron: "17 */6 * * *",
      tokenLifetime: 86_400,
      accounts: [{ name: "scanner", passwordGeneration: 1 }, { name: "admin" }],
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
