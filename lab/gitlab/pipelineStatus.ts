/** A pipeline's status from those of its jobs. */
import type { Job, JobStatus } from "./store";

type Seen = JobStatus | "ignored" | "warning";

/**
 * GitLab's rule, in its order: a job that may fail counts as a warning where it did and not at all where it waits for
 * a person.
 */
export function pipelineStatus(jobs: Pick<Job, "status" | "allow_failure">[]): JobStatus {
  const seen = new Set(jobs.map(seenAs));
  const only = (...statuses: Seen[]) => [...seen].every((status) => statuses.includes(status));
  const any = (...statuses: Seen[]) => statuses.some((status) => seen.has(status));
  if (only("skipped", "ignored", "warning")) return seen.has("warning") ? "success" : "skipped";
  if (only("success", "skipped", "warning", "ignored")) return "success";
  if (only("created", "warning", "ignored")) return "created";
  if (only("canceled", "success", "skipped", "warning", "ignored")) return "canceled";
  if (only("pending", "created", "skipped", "warning", "ignored")) return "pending";
  if (any("running", "pending")) return "running";
  if (any("waiting_for_resource")) return "waiting_for_resource";
  if (any("manual")) return "manual";
  if (any("scheduled")) return "scheduled";
  return any("created") ? "running" : "failed";
}

function seenAs({ status, allow_failure: allowed }: Pick<Job, "status" | "allow_failure">): Seen {
  if (!allowed) return status;
  if (status === "failed" || status === "canceled") return "warning";
  return status === "manual" ? "ignored" : status;
}
