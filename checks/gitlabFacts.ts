import type { GitlabReader } from "../clients/gitlab";
import type { Consumer } from "../config/settings";
import type { ConsumerClaim, RotationProject } from "../desired/facts";
import { pipelineSchedule } from "../desired/pipelineSchedule";
import { isObject } from "../net/http";
import type { World } from "./world";

export type Json = Record<string, unknown>;

/** GitLab of a world that has one: checks that need it are asked nowhere else. */
export function gitlabOf({ gitlab }: World): GitlabReader {
  if (gitlab === undefined) throw new Error("GitLab is not asked: GITLAB_TOKEN is not set");
  return gitlab;
}

/** The rotation project as GitLab's API describes it; undefined where it is not shown. Throws as the reader. */
export async function rawProject(world: World): Promise<Json | undefined> {
  const project = await gitlabOf(world)(
    `projects/${encodeURIComponent(world.settings.gitlabProject)}`,
  );
  return isObject(project) ? project : undefined;
}

/** What desired state needs to know of the rotation project. */
export async function projectOf(world: World): Promise<RotationProject | undefined> {
  const project = await rawProject(world);
  return project && rotationProject(project);
}

export function rotationProject(project: Json): RotationProject {
  const { id, web_url: url, ci_config_path: path } = project;
  return {
    id: String(id),
    uri: String(url).replace(/^https?:\/\//, ""),
    pipelineFile: typeof path === "string" && path !== "" ? path : ".gitlab-ci.yml",
  };
}

/** The API's path of the rotation project. */
export async function projectPath(world: World): Promise<string> {
  return `projects/${String((await rawProject(world))?.["id"])}`;
}

/**
 * The stack's schedules, each as GitLab lists it: one, if all is well. The newest first: of two that a repeated
 * request made, the state knows the one that was answered.
 */
export async function schedulesOf(world: World): Promise<Json[]> {
  const { description } = pipelineSchedule(world.settings);
  const all = await gitlabOf(world)(`${await projectPath(world)}/pipeline_schedules?per_page=100`);
  return (Array.isArray(all) ? all : [])
    .filter(isObject)
    .filter((schedule) => schedule["description"] === description)
    .sort((one, other) => Number(other["id"]) - Number(one["id"]));
}

/** The stack's schedule with all its fields; undefined where there is none. */
export async function scheduleOf(world: World): Promise<Json | undefined> {
  const [first] = await schedulesOf(world);
  if (first === undefined) return undefined;
  const path = `${await projectPath(world)}/pipeline_schedules/${String(first["id"])}`;
  const schedule = await gitlabOf(world)(path);
  return isObject(schedule) ? schedule : undefined;
}

/** The id of the user that the schedule runs as. */
export async function scheduleOwnerOf(world: World): Promise<string | undefined> {
  const owner = (await scheduleOf(world))?.["owner"];
  return isObject(owner) ? String(owner["id"]) : undefined;
}

/** What the ID tokens of a consumer's jobs carry; undefined where its project or group is not shown. */
export async function claimOf(
  world: World,
  { project, group = "" }: Consumer,
): Promise<ConsumerClaim | undefined> {
  const kind = project === undefined ? "groups" : "projects";
  const found = await gitlabOf(world)(`${kind}/${encodeURIComponent(project ?? group)}`);
  if (!isObject(found)) return undefined;
  const id = String(found["id"]);
  return project === undefined ? { namespace_id: id } : { project_id: id };
}

/** A file on the stack's branch; undefined where there is none, or no branch yet. */
export async function fileOf(world: World, path: string): Promise<string | undefined> {
  const place = `${await projectPath(world)}/repository/files/${encodeURIComponent(path)}`;
  const ref = encodeURIComponent(world.settings.gitlabBranch);
  const file = await gitlabOf(world)(`${place}?ref=${ref}`);
  if (!isObject(file)) return undefined;
  return Buffer.from(String(file["content"]), "base64").toString("utf8");
}
