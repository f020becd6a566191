// The dynamic provider as the engine's host runs it: a process that loads dist/passwordProvider.cjs. A line
// of JSON on standard input is one create or update; the answer is a line of JSON on standard output, and so is the
// word that it is ready. The code is loaded anew for each, since an engine starts a process for each `up`.
const { createInterface } = require("node:readline");
const { inspect } = require("node:util");
const { join } = require("node:path");

const root = join(__dirname, "..", "..");
const bundle = join(root, "dist", "passwordProvider.cjs");
const { now } = Date;

async function serve({ firstPasswords, inputs, olds, minutesLater = 0 }) {
  Date.now = () => now() + minutesLater * 60_000;
  delete require.cache[bundle];
  const { passwordMethods } = require(bundle);
  const config = { firstPasswords: JSON.stringify(firstPasswords) };
  await passwordMethods.configure({ config: { get: (key) => config[key] } });
  const { outs } = olds
    ? await passwordMethods.update("id", olds, inputs)
    : await passwordMethods.create(inputs);
  return { outs };
}

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

createInterface({ input: process.stdin }).on("line", (line) => {
  serve(JSON.parse(line))
    .catch((error) => ({
      // All that an engine could show of it.
      error: {
        code: error.code,
        name: error.name,
        message: error.message,
        all: inspect(error, { depth: 9 }),
      },
    }))
    .then((result) => answer({ ...result, rss: process.resourceUsage().maxRSS }));
});
require(bundle);
answer({ ready: true });
