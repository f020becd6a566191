import { passwordMethods } from "../../providers/passwordMethods";
import type { PasswordInputs, Stored } from "../../providers/passwordMethods";
import { defaultApisecPaths } from "../../clients/apisec";

const inputs: PasswordInputs = {
  name: "scanner",
  username: "scanner@acme.example",
  host: "https://cloud.apisec.ai",
  generation: 2,
  published: true,
  mount: "apisec",
  vaultAddress: "https://vault.example.com",
};
const stored: Stored = {
  ...inputs,
  currentGeneration: 2,
  recordVersion: 3,
  changeOpen: false,
  recordDeleted: false,
};

/** Whether the engine is told of work, and what people are told of it. */
async function diff(seen: Partial<Stored>, wished: Partial<PasswordInputs> = {}) {
  const log = jest.spyOn(console, "log").mockImplementation();
  const { changes } = await passwordMethods.diff(
    "scanner/password",
    { ...stored, ...seen },
    { ...inputs, ...wished },
  );
  const said = log.mock.calls.map(([line]) => String(line));
  log.mockRestore();
  return { changes, said };
}

test("nothing to do is nothing to say; a changed input is the engine's to show", async () => {
  expect(await diff({})).toEqual({ changes: false, said: [] });
  expect(await diff({}, { generation: 3 })).toEqual({ changes: true, said: [] });
});

test.each([
  [{ changeOpen: true }, "as far as Vault says, a change of its password is not finished"],
  [{ tokenStale: true }, "its readers have no token of the newest password"],
  [{ recordDeleted: true }, "the last refresh found its password record deleted or unreadable"],
  [{ currentGeneration: 1 }, "the last refresh found generation 1 of its password, not 2"],
])("work that no input shows is said: %j", async (seen, what) => {
  expect(await diff(seen)).toEqual({
    changes: true,
    said: [`Account scanner: ${what}: \`pulumi up\` sees to it.`],
  });
});

test("a state of an older version, which knows nothing of marks, owners and tokens, has no work", async () => {
  const wished = { owner: { project: "p", stack: "s" }, minLifetimeSeconds: 1 };
  expect(await diff({}, wished)).toEqual({ changes: false, said: [] });
});

test("an older state, which names defaults, too, has work for a real change only", async () => {
  const usual = { acceptAdminToken: false, sharedMount: false, apisecPaths: defaultApisecPaths };
  const ofToken = { tokenSettings: { cas_required: true, delete_version_after: "23h30m0s" } };
  const before = { ...usual, ...ofToken };
  expect(await diff(before)).toEqual({ changes: false, said: [] });
  expect(await diff(before, { apisecPaths: { login: "/auth/login" } })).toMatchObject({
    changes: true,
  });
  expect(await diff(before, { acceptAdminToken: true })).toMatchObject({ changes: true });
  const moved = { ...before, apisecPaths: { ...defaultApisecPaths, login: "/auth/login" } };
  expect(await diff(moved, { apisecPaths: { login: "/auth/login" } })).toMatchObject({
    changes: false,
  });
  expect(await diff(moved)).toMatchObject({ changes: true });
});

test("a former owner in the state is work, with its reason; one that GitLab does not show is none", async () => {
  const at = (stack: string, instance?: string) => ({ owner: { project: "p", stack, instance } });
  const said = [
    "Account scanner: its record in Vault is marked with this stack's former name: `pulumi up` sees to it.",
  ];
  const handedOver = { changes: true, said };
  expect(await diff(at("dev", "gitlab.com/1"), at("prod", "gitlab.com/1"))).toEqual(handedOver);
  expect(await diff(at("prod", "gitlab.com/1"), at("prod", "gitlab.com/2"))).toEqual(handedOver);
  const same = { changes: false, said: [] };
  expect(await diff(at("prod", "gitlab.com/1"), at("prod", "gitlab.com/1"))).toEqual(same);
  expect(await diff(at("prod", "gitlab.com/1"), at("prod"))).toEqual(same);
});

describe("a generation that is raised", () => {
  test.each([2, 3])(
    "to one that the record has (%d of 3) is refused, with the next one",
    async (raised) => {
      const olds = { generation: 1, currentGeneration: 3 };
      const error: unknown = await diff(olds, { generation: raised }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ stack: "" });
      expect((error as Error).message).toBe(
        `Account scanner has generation 3 of its password already, so that passwordGeneration ${raised} would change nothing. Set it to 4. [APC-USED-GENERATION]`,
      );
    },
  );

  test("to a new one is work", async () => {
    const olds = { generation: 1, currentGeneration: 3 };
    expect(await diff(olds, { generation: 4 })).toMatchObject({ changes: true });
  });

  test("by a run that was killed is taken as done: the record is ahead, and the config as it was", async () => {
    expect(await diff({ generation: 2, currentGeneration: 3 })).toMatchObject({ changes: false });
  });
});

test("a read that fails is one line for the engine's host to print", async () => {
  process.env["VAULT_TOKEN"] = "hvs.of-this-test";
  const nowhere = { ...stored, vaultAddress: "http://127.0.0.1:9" };
  const error: unknown = await passwordMethods
    .read("scanner/password", nowhere)
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "VaultError", stack: "" });
});
