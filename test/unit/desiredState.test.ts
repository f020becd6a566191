import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { readConfig } from "../../config/readConfig";
import { desiredState } from "../../desired/state";
import { sourceOf } from "../support/configSource";

const settings = readConfig(
  sourceOf({
    adminGroups: ["security"],
    developerGroups: ["developers", "security"],
    consumers: [{ name: "api", project: "payments/api" }],
  }),
);
const unknown = { claims: new Map(), groupIds: new Map() };
const facts = {
  project: {
    id: "42",
    uri: "gitlab.example.com/platform/rotation",
    pipelineFile: ".gitlab-ci.yml",
  },
  owner: "5",
  claims: new Map([["api", { project_id: "43" }]]),
  groupIds: new Map([["security", "id-1"]]),
};

test("the desired state is plain data, the same for the same settings and facts", () => {
  const wanted = desiredState(settings, facts);
  expect(structuredClone(wanted)).toEqual(wanted);
  expect(desiredState(settings, facts)).toEqual(wanted);
  expect(wanted).toMatchObject({
    vault: {
      mount: { path: "apisec", owned: true },
      rotator: { claims: { project_id: "42", user_id: "5" } },
      consumers: [{ name: "api", role: { claims: { project_id: "43" } }, accounts: ["scanner"] }],
      groups: [
        { group: "security", id: "id-1", policies: ["apisec-prod-admin", "apisec-prod-developer"] },
        { group: "developers", id: undefined, policies: ["apisec-prod-developer"] },
      ],
    },
    gitlab: { files: [{ path: "rotate.mjs" }, { path: ".gitlab-ci.yml" }] },
  });
});

test("what GitLab and Vault have not said is undefined, and never left out", () => {
  const { vault, gitlab } = desiredState(settings, unknown);
  const { claims } = vault.rotator;
  const open = Object.keys(claims).filter((key) => claims[key] === undefined);
  expect(open).toEqual(["project_id", "user_id", "ci_config_ref_uri"]);
  expect(Object.keys(vault.consumers[0]?.role.claims ?? {})).toContain("project_id");
  expect(gitlab.files).toBeUndefined();
});

test("a stack that does not deliver its files wants none", () => {
  const own = readConfig(sourceOf({ manageProjectFiles: false }));
  expect(desiredState(own, facts).gitlab.files).toEqual([]);
  expect(desiredState(own, unknown).gitlab.files).toEqual([]);
});

test("commits say what the stack has them say", () => {
  const message = "chore({stack}): {path}\n\nDelivered by {project}, {path}";
  const own = readConfig(sourceOf({ commitMessage: message }));
  expect(desiredState(own, facts).gitlab.files).toMatchObject([
    { commitMessage: "chore(prod): rotate.mjs\n\nDelivered by apisec-credentials, rotate.mjs" },
    { commitMessage: expect.stringMatching(/^chore\(prod\): \.gitlab-ci\.yml\n/) as string },
  ]);
});

test("it is computed without Pulumi", () => {
  const script = `
    require("./desired/state");
    console.log(Object.keys(require.cache).filter((path) => path.includes("@pulumi")).length);`;
  const loaded = execFileSync(process.execPath, ["-r", "./build/typescript.js", "-e", script], {
    cwd: join(__dirname, "..", ".."),
    encoding: "utf8",
  });
  expect(loaded.trim()).toBe("0");
});
