import * as pulumi from "@pulumi/pulumi";
import * as gitlab from "@pulumi/gitlab";
import { version } from "../../sdks/gitlab/package.json";

const made: pulumi.runtime.MockResourceArgs[] = [];
const called: pulumi.runtime.MockCallArgs[] = [];

beforeAll(() =>
  pulumi.runtime.setMocks({
    newResource(args) {
      made.push(args);
      const outputs = { pipelineScheduleId: 13, owner: 7 };
      return { id: `${args.name}-id`, state: { ...(args.inputs as object), ...outputs } };
    },
    call(args) {
      called.push(args);
      return { ...(args.inputs as object), id: "42", defaultBranch: "main" };
    },
  }),
);

const valueOf = <Value>(output: pulumi.Output<Value>): Promise<Value> =>
  new Promise((resolve) => output.apply(resolve));

const madeAs = (name: string) => made.find((args) => args.name === name);

const schedule = {
  project: "42",
  description: "rotate",
  ref: "refs/heads/main",
  cron: "17 */6 * * *",
};

test("registers under the official types and shows what the plugin answers", async () => {
  const it = new gitlab.PipelineSchedule("schedule", schedule);
  expect(await valueOf(it.pipelineScheduleId)).toBe(13);
  expect(await valueOf(it.owner)).toBe(7);
  expect(await valueOf(it.cron)).toBe("17 */6 * * *");
  expect(madeAs("schedule")).toMatchObject({
    type: "gitlab:index/pipelineSchedule:PipelineSchedule",
    inputs: schedule,
  });

  const variable = new gitlab.ProjectVariable("variable", { project: "42", key: "K", value: "v" });
  expect(await valueOf(variable.value)).toBe("v");
  expect(madeAs("variable")?.type).toBe("gitlab:index/projectVariable:ProjectVariable");

  const file = new gitlab.RepositoryFile("file", {
    project: "42",
    branch: "main",
    filePath: "a",
    content: "x",
    encoding: "text",
  });
  expect(await valueOf(file.filePath)).toBe("a");
  expect(madeAs("file")?.type).toBe("gitlab:index/repositoryFile:RepositoryFile");
});

test.each([
  ["cron", () => new gitlab.PipelineSchedule("x", { ...schedule, cron: undefined as never })],
  ["value", () => new gitlab.ProjectVariable("x", { project: "42", key: "K" } as never)],
  ["branch", () => new gitlab.RepositoryFile("x", { project: "42" } as never)],
])("refuses to do without %s", (property, make) => {
  expect(make).toThrow(`Missing required property '${property}'`);
});

test("looks an existing resource up by its id, required arguments or not", async () => {
  const found = gitlab.ProjectVariable.get("found", "42:K:*", { key: "K" });
  expect(await valueOf(found.key)).toBe("K");
  expect(madeAs("found")?.id).toBe("42:K:*");
  expect(gitlab.ProjectVariable.isInstance(found)).toBe(true);
  expect(gitlab.PipelineSchedule.isInstance(found)).toBe(false);
});

test("a provider keeps its token secret and its settings text", async () => {
  const provider = new gitlab.Provider("own", { token: "canary", retries: 1, baseUrl: "http://x" });
  await valueOf(provider.urn);
  expect(await pulumi.isSecret(provider.token)).toBe(true);
  expect(madeAs("own")).toMatchObject({
    type: "pulumi:providers:gitlab",
    inputs: { retries: "1", baseUrl: "http://x" },
  });
});

test("getProject asks the official function", async () => {
  expect((await gitlab.getProject({ pathWithNamespace: "sec/rotator" })).id).toBe("42");
  const output = gitlab.getProjectOutput({ id: pulumi.output("42") });
  expect(await valueOf(output.defaultBranch)).toBe("main");
  expect(called).toMatchObject([
    { token: "gitlab:index/getProject:getProject", inputs: { pathWithNamespace: "sec/rotator" } },
    { token: "gitlab:index/getProject:getProject", inputs: { id: "42" } },
  ]);
});

test("getGroup asks the official function", async () => {
  called.length = 0;
  await gitlab.getGroup({ fullPath: "sec/team" });
  await gitlab.getGroup({ groupId: 77 });
  expect(called).toMatchObject([
    { token: "gitlab:index/getGroup:getGroup", inputs: { fullPath: "sec/team" } },
    { token: "gitlab:index/getGroup:getGroup", inputs: { groupId: 77 } },
  ]);
});

test("asks the engine for the plugin of the package's own version", () => {
  const { pulumi: metadata } = jest.requireActual<{ pulumi: object }>(
    "../../sdks/gitlab/package.json",
  );
  expect(metadata).toEqual({ resource: true, name: "gitlab", version });
});
