import * as fs from "node:fs";
import * as path from "node:path";

import type { ToolReport } from "./tools";

/** What a lab is made with; a state or storage of the one kind is not for the other. */
type Kinds = Record<string, string>;

/** "official" or "stand-in" for each plugin, and whose server Vault is. */
export function kindsOf({ plugins, tools, vault }: ToolReport): Kinds {
  const server = tools.find(({ detail }) => detail === vault)?.name;
  return {
    ...Object.fromEntries(
      plugins.map(({ name, source }) => [
        `plugin ${name}`,
        source === "stand-in" ? "the stand-in" : "the official plugin",
      ]),
    ),
    Vault: server === "vault" ? "HashiCorp Vault" : "OpenBao",
  };
}

/**
 * Notes what the lab in `dir` is made with, at its first start.
 * @throws where it was made with something else than what is found now.
 */
export function checkKinds(dir: string, now: Kinds): void {
  const file = path.join(dir, "made-with.json");
  const before = fs.existsSync(file)
    ? (JSON.parse(fs.readFileSync(file, "utf8")) as Kinds)
    : ofOlderLab(dir, now);
  const changed = Object.keys(now).filter((what) => (before[what] ?? now[what]) !== now[what]);
  if (changed.length > 0) {
    const list = changed.map((what) => `${what}: ${before[what]}, now ${now[what]}`);
    throw new Error(
      `This lab was made with other parts (${list.join("; ")}). Run \`make clean\`, then \`make up\` again: that makes a new one.`,
    );
  }
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(file, JSON.stringify(now, undefined, 2));
}

/** A lab from before this note tells its plugins by their launchers; a state of those stand-ins is none of the official ones. */
function ofOlderLab(dir: string, now: Kinds): Kinds {
  if (!fs.existsSync(path.join(dir, "state/.pulumi/stacks"))) return now;
  const plugins = Object.keys(now).flatMap((what) => {
    const [, name] = /^plugin (\w+)$/.exec(what) ?? [];
    if (name === undefined) return [];
    const standIn = fs.existsSync(path.join(dir, "plugins", `pulumi-resource-${name}`));
    return [[what, standIn ? "an earlier stand-in" : "the official plugin"]];
  });
  return { Vault: "OpenBao", ...(Object.fromEntries(plugins) as Kinds) };
}
