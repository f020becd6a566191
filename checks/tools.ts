import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { packageFolder } from "../desired/packageFolder";
import { isObject } from "../net/http";
import { findCommand, pulumi, pulumiFolder } from "./commands";
import { about } from "./finding";
import type { Finding } from "./finding";
import { isAtLeast } from "./versions";

/** From here on the engine hands the stack's config to a dynamic provider: first passwords come that way. */
const oldestCli = "3.139.0";
const plugins = ["vault", "gitlab", "command"];
const installPulumi = "https://www.pulumi.com/docs/iac/download-install/";

/** Node, the `pulumi` command with its hosts, and the three plugins. */
export async function checkTools(): Promise<Finding[]> {
  const it = about("tool.pulumi", "pulumi");
  const version = await pulumi(["version"]);
  if ("problem" in version) {
    const found = version.code === "ENOENT" ? "is not on PATH" : version.problem;
    return [node(), it.problem(found, installPulumi)];
  }
  const isOld = !isAtLeast(version.text, oldestCli);
  return [
    node(),
    isOld
      ? it.problem(`${version.text}, needed ${oldestCli} or newer`, installPulumi)
      : it.ok(version.text),
    ...["pulumi-language-nodejs", "pulumi-resource-pulumi-nodejs"].map(host),
    ...(await checkPlugins()),
  ];
}

function node(): Finding {
  const it = about("tool.node", "node");
  const { engines } = JSON.parse(readFileSync(`${packageFolder()}/package.json`, "utf8")) as {
    engines: { node: string };
  };
  const wanted = engines.node.replace(">=", "");
  const found = process.versions.node;
  return isAtLeast(found, wanted)
    ? it.ok(found)
    : it.problem(`${found}, needed ${wanted} or newer`, "https://nodejs.org/en/download");
}

/** What comes with the `pulumi` command, and runs the program and the password provider. */
function host(name: string): Finding {
  const it = about("tool.host", name);
  const found = findCommand(name, pulumiFolder());
  return found === undefined
    ? it.problem(
        "is neither beside the pulumi command nor on PATH",
        `install Pulumi as a whole, not the command alone: ${installPulumi}`,
      )
    : it.ok(found);
}

async function checkPlugins(): Promise<Finding[]> {
  const said = await pulumi(["plugin", "ls", "--json"]);
  const listed = "text" in said ? (JSON.parse(said.text) as unknown) : [];
  const installed = (Array.isArray(listed) ? listed : []).filter(isObject);
  return plugins.map((name) => {
    const versions = installed
      .filter((plugin) => plugin["kind"] === "resource" && plugin["name"] === name)
      .map((plugin) => String(plugin["version"]));
    const onPath = findCommand(`pulumi-resource-${name}`);
    const downloads = process.env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] !== "true";
    return plugin(name, wantedVersion(name), versions, onPath, downloads);
  });
}

/**
 * The version that the package of this name asks Pulumi for; undefined where it is built in: a program that depends
 * on this package does not have the local one for GitLab.
 */
function wantedVersion(name: string): string | undefined {
  const fromHere = createRequire(`${packageFolder()}/package.json`);
  try {
    const file = fromHere.resolve(`@pulumi/${name}/package.json`);
    return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
  } catch {
    return undefined;
  }
}

/** `onPath`: the engine takes that one, whatever its version. */
export function plugin(
  name: string,
  wanted: string | undefined,
  installed: readonly string[],
  onPath: string | undefined,
  downloads: boolean,
): Finding {
  const it = about("tool.plugin", `plugin ${name}`);
  if (onPath !== undefined)
    return it.ok(
      `${onPath}, on PATH${wanted === undefined ? "" : `; package.json asks for ${wanted}`}`,
    );
  if (wanted === undefined) return anyOf(name, installed);
  if (installed.includes(wanted)) return it.ok(`${wanted}, installed`);
  const others = installed.length === 0 ? "" : ` (${installed.join(", ")} is)`;
  const fix = `pulumi plugin install resource ${name} ${wanted}`;
  const found = `${wanted} is not installed${others}`;
  return downloads
    ? it.warning(`${found}; \`pulumi up\` will download it`, fix)
    : it.problem(`${found}; and Pulumi may not download it`, fix);
}

/** Where the wanted version is not known. */
function anyOf(name: string, installed: readonly string[]): Finding {
  const it = about("tool.plugin", `plugin ${name}`);
  return installed.length > 0
    ? it.ok(`${installed.join(", ")}, installed`)
    : it.warning(
        "is not installed; `pulumi up` will download it",
        `pulumi plugin install resource ${name}`,
      );
}
