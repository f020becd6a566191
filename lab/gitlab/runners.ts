/** Runners, and which of them takes a job. */
import type { App } from "./app";
import { projectOf } from "./access";
import { check, list, notFound, ok, route } from "./http";
import type { Job, Runner } from "./store";

/** The first runner that takes a job with these tags. */
export const runnerFor = (runners: Runner[], tags: string[]): Runner | undefined =>
  runners.find(
    ({ paused, run_untagged: untagged, tag_list: own }) =>
      !paused && (tags.length > 0 ? tags.every((tag) => own.includes(tag)) : untagged),
  );

/** Waits, for ever if need be, for a runner that takes the job. Undefined when it was canceled. */
export async function waitForRunner(
  app: App,
  job: Job,
  canceled: AbortSignal,
): Promise<Runner | undefined> {
  for (;;) {
    if (canceled.aborted) return undefined;
    const runner = runnerFor(app.state.runners, job.tag_list);
    if (runner) return runner;
    await new Promise<void>((resolve) => {
      app.runnerWaiters.add(resolve);
      canceled.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** Puts other runners in place of those there are; who waited for one looks again. */
export function setRunners(app: App, runners: Omit<Runner, "id">[]): void {
  app.state.runners = runners.map((runner, at) => ({ id: at + 1, ...runner }));
  const waiting = [...app.runnerWaiters];
  app.runnerWaiters.clear();
  for (const wake of waiting) wake();
}

export const runnerJson = ({ id, description, paused }: Runner) => ({
  id,
  description,
  ip_address: "127.0.0.1",
  active: !paused,
  paused,
  is_shared: true,
  runner_type: "instance_type",
  name: "gitlab-runner",
  online: true,
  status: "online",
});

export const runnerRoutes = [
  route("GET projects/:id/runners", (request) => {
    projectOf(request, "maintainer");
    const { tag_list: tags } = check(request.query, { tag_list: { type: "string" } });
    const wanted = tags?.split(",") ?? [];
    const found = request.app.state.runners.filter(({ tag_list: own }) =>
      wanted.every((tag) => own.includes(tag)),
    );
    return list(request, found, runnerJson);
  }),
  route("GET runners/:runnerId", ({ app, params }) => {
    const runner = app.state.runners.find(({ id }) => String(id) === params["runnerId"]);
    if (!runner) throw notFound("Runner");
    const { tag_list, run_untagged } = runner;
    return ok({ ...runnerJson(runner), tag_list, run_untagged, locked: false, projects: [] });
  }),
];
