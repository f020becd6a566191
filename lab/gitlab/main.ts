import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Seed } from "./seed";
import { startGitlab } from "./server";

/**
 * Runs a GitLab until SIGTERM or SIGINT; prints `{"url","port"}` in one line when it is ready.
 * `--seed FILE`: JSON with users and projects ("-" = standard input: tokens are no arguments).
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      dir: { type: "string" },
      seed: { type: "string" },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "0" },
      path: { type: "string", default: "" },
      "tool-path": { type: "string", multiple: true, default: [] },
      scheduler: { type: "boolean", default: false },
    },
  });
  const { dir, seed, host, port, path, scheduler } = values;
  if (!dir) throw new Error("--dir is missing");
  const text = seed ? readFileSync(seed === "-" ? 0 : seed, "utf8") : "{}";
  const gitlab = await startGitlab({
    ...Seed.parse(JSON.parse(text)),
    dir,
    host,
    port: Number(port),
    path,
    scheduler,
    toolPath: values["tool-path"],
  });
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => void gitlab.close().then(() => process.exit(0)));
  }
  console.log(JSON.stringify({ url: gitlab.url, port: gitlab.port }));
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
