/** The GitLab project that rotates. */
export interface RotationProject {
  id: string;
  /** Its address without the scheme, as GitLab's ID tokens name it. */
  uri: string;
  /** The path of the file that GitLab reads its pipelines from. */
  pipelineFile: string;
}

/** What a consumer's ID tokens carry. By id and not by path: a path may be somebody else's one day. */
export type ConsumerClaim = { project_id: string } | { namespace_id: string };

/** What GitLab and Vault say, and the desired state depends on; what is not there is not known (yet). */
export interface Facts {
  project?: RotationProject | undefined;
  /** In place of a project, what makes the marks of a program without one unique, such as `security.acme.example`. */
  instance?: string | undefined;
  /** The id of the schedule's owner, as whom its pipelines run. */
  owner?: string | undefined;
  /** By the consumer's name. */
  claims: ReadonlyMap<string, ConsumerClaim>;
  /** Ids of the identity groups in config, by name. */
  groupIds: ReadonlyMap<string, string>;
}
