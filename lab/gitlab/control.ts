/** The routes under `/-/lab/`: what a test may know and do behind GitLab's back. */
import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";
import type { FaultInput } from "../faults";
import type { FaultyServer } from "../faultyServer";
import type { App } from "./app";
import { findProject, isProtected } from "./access";
import { configPath, tierOf } from "./ciVariables";
import { jobClaims, sign, signatures } from "./oidc";
import { repositoryOf, resolveRef } from "./repository";
import { runSchedule } from "./schedules";
import { setRunners } from "./runners";
import { seed, SeedGroup, SeedProject, SeedRunner, SeedUser } from "./seed";
import type { Project, User } from "./store";

const IdToken = z.strictObject({
  project: z.union([z.string(), z.number()]),
  user: z.string(),
  aud: z.union([z.string(), z.array(z.string())]),
  ref: z.string().optional(),
  source: z.string().default("schedule"),
  environment: z.string().optional(),
  /** Seconds. */
  timeout: z.number().default(3_600),
  /** Moves iat, nbf and exp; seconds. */
  shift: z.number().default(0),
  /** Put over the claims; null takes one out. */
  claims: z.record(z.string(), z.unknown()).default({}),
  signature: z.enum(signatures).default("valid"),
});

export function controlApp(app: App, server: () => FaultyServer): FastifyInstance {
  const control = Fastify();
  control.setErrorHandler(({ message }: Error, _request, reply) =>
    reply.code(400).send({ message }),
  );

  control.get("/-/lab/requests", async () => ({
    requests: server()
      .requests()
      .map((entry) => ({
        ...entry,
        path: entry.path.replace(/\b((?:private|job)_token)=[^&]*/g, "$1=[MASKED]"),
      })),
  }));
  control.delete("/-/lab/requests", async () => {
    server().clear();
    return {};
  });
  control.get("/-/lab/faults", async () => server().faults.list());
  control.post("/-/lab/faults", async ({ body }) => {
    server().faults.add([body].flat() as FaultInput[]);
    return server().faults.list();
  });
  control.delete("/-/lab/faults", async () => {
    server().faults.clear();
    return {};
  });

  control.post("/-/lab/clock", async ({ body }) => {
    app.clockShift = z.strictObject({ shiftMs: z.number() }).parse(body).shiftMs;
    return {};
  });

  // As if a minute had passed: whoever has played a schedule may play it again.
  control.delete("/-/lab/plays", async () => {
    app.plays.clear();
    return {};
  });

  control.post("/-/lab/users", async ({ body }) => {
    await seed(app, { users: [SeedUser.parse(body)] });
    return {};
  });
  control.post("/-/lab/groups", async ({ body }) => {
    await seed(app, { groups: [SeedGroup.parse(body)] });
    return {};
  });
  control.post("/-/lab/projects", async ({ body }) => {
    await seed(app, { projects: [SeedProject.parse(body)] });
    return {};
  });
  control.put("/-/lab/runners", async ({ body }) => {
    setRunners(app, z.array(SeedRunner).parse(body));
    await app.store.save();
    return app.state.runners;
  });
  control.put("/-/lab/plan", async ({ body }) => {
    app.state.plan = z.strictObject({ plan: z.enum(["free", "premium"]) }).parse(body).plan;
    await app.store.save();
    return {};
  });
  control.put("/-/lab/rate-limit", async ({ body }) => {
    app.rateLimit =
      z.strictObject({ perMinute: z.int().min(1).nullable() }).parse(body).perMinute ?? undefined;
    return {};
  });
  for (const [action, state] of [
    ["block", "blocked"],
    ["unblock", "active"],
  ] as const) {
    control.post(`/-/lab/users/:user/${action}`, async ({ params }) => {
      userOf(app, z.object({ user: z.string() }).parse(params).user).state = state;
      await app.store.save();
      return {};
    });
  }

  control.post("/-/lab/projects/:id/schedules/:sid/run", async ({ params, query }) => {
    const { id, sid } = z.object({ id: z.string(), sid: z.coerce.number() }).parse(params);
    const project = projectOf(app, id);
    const schedule = project.schedules.find((candidate) => candidate.id === sid);
    if (!schedule) throw new Error(`No schedule ${sid}`);
    const pipeline = await runSchedule(app, project, schedule);
    if (!pipeline) throw new Error("The schedule's owner may not run it: it is inactive now");
    const { wait } = z.object({ wait: z.string().optional() }).parse(query);
    if (wait === "true") await app.running.get(pipeline.id)?.done;
    return { id: pipeline.id, status: pipeline.status };
  });

  control.post("/-/lab/id-token", async ({ body }) => {
    const wanted = IdToken.parse(body);
    const { aud, source, timeout, shift, environment } = wanted;
    const project = projectOf(app, String(wanted.project));
    const ref = await resolveRef(repositoryOf(app, project), wanted.ref ?? project.default_branch);
    if (!ref || ref === "ambiguous") throw new Error(`No ref ${wanted.ref}`);
    const claims = jobClaims(
      app,
      {
        project,
        user: userOf(app, wanted.user),
        pipelineId: app.store.nextId("pipeline"),
        jobId: app.store.nextId("job"),
        source,
        ref: { ...ref, protected: isProtected(project, ref) },
        sha: ref.sha,
        configPath: configPath(project),
        timeout,
        ...(environment && {
          environment: { name: environment, tier: tierOf(environment), action: "access" },
        }),
      },
      aud,
    );
    for (const key of ["iat", "nbf", "exp"]) claims[key] = Number(claims[key]) + shift;
    for (const [key, value] of Object.entries(wanted.claims)) {
      if (value === null) delete claims[key];
      else claims[key] = value;
    }
    return { token: await sign(app.keys, claims, wanted.signature), claims };
  });
  return control;
}

function projectOf(app: App, key: string): Project {
  const project = findProject(app, key);
  if (!project) throw new Error(`No project ${key}`);
  return project;
}

function userOf(app: App, key: string): User {
  const user = app.state.users.find(({ id, username }) => String(id) === key || username === key);
  if (!user) throw new Error(`No user ${key}`);
  return user;
}
