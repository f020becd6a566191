import { playSchedule } from "../../clients/playSchedule";

const schedule = "projects/22/pipeline_schedules/5";
const page = "https://gitlab.acme.example/-/pipelines/9";

interface Story {
  me?: number;
  active?: boolean;
  /** What the play answers, one each time: 201 or an error's status. */
  plays?: number[];
  /** The pipeline's status so many seconds after the play; "" = there is none yet. */
  statusAt?: (seconds: number) => string;
  waits?: boolean;
}

/** Plays against a GitLab that goes by this story, and tells what was found, and how long it took. */
async function tell({ me = 7, active = true, plays = [201], statusAt, waits = true }: Story) {
  let now = 0;
  let playedAt: number | undefined;
  const asked: string[] = [];
  const read = (path: string): Promise<unknown> => {
    if (path === "user") return Promise.resolve({ id: me, username: "me" });
    const status = playedAt === undefined ? "" : (statusAt?.((now - playedAt) / 1000) ?? "success");
    const last = status === "" ? { id: 8, status: "failed" } : { id: 9, status, web_url: page };
    const owner = { id: 7, username: "owner" };
    return Promise.resolve({ active, owner, last_pipeline: last });
  };
  const write = (method: string, path: string): Promise<unknown> => {
    asked.push(`${method} ${path} at ${now / 1000}`);
    const status = plays[asked.length - 1] ?? 201;
    if (status !== 201) {
      return Promise.reject(Object.assign(new Error(`GitLab answers with ${status}`), { status }));
    }
    playedAt = now;
    return Promise.resolve({ message: "201 Created" });
  };
  const sleep = (ms: number) => {
    now += ms;
    return Promise.resolve();
  };
  const played = await playSchedule(
    { read, write, clock: { now: () => now, sleep } },
    schedule,
    waits,
  );
  return { ...played, seconds: (now - (playedAt ?? now)) / 1000, asked };
}

test("it is played once, and its pipeline is waited for; an older one counts for nothing", async () => {
  const statusAt = (at: number) =>
    at < 6 ? "" : at < 12 ? "pending" : at < 40 ? "running" : "success";
  expect(await tell({ statusAt })).toEqual({
    isWell: true,
    found: "the pipeline has rotated the tokens: runner, image, network and login work",
    url: page,
    seconds: 42,
    asked: [`POST ${schedule}/play at 0`],
  });
});

test.each<[string, (seconds: number) => string, RegExp, number]>([
  ["fails", (at) => (at < 9 ? "running" : "failed"), /^the pipeline failed/, 9],
  ["waits for a person", () => "manual", /waits for a person, or for an approval/, 0],
  ["waits for another run", () => "waiting_for_resource", /waits for another run/, 0],
  ["is canceled", () => "canceled", /was canceled/, 0],
  ["is skipped", () => "skipped", /was skipped/, 0],
  ["never comes", () => "", /^no pipeline within 60 s: the pipeline file/, 60],
  ["gets no runner", () => "pending", /^no runner has taken the job within 2 min/, 120],
  ["does not end", () => "running", /^the pipeline has not ended within 5 min/, 300],
])("a pipeline that %s ends the wait", async (_, statusAt, found, seconds) => {
  const told = await tell({ statusAt });
  expect(told).toMatchObject({
    isWell: false,
    found: expect.stringMatching(found) as string,
    seconds,
  });
  expect(told.url).toBe(statusAt(0) === "" ? undefined : page);
});

test("too many plays in a minute: it waits for one, and no longer", async () => {
  expect(await tell({ plays: [429, 201] })).toMatchObject({
    isWell: true,
    asked: [`POST ${schedule}/play at 0`, `POST ${schedule}/play at 61`],
  });
  const told = await tell({ plays: [429, 429] });
  expect(told).toMatchObject({
    isWell: false,
    found: expect.stringMatching(/once a minute/) as string,
  });
  expect(told.asked).toHaveLength(2);
});

test("another error of GitLab's is thrown as it is", async () => {
  await expect(tell({ plays: [403] })).rejects.toThrow("GitLab answers with 403");
});

test("only its owner plays it, and nobody one that is inactive", async () => {
  const others = await tell({ me: 8 });
  expect(others.found).toBe(
    "not played: the schedule runs as owner, and GITLAB_TOKEN is of me, whose run Vault refuses",
  );
  expect(others).toMatchObject({ isWell: false, asked: [] });
  expect(await tell({ active: false })).toMatchObject({ isWell: true, asked: [] });
});

test("`start` looks no further", async () => {
  expect(await tell({ waits: false, statusAt: () => "failed" })).toMatchObject({
    isWell: true,
    found: "played",
    seconds: 0,
  });
});
