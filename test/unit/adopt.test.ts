import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { run } from "../../lab/process";
import { sourceOf } from "../support/configSource";

const root = join(__dirname, "..", "..");

/** `npm run adopt` with a `pulumi` whose preview shows this config, and nothing that is to be created. */
async function adopt(config: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), "adopt-"));
  const urn = "urn:pulumi:unit::apisec-credentials::pulumi:pulumi:Stack::unit";
  writeFileSync(join(dir, "preview"), JSON.stringify({ config, steps: [{ op: "same", urn }] }));
  const fake = `#!/bin/sh\nfor file; do :; done\necho '{"resources":[]}' > "$file"\ncat '${dir}/preview'\n`;
  writeFileSync(join(dir, "pulumi"), fake);
  chmodSync(join(dir, "pulumi"), 0o755);
  try {
    const args = ["cli/bin.js", "adopt", "--stack", "unit"];
    return await run(process.execPath, args, {
      cwd: root,
      env: {
        PATH: [dir, process.env["PATH"]].join(delimiter),
        ...{ VAULT_ADDR: "https://vault.invalid", VAULT_TOKEN: "none" },
      },
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("adopt reads a config whose secrets are not shown", async () => {
  const secrets = {
    "apisec-credentials:firstPasswords": "[secret]",
    "apisec-credentials:webhookUrl": "[secret]",
  };
  const { code, stdout, stderr } = await adopt({ ...sourceOf().values, ...secrets });
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("Stack unit has nothing to adopt");
});
