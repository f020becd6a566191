/** GitLab's renderings that several resources share. */
import { fullPath } from "./access";
import type { Request } from "./http";
import type { Commit } from "./repository";
import type { Pipeline, Project, User } from "./store";

export const userJson = (request: { base: string }, user: User) => ({
  id: user.id,
  username: user.username,
  public_email: null,
  name: user.name,
  state: user.state,
  locked: false,
  avatar_url: null,
  web_url: `${request.base}/${user.username}`,
});

export const commitJson = (request: Request, project: Project, commit: Commit) => ({
  id: commit.sha,
  short_id: commit.sha.slice(0, 8),
  created_at: commit.committed_date,
  parent_ids: commit.parents,
  title: commit.message.split("\n")[0],
  message: commit.message,
  author_name: commit.author_name,
  author_email: commit.author_email,
  authored_date: commit.authored_date,
  committer_name: commit.committer_name,
  committer_email: commit.committer_email,
  committed_date: commit.committed_date,
  trailers: {},
  extended_trailers: {},
  web_url: `${request.base}/${fullPath(request.app, project)}/-/commit/${commit.sha}`,
});

export const pipelineJson = (request: Request, project: Project, pipeline: Pipeline) => ({
  id: pipeline.id,
  iid: pipeline.iid,
  project_id: project.id,
  sha: pipeline.sha,
  ref: pipeline.ref,
  status: pipeline.status,
  source: pipeline.source,
  name: null,
  created_at: pipeline.created_at,
  updated_at: pipeline.updated_at,
  web_url: `${request.base}/${fullPath(request.app, project)}/-/pipelines/${pipeline.id}`,
});
