import { encodePath } from "../clients/vault";
import type { Settings } from "../config/settings";
import type { RotationProject } from "../desired/facts";
import {
  authDescription,
  consumerName,
  mountDescription,
  ownerMark,
  policyName,
} from "../desired/names";
import type { Owner } from "../desired/names";
import { isBoundTo, ownerNamed, ownerOf, ownershipOf } from "../desired/ownership";

type Look = (path: string) => Promise<Record<string, unknown> | undefined>;

interface Marked {
  what: string;
  /** The text that names the owner; undefined where there is nothing. */
  text: Promise<string | undefined>;
  advice: string;
}

/**
 * Problems of what has this stack's names and is another's: a stack of the same names in another project of GitLab.
 * What has the old mark, the names alone, is ours where our role is bound to our project. `look` gives the data at
 * an API path, undefined where there is none.
 */
export async function problemsOfMarks(
  look: Look,
  settings: Settings,
  project: RotationProject,
): Promise<string[]> {
  const owner = ownerOf(settings, { project });
  const { authPath, policyPrefix, stack } = settings;
  const role = policyName(policyPrefix, stack, "rotator");
  let isOldOurs: Promise<boolean> | undefined;
  // Who may not read the role is somebody who previews: `up` looks itself.
  const boundToUs = () =>
    look(`auth/${encodePath(authPath)}/role/${role}`).then(
      (found) => isBoundTo(project, found),
      () => true,
    );
  const problems = await Promise.all(
    markedThings(look, settings, owner).map(async ({ what, text, advice }) => {
      // What cannot be read is said where it is looked at first.
      const mark = (await text.catch(() => undefined)) ?? "";
      const whose = ownershipOf(owner, mark);
      if (whose === "ours" || whose === "unmarked") return [];
      if (whose === "old" && (await (isOldOurs ??= boundToUs()))) return [];
      return [`${what} belongs to ${ownerNamed(mark)}, a stack of another project: ${advice}`];
    }),
  );
  return problems.flat();
}

/** Each with what to do where it is another's, and the command of Vault's admin where it was this stack's all along. */
function markedThings(look: Look, settings: Settings, owner: Owner): Marked[] {
  const { mount, createMount, authPath, createAuth, policyPrefix, stack, consumers } = settings;
  const description = async (path: string) => {
    const found = (await look(path))?.["description"];
    return typeof found === "string" ? found : undefined;
  };
  const firstLine = async (name: string) => {
    const found = (await look(`sys/policies/acl/${name}`))?.["policy"];
    return typeof found === "string" ? found.split("\n")[0] : undefined;
  };
  const policies = [
    ...(["admin", "developer", "rotator"] as const).map((role) =>
      policyName(policyPrefix, stack, role),
    ),
    ...consumers.map(({ name }) => consumerName(policyPrefix, stack, name)),
  ];
  const things: Marked[] = policies.map((name) => ({
    what: `policy ${name}`,
    text: firstLine(name),
    advice: `set another policyPrefix${ifOurs(`vault policy read ${name} | sed '1s|.*|${ownerMark(owner)}|' | vault policy write ${name} -`)}`,
  }));
  if (createMount) {
    const text = description(`sys/mounts/${encodePath(mount)}`);
    const described = mountDescription(owner, settings.shareMount);
    const advice = `choose another \`mount\`${ifOurs(`vault secrets tune -description="${described}" ${mount}/`)}`;
    things.push({ what: `mount ${mount}/`, text, advice });
  }
  if (createAuth) {
    const text = description(`sys/mounts/auth/${encodePath(authPath)}`);
    const tune = `vault auth tune -description="${authDescription(owner)}" ${authPath}/`;
    const advice = `set createAuth to false to use it, or choose another authPath${ifOurs(tune)}`;
    things.push({ what: `auth mount ${authPath}/`, text, advice });
  }
  return things;
}

function ifOurs(command: string): string {
  return `. If it was this stack's before its project or host changed, as Vault's admin: \`${command}\``;
}
