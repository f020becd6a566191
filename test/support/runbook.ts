import { readFileSync } from "node:fs";

/** One block of commands of a runbook in Markdown. */
export interface Step {
  section: string;
  /** The first comment: who runs it, and what it asks for. */
  who: string;
  commands: string;
}

/** The `sh` blocks of a Markdown file that begin with a comment, in order. */
export function stepsOf(file: string): Step[] {
  const steps: Step[] = [];
  let section = "";
  let block: string[] | undefined;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (block === undefined) {
      if (line.startsWith("## ")) section = line.slice(3);
      if (line === "```sh") block = [];
    } else if (line === "```") {
      const [first = "", ...commands] = block;
      if (first.startsWith("# ")) {
        steps.push({ section, who: first.slice(2), commands: commands.join("\n") });
      }
      block = undefined;
    } else {
      block.push(line);
    }
  }
  return steps;
}
