/** What a commit into the rotation project says where the stack does not say otherwise. */
export const usualCommitMessage = "Deliver {path} from {project}/{stack} [skip ci]";

/** The message of one file's commit: `{path}`, `{project}` and `{stack}` filled in; other braces stay. */
export function commitMessage(
  template: string,
  values: { path: string; project: string; stack: string },
): string {
  return template.replace(
    /\{(path|project|stack)\}/g,
    (_, key: keyof typeof values) => values[key],
  );
}
