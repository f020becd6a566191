import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";

import { attachOpenBao, baoRequest, startOpenBao, type OpenBao } from "../../lab/openbao";
import { commandLine, isAlive, waitFor } from "../../lab/process";
import { ensureTools } from "../../lab/tools";

let bao: string;
let dir: string;
let server: OpenBao;

const request = (method: string, apiPath: string, body?: unknown) =>
  server.request(server.rootToken, method, apiPath, body);

const secret = { data: { data: { password: "correct horse" } } };

async function writeSecret() {
  await request("POST", "sys/mounts/kept", { type: "kv", options: { version: "2" } });
  // A new mount answers 400 ("upgrading from non-versioned") for a moment.
  return waitFor("the first write", 5000, async () => {
    const answer = await request("POST", "kept/data/example", secret.data);
    return answer.status === 200 ? answer : undefined;
  });
}

beforeAll(async () => {
  process.env.LAB_OFFLINE ??= "1";
  ({ vault: bao } = await ensureTools());
}, 600_000);

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "openbao-"));
});

afterEach(async () => {
  await server.kill();
  fs.rmSync(dir, { recursive: true });
});

test("what was written is there after a restart, on the same address", async () => {
  server = await startOpenBao({ dir, bao });
  const { address, pid } = server;
  await writeSecret();

  await server.restart();

  expect(server.pid).not.toBe(pid);
  expect(server.address).toBe(address);
  expect(await request("GET", "kept/data/example")).toMatchObject({ status: 200, body: secret });
});

test("what was written survives a kill and a new start with the kept keys", async () => {
  server = await startOpenBao({ dir, bao });
  await writeSecret();
  const { address, rootToken } = server;
  await server.kill();

  server = await startOpenBao({ dir, bao });

  expect(server).toMatchObject({ address, rootToken });
  expect(await request("GET", "kept/data/example")).toMatchObject({ status: 200, body: secret });
});

test("a new start finds other ports when the old ones are taken", async () => {
  server = await startOpenBao({ dir, bao });
  await writeSecret();
  const { address } = server;
  await server.stop();
  const ports = JSON.parse(fs.readFileSync(path.join(dir, "server.json"), "utf8")) as {
    port: number;
    clusterPort: number;
  };
  const blockers = [ports.port, ports.clusterPort].map((port) =>
    net.createServer().listen(port, "127.0.0.1"),
  );

  try {
    server = await startOpenBao({ dir, bao });
    expect(server.address).not.toBe(address);
    expect(await request("GET", "kept/data/example")).toMatchObject({ status: 200, body: secret });
  } finally {
    for (const blocker of blockers) blocker.close();
  }
});

test("the audit log names the path and holds no secret", async () => {
  server = await startOpenBao({ dir, bao });
  await writeSecret();

  const lines = fs.readFileSync(server.auditLog, "utf8").trim().split("\n");
  const paths = lines.map(
    (line) => (JSON.parse(line) as { request: { path: string } }).request.path,
  );

  expect(paths).toContain("kept/data/example");
  expect(lines.join("\n")).not.toContain("correct horse");
});

test("sealed answers 503 until it is unsealed", async () => {
  server = await startOpenBao({ dir, bao });
  await writeSecret();

  await server.seal();
  expect((await request("GET", "kept/data/example")).status).toBe(503);

  await server.unseal();
  expect((await request("GET", "kept/data/example")).status).toBe(200);
});

test("keys are for the owner's eyes, and are in no process argument and no log", async () => {
  server = await startOpenBao({ dir, bao });

  expect(fs.statSync(path.join(dir, "init.json")).mode & 0o077).toBe(0);
  expect(fs.statSync(dir).mode & 0o077).toBe(0);
  const log = fs.readFileSync(path.join(dir, "openbao.log"), "utf8");
  const command = await commandLine(server.pid);
  expect(command).toContain("server -config=");
  for (const key of [server.rootToken, ...server.unsealKeys]) {
    expect(command).not.toContain(key);
    expect(log).not.toContain(key);
  }
});

test("a running server can be attached to, is not started twice, and is told from a foreign process", async () => {
  server = await startOpenBao({ dir, bao, detached: true });

  expect(await attachOpenBao(dir)).toMatchObject({
    pid: server.pid,
    address: server.address,
    rootToken: server.rootToken,
  });
  await expect(startOpenBao({ dir, bao })).rejects.toThrow("running already");

  const { pid } = server;
  await server.stop();
  expect(await attachOpenBao(dir)).toBeUndefined();
  fs.writeFileSync(path.join(dir, "openbao.pid"), String(process.pid));
  expect(await attachOpenBao(dir)).toBeUndefined();
  expect(isAlive(pid)).toBe(false);
});

test("https with the lab's CA: trusted with it, refused without", async () => {
  server = await startOpenBao({ dir, bao, tls: true });

  expect(server.address).toMatch(/^https:/);
  await writeSecret();
  await expect(baoRequest(server.address, undefined, "GET", "sys/health")).rejects.toThrow(
    /certificate/,
  );
});

test("a server that cannot start says what its log says", async () => {
  server = await startOpenBao({ dir, bao });
  const other = fs.mkdtempSync(path.join(os.tmpdir(), "openbao-"));
  try {
    const port = Number(new URL(server.address).port);
    await expect(startOpenBao({ dir: other, bao, port })).rejects.toThrow("address already in use");
    expect(fs.existsSync(path.join(other, "openbao.pid"))).toBe(false);
  } finally {
    fs.rmSync(other, { recursive: true });
  }
});
