import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { z } from "zod";
import { startApisec } from "./server";
import { NewAccount } from "./state";

/**
 * Runs an APIsec until SIGTERM or SIGINT; prints `{"url","controlUrl"}` in one line when it is ready.
 * `--accounts FILE`: a JSON list of accounts ("-" = standard input: passwords are no arguments).
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      accounts: { type: "string" },
      dir: { type: "string" },
      host: { type: "string" },
      port: { type: "string" },
      "control-port": { type: "string" },
      paths: { type: "string" },
      "tls-key": { type: "string" },
      "tls-cert": { type: "string" },
    },
  });
  const { accounts, dir, host, port, paths, "tls-key": key, "tls-cert": cert } = values;
  const apisec = await startApisec({
    accounts: accounts
      ? z.array(NewAccount).parse(JSON.parse(readFileSync(accounts === "-" ? 0 : accounts, "utf8")))
      : [],
    dir,
    host,
    port: Number(port ?? 0),
    controlPort: Number(values["control-port"] ?? 0),
    paths: paths ? (JSON.parse(paths) as object) : undefined,
    tls:
      key && cert
        ? { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
        : undefined,
  });
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => void apisec.close().then(() => process.exit(0)));
  }
  console.log(JSON.stringify({ url: apisec.url, controlUrl: apisec.controlUrl }));
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
