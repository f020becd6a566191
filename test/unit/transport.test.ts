import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import { startForwardProxy } from "../support/forwardProxy";
import { axiosSend } from "../../net/axiosTransport";
import { nodeSend } from "../../net/transport";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { HttpRequest, Send } from "../../net/http";
import type { ForwardProxy } from "../support/forwardProxy";
import type { TransportOptions } from "../../net/transport";

const tls = (name: string) => readFileSync(join(__dirname, "../support/tls", name), "utf8");

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

const routes: Record<string, Handler> = {
  "/echo": (request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => (body += part));
    request.on("end", () => {
      const { method, headers } = request;
      response.writeHead(200, { "X-Mixed-Case": "Yes", "Set-Cookie": ["a=1", "b=2"] });
      response.end(JSON.stringify({ method, headers, body }));
    });
  },
  "/error": (_, response) => response.writeHead(503, { "Retry-After": "7" }).end("busy"),
  "/empty": (_, response) => response.writeHead(204).end(),
  "/redirect": (_, response) => response.writeHead(307, { location: "/echo" }).end("moved"),
  "/silent": () => undefined,
  "/drip": (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("."), 20);
    response.on("close", () => clearInterval(timer));
  },
  "/exact": (_, response) => response.end("x".repeat(1000)),
  "/big": (_, response) => response.end("x".repeat(1001)),
  "/endless": (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("x".repeat(400)), 5);
    response.on("close", () => clearInterval(timer));
  },
  "/reset": (request) => request.socket.destroy(),
  "/cut": (request, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write('{"token":"half', () => setTimeout(() => request.socket.destroy(), 20));
  },
  "/cut-chunked": (request, response) => {
    response.writeHead(200);
    response.write('{"data":true', () => setTimeout(() => request.socket.destroy(), 20));
  },
  "/no-http": (request) => request.socket.end("SSH-2.0-OpenSSH_9.9\r\n"),
  "/split": (_, response) => {
    const bytes = Buffer.from("grün€");
    response.write(bytes.subarray(0, 3));
    setTimeout(() => response.end(bytes.subarray(3)), 20);
  },
  "/close": (_, response) => response.writeHead(200, { connection: "close" }).end("bye"),
};

const handle: Handler = (request, response) => routes[request.url ?? ""]?.(request, response);

let server: http.Server;
let secure: https.Server;
let base = "";
let secureBase = "";
let connections = 0;
let hits: string[] = [];

beforeAll(async () => {
  server = http.createServer((request, response) => {
    hits.push(request.url ?? "");
    handle(request, response);
  });
  server.on("connection", () => (connections += 1));
  secure = https.createServer({ key: tls("localhost.key"), cert: tls("localhost.pem") }, handle);
  for (const one of [server, secure]) {
    await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  }
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  secureBase = `https://localhost:${(secure.address() as AddressInfo).port}`;
});

afterAll(() => {
  for (const one of [server, secure]) {
    one.closeAllConnections();
    one.close();
  }
});

beforeEach(() => {
  hits = [];
});

function get(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { method: "GET", url, headers: {}, timeoutMs: 5000, maxBytes: 1000, ...more };
}

const secretRequest: Partial<HttpRequest> = {
  method: "POST",
  headers: { authorization: "Bearer canary-token", "content-type": "application/json" },
  body: '{"password":"canary-password"}',
};

/** The error of a request that must fail, checked for what every such error must be. */
async function failure(send: Send, request: HttpRequest): Promise<{ code: string }> {
  const error: unknown = await send(request).then(
    (answer) => {
      throw new Error(`answered ${answer.status}`);
    },
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  const { name, message, code } = error as Error & { code: string };
  expect({ name, message }).toEqual({
    name: "TransportError",
    message: expect.stringContaining(new URL(request.url).origin) as string,
  });
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("canary");
  expect(JSON.stringify(error)).not.toContain("canary");
  return { code };
}

const transports: [string, (options?: TransportOptions) => Send][] = [
  ["net/transport", nodeSend],
  ["net/axiosTransport", axiosSend],
];

describe.each(transports)("%s", (file, make) => {
  const send = make();

  test("carries method, headers and body, and gives headers in lower case", async () => {
    const answer = await send(get(`${base}/echo`, secretRequest));
    const seen = JSON.parse(answer.body) as { method: string; headers: object; body: string };
    expect(answer.status).toBe(200);
    expect(answer.headers["x-mixed-case"]).toBe("Yes");
    expect(answer.headers["set-cookie"]).toBe("a=1, b=2");
    expect(seen).toMatchObject({ method: "POST", body: '{"password":"canary-password"}' });
    expect(seen.headers).toMatchObject({
      authorization: "Bearer canary-token",
      "content-type": "application/json",
      "content-length": "30",
    });
    expect(JSON.stringify(seen.headers)).not.toContain("gzip");
  });

  test("sends a body of JSON text byte for byte", async () => {
    const body = ' {"b":1.0, "a":"é"} \n';
    const answer = await send(get(`${base}/echo`, { ...secretRequest, body }));
    expect((JSON.parse(answer.body) as { body: string }).body).toBe(body);
  });

  test.each([
    ["/error", 503, "busy"],
    ["/empty", 204, ""],
    ["/split", 200, "grün€"],
    ["/close", 200, "bye"],
  ])("%s is an answer with status %i", async (path, status, body) => {
    expect(await send(get(base + path))).toMatchObject({ status, body });
  });

  test("a redirect is an answer and is not followed", async () => {
    const answer = await send(get(`${base}/redirect`, secretRequest));
    expect(answer).toMatchObject({ status: 307, body: "moved", headers: { location: "/echo" } });
    expect(hits).toEqual(["/redirect"]);
  });

  test.each(["/silent", "/drip"])("%s runs into the time limit of the exchange", async (path) => {
    const { code } = await failure(send, get(base + path, { ...secretRequest, timeoutMs: 150 }));
    expect(code).toBe("timeout");
  });

  test("an answer of exactly the accepted size passes", async () => {
    expect((await send(get(`${base}/exact`))).body).toHaveLength(1000);
  });

  test.each([
    ["/big", "too-large"],
    ["/endless", "too-large"],
    ["/reset", "reset"],
    ["/cut", "reset"],
    ["/cut-chunked", "reset"],
  ])("%s fails as %s", async (path, code) => {
    expect((await failure(send, get(base + path, secretRequest))).code).toBe(code);
  });

  test("bytes that are no HTTP fail", async () => {
    expect((await failure(send, get(`${base}/no-http`, secretRequest))).code).toBe("other");
  });

  test("a closed port is refused", async () => {
    const closed = http.createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const { code } = await failure(send, get(`http://127.0.0.1:${port}/`, secretRequest));
    expect(code).toBe("refused");
  });

  test("a name that does not resolve is a dns failure", async () => {
    const { code } = await failure(send, get("http://no-such-host.invalid/", secretRequest));
    expect(code).toBe("dns");
  });

  test("a line break in a header is refused or dropped, and makes no second header", async () => {
    const headers = { authorization: "Bearer canary\r\nx-smuggled: 1" };
    const answer = await send(get(`${base}/echo`, { headers })).catch((error: Error) => error);
    if (answer instanceof Error) expect(answer.message).toBe(`${base} could not be reached`);
    else expect(JSON.parse(answer.body)).not.toHaveProperty("headers.x-smuggled");
  });

  test("one request after the other uses one connection", async () => {
    const fresh = make();
    const before = connections;
    for (let i = 0; i < 5; i += 1) await fresh(get(`${base}/error`));
    expect(connections - before).toBe(1);
  });

  describe("https", () => {
    test("a certificate of the given authority is trusted", async () => {
      const answer = await make({ ca: tls("ca.pem") })(get(`${secureBase}/exact`));
      expect(answer.status).toBe(200);
    });

    test("without that authority it is not", async () => {
      expect((await failure(send, get(`${secureBase}/echo`, secretRequest))).code).toBe("tls");
    });

    test("a certificate for another name is not trusted", async () => {
      const url = secureBase.replace("localhost", "127.0.0.1");
      const given = make({ ca: tls("ca.pem") });
      expect((await failure(given, get(`${url}/echo`, secretRequest))).code).toBe("tls");
    });

    test("NODE_TLS_REJECT_UNAUTHORIZED does not turn the check off", async () => {
      // In a process of its own: jest hides the real environment.
      const request = JSON.stringify(get(`${secureBase}/echo`, secretRequest));
      const code = `require("./${file}").${make.name}()(${request})
        .then(() => console.log("answered"), (error) => console.log(error.code))`;
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ["-r", "./build/typescript.js", "-e", code],
        {
          cwd: join(__dirname, "../.."),
          env: { PATH: process.env["PATH"], NODE_TLS_REJECT_UNAUTHORIZED: "0" },
        },
      );
      expect(stdout.trim()).toBe("tls");
    });

    test("the client certificate is shown to a server that asks", async () => {
      const subjects: string[] = [];
      const asking = https.createServer(
        {
          key: tls("localhost.key"),
          cert: tls("localhost.pem"),
          ca: tls("ca.pem"),
          requestCert: true,
          rejectUnauthorized: false,
        },
        (request, response) => {
          const socket = request.socket as TLSSocket;
          subjects.push(socket.authorized ? "known" : "unknown");
          response.end();
        },
      );
      await new Promise<void>((resolve) => asking.listen(0, "127.0.0.1", resolve));
      const url = `https://localhost:${(asking.address() as AddressInfo).port}/`;
      const [ca, cert, key] = [tls("ca.pem"), tls("localhost.pem"), tls("localhost.key")];
      await make({ ca, cert, key })(get(url));
      await make({ ca })(get(url));
      expect(subjects).toEqual(["known", "unknown"]);
      asking.closeAllConnections();
      asking.close();
    });
  });

  describe("through a proxy", () => {
    const name = "vault.lab.example";
    let proxy: ForwardProxy;
    const through = (url = proxy.url) => make({ ca: tls("ca.pem"), proxyFor: () => url });

    beforeAll(async () => {
      const port = Number(new URL(secureBase).port);
      proxy = await startForwardProxy({
        credentials: "me:canary p@ss",
        route: (target) => (target.startsWith("refused") ? undefined : { host: "127.0.0.1", port }),
      });
    });
    afterAll(() => proxy.close());

    const withPassword = () => proxy.url.replace("//", "//me:canary%20p%40ss@");

    test("TLS is spoken with the server behind it, over one connection", async () => {
      const before = proxy.targets().length;
      const send = through(withPassword());
      for (let i = 0; i < 3; i += 1) {
        expect((await send(get(`${secureBase}/exact`))).status).toBe(200);
      }
      expect(proxy.targets().slice(before)).toEqual([new URL(secureBase).host]);
    });

    test("a server with another name behind it is not trusted", async () => {
      const send = through(withPassword());
      expect((await failure(send, get(`https://${name}/`, secretRequest))).code).toBe("tls");
      expect(proxy.targets()).toContain(`${name}:443`);
    });

    test.each([
      ["asks for a password", () => proxy.url, name, "it answers 407"],
      ["refuses the way", withPassword, "refused.example", "it answers 403"],
      ["is not there", () => "http://127.0.0.1:9", name, "ECONNREFUSED"],
      ["is no proxy", () => base, name, "ECONNRESET"],
    ])("a proxy that %s: said so", async (_, url, host, detail) => {
      const request = get(`https://${host}/`, secretRequest);
      const send = through(url());
      expect((await failure(send, request)).code).toBe("proxy");
      await expect(send(request)).rejects.toThrow(
        `https://${host} cannot be reached through the proxy (${detail}`,
      );
    });

    test("a silent proxy runs into the time limit of the exchange", async () => {
      const sockets: net.Socket[] = [];
      const silent = net.createServer((socket) => void sockets.push(socket));
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
      const { port } = silent.address() as AddressInfo;
      const send = through(`http://127.0.0.1:${port}`);
      const { code } = await failure(send, get(`https://${name}/`, { timeoutMs: 150 }));
      expect(code).toBe("timeout");
      for (const socket of sockets) socket.destroy();
      silent.close();
    });

    test("variables that only axios or node would follow lead nowhere", async () => {
      const before = process.env["HTTPS_PROXY"];
      process.env["HTTPS_PROXY"] = withPassword();
      const { length } = proxy.targets();
      await failure(make(), get("https://no-such-host.invalid/"));
      expect(proxy.targets()).toHaveLength(length);
      if (before === undefined) delete process.env["HTTPS_PROXY"];
      else process.env["HTTPS_PROXY"] = before;
    });
  });
});

test("the provider is loaded without axios: a preview makes no request", async () => {
  const code = `require("./dist/passwordProvider.cjs"); console.log(Object.keys(require.cache).join("\\n"))`;
  const root = join(__dirname, "..", "..");
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", code], { cwd: root });
  expect(stdout).toContain("dist/passwordProvider.cjs");
  expect(stdout).not.toContain("/axios/");
});
