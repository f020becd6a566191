import { fileOf, projectOf } from "../checks/gitlabFacts";
import { ownOwner, textOf } from "../checks/owner";
import { takePolicy } from "../checks/policies";
import type { World } from "../checks/world";
import { metadataPath } from "../clients/keySettings";
import { encodePath } from "../clients/vault";
import { handOverRecord } from "../core/mark";
import { passwordKey } from "../core/passwordRecord";
import { authDescription, mountDescription, ownerMark, ownerText } from "../desired/names";
import { ownerNamed } from "../desired/ownership";
import { guardedFiles } from "../desired/projectFiles";
import { consumerAccess, stackPolicies } from "../desired/state";
import { isObject } from "../net/http";
import { coded } from "../core/messageCode";

/** Something that a mark may stand in. */
interface Marked {
  /** The text that holds the mark; "" where there is none. */
  text: string;
  /** The line of shell, or of advice, that puts this stack's mark in its place. */
  command: string;
}

/**
 * What hands this stack's things over that are marked `former`, such as those of a stack before it was renamed:
 * lines of shell for Vault's admin, and what is to be done in GitLab as comments. `former` may be a whole description or
 * first line. Reads only. Throws where nothing carries that mark, with the marks that there are.
 */
export async function handOverLines(world: World, former: string): Promise<string[]> {
  const owner = await ownOwner(world);
  if (owner.instance === undefined) {
    throw coded(
      `GitLab does not show project ${world.settings.gitlabProject}, whose id is in this stack's mark: set GITLAB_TOKEN.`,
      "hidden-project",
    );
  }
  const before = ownerNamed(former) ?? former.trim();
  const all = (
    await Promise.all([mounts(world), policies(world), records(world), files(world)])
  ).flat();
  const found = all.filter(({ text }) => ownerNamed(text) === before);
  if (found.length > 0) return found.map(({ command }) => command);
  const marks = [...new Set(all.map(({ text }) => ownerNamed(text)))].filter(
    (mark) => mark !== undefined,
  );
  throw coded(
    `Nothing that stack ${world.settings.stack} uses is marked "${textOf(before)}". Marks that are there: ${marks.map((mark) => `"${textOf(mark)}"`).join(", ") || "none"}.`,
    "no-such-mark",
  );
}

async function mounts(world: World): Promise<Marked[]> {
  const { mount, createMount, shareMount, authPath, createAuth } = world.settings;
  const owner = await ownOwner(world);
  const marked = async (api: string, command: string) => ({
    text: textOf((await world.look(api))?.["description"]),
    command,
  });
  return Promise.all([
    ...(createMount
      ? [
          marked(
            `sys/mounts/${encodePath(mount)}`,
            `vault secrets tune -description="${mountDescription(owner, shareMount)}" ${mount}/`,
          ),
        ]
      : []),
    ...(createAuth
      ? [
          marked(
            `sys/mounts/auth/${encodePath(authPath)}`,
            `vault auth tune -description="${authDescription(owner)}" ${authPath}/`,
          ),
        ]
      : []),
  ]);
}

async function policies(world: World): Promise<Marked[]> {
  const { settings } = world;
  const project = await projectOf(world);
  const owner = await ownOwner(world);
  const declared = [
    ...Object.values(stackPolicies(settings, { project })),
    ...consumerAccess(settings, { project, claims: new Map() }).map(({ policy }) => policy),
  ];
  return Promise.all(
    declared.map(async ({ name }) => {
      const policy = (await world.look(`sys/policies/acl/${name}`))?.["policy"];
      const [text = ""] = typeof policy === "string" ? policy.split("\n", 1) : [];
      return { text, command: takePolicy(name, ownerMark(owner)) };
    }),
  );
}

async function records(world: World): Promise<Marked[]> {
  const { mount, accounts } = world.settings;
  const owner = ownerText(await ownOwner(world));
  return Promise.all(
    accounts.map(async ({ name }) => {
      const key = passwordKey(name);
      const mark = (await world.look(metadataPath(mount, key)))?.["custom_metadata"];
      const named = isObject(mark) ? textOf(mark["owner"]) : "";
      return {
        text: named === "" ? "" : `managed by ${named}`,
        command: handOverRecord(mount, key, owner),
      };
    }),
  );
}

async function files(world: World): Promise<Marked[]> {
  const { settings } = world;
  const project = await projectOf(world);
  const owner = await ownOwner(world);
  if (!settings.manageProjectFiles || project === undefined) return [];
  return Promise.all(
    guardedFiles(settings, project.pipelineFile, owner).map(async ({ path }) => {
      const [text = ""] = (await fileOf(world, path))?.split(/\r?\n/, 1) ?? [];
      const where = `${path} in project ${settings.gitlabProject}`;
      return {
        text,
        command: `# In GitLab, make this the first line of ${where}: ${ownerMark(owner)}`,
      };
    }),
  );
}
