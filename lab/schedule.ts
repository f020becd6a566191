import { rotationProject } from "./world";
import type { World } from "./world";

/** A pipeline that has ended, and what its jobs printed. */
export interface PipelineRun {
  id: number;
  status: string;
  jobs: { name: string; status: string; trace: string }[];
}

/** Lets a schedule of a project (the rotation project, if none is named) run as GitLab's worker would, and waits for the pipeline's end. */
export async function runSchedule(
  world: World,
  scheduleId: number,
  projectPath = rotationProject,
): Promise<PipelineRun> {
  const { gitlab, secrets } = world;
  const project = encodeURIComponent(projectPath);
  const answer = await fetch(
    `${gitlab.url}/-/lab/projects/${project}/schedules/${scheduleId}/run?wait=true`,
    { method: "POST" },
  );
  const { id, status } = (await answer.json()) as { id: number; status: string };
  const get = (path: string) =>
    fetch(`${gitlab.url}/api/v4/projects/${project}/${path}`, {
      headers: { authorization: `Bearer ${secrets.gitlabToken}` },
    });
  const jobs = (await (await get(`pipelines/${id}/jobs`)).json()) as {
    id: number;
    name: string;
    status: string;
  }[];
  const traced = jobs.map(async (job) => {
    const trace = await (await get(`jobs/${job.id}/trace`)).text();
    return { name: job.name, status: job.status, trace };
  });
  return { id, status, jobs: await Promise.all(traced) };
}
