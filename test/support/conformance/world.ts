import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { startOpenBao, type OpenBao } from "../../../lab/openbao";
import { buildStandIns } from "../../../lab/plugins/build";
import { findExecutable, run } from "../../../lab/process";
import { ensureTools } from "../../../lab/tools";
import { gitlabSeed } from "./gitlabBenches";
import { placeholders } from "./placeholders";
import { startRecordingProxy } from "./recordingProxy";

export type ConformanceWorld = Awaited<ReturnType<typeof startConformanceWorld>>;

const host = (url: string): string => new URL(url).host;

const publicKey = (): string => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return publicKey.export({ type: "spki", format: "pem" }).toString().trim();
};

/** A real OpenBao and the lab's GitLab, each behind a recording proxy, and the stand-ins. */
export async function startConformanceWorld() {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  const tools = await ensureTools({ log: () => undefined });
  await buildStandIns(["vault", "gitlab", "command"], folder);
  const path = [...tools.path, process.env.PATH].join(delimiter);
  const executable = findExecutable("bao", path) ?? "bao";
  const [bao, gitlab] = await Promise.all([
    startOpenBao({ dir: join(folder, "bao"), bao: executable }),
    startLabGitlab(folder),
  ]);
  const vault = await startRecordingProxy(bao.address);
  const gitlabProxy = await startRecordingProxy(gitlab.url);
  const tls = await startTls(folder, bao);
  const shared = {
    "<address>": "127.0.0.1:1",
    "<public key>": publicKey(),
    "<public key 2>": publicKey(),
    "<secret 2>": "second-secret-value",
    "<secret>": "first-secret-value",
  };
  return {
    folder,
    bao,
    gitlab,
    vault: {
      proxy: vault,
      places: placeholders({
        ...shared,
        "<token>": bao.rootToken,
        "<vault-host>": host(vault.url),
        "<folder>/tls2/tls/ca.pem": tls.caFile,
        // Keys come from GitLab itself: its issuer is its own address.
        "<gitlab-host>": host(gitlab.url),
      }),
    },
    gitlabSide: {
      proxy: gitlabProxy,
      places: placeholders({
        ...shared,
        "<token>": "glpat-conformance",
        "<gitlab-host>": host(gitlabProxy.url),
      }),
    },
    tls,
    async stop() {
      await Promise.all([bao.stop(), gitlab.stop(), vault.close(), gitlabProxy.close()]);
      tls.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** In a process of its own: it is written for Node's loader, not for jest's. */
async function startLabGitlab(folder: string) {
  const options = { dir: join(folder, "gitlab"), toolPath: [], ...gitlabSeed };
  const child = spawn(
    process.execPath,
    [
      ...["-r", "./build/typescript.js", "-e"],
      `require("./lab/gitlab/server").startGitlab(${JSON.stringify(options)})
        .then(({ url }) => console.log(url))`,
    ],
    { cwd: join(__dirname, "../../.."), stdio: ["ignore", "pipe", "inherit"] },
  );
  const [url] = (await once(child.stdout, "data")) as [Buffer];
  return {
    url: url.toString().trim(),
    async stop() {
      if (child.exitCode === null && child.kill()) await once(child, "exit");
    },
  };
}

/** The same OpenBao by https: once for everybody, once for those who show a certificate. */
async function startTls(folder: string, bao: OpenBao) {
  const dir = join(folder, "tls");
  const openssl = async (...args: string[]) => {
    const { code, stderr } = await run("openssl", args, { cwd: dir });
    if (code !== 0) throw new Error(`openssl: ${stderr}`);
  };
  await run("mkdir", ["-p", dir]);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    ...["req", "-x509", "-days", "9", "-subj", "/CN=127.0.0.1", ...key],
    ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "ca.pem"],
  );
  const [cert, privateKey] = ["ca.pem", "key.pem"].map((file) => readFileSync(join(dir, file)));
  const start = async (asks: boolean): Promise<{ url: string; server: Server }> => {
    const options = {
      cert,
      key: privateKey,
      ca: cert,
      requestCert: asks,
      rejectUnauthorized: asks,
    };
    const server = createServer(options, (incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const behind = request(`${bao.address}${url}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(behind);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
  };
  const [open, closed] = [await start(false), await start(true)];
  return {
    /** The environment of an operation that speaks TLS; its certificate is its own authority and the client's. */
    environment: (operation: string): Record<string, string> => {
      const { url } = operation.includes("client certificate") ? closed : open;
      const files: Record<string, string> = {};
      if (operation.includes("client certificate")) files.VAULT_CACERT = join(dir, "ca.pem");
      if (operation === "VAULT_CACERT") files.VAULT_CACERT = join(dir, "ca.pem");
      if (operation === "client certificate in the environment") {
        files.VAULT_CLIENT_CERT = join(dir, "ca.pem");
        files.VAULT_CLIENT_KEY = join(dir, "key.pem");
      }
      return { VAULT_ADDR: url, ...files };
    },
    caFile: join(dir, "ca.pem"),
    close() {
      for (const { server } of [open, closed]) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}
