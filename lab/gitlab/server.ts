/** A GitLab on this machine: its REST API, its OpenID side, its pipelines. */
import type { IncomingMessage } from "node:http";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Answer } from "../faults";
import { startFaultyServer, type Incoming } from "../faultyServer";
import { authenticate } from "./access";
import { timestamp, type App } from "./app";
import { controlApp } from "./control";
import { branchRoutes } from "./branches";
import { fileRoutes } from "./files";
import { groupRoutes } from "./groups";
import { fail, match, nest, readBody, type ApiError, type Reply, type Request } from "./http";
import { discovery, loadKeys } from "./oidc";
import { memberRoutes } from "./members";
import { mergeRequestRoutes } from "./mergeRequests";
import { pipelineRoutes } from "./pipelines";
import { projectRoutes } from "./projects";
import { environmentRoutes } from "./environments";
import { protectionRoutes } from "./protection";
import { pushRuleRoutes } from "./pushRules";
import { runnerRoutes } from "./runners";
import { countRequest } from "./rateLimit";
import { scheduleRoutes, startScheduler } from "./schedules";
import { seed, type Seed } from "./seed";
import { openStore } from "./store";
import { userRoutes } from "./users";
import { variableRoutes } from "./variables";

/** With what it has from the start. */
export interface GitlabOptions extends Seed {
  /** Folder that keeps everything: state, repositories, traces, artifacts. */
  dir: string;
  port?: number;
  host?: string;
  /** Relative URL root such as `/gitlab`. */
  path?: string;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Folders put before PATH in jobs (gitlab-ci-local needs git, bash, awk, rsync). */
  toolPath: string[];
  /** Runs schedules when they are due. */
  scheduler?: boolean;
}

export interface Gitlab {
  /** Without a trailing slash; also the issuer of ID tokens. */
  url: string;
  port: number;
  close(): Promise<void>;
}

const routes = [
  ...userRoutes,
  ...groupRoutes,
  ...projectRoutes,
  ...memberRoutes,
  ...branchRoutes,
  ...protectionRoutes,
  ...pushRuleRoutes,
  ...environmentRoutes,
  ...runnerRoutes,
  ...fileRoutes,
  ...variableRoutes,
  ...scheduleRoutes,
  ...mergeRequestRoutes,
  ...pipelineRoutes,
];

/** Starts it on what `dir` holds, adding the given users and projects. Control under `/-/lab/` for loopback callers. */
export async function startGitlab(options: GitlabOptions): Promise<Gitlab> {
  const { dir, path = "", now = Date.now, toolPath } = options;
  const store = await openStore(dir);
  const app: App = {
    store,
    state: store.state,
    now: () => now() + app.clockShift,
    clockShift: 0,
    url: "",
    keys: await loadKeys(store),
    toolPath,
    jobTokens: new Map(),
    runs: new Map(),
    running: new Map(),
    queues: new Map(),
    runnerWaiters: new Set(),
    plays: new Map(),
    mergeRequests: [],
    rateLimit: undefined,
    requestCounts: new Map(),
  };
  await cleanUp(app);
  const { users, groups, projects, runners } = options;
  await seed(app, { users, groups, projects, runners });
  const control = controlApp(app, () => server);
  await control.ready();

  const server = await startFaultyServer({
    handle: async (incoming) => ({ ...(await answer(app, path, incoming)), outcome: "served" }),
    aside(message, response) {
      const target = /(\/-\/lab\/.*)$/.exec(message.url ?? "")?.[1];
      const own = [target, `${path}${target}`].includes(message.url);
      if (!target || !own || !isFromLoopback(message)) return false;
      message.url = target;
      control.routing(message, response);
      return true;
    },
    ...(options.host !== undefined && { host: options.host }),
    ...(options.port !== undefined && { port: options.port }),
  });
  app.url = server.url + path;
  const stopScheduler = options.scheduler ? startScheduler(app) : () => {};
  return {
    url: app.url,
    port: server.port,
    async close() {
      stopScheduler();
      await Promise.all([server.close(), control.close()]);
      const running = [...app.running.values()];
      for (const { cancel } of running) cancel();
      await Promise.all(running.map(({ done }) => done));
      await store.save();
    },
  };
}

/** What the last process left half done: its jobs have failed with their runner. */
async function cleanUp(app: App): Promise<void> {
  await rm(join(app.store.dir, "builds"), { recursive: true, force: true });
  for (const { pipelines } of app.state.projects) {
    for (const pipeline of pipelines) {
      const unfinished = [pipeline, ...pipeline.jobs].filter(({ status }) =>
        ["created", "waiting_for_resource", "pending", "running", "scheduled"].includes(status),
      );
      for (const entry of unfinished) {
        entry.status = "failed";
        entry.finished_at = timestamp(app);
        if ("failure_reason" in entry) entry.failure_reason = "runner_system_failure";
      }
    }
  }
}

async function answer(app: App, root: string, incoming: Incoming): Promise<Answer> {
  const reply = await respond(app, root, incoming).catch((error: ApiError): Reply => {
    if (error.reply) return error.reply;
    if (error instanceof URIError) return { status: 400, body: { error: "Bad Request" } };
    return { status: 500, body: { message: "500 Internal Server Error", error: error.message } };
  });
  const raw = Buffer.isBuffer(reply.body);
  const body = raw ? (reply.body as Buffer) : JSON.stringify(reply.body);
  return {
    status: reply.status,
    headers: {
      ...(body !== undefined && { "Content-Type": "application/json" }),
      "Cache-Control": "max-age=0, private, must-revalidate",
      ...reply.headers,
    },
    body: body ?? "",
  };
}

async function respond(app: App, root: string, incoming: Incoming): Promise<Reply> {
  const { method } = incoming;
  const [target = "", search = ""] = split(incoming.path, "?");
  const path = target.startsWith(`${root}/`) ? target.slice(root.length) : "";
  if (method === "GET" && path === "/.well-known/openid-configuration") {
    return { status: 200, body: discovery(app.url) };
  }
  if (method === "GET" && path === "/oauth/discovery/keys") {
    return {
      status: 200,
      body: { keys: app.keys.public },
      headers: { "Cache-Control": "max-age=86400, public" },
    };
  }
  const found = path.startsWith("/api/v4/")
    ? match(routes, method, path.slice("/api/v4/".length).replace(/\/$/, "").split("/"))
    : undefined;
  if (!found) throw fail(404, "404 Not Found", "error");

  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = String(value);
  const query = nest(new URLSearchParams(search));
  const body = await readBody(incoming.body, headers["content-type"] ?? "");
  const request: Request = {
    app,
    method,
    path,
    params: found.params,
    query,
    input: { ...query, ...body },
    headers,
    base: `${new URL(app.url).protocol}//${headers["host"] ?? new URL(app.url).host}${root}`,
  };
  authenticate(request, found.route);
  const limit = countRequest(request);
  if (limit.exceeded) return limit.exceeded;
  const reply = await found.route.handler(request);
  if (method !== "GET" && method !== "HEAD") await app.store.save();
  return { ...reply, headers: { ...reply.headers, ...limit.headers } };
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ""] : [text.slice(0, index), text.slice(index + 1)];
}

function isFromLoopback({ socket }: IncomingMessage): boolean {
  return /^(::ffff:)?127\.|^::1$/.test(socket.remoteAddress ?? "");
}
