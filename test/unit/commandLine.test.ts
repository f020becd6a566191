import { join } from "node:path";
import { run } from "../../lab/process";

const root = join(__dirname, "..", "..");
const commands = ["doctor", "check", "rotate", "policy", "adopt"];

function call(command: string, ...args: string[]) {
  const env = { ...process.env, PULUMI_STACK: undefined };
  return run(process.execPath, ["cli/bin.js", command, ...args], { cwd: root, env });
}

test.each(commands)("%s --help says how it is called", async (command) => {
  const { code, stdout, stderr } = await call(command, "--help");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(new RegExp(`^Usage: npm run (--silent )?${command} -- `));
});

test.each(commands)(
  "%s names an option that it does not know, and says how it is called",
  async (command) => {
    const { code, stdout, stderr } = await call(command, "--bogus");
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(
      new RegExp(
        `^Unknown option '--bogus' \\[APC-USAGE\\]\nUsage: npm run (--silent )?${command} -- `,
      ),
    );
  },
);

test.each(commands)("%s asks for the stack that it is not told", async (command) => {
  const { code, stdout, stderr } = await call(command);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^Which (policy of which )?stack\?/);
});

test.each(commands)("%s takes a stack by --stack only", async (command) => {
  const named = command === "policy" ? ["deployer"] : [];
  const { code, stdout, stderr } = await call(command, ...named, "prod");
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(new RegExp(`\\nUsage: npm run (--silent )?${command} -- .*--stack prod`));
});
