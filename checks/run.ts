import { about } from "./finding";
import type { Finding } from "./finding";
import type { Time, World } from "./world";

/** Whom a check asks. Where one of these gives no answer, those that need it are skipped: one line says why. */
export type Source = "Vault" | "GitLab" | "rotation project";

/** One entry of the list of checks. */
export interface Check {
  /** The id of its findings, or the common beginning of their ids. */
  id: string;
  /** What it is about, where it could not be asked. */
  subject: string;
  times: readonly Time[];
  needs?: Source;
  ask: (world: World) => Promise<Finding[]>;
}

/** Whether a source can be asked at all. */
export type Gates = Readonly<Record<Source, (world: World) => Promise<boolean>>>;

/**
 * The findings of those checks whose time it is, in the order of the list. Reads only; never throws. What is not
 * known after `timeoutMs` is a problem.
 */
export async function runChecks(
  world: World,
  list: readonly Check[],
  gates: Gates,
  timeoutMs?: number,
): Promise<Finding[]> {
  const open = new Map<Source, Promise<boolean>>();
  const isOpen = (source: Source) => {
    const known = open.get(source) ?? gates[source](world);
    open.set(source, known);
    return known;
  };
  const { late, stop } = deadline(timeoutMs);
  const findings = list
    .filter(({ times }) => times.includes(world.time))
    .map((check) => Promise.race([findingsOf(check, world, isOpen), late(check)]));
  const all = (await Promise.all(findings)).flat();
  stop();
  return all;
}

async function findingsOf(
  { id, subject, needs, ask }: Check,
  world: World,
  isOpen: (source: Source) => Promise<boolean>,
): Promise<Finding[]> {
  const it = about(id, subject);
  if (needs !== undefined && !(await isOpen(needs))) {
    return [it.skipped(`not checked: see the line about ${needs}`)];
  }
  try {
    return await ask(world);
  } catch (error) {
    return [it.problem((error as Error).message)];
  }
}

/** `late` gives, when the time is over, the line of what is not known by then. */
function deadline(timeoutMs: number | undefined) {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => {
    if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs);
  });
  return {
    late: ({ id, subject }: Check) =>
      passed.then(() => [
        about(id, subject).problem(`did not end within ${(timeoutMs ?? 0) / 1000} s`),
      ]),
    stop: () => clearTimeout(timer),
  };
}
