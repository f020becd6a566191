import { problemsOfMarks } from "../../checks/ownership";
import { readConfig } from "../../config/readConfig";
import { sourceOf } from "../support/configSource";

const project = { id: "42", uri: "gitlab.com/platform/apisec-rotation", pipelineFile: "" };
const settings = readConfig(sourceOf({ consumers: [{ name: "api", project: "shop/api" }] }));
const role = "auth/gitlab/role/apisec-prod-rotator";
const policies = ["admin", "developer", "rotator", "consumer.api"].map(
  (name) => `sys/policies/acl/apisec-prod-${name}`,
);

/** Vault with everything marked so, and a role bound to this project. */
function vaultOf(owner: string, bound?: string): Map<string, Record<string, unknown>> {
  return new Map<string, Record<string, unknown>>([
    ...policies.map((path): [string, Record<string, unknown>] => [
      path,
      { policy: `# managed by ${owner}\npath "x" {}\n` },
    ]),
    ["sys/mounts/apisec", { description: `APIsec passwords and tokens, managed by ${owner}` }],
    ["sys/mounts/auth/gitlab", { description: `Logins of GitLab jobs, managed by ${owner}` }],
    ...(bound === undefined
      ? []
      : [[role, { bound_claims: { project_id: bound } }] as [string, Record<string, unknown>]]),
  ]);
}

const problems = (vault: Map<string, Record<string, unknown>>, some = settings) =>
  problemsOfMarks((path) => Promise.resolve(vault.get(path)), some, project);

const ours = "apisec-credentials/prod for gitlab.com/42";
const theirs = "apisec-credentials/prod for gitlab.com/43";
const old = "apisec-credentials/prod";

test("what is not there yet, or has our mark, is ours to write", async () => {
  expect(await problems(new Map())).toEqual([]);
  expect(await problems(vaultOf(ours))).toEqual([]);
  expect(await problems(vaultOf(ours, "43"))).toEqual([]);
});

test("a stack of the same names in another project keeps its mounts and policies, whatever the role", async () => {
  for (const bound of [undefined, "42", "43"]) {
    const found = await problems(vaultOf(theirs, bound));
    expect(found).toHaveLength(6);
    expect(found).toContain(
      `mount apisec/ belongs to ${theirs}, a stack of another project: choose another \`mount\`. If it was this stack's before its project or host changed, as Vault's admin: \`vault secrets tune -description="APIsec passwords and tokens, managed by ${ours}" apisec/\``,
    );
    expect(found).toContain(
      `policy apisec-prod-consumer.api belongs to ${theirs}, a stack of another project: set another policyPrefix. If it was this stack's before its project or host changed, as Vault's admin: \`vault policy read apisec-prod-consumer.api | sed '1s|.*|# managed by ${ours}|' | vault policy write apisec-prod-consumer.api -\``,
    );
  }
});

test("an old mark is ours where our role is bound to our project, and not otherwise", async () => {
  expect(await problems(vaultOf(old, "42"))).toEqual([]);
  expect(await problems(vaultOf(old, "43"))).toHaveLength(6);
  expect(await problems(vaultOf(old))).toHaveLength(6);
});

test("mounts that the stack only uses may be anybody's", async () => {
  const using = readConfig(sourceOf({ createMount: false, createAuth: false }));
  const found = await problems(vaultOf(theirs), using);
  expect(found.map((problem) => problem.split(" ")[0])).toEqual(["policy", "policy", "policy"]);
});

test("who may not read the role, as in a preview, is not told that an old mark is another's", async () => {
  const vault = vaultOf(old);
  const denied = (path: string) =>
    path === role ? Promise.reject(new Error("403")) : Promise.resolve(vault.get(path));
  expect(await problemsOfMarks(denied, settings, project)).toEqual([]);
});
