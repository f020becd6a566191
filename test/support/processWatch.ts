import { readFileSync, readdirSync } from "node:fs";

/** A process as it was seen: what everybody, and what its own user, may read of it. */
export interface SeenProcess {
  pid: number;
  commandLine: string;
  environment: string;
  /** Command lines of its parents, the nearest first. */
  ancestors: string[];
}

const read = (pid: number, file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");

/** Looks at every process that descends from this one, every few milliseconds, until it is stopped. */
export function watchProcesses(): { seen: SeenProcess[]; stop(): void } {
  const seen: SeenProcess[] = [];
  const parents = new Map<number, number>();
  const current = new Map<number, SeenProcess>();

  function ancestorsOf(pid: number): string[] {
    const parent = parents.get(pid);
    const process = parent === undefined ? undefined : current.get(parent);
    return process === undefined ? [] : [process.commandLine, ...process.ancestors];
  }

  function isOurs(pid: number): boolean {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === process.pid || current.has(parent));
  }

  function look(): void {
    const alive = readdirSync("/proc").map(Number).filter(Number.isInteger);
    for (const pid of current.keys()) if (!alive.includes(pid)) current.delete(pid);
    for (const pid of alive) {
      try {
        // The fourth field, after a name in parentheses that may hold anything.
        if (!parents.has(pid))
          parents.set(pid, Number(read(pid, "stat").split(") ").pop()?.split(" ")[1]));
        if (!isOurs(pid)) continue;
        const commandLine = read(pid, "cmdline").replaceAll("\0", " ").trim();
        // A process that has just been forked still looks like its parent.
        if (current.get(pid)?.commandLine === commandLine || commandLine === "") continue;
        const environment = read(pid, "environ").replaceAll("\0", "\n");
        const process = { pid, commandLine, environment, ancestors: ancestorsOf(pid) };
        current.set(pid, process);
        seen.push(process);
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  const timer = setInterval(look, 10);
  return { seen, stop: () => clearInterval(timer) };
}

/** The process and all that it has started. */
export function family(pid: number): number[] {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        return [[Number(name), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0])]];
      } catch {
        return [];
      }
    });
  const below = (of: number): number[] => [
    of,
    ...parents.filter(([, parent]) => parent === of).flatMap(([child]) => below(child ?? 0)),
  ];
  return below(pid);
}
