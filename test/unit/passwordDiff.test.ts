import { passwordMethods } from "../../providers/passwordMethods";
import type { PasswordInputs, Stored } from "../../providers/passwordMethods";
import { defaultApisecPaths } from "../../clients/apisec";

const inputs: PasswordInputs = {
  name: "scanner",
  username: "scanner@acme.example",
  host: "https://cloud.apisec.ai",
  generation: 2,
  acceptAdminToken: false,
  published: true,
  mount: "apisec",
  vaultAddress: "https://vault.example.com",
  apisecPaths: defaultApisecPaths,
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
  [{ changeOpen: true }, "a password change that is not finished"],
  [{ recordDeleted: true }, "its password record deleted or unreadable"],
  [{ currentGeneration: 1 }, "generation 1 of its password, not 2"],
])("work that no input shows is said: %j", async (seen, what) => {
  expect(await diff(seen)).toEqual({
    changes: true,
    said: [`Account scanner: the last refresh found ${what}: \`pulumi up\` sees to it.`],
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
