/* eslint-disable no-console -- a program of its own */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../../lab/process";
import { ensureOpenBao } from "../../../lab/tools";
import { startVaultFront, vaultVersion } from "../vaultFront";

/** The end of this process, even by SIGKILL, ends the shell's read, and with it the server behind. */
const endWithThis = '"$@" </dev/null & read -r _; kill -9 $!';

/** `vault server -config=FILE`, by an OpenBao on another port. */
async function server(bao: string, file: string): Promise<void> {
  const config = readFileSync(file, "utf8");
  const refused = whatVaultRefuses(config);
  if (refused !== undefined) throw new Error(refused);
  const [, host = "", port = ""] = /^\s*address = "(.*):(\d+)"/m.exec(config) ?? [];
  const behind = await freePort();
  const behindFile = join(process.cwd(), "behind.hcl");
  writeFileSync(behindFile, forOpenBao(config, `127.0.0.1:${behind}`));
  const child = spawn("sh", ["-c", endWithThis, "sh", bao, "server", `-config=${behindFile}`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.once("exit", () => process.exit(1));
  createInterface(child.stdout).on("line", (line) => {
    if (!line.includes("OpenBao server started!")) return console.log(line);
    void startVaultFront({
      target: `http://127.0.0.1:${behind}`,
      host: host.replace(/[[\]]/g, ""),
      port: Number(port),
      ...(config.includes("tls_disable") ? {} : { tls: tlsOf(config) }),
    }).then(
      () => console.log("==> Vault server started! Log data will stream in below:"),
      ({ message }: Error) => {
        console.log(`Error: ${message.replace("EADDRINUSE: ", "")}`);
        process.exit(1);
      },
    );
  });
}

function whatVaultRefuses(config: string): string | undefined {
  if (/^audit /m.test(config)) return "unknown or unsupported field audit found in configuration";
  if (!/^disable_mlock = /m.test(config))
    return "disable_mlock must be configured 'true' or 'false'";
  return undefined;
}

function forOpenBao(config: string, address: string): string {
  return `unsafe_allow_api_audit_creation = true\n${config}`
    .replace(/^disable_mlock.*\n/m, "")
    .replace(/^(\s*address) = ".*"/m, `$1 = "${address}"`)
    .replace(/^\s*tls_.*\n/gm, "")
    .replace(/(listener "tcp" \{\n)/, "$1  tls_disable = true\n");
}

function tlsOf(config: string) {
  const pem = (name: string) => {
    const [, file] = new RegExp(`^\\s*${name} = "(.*)"`, "m").exec(config) ?? [];
    return file === undefined ? "" : readFileSync(file, "utf8");
  };
  const ca = pem("tls_client_ca_file");
  const clients = ca === "" ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return { key: pem("tls_key_file"), cert: pem("tls_cert_file"), ...clients };
}

async function main([command, ...args]: string[]): Promise<void> {
  // The lab starts servers with a home of their own.
  const { detail: bao } = await ensureOpenBao({ ...process.env, HOME: userInfo().homedir });
  const config = args.find((arg) => arg.startsWith("-config="));
  if (command === "server" && config) return server(bao, config.slice("-config=".length));
  const child = spawn(bao, [command ?? "", ...args], { stdio: "inherit" });
  child.once("exit", (code) => process.exit(code ?? 1));
}

main(process.argv.slice(2)).catch(({ message }: Error) => {
  console.log(`Vault ${vaultVersion}: ${message}`);
  process.exit(1);
});
