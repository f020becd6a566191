import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { about } from "../../checks/finding";
import type { Finding } from "../../checks/finding";
import { joined } from "../../checks/joined";
import { metricsText } from "../../checks/metrics";
import { newsOf, readTold } from "../../checks/news";
import type { Told } from "../../checks/news";
import type { JsonReport } from "../../checks/report";
import { exitCodeOf } from "../../checks/report";
import { messenger } from "../../cli/messenger";

const project = "apisec-credentials";
const token = (state: "ok" | "warning" | "problem", name = "scanner", values = {}): Finding => {
  const it = about("token", `token ${name}`, name);
  return state === "ok" ? it.ok("readable", values) : it[state]("ended", "npm run rotate", values);
};

function report(
  findings: Finding[],
  stack = "prod",
  checkedAt = "2026-11-28T12:00:00Z",
): JsonReport {
  return { schema: 1, project, stack, version: "0.1.0", checkedAt, findings };
}

describe("metrics", () => {
  const findings = [
    token("ok", "scanner", {
      ...{ there: 1, issued: "2026-11-28T06:00:00Z", readable_until: "2026-11-29T05:30:00Z" },
    }),
    token("problem", "second", { there: 0 }),
    // Vault was not asked, or did not say: nothing is known, and nothing is shown.
    about("token", "token third", "third").problem("Vault denies GET …"),
    about("token-runs", "runs for token scanner", "scanner").warning("2 of …", "", {
      runs_known: 10,
      runs_missed: 2,
    }),
    about("password", "password scanner", "scanner").problem("open", "", {
      ...{ changed: "2026-11-01T00:00:00Z", change_open: 1 },
    }),
    about("verification", "verification scanner", "scanner").ok("took it", {
      verified: "2026-11-27T00:00:00Z",
    }),
    about("schedule", "schedule").ok("17", { active: 1, next_run: "2026-11-28T12:17:00Z" }),
    about("policy", "policy a").ok("is as declared"),
    about("policy", "policy b").ok("is as declared"),
  ];
  const lines = metricsText([report(findings), report([token("ok")], "staging")]).split("\n");
  const of = (name: string) => lines.filter((line) => line.startsWith(`${name}{`));
  const labels = (account: string) => `{project="${project}",stack="prod",account="${account}"}`;

  test("have the names and labels of contract, and say what the findings do", () => {
    const seconds = (text: string) => Date.parse(text) / 1000;
    expect(of("apisec_token_readable_until_timestamp_seconds")).toEqual([
      `apisec_token_readable_until_timestamp_seconds${labels("scanner")} ${seconds("2026-11-29T05:30:00Z")}`,
      `apisec_token_readable_until_timestamp_seconds${labels("second")} 0`,
    ]);
    expect(of("apisec_token_runs_missed")).toEqual([
      `apisec_token_runs_missed${labels("scanner")} 2`,
    ]);
    expect(of("apisec_password_change_open")).toHaveLength(1);
    expect(of("apisec_password_changed_timestamp_seconds")[0]).toMatch(
      new RegExp(` ${seconds("2026-11-01T00:00:00Z")}$`),
    );
    expect(of("apisec_password_verified_timestamp_seconds")).toHaveLength(1);
    expect(of("apisec_schedule_active")).toEqual([
      `apisec_schedule_active{project="${project}",stack="prod"} 1`,
    ]);
    expect(of("apisec_schedule_next_run_timestamp_seconds")).toHaveLength(1);
    expect(of("apisec_check_timestamp_seconds")).toHaveLength(2);
  });

  test("count the findings by id and state; no sample stands twice, and each name has one head", () => {
    expect(of("apisec_finding")).toContain(
      `apisec_finding{project="${project}",stack="prod",id="policy",state="ok"} 2`,
    );
    const samples = lines.filter((line) => /^apisec/.test(line)).map((line) => line.split(" ")[0]);
    expect(new Set(samples).size).toBe(samples.length);
    const heads = lines.filter((line) => line.startsWith("# TYPE"));
    expect(heads).toHaveLength(11);
    expect(new Set(heads).size).toBe(11);
    expect(lines.slice(-2)).toEqual(["# EOF", ""]);
  });
});

describe("what is told", () => {
  /** Runs of `check --notify`, one after the other with one state file. */
  function told(...runs: JsonReport[][]) {
    let state: Told = {};
    return runs.map((reports) => {
      const news = newsOf(state, reports);
      state = readTold(JSON.stringify(news.told)) ?? {};
      return [news.begun.length, news.over.length];
    });
  }
  const skipped = about("token", "tokens").skipped("not checked: see the line about Vault");
  const down = about("vault", "Vault").problem("is sealed");

  test("is new once and over once", () => {
    const well = [report([token("ok")])];
    const ill = [report([token("problem")])];
    expect(told(well, ill, ill, well, well, ill)).toEqual([
      ...[
        [0, 0],
        [1, 0],
        [0, 0],
        [0, 1],
        [0, 0],
        [1, 0],
      ],
    ]);
  });

  test("is told again where a warning has become a problem, and not where it is one again", () => {
    const of = (state: "warning" | "problem") => [report([token(state)])];
    expect(told(of("warning"), of("problem"), of("warning"))).toEqual([
      [1, 0],
      [1, 0],
      [0, 0],
    ]);
  });

  test("is over only where it was looked at again", () => {
    const ill = [report([token("problem")])];
    const late = about("token", "tokens").problem("did not end within 300 s");
    expect(told(ill, [report([down, skipped])], [report([token("ok")])])).toEqual([
      ...[
        [1, 0],
        [1, 0],
        [0, 2],
      ],
    ]);
    expect(told(ill, [report([late])])).toEqual([
      [1, 0],
      [1, 0],
    ]);
    // Another stack's run says nothing of it; an account that has gone is over.
    expect(told(ill, [report([token("ok")], "staging")])).toEqual([
      [1, 0],
      [0, 0],
    ]);
    expect(told(ill, [report([token("ok", "other")])])).toEqual([
      [1, 0],
      [0, 1],
    ]);
  });

  test("what an option asks for is over only where a run has asked for it again", () => {
    const log = about("audit-log", "audit log").ok("from … to …");
    const read = about("password-read", "reads of password scanner", "scanner");
    const withAudit = [report([log, read.problem("read by anna")])];
    expect(
      told(withAudit, [report([token("ok")])], [report([log, read.ok("by no person")])]),
    ).toEqual([
      [1, 0],
      [0, 0],
      [0, 1],
    ]);
    const gone = about("password-read", "reads of password other", "other").ok("by no person");
    expect(told(withAudit, [report([log, gone])])).toEqual([
      [1, 0],
      [0, 1],
    ]);
  });

  test("names stack, finding and what fixes it", () => {
    const { begun, over } = newsOf(newsOf({}, [report([token("warning", "a")])]).told, [
      report([token("problem"), token("ok", "a")]),
      report([token("ok")], "staging"),
    ]);
    expect(begun).toEqual(["problem prod: token scanner: ended [APC-TOKEN] -> npm run rotate"]);
    expect(over).toEqual(["prod: token a: readable"]);
    expect(readTold("{]")).toBeUndefined();
    expect(readTold('{"a":{"state":"none"}}')).toBeUndefined();
  });
});

describe("joined reports", () => {
  const now = Date.parse("2026-11-28T13:00:00Z");
  const file = (content: unknown) => ({ name: "a.json", text: JSON.stringify(content) });

  test("are those of every file, one or several in each", () => {
    const one = report([token("ok")]);
    const others = [report([token("ok")], "b"), report([token("problem")], "c")];
    expect(joined([file(one), file(others)], now)).toEqual([one, ...others]);
  });

  test("that are old are a problem: the check itself has stopped", () => {
    const [old] = joined([file(report([token("ok")], "prod", "2026-11-26T12:00:00Z"))], now);
    expect(exitCodeOf(old?.findings ?? [])).toBe(2);
    expect(old?.findings[0]).toMatchObject({ id: "report", state: "problem" });
  });

  test.each([["{"], ['{"schema":2}'], [JSON.stringify(report([]))], ['[{"findings":[]}]']])(
    "that are none are refused: %s",
    (text) => {
      expect(() => joined([{ name: "a.json", text }], now)).toThrow(
        "a.json: found something else, expected what `check --json` prints",
      );
    },
  );
});

describe("a message", () => {
  const got: string[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      got.push(body);
      response.writeHead(status).end();
    });
  });
  let address = "";
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/canary-secret`;
  });
  afterAll(() => server.close());

  test("arrives as the job's do, or says why not, without the address", async () => {
    await messenger({ APISEC_WEBHOOK: address })("p/prod: 1 new, 0 over", ["problem <a>"]);
    expect(JSON.parse(got[0] ?? "")).toEqual({
      text: "p/prod: 1 new, 0 over\n• problem &lt;a&gt;",
    });
    status = 404;
    const refused = messenger({ APISEC_WEBHOOK: address })("x", []);
    await expect(refused).rejects.toThrow(
      "The message was not taken: the webhook answers with 404",
    );
    expect(() => messenger({ APISEC_WEBHOOK: "ftp://canary" })).toThrow(
      /^APISEC_WEBHOOK: found something else/,
    );
    expect(() => messenger({}, "dev")).toThrow(
      /found nothing, expected .*\$\(pulumi config get webhookUrl --stack dev\)/,
    );
  });
});
