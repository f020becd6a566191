import type { placeholders } from "./placeholders";
import type { Bench } from "./replay";

type Hands = Pick<Bench, "clean" | "remove" | "byHand"> & Partial<Bench>;

/** Two users and two projects, so that ids come out as in the recordings. */
export const gitlabSeed = {
  users: [
    { username: "deployer", tokens: [{ token: "glpat-conformance" }] },
    { username: "other", tokens: [{ token: "glpat-conformance-other" }] },
  ],
  projects: [
    {
      path: "sec/rotator.x",
      members: { deployer: "maintainer" as const, other: "maintainer" as const },
    },
    { path: "sec/second", members: { deployer: "maintainer" as const } },
  ],
};

const variable = {
  description: "managed by us",
  environmentScope: "apisec/dev",
  key: "TRACES",
  masked: false,
  project: "1",
  protected: true,
  raw: true,
  value: "v1",
  variableType: "env_var",
};
const maskedSecret = { ...variable, masked: true, value: "<secret>" };

/** Hands for each of the GitLab plugin's types and functions, in the lab's GitLab. */
export function gitlabHands(
  url: string,
  places: ReturnType<typeof placeholders>,
): Record<string, Hands> {
  const ask = async (method: string, path: string, body?: object, token = "glpat-conformance") => {
    const answer = await fetch(`${url}/api/v4/projects/${path}`, {
      method,
      headers: { "private-token": token, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (answer.status >= 400 && !["GET", "DELETE"].includes(method)) {
      throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    }
    return { status: answer.status, body: (text ? JSON.parse(text) : {}) as unknown };
  };

  const scoped = "1/variables/TRACES?filter[environment_scope]=apisec/dev";
  const change = (body: object) => () => ask("PUT", scoped, body);
  const projectVariable: Hands = {
    async clean() {
      for (const project of ["1", "2"]) {
        const { body } = await ask("GET", `${project}/variables`);
        for (const { key, environment_scope } of body as Record<string, string>[]) {
          const filter = encodeURIComponent(environment_scope ?? "*");
          await ask("DELETE", `${project}/variables/${key}?filter[environment_scope]=${filter}`);
        }
      }
    },
    remove: async () => void (await ask("DELETE", scoped)),
    byHand: {
      value: change({ value: "theirs" }),
      protected: change({ protected: false }),
      masked: change({ masked: true, value: "theirs-long-1" }),
      raw: change({ raw: false }),
      variable_type: change({ variable_type: "file" }),
      description: change({ description: "theirs" }),
      "environment scope": change({ environment_scope: "apisec/other" }),
      "refresh with drift, masked secret": () =>
        ask("PUT", scoped, { value: places.values["<secret 2>"] }),
    },
    // The recorder wrote both secrets as one, but in what is sent.
    mask: (properties) => ({
      ...properties,
      ...(properties.value === places.values["<secret 2>"] && { value: "<secret>" }),
    }),
    beginsWith: {
      "import, masked secret": maskedSecret,
      "refresh, masked secret": maskedSecret,
      "refresh with drift, masked secret": maskedSecret,
    },
    wants: {
      "repair drift, masked secret": maskedSecret,
      "update: secret value": { ...variable, masked: true, value: "<secret 2>" },
    },
  };

  const schedules = async (project: string) =>
    (await ask("GET", `${project}/pipeline_schedules`)).body as { id: number }[];
  const own = async () => `1/pipeline_schedules/${(await schedules("1"))[0]?.id}`;
  const reschedule = (body: object) => async () => ask("PUT", await own(), body);
  const pipelineSchedule: Hands = {
    async clean() {
      for (const project of ["1", "2"]) {
        for (const { id } of await schedules(project)) {
          await ask("DELETE", `${project}/pipeline_schedules/${id}`);
        }
      }
      const { status } = await ask("GET", "1/repository/branches/other");
      if (status === 404) await ask("POST", "1/repository/branches?branch=other&ref=main");
    },
    remove: async () => void (await ask("DELETE", await own())),
    mask: (outputs) => ({
      ...outputs,
      ...(typeof outputs.pipelineScheduleId === "number" && {
        ...(typeof outputs.id === "string" && {
          id: outputs.id.replace(/:\d+$/, ":<schedule-id>"),
        }),
        pipelineScheduleId: "<schedule-id>",
      }),
    }),
    byHand: {
      description: reschedule({ description: "theirs" }),
      ref: reschedule({ ref: "refs/heads/other" }),
      cron: reschedule({ cron: "0 0 1 1 *" }),
      cron_timezone: reschedule({ cron_timezone: "Europe/Berlin" }),
      active: reschedule({ active: false }),
      owner: async () =>
        ask("POST", `${await own()}/take_ownership`, {}, "glpat-conformance-other"),
    },
  };

  const file = (path: string) => `1/repository/files/${encodeURIComponent(path)}`;
  const write =
    (path: string, content: string, more: object = {}) =>
    async () => {
      const { status } = await ask("GET", `${file(path)}?ref=main`);
      const body = { branch: "main", content, commit_message: "by hand", ...more };
      return ask(status === 404 ? "POST" : "PUT", file(path), body);
    };
  const erase = async (path: string) => {
    const body = { branch: "main", commit_message: "clean" };
    const { status } = await ask("GET", `${file(path)}?ref=main`);
    if (status === 200) await ask("DELETE", file(path), body);
  };
  const cleanFiles = async () => {
    for (const path of ["apisec/dev.yml", "other.yml", ".gitlab-ci.yml"]) await erase(path);
  };
  const theirs = write("apisec/dev.yml", "theirs\n");
  const repositoryFile: Hands = {
    clean: cleanFiles,
    remove: () => erase("apisec/dev.yml"),
    // The recorder put a placeholder for the timeouts' key in previews alone.
    mask: ({ __meta: meta, ...outputs }) => ({
      ...outputs,
      ...(typeof meta === "string" && {
        __meta: meta.includes("_new_extra_shim") ? meta.replace(/[0-9a-f-]{36}/, "<uuid>") : meta,
      }),
    }),
    byHand: {
      content: theirs,
      execute_filemode: write("apisec/dev.yml", "rotate: {script: [node rotate.mjs]}\n", {
        execute_filemode: true,
      }),
      "another commit elsewhere": write("other.yml", "a: 1\n"),
      "create over another's file": theirs,
      "create over another's file, without overwriteOnCreate": theirs,
    },
    wants: {
      "create over another's file, without overwriteOnCreate": {
        branch: "main",
        commitMessage: "Deliver [skip ci]",
        content: "rotate: {script: [node rotate.mjs]}\n",
        encoding: "text",
        filePath: "apisec/dev.yml",
        project: "1",
      },
    },
  };

  const nothing: Hands = {
    clean: async () => undefined,
    remove: async () => undefined,
    byHand: {},
  };
  return {
    "gitlab:index/projectVariable:ProjectVariable": projectVariable,
    "gitlab:index/pipelineSchedule:PipelineSchedule": pipelineSchedule,
    "gitlab:index/repositoryFile:RepositoryFile": repositoryFile,
    "gitlab:index/getProject:getProject": {
      ...nothing,
      // A token that GitLab makes up, and a time that the recorder wrote as a placeholder.
      mask: ({ runnersToken, containerExpirationPolicies: policies, ...outputs }) => ({
        ...outputs,
        ...(typeof runnersToken === "string" && { runnersToken: "GR13489413497335d1ca3939dcf88" }),
        ...(Array.isArray(policies) && {
          containerExpirationPolicies: (policies as object[]).map((policy) => ({
            ...policy,
            nextRunAt: "<time>",
          })),
        }),
      }),
    },
    "gitlab:index/getGroup:getGroup": nothing,
    "gitlab:index/getRepositoryFile:getRepositoryFile": {
      ...nothing,
      async clean() {
        await write(".gitlab-ci.yml", "a: 1\n")();
        await write("apisec/dev.yml", "a: 1\n")();
      },
    },
  };
}
