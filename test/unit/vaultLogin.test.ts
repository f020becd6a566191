import { join } from "node:path";
import { run } from "../../lab/process";

test.each([
  ["http://vault.acme.example:8200", "is not https"],
  ["https://user:canary@vault.acme.example", "carries a user name"],
])("the login of Pulumi's own job sends its ID token to no %s", async (address, problem) => {
  const env = { PATH: process.env["PATH"], VAULT_ADDR: address };
  const { code, stderr } = await run(
    process.execPath,
    ["-r", "./build/typescript.js", "cli/vaultLogin.ts"],
    {
      cwd: join(__dirname, "..", ".."),
      env: { ...env, VAULT_ROLE: "deployer", VAULT_ID_TOKEN: "canary.id.token" },
    },
  );
  expect([code, stderr]).toEqual([2, expect.stringContaining(`VAULT_ADDR ${problem}`)]);
  expect(stderr).not.toContain("canary");
});
