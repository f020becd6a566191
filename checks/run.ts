import type { Settings } from "../config/settings";
import type { GitlabReader } from "../clients/gitlab";
import type { Send } from "../net/http";
import type { VaultConnection } from "../clients/vault";
import { checkAccounts } from "./accounts";
import type { Finding } from "./finding";
import { checkGitlab } from "./gitlab";
import type { GitlabFacts } from "./gitlab";
import { checkPublishedTokens } from "./publishedTokens";
import {
  checkAuthOf,
  checkGroups,
  checkMountOf,
  checkOwnRights,
  checkPolicies,
  checkRoles,
} from "./vault";

/** Whom the check asks. */
export interface CheckWorld {
  vault: VaultConnection;
  /** Undefined: there is no GITLAB_TOKEN. */
  gitlab: GitlabReader | undefined;
  /** The way to APIsec; given where tokens are to be read. */
  apisec: Send | undefined;
  /** Milliseconds since 1970. */
  now: number;
}

export interface CheckOptions {
  /** From how many days on a password is old; 0 = never. */
  passwordAgeDays: number;
  /** What is not known by then is a problem. */
  timeoutMs: number;
}

/** Looks at a stack in Vault and GitLab, and at its tokens. Reads only; never throws. */
export async function checkStack(
  settings: Settings,
  world: CheckWorld,
  { passwordAgeDays, timeoutMs }: CheckOptions,
): Promise<Finding[]> {
  const { vault, gitlab, apisec, now } = world;
  const { late, stop } = deadline(timeoutMs);
  const inTime = (what: string, found: Promise<Finding[]>) => Promise.race([found, late(what)]);
  const asked = Promise.resolve(
    gitlab === undefined ? noGitlab : checkGitlab(gitlab, settings, now),
  );
  const aboutVault = async () => {
    const mount = await Promise.race([
      checkMountOf(vault, settings),
      late("Vault").then((findings) => ({ findings, isShown: false })),
    ]);
    if (!mount.isShown) return mount.findings;
    const others = [
      inTime("auth mount", checkAuthOf(vault, settings)),
      inTime(
        "policies",
        asked.then(({ facts }) => checkPolicies(vault, settings, facts)),
      ),
      inTime(
        "roles",
        asked.then(({ facts }) => checkRoles(vault, settings, facts)),
      ),
      inTime("groups", checkGroups(vault, settings)),
      inTime("this Vault token", checkOwnRights(vault, settings)),
      inTime("accounts", checkAccounts(vault, settings, passwordAgeDays, now)),
      ...(apisec === undefined
        ? []
        : [inTime("tokens at APIsec", checkPublishedTokens(vault, apisec, settings, now))]),
    ];
    return [...mount.findings, ...(await Promise.all(others)).flat()];
  };
  const findings = await Promise.all([
    aboutVault(),
    inTime(
      "GitLab",
      asked.then(({ findings: found }) => found),
    ),
  ]);
  stop();
  return findings.flat();
}

const noGitlab: { findings: Finding[]; facts: GitlabFacts } = {
  findings: [
    {
      what: "GitLab",
      state: "problem",
      found: "was not asked: GITLAB_TOKEN is not set",
      fix: "export GITLAB_TOKEN=…   (scope read_api, of a user who sees the rotation project)",
    },
  ],
  facts: { claims: new Map() },
};

/** `late` gives, when the time is over, the line of what is not known by then. */
function deadline(timeoutMs: number) {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  const found = `did not end within ${timeoutMs / 1000} s`;
  return {
    late: (what: string) => passed.then((): Finding[] => [{ what, state: "problem", found }]),
    stop: () => clearTimeout(timer),
  };
}
