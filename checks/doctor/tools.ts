import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Finding } from "../finding";
import { isObject } from "../../net/http";
import { findCommand, pulumi, pulumiFolder, root } from "./commands";
import { isAtLeast } from "./versions";

/** From here on the engine hands the stack's config to a dynamic provider: first passwords come that way. */
const oldestCli = "3.139.0";
const plugins = ["vault", "gitlab", "command"];
const installPulumi = "https://www.pulumi.com/docs/iac/download-install/";

/** Node, the `pulumi` command with its hosts, and the three plugins. */
export async function examineTools(): Promise<Finding[]> {
  const version = await pulumi(["version"]);
  if ("problem" in version) {
    const found = version.code === "ENOENT" ? "is not on PATH" : version.problem;
    return [node(), { what: "pulumi", state: "problem", found, fix: installPulumi }];
  }
  const isOld = !isAtLeast(version.text, oldestCli);
  const cli: Finding = isOld
    ? {
        what: "pulumi",
        state: "problem",
        found: `${version.text}, needed ${oldestCli} or newer`,
        fix: installPulumi,
      }
    : { what: "pulumi", state: "ok", found: version.text };
  return [
    node(),
    cli,
    ...["pulumi-language-nodejs", "pulumi-resource-pulumi-nodejs"].map(host),
    ...(await examinePlugins()),
  ];
}

function node(): Finding {
  const { engines } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
    engines: { node: string };
  };
  const wanted = engines.node.replace(">=", "");
  const found = process.versions.node;
  return isAtLeast(found, wanted)
    ? { what: "node", state: "ok", found }
    : {
        what: "node",
        state: "problem",
        found: `${found}, needed ${wanted} or newer`,
        fix: "https://nodejs.org/en/download",
      };
}

/** What comes with the `pulumi` command, and runs the program and the password provider. */
function host(name: string): Finding {
  const found = findCommand(name, pulumiFolder());
  return found === undefined
    ? {
        what: name,
        state: "problem",
        found: "is neither beside the pulumi command nor on PATH",
        fix: `install Pulumi as a whole, not the command alone: ${installPulumi}`,
      }
    : { what: name, state: "ok", found };
}

async function examinePlugins(): Promise<Finding[]> {
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

/** The version that the package of this name in package.json asks Pulumi for. */
function wantedVersion(name: string): string {
  const fromHere = createRequire(`${root}/package.json`);
  const file = fromHere.resolve(`@pulumi/${name}/package.json`);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}

/** `onPath`: the engine takes that one, whatever its version. */
export function plugin(
  name: string,
  wanted: string,
  installed: readonly string[],
  onPath: string | undefined,
  downloads: boolean,
): Finding {
  const what = `plugin ${name}`;
  if (onPath !== undefined) {
    return { what, state: "ok", found: `${onPath}, on PATH; package.json asks for ${wanted}` };
  }
  if (installed.includes(wanted)) return { what, state: "ok", found: `${wanted}, installed` };
  const others = installed.length === 0 ? "" : ` (${installed.join(", ")} is)`;
  return {
    what,
    state: downloads ? "warning" : "problem",
    found: `${wanted} is not installed${others}; ${downloads ? "`pulumi up` will download it" : "and Pulumi may not download it"}`,
    fix: `pulumi plugin install resource ${name} ${wanted}`,
  };
}
