import { worldOf } from "../../checks/world";
import { handOverLines } from "../../cli/formerMark";
import { readConfig } from "../../config/readConfig";
import { systemClock } from "../../net/http";
import { sourceOf } from "../support/configSource";

const former = "apisec-credentials/dev for gitlab.com/41";
const ours = "apisec-credentials/prod for gitlab.com/42";
const elses = "apisec-credentials/prod for gitlab.com/7";

/** What Vault and GitLab have, by path; all else is not there. */
type Things = Record<string, unknown>;

const everything: Things = {
  "sys/mounts/apisec": { description: `APIsec passwords and tokens, managed by ${former}` },
  "sys/mounts/auth/gitlab": { description: `Logins of GitLab jobs, managed by ${former}` },
  "sys/policies/acl/apisec-prod-admin": { policy: `# managed by ${former}\npath "x" {}\n` },
  "sys/policies/acl/apisec-prod-developer": { policy: `# managed by ${ours}\n` },
  "sys/policies/acl/apisec-prod-consumer.api": { policy: `# managed by ${former}\n` },
  "apisec/metadata/scanner/password": { custom_metadata: { owner: former, version: "2" } },
  "apisec/metadata/admin/password": { custom_metadata: { owner: elses } },
  "apisec/metadata/plain/password": { custom_metadata: null },
};
const project: Things = {
  "projects/platform%2Fapisec-rotation": { id: 42, web_url: "https://gitlab.com/platform/apisec" },
  "projects/42/repository/files/.gitlab-ci.yml?ref=main": {
    content: Buffer.from(`# managed by ${former}\nx: {}\n`).toString("base64"),
  },
};

function lines(mark: string, vault = everything, gitlab = project, config: Things = {}) {
  const account = (name: string) => ({ name, username: `${name}@acme.example` });
  const settings = readConfig(
    sourceOf({
      accounts: ["scanner", "admin", "plain", "new"].map(account),
      gitlabProject: "platform/apisec-rotation",
      consumers: [{ name: "api", project: "payments/api" }],
      ...config,
    }),
  );
  const sent: string[] = [];
  const world = worldOf({
    time: "before",
    settings,
    vault: {
      send: async ({ method, url }) => {
        sent.push(method);
        const data = vault[decodeURIComponent(url.split("/v1/")[1] ?? "")];
        return data === undefined
          ? { status: 404, headers: {}, body: '{"errors":[]}' }
          : { status: 200, headers: {}, body: JSON.stringify({ data }) };
      },
      clock: systemClock,
      address: "https://vault.example.com",
      token: "t",
      met: {},
    },
    gitlab: async (path) => gitlab[path],
  });
  return handOverLines(world, mark).finally(() => {
    expect(sent.filter((method) => method !== "GET")).toEqual([]);
  });
}

test("what is marked with the former name is handed over, and nothing else", async () => {
  const expected = [
    `vault secrets tune -description="APIsec passwords and tokens, managed by ${ours}" apisec/`,
    `vault auth tune -description="Logins of GitLab jobs, managed by ${ours}" gitlab/`,
    ...["admin", "consumer.api"].map(
      (name) =>
        `vault policy read apisec-prod-${name} | sed '1s|.*|# managed by ${ours}|' | vault policy write apisec-prod-${name} -`,
    ),
    `vault kv metadata patch -mount=apisec -custom-metadata="owner=${ours}" scanner/password`,
    `# In GitLab, make this the first line of .gitlab-ci.yml in project platform/apisec-rotation: # managed by ${ours}`,
  ];
  const description = `APIsec passwords and tokens, managed by ${former}`;
  for (const mark of [former, `# managed by ${former}`, description, `${description}\n`]) {
    expect(await lines(mark)).toEqual(expected);
  }
});

test("a mount that others share keeps saying so; one that is somebody else's is left alone", async () => {
  expect((await lines(former, everything, project, { shareMount: true }))[0]).toContain(
    `shared with other stacks, managed by ${ours}`,
  );
  const others = { createMount: false, createAuth: false };
  const left = await lines(former, everything, project, others);
  expect(left.filter((line) => line.includes(" tune "))).toEqual([]);
  expect(left).toHaveLength(4);
});

test("a mark that nothing carries is an error that names those that there are", async () => {
  await expect(lines("apisec-credentials/qa for gitlab.com/42")).rejects.toThrow(
    `Nothing that stack prod uses is marked "apisec-credentials/qa for gitlab.com/42". Marks that are there: "${former}", "${ours}", "${elses}".`,
  );
  await expect(lines(former, {}, { ...project, ...{} }, {})).resolves.toHaveLength(1);
  const bare = { "projects/platform%2Fapisec-rotation": { id: 42, web_url: "https://x/y" } };
  await expect(lines(former, {}, bare)).rejects.toThrow("Marks that are there: none.");
});

test("without the project's id there is no mark to give", async () => {
  await expect(lines(former, everything, {})).rejects.toThrow(
    "GitLab does not show project platform/apisec-rotation, whose id is in this stack's mark: set GITLAB_TOKEN.",
  );
});
