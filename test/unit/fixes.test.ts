import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printedFixes } from "../support/fixes";

const deletedByHand = "deleted by hand: preview --refresh names each thing, up makes it again";

/** The tests that make the fault, run what is printed, and see it gone: by file, `finding: title of its test or row`. */
const shown: Record<string, Record<string, string>> = {
  "fixes.e2e": {
    "stack: is not in this backend": "the stack is not in the backend",
    "build: dist/ is older than …": "dist/ is old",
    "vault.rights: of what `up` needs are missing:\n…": "the deployer's policy lacks rights",
    "vault.rights: unknown: the token may not ask what it may do, as an older deployer's policy":
      "the policy does not let its token ask what it may do",
    "vault.token: policies …; ……": "the token ends soon",
    "vault.token: …; a batch token, which the Vault plugin cannot use": "a batch token",
    "vault.token: …; may be used … times only": "a token of few uses",
    "vault.token: …: more than `up` needs": "root's token",
    "gitlab: was not asked: GITLAB_TOKEN is not set": "GITLAB_TOKEN is not set",
    "gitlab: … answers GET /api/v4/user as no GitLab does": "GitLab's address is another server's",
    "gitlab.token: …: `up` needs scope api": "a token of another scope",
    "gitlab.token: scopes …; …": "a token of GitLab that ends soon",
    "gitlab.role: the token's user has access level … in …, `up` needs … (Maintainer)":
      "the token's user is no Maintainer",
    "mount: is not KV version 2 (it is …)": "a mount of KV version 1",
    "mount: deletes every version after …, passwords too": "the mount ends its versions",
    "auth-mount: does not exist and createAuth is false": "no auth mount, and none is made",
    "group: is not there: Vault knows no identity group of that name": "no group of that name",
    "group: is the same identity group as …": "two names of one group",
    "group: has …, too, which config does not give it: its members read passwords":
      "a group that has the admin's policy, too",
    'policy: exists and does not begin with "…"': "somebody's policy",
    "first-password: has no password in Vault and no first password in config": "no first password",
    "branch: is not protected: Vault refuses the job's login": "the branch is not protected",
    "branch: is protected, but Developers may push or merge: they can get at the passwords":
      "Developers may push",
    "consumer: … is not there, or not shown to this token's user":
      "a consumer's project is not there",
    "apisec: message": "APIsec is not at its address",
    "pipeline-variables: may be set by …": "anyone may give pipelines variables",
    "project-file: in project … does not begin with ……: it is not stack …'s to write":
      "somebody's pipeline file",
    "project-files: … in project … does not include …: the schedule rotates nothing until it does":
      "the pipeline file includes no job",
    "passphrase: is not set: Pulumi asks for it, and fails where nobody can answer":
      "no passphrase",
    "passphrase: PULUMI_CONFIG_PASSPHRASE_FILE is …, which is not there":
      "a passphrase file that is not there",
    "vault: … answers …, and not as a Vault does": "Vault's address is another server's",
    "project: … is …: it holds what gets at passwords": "the project is public",
    "stray-consumer: is of no consumer in config, and still gives its rights":
      "a consumer's role that config does not know",
    "stray-account: is in mount …/ and not in config: its password can still be read there":
      "an account that config does not know",
    "verification: taken by APIsec last: …": "a password that was not verified for long",
    "checks/mount.ts: is not described as this stack's": "a mount that is described as nobody's",
    "auth-mount: is not described as this stack's": "an auth mount that is described as nobody's",
    "core/passwordSteps.ts: has a deleted password record: …, version …":
      "what a password change prints fixes it; what APIsec refuses is shown as open, and no younger",
    "checks/passwords.ts: …, passwordMaxAge is …":
      "a password that is older than passwordMaxAge is changed by `renew --due` and the `up` that it prints",
    "core/passwordStops.ts: was refused with its first password at …":
      "what a password change prints fixes it; what APIsec refuses is shown as open, and no younger",
    "core/passwordStops.ts: cannot log in with the password… in …, version …, nor with an older version's":
      "what a password change prints fixes it; what APIsec refuses is shown as open, and no younger",
  },
  "check.e2e": {
    "token: found": "a token is deleted",
    'key-settings: wrong.join("; ")': "a key may be written without check-and-set",
    'auth-mount: wrong.join("; ")': "GitLab's keys come from elsewhere",
    'role: wrong.join("; ")': "the role has lost all its claims",
    'schedule: wrong.join("; ")': "the schedule is there twice, as after a repeated request",
    "group: lacks …": "a group has lost its policy",
    "policy: problem": "a policy is edited",
    "project-file: was edited, or is of another version": "the pipeline file is edited",
    "checks/passwords.ts: version … … at …": "a password record is deleted",
    "password-read: read at … by ……, and not changed since":
      "break-glass: a read by a person is a problem until the password is changed, and evidence has both",
    "verification: APIsec refused it at …; taken last: …":
      "a password that was changed outside is found by verify, and by the printed command taken back",
    "schedule: …; whether it has variables is not shown to this token's user":
      "the token's user is a Reporter, who is not shown everything",
    "last-pipeline: `${found}: ${url}`": "the last pipeline has failed",
    "schedule-owner: … is …": "the schedule's owner is blocked",
    "token-at-apisec: is refused: …":
      "tokens are read and tried at APIsec where that is asked for, with the developers' rights",
    "token-at-apisec: message":
      "tokens are read and tried at APIsec where that is asked for, with the developers' rights",
    "vault.own-rights: has rights on … … (…)":
      "a token that can do more than it should, or is not shown what it can do, is a warning",
    "vault: `${found}, ${state.found}`":
      "a Vault that is sealed, unreachable or denies the token is one line; GitLab is checked all the same",
    "checks/vaultServer.ts: is sealed":
      "a Vault that is sealed, unreachable or denies the token is one line; GitLab is checked all the same",
    "vault: message":
      "a Vault that is sealed, unreachable or denies the token is one line; GitLab is checked all the same",
    "vault.token: is not valid…: it is wrong, or has ended":
      "a Vault that is sealed, unreachable or denies the token is one line; GitLab is checked all the same",
    "gitlab.token: message":
      "a GitLab token that is wrong, or missing, leaves the role's claims unknown: never ok",
    "role: is as declared, but … could not be compared: GitLab did not say":
      "a GitLab token that is wrong, or missing, leaves the role's claims unknown: never ok",
  },
  "drift.e2e": {
    "role: is not there": deletedByHand,
    'schedule: none is called "…"': deletedByHand,
    "auth-mount: is not there": deletedByHand,
    'policy: policyProblem(text, found) ?? ""': deletedByHand,
    "project-file: is not on branch …": deletedByHand,
    "core/passwordStops.ts: was changed outside: the password in …, version …, no longer logs in":
      "a password changed outside: the job fails, up leaves it alone until it is asked",
  },
  "lifeCycle.e2e": {
    "auth-mount: exists and is not this stack's":
      "a renamed stack: its mounts are handed over, policies and role get its name",
    "checks/mount.ts: exists and is not this stack's":
      "a renamed stack: its mounts are handed over, policies and role get its name",
    'core/passwordStops.ts: has a record that belongs to "…": …':
      "a record that another stack has taken is left to it; the printed command hands it over",
    'checks/accounts.ts: has a record that belongs to "…": `up` takes it only where the stack\'s state knows it by that name':
      "a record that another stack has taken is left to it; the printed command hands it over",
    "project-variable: of environment … in project … …":
      "destroy keeps mount and passwords and says so; up takes them up again",
  },
  "hashicorpVault.e2e": {
    "auth-mount: `${only}, ${refuses}`":
      "an auth mount of others with another issuer: doctor shows it, and the command that it prints fixes it",
    "key-settings: delete_version_after of tokens becomes … (… now), which the deployer's policy has to allow":
      "another life of the tokens does: up says so, and how it is written",
  },
  "networks.e2e": {
    "vault.token: …, and opens nothing in namespace …":
      "a token of the namespace above: what it lacks is named with the policy for it, then it works",
  },
  "sharedProject.e2e": {
    "checks/mount.ts: belongs to …, which does not say that other stacks use it: its admins and deployers reach every account":
      "a mount is used by another stack only once its owner shares it",
    "project: … has its pipeline file at …, which the job's login cannot name":
      "a pipeline file elsewhere in the project is followed; one of another project is refused",
  },
  "operations.e2e": {
    "checks/moved.ts: is not where this stack has it, …/, and `up` cannot move it":
      "Moving to another mount",
  },
  "doctor.e2e": {
    "tool.pulumi: is not on PATH":
      "what is in the way in Vault and GitLab, hosts that do not answer",
    "passphrase: …, and is not this stack's":
      "a passphrase that is another stack's, though no secret stands in the stack's file",
  },
  "killMatrix.e2e": {
    "core/passwordStops.ts: was refused … logins at …, as many as one run may send":
      "taken back after a reset by APIsec",
    "core/passwordStops.ts: was refused … logins in a row at …":
      "taken back after a reset by APIsec",
    "core/passwordStops.ts: did not prove its new password: …, and the login with it does not work yet":
      "once more",
    "core/passwordStops.ts: got no usable answer to … from …: …": "once more",
  },
};

/** Why no test follows what is printed. */
const notFollowed: Record<string, readonly string[]> = {
  "the same command is run for another finding of the same thing": [
    "build: … … not there",
    "auth-mount: …, …, unless GitLab has that as `ci_id_tokens_issuer_url`",
    "mount: is not described as declared",
    "mount: is not there at …",
    "password: there is no record",
    "password: …; a change is open since …, for …",
    "checks/passwords.ts: …, expected at most … days",
    "token-runs: … of the … wrote none, the last of them at ……",
    "token-at-apisec: found",
    "last-pipeline: there is none; …",
    "last-pipeline: began … ago; …",
    "schedule: … has gone",
    "schedule-owner: is gone",
    "schedule-owner: found",
    "schedule-owner: … is the user of an access token and ends with it; when is not shown to this token's user",
    "schedule-owner: … ends with its access token on …",
    "schedule-owner: …, in …",
    "checks/attempt.ts: message",
    "checks/strays.ts: message",
    "vault.token: message",
    "vault.own-rights: message",
    "gitlab: message",
    "gitlab.token: is taken; it does not say its scopes and end",
    "gitlab: gitlab:token is a secret in config, which is not opened here: GitLab was not asked",
    "branch: message",
    "pipeline-variables: who may set them is not shown to this token's user",
    "auth-mount: of",
    "policy: of",
    "mount: owner.found",
    "checks/owner.ts: belongs to …, a stack of another project",
    "cli/rotate.ts: dist/rotate.mjs, the rotation job, has not been built: run `npm run build`.",
    "cli/stackSettings.ts: Pulumi.….yaml is not there: run `pulumi stack init …` first.",
    "cli/firstRun.ts: GitLab shows no schedule of stack … in …: `…` makes it.",
    "cli/handOver.ts: …/… is there already: nothing was written. `…` goes on from it; a first password that APIsec refuses is corrected with `…`",
    "core/passwordChange.ts: was written by others … times during this run",
    "core/passwordSteps.ts: has an open password change at its old host …",
    "core/passwordSteps.ts: has no record at … and no first password in config",
    "core/passwordSteps.ts: is changed by …, …",
    "core/passwordSteps.ts: has a proven password that others' writes kept from being promoted at …",
    "core/passwordStops.ts: has a record that no stack is known to own, in a mount that several use: …",
    "core/passwordStops.ts: has a password that Vault will delete at …: …, version …",
    "core/passwordToken.ts: Account … has no new token for its readers: …. Its password is well: run `pulumi up` again, which publishes one.",
  ],
  "it is a choice of names, or what somebody has to look at; no command": [
    "access: not known: policy … is not written as this program writes it",
    "auth-mount: is of type …, expected jwt",
    "mount: does not exist and createMount is false",
    "project: … is not there, or not shown to this token's user",
    "branch: cannot be read (…)",
    "branch: is not there, or not shown to this token's user",
    "branch: is protected from this token's user too, and `up` writes two files to it",
    "schedule: cannot be listed",
    "vault.token: …; … takes rights from …: Vault lets a policy's exact paths replace another's patterns",
    "vault.rights: lacks what `up` needs on … of … paths, such as …",
    "token-at-apisec: carries ROLE_ADMIN: whoever reads it can reset every password",
    "checks/passwords.ts: version … was destroyed; older ones may be left",
    "evidence: …: of it only what Vault still remembers is here",
    "report: is … old: the check that should have followed it has not run",
    "audit-log: …; it shows passwords in clear, … times: whoever reads it knows them",
    "checks/joined.ts: z.string()",
  ],
  "the configuration is refused before with a command of its own": [
    "proxy: … is no proxy's address: expected …",
  ],
  "it installs what is not on this machine, or belongs to the machine": [
    "tool.pulumi: …, needed … or newer",
    "tool.node: …, needed … or newer",
    "tool.host: is neither beside the pulumi command nor on PATH",
    "tool.plugin: …; `pulumi up` will download it",
    "tool.plugin: …; and Pulumi may not download it",
    "tool.plugin: is not installed; `pulumi up` will download it",
    "backend: who.problem",
    "audit: none is on: nobody can say who has read a password",
    "cli/review.ts: git knows no commit … here. Fetch it first (`git fetch origin <branch>`; in a CI job set GIT_DEPTH to 0).",
    "cli/review.ts: git cannot read … of …: …",
    "cli/review.ts: git cannot be run: …",
    'cli/messenger.ts: APISEC_WEBHOOK: found …, expected the https:// address of a webhook: `export APISEC_WEBHOOK="$(pulumi config get webhookUrl --stack …)"`',
  ],
  "it takes Vault's operator, or a Vault of another edition": [
    "checks/vaultServer.ts: is not initialised",
    "checks/vaultServer.ts: was removed from its cluster",
    "checks/vaultServer.ts: is a disaster-recovery secondary, which answers no request",
    "vault.namespace: cannot be used: this Vault has no namespaces and ignores their names",
    "vault.namespace: does not exist",
  ],
  "the lab's GitLab archives no project": ["project: … is archived: nothing runs in it"],
  "`vault login` asks on a terminal": [
    "vault.token: there is none",
    "clients/connect.ts: No Vault token: set VAULT_TOKEN or log in with `vault login`.",
  ],
};

const keysOf = (of: Record<string, Record<string, string>>) =>
  Object.values(of).flatMap(Object.keys);

test("a test follows every fix that is printed, or it is said why none does", () => {
  const known = [...keysOf(shown), ...Object.values(notFollowed).flat()];
  const printed = printedFixes();
  // Make the fault in test/e2e/fixes.e2e.test.ts, and name the row above.
  expect(printed.filter((one) => !known.includes(one))).toEqual([]);
  expect(known.filter((one) => !printed.includes(one))).toEqual([]);
  expect(new Set(known).size).toBe(known.length);
});

test.each(Object.entries(shown))("%s has the tests that are named here", (file, titles) => {
  const text = readFileSync(join(__dirname, "..", "e2e", `${file}.test.ts`), "utf8");
  const named = [...new Set(Object.values(titles))];
  const isThere = (title: string) =>
    [`"${title}"`, `${title}: {`].some((one) => text.includes(one));
  expect(named.filter((title) => !isThere(title))).toEqual([]);
});
