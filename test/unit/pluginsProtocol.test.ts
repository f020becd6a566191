import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct, type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";
import { buildStandIns, type PluginName } from "../../lab/plugins/build";
import { unknown } from "../../lab/plugins/resource";

type Props = Record<string, JavaScriptValue>;

const folder = mkdtempSync(join(tmpdir(), "plugins-"));
const processes: ChildProcess[] = [];

beforeAll(() => buildStandIns(["vault", "gitlab", "command"], folder));
afterAll(() => {
  processes.forEach((child) => child.kill());
  rmSync(folder, { recursive: true });
});

/** Starts a stand-in as the engine does. */
async function start(name: PluginName, environment: Record<string, string> = {}) {
  const child = spawn(join(folder, `pulumi-resource-${name}`), [], {
    env: { ...process.env, ...environment },
  });
  processes.push(child);
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const client = new ResourceProviderClient(
    `127.0.0.1:${port.toString().trim()}`,
    grpc.credentials.createInsecure(),
  );
  type Done<Answer> = (error: grpc.ServiceError | null, answer: Answer) => void;
  const ask = <Answer>(
    method: Exclude<keyof ResourceProviderClient, keyof grpc.Client | "list">,
    request: unknown,
  ) =>
    new Promise<Answer>((resolve, reject) => {
      const run = client[method].bind(client) as unknown as (
        given: unknown,
        done: Done<Answer>,
      ) => void;
      run(request, (error, answer) => (error ? reject(error) : resolve(answer)));
    });

  return {
    child,
    configure(config: Props) {
      const request = new proto.ConfigureRequest();
      request.setArgs(Struct.fromJavaScript(config));
      return ask<proto.ConfigureResponse>("configure", request);
    },
    async checkConfig(config: Props) {
      const request = new proto.CheckRequest();
      request.setNews(Struct.fromJavaScript(config));
      const answer = await ask<proto.CheckResponse>("checkConfig", request);
      return answer.getFailuresList().map((failure) => failure.toObject());
    },
    async check(type: string, news: Props) {
      const request = new proto.CheckRequest();
      request.setUrn(urn(type));
      request.setNews(Struct.fromJavaScript(news));
      const answer = await ask<proto.CheckResponse>("check", request);
      return answer.getFailuresList().map((failure) => failure.toObject());
    },
    async create(type: string, inputs: Props, preview = false) {
      const request = new proto.CreateRequest();
      request.setUrn(urn(type));
      request.setPreview(preview);
      request.setProperties(Struct.fromJavaScript(inputs));
      const answer = await ask<proto.CreateResponse>("create", request);
      return { id: answer.getId(), properties: answer.getProperties()?.toJavaScript() ?? {} };
    },
    async update(type: string, id: string, was: Props, now: Props) {
      const request = new proto.UpdateRequest();
      request.setUrn(urn(type));
      request.setId(id);
      request.setOlds(Struct.fromJavaScript(was));
      request.setNews(Struct.fromJavaScript(now));
      const answer = await ask<proto.UpdateResponse>("update", request);
      return answer.getProperties()?.toJavaScript() ?? {};
    },
    async read(type: string, id: string, known: Props = {}) {
      const request = new proto.ReadRequest();
      request.setUrn(urn(type));
      request.setId(id);
      request.setProperties(Struct.fromJavaScript(known));
      request.setInputs(Struct.fromJavaScript(known));
      const answer = await ask<proto.ReadResponse>("read", request);
      return { id: answer.getId(), inputs: answer.getInputs()?.toJavaScript() ?? {} };
    },
    async remove(type: string, id: string, state: Props) {
      const request = new proto.DeleteRequest();
      request.setUrn(urn(type));
      request.setId(id);
      request.setProperties(Struct.fromJavaScript(state));
      await ask<Empty>("delete", request);
    },
    async invoke(token: string, args: Props) {
      const request = new proto.InvokeRequest();
      request.setTok(token);
      request.setArgs(Struct.fromJavaScript(args));
      const answer = await ask<proto.InvokeResponse>("invoke", request);
      return answer.getReturn()?.toJavaScript() ?? {};
    },
    cancel: () => ask<Empty>("cancel", new Empty()),
  };
}

const urn = (type: string): string => `urn:pulumi:dev::project::${type}::it`;

describe("every stand-in", () => {
  test("knows nothing silently", async () => {
    const plugin = await start("command");
    await expect(plugin.create("command:remote:Command", {})).rejects.toThrow(
      "this stand-in has no resource type command:remote:Command",
    );
    await expect(plugin.invoke("command:local:run", {})).rejects.toThrow("no function");
    expect(await plugin.check("command:local:Command", { craete: "true" })).toEqual([
      { property: "craete", reason: "this stand-in does not know the property" },
    ]);
    expect(await plugin.checkConfig({ shell: "sh", version: "1.2.1" })).toEqual([
      { property: "shell", reason: "this stand-in does not know the configuration key" },
    ]);
  });

  test("says how it wants to be spoken to", async () => {
    const answer = (await (await start("command")).configure({})).toObject();
    expect(answer).toMatchObject({
      acceptsecrets: false,
      acceptresources: false,
      acceptoutputs: false,
      supportspreview: true,
    });
  });

  test("lives on after cancel", async () => {
    const plugin = await start("command");
    await plugin.cancel();
    expect(
      (await plugin.create("command:local:Command", { create: "echo on" })).properties,
    ).toMatchObject({ stdout: "on" });
    expect(plugin.child.exitCode).toBeNull();
  });
});

describe("command", () => {
  const type = "command:local:Command";

  test("previews unknown output and runs nothing", async () => {
    const plugin = await start("command");
    const mark = join(folder, "preview-ran");
    const { id, properties } = await plugin.create(type, { create: `touch ${mark}` }, true);
    expect(id).toBe("");
    expect(properties).toMatchObject({ stdout: unknown, stderr: unknown });
    expect(() => readFileSync(mark)).toThrow("ENOENT");
  });

  test("fails with exit status and output, not with the environment", async () => {
    const plugin = await start("command");
    const failed = plugin.create(type, {
      create: "echo half; echo broken >&2; exit 3",
      environment: { PASSWORD: "canary" },
    });
    await expect(failed).rejects.toThrow(/exit status 3: running .*:\nhalf\nbroken/);
    await expect(failed).rejects.not.toThrow(/canary/);
  });

  test("ends with all its children when the engine cancels", async () => {
    const plugin = await start("command");
    const mark = join(folder, "started");
    const failed = expect(
      plugin.create(type, { create: `touch ${mark}; sleep 60; echo end` }),
    ).rejects.toThrow("signal: terminated");
    while (!existsSync(mark)) {
      await sleep(50);
    }
    await plugin.cancel();
    await failed;
  }, 10_000);

  test("runs delete", async () => {
    const plugin = await start("command");
    const mark = join(folder, "deleted");
    await plugin.remove(type, "x", { delete: `echo gone > ${mark}` });
    expect(readFileSync(mark, "utf8")).toBe("gone\n");
  });
});

/** A server of the test's own: notes what it is asked and answers as told, else with 404. */
function fakeServer() {
  const seen: { line: string; headers: IncomingMessage["headers"]; body: string }[] = [];
  const answers: Record<string, [number, unknown][]> = {};
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const line = `${request.method} ${request.url}`;
      seen.push({ line, headers: request.headers, body: Buffer.concat(chunks).toString() });
      const left = answers[line] ?? [];
      const [status, body] = (left.length > 1 ? left.shift() : left[0]) ?? [404, {}];
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(body));
    });
  });
  return {
    seen,
    /** The last answer is given again and again. */
    tell: (line: string, ...given: [number, unknown][]) => void (answers[line] = given),
    listen: async () => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    clear: () => {
      seen.length = 0;
      Object.keys(answers).forEach((line) => delete answers[line]);
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe("vault", () => {
  const { seen, tell, listen, clear, close } = fakeServer();
  let environment: Record<string, string>;

  beforeAll(async () => {
    environment = {
      VAULT_ADDR: await listen(),
      VAULT_TOKEN: "canary-parent",
      VAULT_NAMESPACE: "a",
    };
  });
  afterAll(close);
  beforeEach(() => {
    clear();
    tell("GET /v1/auth/token/lookup-self", [200, { data: {} }]);
    tell("POST /v1/auth/token/create", [200, { auth: { client_token: "canary-child" } }]);
  });

  const policy = { name: "p", policy: 'path "x" {}', namespace: "b" };

  test("works with a child token, in the namespace", async () => {
    const plugin = await start("vault", environment);
    await plugin.configure({});
    tell("PUT /v1/sys/policies/acl/p", [204, {}]);
    tell("GET /v1/sys/policies/acl/p", [200, { data: { policy: 'path "x" {}' } }]);
    await plugin.create("vault:index/policy:Policy", policy);
    expect(
      seen.map(({ line, headers }) => [
        line,
        headers["x-vault-token"],
        headers["x-vault-namespace"],
      ]),
    ).toEqual([
      ["GET /v1/auth/token/lookup-self", "canary-parent", "a"],
      ["POST /v1/auth/token/create", "canary-parent", "a"],
      ["PUT /v1/sys/policies/acl/p", "canary-child", "a/b"],
      ["GET /v1/sys/policies/acl/p", "canary-child", "a/b"],
    ]);
  });

  test("asks for nothing before it is needed, and says what it may not do", async () => {
    const plugin = await start("vault", environment);
    await plugin.configure({});
    await plugin.create("vault:index/policy:Policy", policy, true);
    expect(seen).toEqual([]);
    tell("POST /v1/auth/token/create", [403, { errors: ["permission denied"] }]);
    const failed = plugin.create("vault:index/policy:Policy", policy);
    await expect(failed).rejects.toThrow(/auth\/token\/create\nCode: 403[^]*permission denied/);
    await expect(failed).rejects.not.toThrow(/canary/);
  });
});

describe("vault's groups", () => {
  const { seen, tell, listen, clear, close } = fakeServer();
  const type = "vault:identity/groupPolicies:GroupPolicies";
  const path = "/v1/identity/group/id/g-1";
  const mine = { groupId: "g-1", exclusive: false, policies: ["b", "c"] };
  let plugin: Awaited<ReturnType<typeof start>>;

  beforeAll(async () => {
    plugin = await start("vault", { VAULT_ADDR: await listen(), VAULT_TOKEN: "canary-parent" });
    await plugin.configure({ skipChildToken: "true" });
  });
  afterAll(close);
  beforeEach(() => {
    clear();
    tell("GET /v1/auth/token/lookup-self", [200, { data: {} }]);
    tell(`PUT ${path}`, [204, {}]);
  });
  const group = (policies: string[] | null): [number, unknown] => [
    200,
    { data: { id: "g-1", name: "people", policies } },
  ];
  const written = () =>
    seen
      .filter(({ line }) => line === `PUT ${path}`)
      .map(({ body }) => JSON.parse(body) as unknown);

  test("a group without policies, and two changes at once", async () => {
    tell(`GET ${path}`, group(null), group(["b"]));
    await Promise.all([
      plugin.create(type, { ...mine, policies: ["b"] }),
      plugin.create(type, { ...mine, policies: ["c"] }),
    ]);
    // The second reads what the first has written.
    const lines = seen.map(({ line }) => line).filter((line) => line.endsWith(path));
    expect(lines.slice(0, 2)).toEqual([`GET ${path}`, `PUT ${path}`]);
    expect(written()).toEqual([{ policies: ["b"] }, { policies: ["b", "c"] }]);
  });
});

describe("gitlab", () => {
  const { seen, tell, listen, clear, close } = fakeServer();
  let environment: Record<string, string>;

  beforeAll(async () => {
    environment = { GITLAB_BASE_URL: await listen(), GITLAB_TOKEN: "canary-token" };
  });
  afterAll(close);
  beforeEach(() => {
    clear();
    tell("GET /api/v4/user", [200, { id: 7 }]);
  });

  const configured = async () => {
    const plugin = await start("gitlab", environment);
    await plugin.configure({});
    return plugin;
  };
  const variable = { project: "grp/prj.x", key: "K", value: "canary", environmentScope: "*" };

  test("asks who it is first, as a bearer", async () => {
    await configured();
    expect(seen.map(({ line, headers }) => [line, headers.authorization])).toEqual([
      ["GET /api/v4/user", "Bearer canary-token"],
    ]);
  });

  test("stops where GitLab does not know the token, without showing it", async () => {
    tell("GET /api/v4/user", [401, { message: "401 Unauthorized" }]);
    const failed = (await start("gitlab", environment)).configure({});
    await expect(failed).rejects.toThrow("401 Unauthorized");
    await expect(failed).rejects.not.toThrow(/canary/);
  });

  test("takes token and address from the configuration before the environment", async () => {
    const plugin = await start("gitlab", { GITLAB_TOKEN: "other", GITLAB_BASE_URL: "http://x" });
    await plugin.configure({
      baseUrl: `${environment.GITLAB_BASE_URL}/api/v4/`,
      token: { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value: "t" },
    });
    expect(seen.map(({ line, headers }) => [line, headers.authorization])).toEqual([
      ["GET /api/v4/user", "Bearer t"],
    ]);
  });

  test("escapes dots, sends what the official plugin sends, keeps the answer as state", async () => {
    const plugin = await configured();
    tell("POST /api/v4/projects/grp%2Fprj%2Ex/variables", [
      201,
      { key: "K", value: "canary", variable_type: "env_var", environment_scope: "*", raw: false },
    ]);
    const { id, properties } = await plugin.create(
      "gitlab:index/projectVariable:ProjectVariable",
      variable,
    );
    expect(id).toBe("grp/prj.x:K:*");
    expect(properties).toMatchObject({ variableType: "env_var", masked: false, description: "" });
    expect(JSON.parse(seen[1]?.body ?? "")).toEqual({
      key: "K",
      value: "canary",
      masked: false,
      raw: false,
      description: "",
      environment_scope: "*",
    });
  });

  test("never shows a body in an error", async () => {
    const plugin = await configured();
    tell("POST /api/v4/projects/grp%2Fprj%2Ex/variables", [
      400,
      { message: { value: ["is invalid"] } },
    ]);
    const failed = plugin.create("gitlab:index/projectVariable:ProjectVariable", variable);
    await expect(failed).rejects.toThrow("400 {message: {value: [is invalid]}}");
    await expect(failed).rejects.not.toThrow(/canary/);
  });

  test("tries again after a server error, and refuses arguments before it asks", async () => {
    const plugin = await configured();
    tell(
      "GET /api/v4/projects/42",
      [503, {}],
      [200, { id: 42, namespace: { id: 9 }, path_with_namespace: "sec/rotator" }],
    );
    expect(await plugin.invoke("gitlab:index/getProject:getProject", { id: "42" })).toMatchObject({
      id: "42",
      namespaceId: 9,
      pathWithNamespace: "sec/rotator",
    });
    clear();
    const both = { id: "1", pathWithNamespace: "a/b" };
    expect(await plugin.invoke("gitlab:index/getProject:getProject", both)).toEqual({});
    expect(seen).toEqual([]);
  });

  test("finds a group by its id or its full path", async () => {
    const plugin = await configured();
    const json = { id: 77, full_path: "sec/team.x", full_name: "sec / team.x", parent_id: 9 };
    tell("GET /api/v4/groups/sec%2Fteam%2Ex", [200, json]);
    tell("GET /api/v4/groups/77", [200, json]);
    const token = "gitlab:index/getGroup:getGroup";
    for (const args of [{ fullPath: "sec/team.x" }, { groupId: 77 }] as Props[]) {
      expect(await plugin.invoke(token, args)).toMatchObject({
        groupId: 77,
        id: "77",
        parentId: 9,
      });
    }
    await expect(plugin.invoke(token, {})).rejects.toThrow(
      "one and only one of group_id or full_path",
    );
    await expect(plugin.invoke(token, { fullPath: "nobody" })).rejects.toThrow(": 404 ");
  });

  test("hands a file that could not be read back to the engine as half-made", async () => {
    const plugin = await configured();
    const file = "/api/v4/projects/42/repository/files/%2Egitlab-ci%2Eyml";
    tell(`POST ${file}`, [201, { file_path: ".gitlab-ci.yml", branch: "main" }]);
    tell(`GET ${file}?ref=main`, [403, { message: "403 Forbidden" }]);
    const failed: unknown = await plugin
      .create("gitlab:index/repositoryFile:RepositoryFile", {
        project: "42",
        branch: "main",
        filePath: ".gitlab-ci.yml",
        content: "x",
        encoding: "text",
        commitMessage: "add",
      })
      .catch((error: unknown) => error);
    const [details] = (failed as grpc.ServiceError).metadata.get("grpc-status-details-bin");
    expect(details?.toString()).toContain("ErrorResourceInitFailed");
    expect(details?.toString()).toContain("42:main:.gitlab-ci.yml");
  });

  test("reads the owner that is to be taken, and takes it", async () => {
    const plugin = await configured();
    const type = "gitlab:index/pipelineSchedule:PipelineSchedule";
    const inputs = {
      project: "42",
      description: "rotate",
      ref: "refs/heads/main",
      cron: "0 1 * * *",
      cronTimezone: "UTC",
      active: true,
      takeOwnership: true,
    };
    const { properties } = await plugin.create(type, inputs, true);
    expect(properties).toMatchObject({ owner: 7, pipelineScheduleId: unknown });
    const path = "/api/v4/projects/42/pipeline_schedules/13";
    tell(`POST ${path}/take_ownership`, [201, { id: 13 }]);
    tell(`PUT ${path}`, [200, { id: 13, cron: "0 1 * * *", owner: { id: 7 } }]);
    expect(await plugin.update(type, "42:13", inputs, inputs)).toMatchObject({ owner: 7 });
  });

  test("a thing that is gone has no id; deleting it is what the official plugin makes of it", async () => {
    const plugin = await configured();
    const types = {
      variable: "gitlab:index/projectVariable:ProjectVariable",
      schedule: "gitlab:index/pipelineSchedule:PipelineSchedule",
    };
    expect((await plugin.read(types.variable, "42:K:*")).id).toBe("");
    expect((await plugin.read(types.schedule, "42:13")).id).toBe("");
    await plugin.remove(types.variable, "42:K:*", {});
    await expect(plugin.remove(types.schedule, "42:13", {})).rejects.toThrow("404 Not Found");
  });

  test("imports by the official ids", async () => {
    const plugin = await configured();
    tell("GET /api/v4/projects/42/variables/K?filter%5Benvironment_scope%5D=prod%2F*", [
      200,
      { key: "K", value: "v", variable_type: "env_var", environment_scope: "prod/*" },
    ]);
    const found = await plugin.read("gitlab:index/projectVariable:ProjectVariable", "42:K:prod/*");
    expect(found.inputs).toEqual({
      project: "42",
      key: "K",
      value: "v",
      variableType: "env_var",
      environmentScope: "prod/*",
    });
  });
});
