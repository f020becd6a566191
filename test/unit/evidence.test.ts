import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accessTable } from "../../checks/accessTable";
import type { AuditLog } from "../../checks/auditLog";
import { eventsOf, evidenceOf, inOrderOfTime, reportsFinding } from "../../checks/evidence";
import type { Evidence, EvidenceEvent, Material } from "../../checks/evidence";
import { evidenceFiles, evidenceProblems } from "../../checks/evidenceFiles";
import { about } from "../../checks/finding";
import type { Finding } from "../../checks/finding";
import { readHistory } from "../../checks/pulumiHistory";
import type { JsonReport } from "../../checks/report";
import { worldOf } from "../../checks/world";
import { readConfig } from "../../config/readConfig";
import { holdersOf } from "../../desired/access";
import { sourceOf } from "../support/configSource";
import { scripted } from "../support/scripted";
import { secretHunt } from "../support/secretHunt";

const accounts = [
  { name: "admin", username: "admin@acme.example", publishToken: false },
  { name: "scanner", username: "scanner@acme.example", changedBy: "admin" },
];
const settings = readConfig(sourceOf({ accounts }));
const day = (text: string) => Date.parse(`${text}T00:00:00Z`);
const period = { from: day("2026-11-01"), to: day("2026-12-01") };

function report(checkedAt: string, findings: Finding[]): JsonReport {
  return {
    ...{ schema: 1, project: "apisec-credentials", stack: "prod", version: "0.1.0" },
    ...{ checkedAt, findings: [about("vault", "Vault").ok("unsealed"), ...findings] },
  };
}

function events(of: Partial<Material>): EvidenceEvent[] {
  const none = { reports: [], updates: [], writers: new Map(), audit: undefined };
  return eventsOf({ settings, ...none, ...of }, period);
}

const password = (changed: string, generation: number) =>
  about("password", "password scanner", "scanner").ok("changed", { changed, generation });

describe("what happened", () => {
  test("a change is one, however many reports name it; who made it is Pulumi's and Vault's to say", () => {
    const changes = ["2026-10-15T00:00:00Z", "2026-11-03T10:00:05Z", "2026-11-20T08:00:00Z"];
    const reports = changes
      .flatMap((changed, index) => [password(changed, index + 1), password(changed, index + 1)])
      .map((finding, index) => report(`2026-11-2${index}T12:00:00Z`, [finding]));
    const updates = [
      {
        ...{ kind: "update", result: "succeeded", by: "commit abc, author Anna" },
        ...{ from: Date.parse("2026-11-03T10:00:00Z"), to: Date.parse("2026-11-03T10:00:30Z") },
      },
    ];
    const writers = new Map([
      ["scanner", { changedAt: Date.parse("2026-11-20T08:00:00.5Z"), by: "https://ci/7" }],
    ]);
    const found = events({ reports, updates, writers });
    expect(found.filter(({ kind }) => kind === "password changed")).toEqual([
      {
        ...{ time: "2026-11-03T10:00:05Z", kind: "password changed", account: "scanner" },
        ...{ what: "generation 2", by: "commit abc, author Anna" },
      },
      {
        ...{ time: "2026-11-20T08:00:00Z", kind: "password changed", account: "scanner" },
        ...{ what: "generation 3", by: "https://ci/7 (as noted in Vault)" },
      },
    ]);
    expect(found.filter(({ kind }) => kind === "pulumi")).toEqual([
      {
        ...{ time: "2026-11-03T10:00:00Z", until: "2026-11-03T10:00:30Z", kind: "pulumi" },
        ...{ what: "update succeeded", by: "commit abc, author Anna" },
      },
    ]);
  });

  test("tokens, missed runs and verifications of all reports, each once, also what Vault has forgotten", () => {
    const token = (first: number, count: number) => {
      const versions = Array.from({ length: count }, (_, index) => first + index);
      const times = versions.flatMap((version) => [
        [`version_${version}_issued`, `2026-11-${version}T06:17:00Z`],
        [`version_${version}_ended`, `2026-11-${version + 1}T05:47:00Z`],
      ]);
      const values = Object.fromEntries(times) as Finding["values"];
      return about("token", "token scanner", "scanner").ok("readable", values);
    };
    const missed = about("token-runs", "runs for token scanner", "scanner").warning("1", "x", {
      ...{ runs_known: 10, runs_missed: 1, missed_1: "2026-11-14T12:17:00Z" },
    });
    const verified = about("verification", "verification scanner", "scanner").problem("x", "y", {
      ...{ verified: "2026-11-12T03:00:00Z", refused_at: "2026-11-13T03:00:00Z", refused_count: 1 },
    });
    const found = events({
      reports: [
        report("2026-11-20T12:00:00Z", [token(10, 10), missed, verified]),
        report("2026-11-25T12:00:00Z", [token(15, 10), missed, verified]),
      ],
    });
    const of = (kind: EvidenceEvent["kind"]) => found.filter((event) => event.kind === kind);
    expect(of("token issued").map(({ what }) => what)).toEqual(
      Array.from(
        { length: 15 },
        (_, index) => `version ${10 + index}, until 2026-11-${11 + index}T05:47:00Z`,
      ),
    );
    expect(of("run missed")).toEqual([
      {
        ...{ time: "2026-11-14T12:17:00Z", kind: "run missed", account: "scanner" },
        what: "the run wrote no token",
      },
    ]);
    expect([of("password verified"), of("password refused")].flat()).toMatchObject([
      { time: "2026-11-12T03:00:00Z", account: "scanner" },
      { time: "2026-11-13T03:00:00Z", account: "scanner" },
    ]);
  });

  test("a finding is there from its first report to the first without it; what was not looked at ends none", () => {
    const it = about("schedule", "schedule");
    const reports = [
      report("2026-10-30T00:00:00Z", [it.warning("is late"), about("branch", "b").problem("old")]),
      report("2026-10-31T00:00:00Z", [it.warning("is late"), about("branch", "b").ok("is well")]),
      report("2026-11-02T00:00:00Z", [it.problem("is inactive")]),
      report("2026-11-03T00:00:00Z", [it.skipped("not checked")]),
      report("2026-11-04T00:00:00Z", [it.ok("17 */6")]),
      report("2026-11-05T00:00:00Z", [it.warning("is late again")]),
    ];
    const found = events({ reports }).filter(({ kind }) => kind === "finding");
    expect(found).toEqual([
      {
        ...{ time: "2026-10-30T00:00:00Z", until: "2026-11-02T00:00:00Z", kind: "finding" },
        what: "warning schedule: schedule is late",
      },
      {
        ...{ time: "2026-11-02T00:00:00Z", until: "2026-11-04T00:00:00Z", kind: "finding" },
        what: "problem schedule: schedule is inactive",
      },
      {
        ...{ time: "2026-11-05T00:00:00Z", kind: "finding" },
        what: "warning schedule: schedule is late again",
      },
    ]);
  });

  test("reads: people's one by one, the program's counted", () => {
    const read = (time: string, who: string, policy: string) => ({
      ...{ at: Date.parse(time), path: "apisec/data/scanner/password", who },
      policies: [policy],
    });
    const audit: AuditLog = {
      ...{ begins: period.from, ends: period.to, gaps: [], unread: 0, inClear: 0 },
      reads: [
        read("2026-10-31T23:59:59Z", "before", "apisec-prod-admin"),
        read("2026-11-02T00:17:00Z", "gitlab-1", "apisec-prod-rotator"),
        read("2026-11-05T06:00:00Z", "anna", "apisec-prod-admin"),
        read("2026-11-06T00:17:00Z", "gitlab-1", "apisec-prod-rotator"),
      ],
    };
    expect(events({ audit })).toEqual([
      {
        ...{ time: "2026-11-02T00:17:00Z", until: "2026-11-06T00:17:00Z", kind: "password read" },
        ...{ account: "scanner", what: "2 reads by the program", by: "policy -rotator" },
      },
      {
        ...{ time: "2026-11-05T06:00:00Z", kind: "password read", account: "scanner" },
        ...{ what: "read of apisec/data/scanner/password", by: "anna" },
      },
    ]);
  });

  test("reads of an account that config no longer has, but reports name", () => {
    const read = (name: string) => ({
      ...{ at: day("2026-11-05"), path: `apisec/data/${name}/password`, who: "anna" },
      policies: [],
    });
    const audit: AuditLog = {
      ...{ begins: period.from, ends: period.to, gaps: [], unread: 0, inClear: 0 },
      reads: ["gone", "former", "never"].map(read),
    };
    const of = (name: string) => about("password", `password ${name}`, name).ok("changed");
    const [admin, scanner] = settings.accounts;
    const renamed = { ...settings, accounts: [admin!, { ...scanner!, renamedFrom: "former" }] };
    const reports = [report("2026-11-02T00:00:00Z", [of("gone"), of("former"), of("scanner")])];
    const found = events({ audit, reports, settings: renamed });
    expect(found.map(({ account, what }) => [account, what])).toEqual([
      ["gone", "read of apisec/data/gone/password"],
      ["scanner", "read of apisec/data/former/password"],
    ]);
  });

  test("of two updates in a minute the one that was under way made the change", () => {
    const update = (by: string, from: string, to: string) => ({
      ...{ kind: "update", result: "succeeded", by },
      ...{ from: Date.parse(from), to: Date.parse(to) },
    });
    const updates = [
      update("the later", "2026-11-03T10:01:00Z", "2026-11-03T10:01:10Z"),
      update("the former", "2026-11-03T10:00:00Z", "2026-11-03T10:00:30Z"),
    ];
    const reports = [report("2026-11-04T00:00:00Z", [password("2026-11-03T10:00:20Z", 2)])];
    const [change] = events({ reports, updates }).filter(({ kind }) => kind === "password changed");
    expect(change?.by).toBe("the former");
  });

  test("two findings of one thing are one, the worse, for as long as they are there", () => {
    const it = about("group", "group appsec");
    const two = [it.warning("is odd"), it.problem("lacks a policy")];
    const reports = [1, 2, 3].map((n) => report(`2026-11-0${n}T00:00:00Z`, n < 3 ? two : []));
    expect(events({ reports })).toEqual([
      {
        ...{ time: "2026-11-01T00:00:00Z", until: "2026-11-03T00:00:00Z", kind: "finding" },
        what: "problem group: group appsec lacks a policy",
      },
    ]);
  });

  test("a read that a person made is not over because a report was made without the audit log", () => {
    const read = about("password-read", "reads of password scanner", "scanner");
    const reports = [
      report("2026-11-02T00:00:00Z", [read.problem("read by anna")]),
      report("2026-11-03T00:00:00Z", []),
      report("2026-11-04T00:00:00Z", [read.ok("by no person")]),
    ];
    expect(events({ reports })).toMatchObject([
      { time: "2026-11-02T00:00:00Z", until: "2026-11-04T00:00:00Z", account: "scanner" },
    ]);
  });

  test("reports are put in order, each once, and a time without one is said", () => {
    const times = ["2026-11-03T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"];
    const reports = inOrderOfTime(times.map((time) => report(time, [])));
    expect(reports.map(({ checkedAt }) => checkedAt)).toEqual([times[1], times[0]]);
    const gap = (to: string) => reportsFinding(reports, { ...period, to: day(to) }, period.to);
    expect(gap("2026-11-04")).toMatchObject({
      ...{ state: "ok", values: { reports: 2, largest_gap_seconds: 86_400 } },
      found: "2 in this time, the longest time without one 24h0m",
    });
    expect(gap("2026-11-06")).toMatchObject({
      ...{ state: "warning", values: { reports: 2, largest_gap_seconds: 3 * 86_400 } },
    });
  });
});

describe("Pulumi's history", () => {
  const entry = {
    ...{ version: 0, kind: "update", result: "succeeded", message: "s3cret-in-a-message" },
    ...{ startTime: "2026-11-03T10:00:00.000Z", endTime: "2026-11-03T10:00:30.000Z" },
    config: { "p:x": { value: "s3cret-in-config", secret: false } },
    environment: {
      ...{ "git.head": "abc123", "git.author": "Anna", "git.author.email": "anna@acme.example" },
      ...{ "git.dirty": "true", "ci.build.url": "https://u:pw@ci.acme.example/7", other: "x" },
    },
  };

  test("is commit, author, pipeline and result, and nothing of config", () => {
    const found = readHistory(JSON.stringify([entry, { ...entry, environment: {} }]));
    expect(found).toEqual([
      {
        ...{ kind: "update", result: "succeeded" },
        ...{ from: Date.parse("2026-11-03T10:00:00Z"), to: Date.parse("2026-11-03T10:00:30Z") },
        by: "commit abc123 with changes that are not committed, author Anna <anna@acme.example>, pipeline https://…@ci.acme.example/7",
      },
      expect.objectContaining({ by: undefined }),
    ]);
    expect(JSON.stringify(found)).not.toContain("s3cret");
    expect(readHistory("no updates")).toBeUndefined();
  });
});

describe("the access table", () => {
  const texts = new Map(holdersOf(settings).map(({ policy, text }) => [policy, text]));
  const vault = {
    ...scripted({ status: 403, body: { errors: ["1 error occurred: * permission denied"] } }),
  };
  const worldWith = (
    policies: Record<string, string | undefined>,
    denied: RegExp = /verifier/,
  ) => ({
    ...worldOf({
      ...{ time: "after", settings, gitlab: undefined },
      vault: { ...vault, address: "https://vault.example.com:8200", token: "hvs.t" },
    }),
    look: (path: string) => {
      if (denied.test(path)) return Promise.reject(new Error("denied"));
      const name = path.split("/").at(-1) ?? "";
      const policy = name in policies ? policies[name] : texts.get(name);
      return Promise.resolve(policy === undefined ? undefined : { policy });
    },
  });
  const shown = async (policies: Record<string, string | undefined> = {}) => {
    const { rows, findings } = await accessTable(worldWith(policies));
    return {
      rows: rows.map(({ who, secret, capabilities, accounts: of, how }) =>
        [who, secret, capabilities.join("+"), of.join("+"), how].join(" | "),
      ),
      said: findings.map(({ state, found }) => `${state} ${found}`),
    };
  };

  test("for a monitor: computed from the policies in Vault; what it may not read is said to be unknown", async () => {
    const { rows, said } = await shown();
    expect(rows).toEqual([
      "whoever has policy apisec-prod-admin | password | read | admin+scanner | policy in Vault",
      "whoever has policy apisec-prod-admin | token | read | admin+scanner | policy in Vault",
      "whoever has policy apisec-prod-developer | token | read | scanner | policy in Vault",
      "the rotation job in platform/apisec-rotation | password | read | scanner | policy in Vault",
      "the rotation job in platform/apisec-rotation | token | create+read+update | scanner | policy in Vault",
      "the deployer | password | create+read+update | admin+scanner | policy in Vault",
      "the deployer | token | create+read+update | admin+scanner | policy in Vault",
    ]);
    expect(said).toEqual([
      "ok policy in Vault: apisec-prod-admin, apisec-prod-developer, apisec-prod-rotator, apisec-prod-deployer",
      "skipped what apisec-prod-verifier gives is not known: this token may not read it",
      expect.stringMatching(/^skipped only a token that may make others/),
    ]);
  });

  test("shows what an edited policy gives, and what cannot be computed is a problem", async () => {
    const developer = "apisec-prod-developer";
    const more = `path "apisec/data/*" {\n  capabilities = ["read", "delete"]\n}\n`;
    const widened = await shown({ [developer]: more });
    expect(widened.rows.filter((row) => row.includes(developer))).toEqual([
      `whoever has policy ${developer} | password | delete+read | admin+scanner | policy in Vault`,
      `whoever has policy ${developer} | token | delete+read | admin+scanner | policy in Vault`,
    ]);
    const edited = `path "apisec/data/scanner/token" {\n  # capabilities = ["read"]\n  capabilities = ["read", "patch"]\n}\n`;
    expect((await shown({ [developer]: edited })).rows).toContain(
      `whoever has policy ${developer} | token | patch+read | scanner | policy in Vault`,
    );
    const byHand = await shown({ [developer]: 'path "apisec/*" { policy = "write" }' });
    expect(byHand.rows.filter((row) => row.includes(developer))).toEqual([]);
    expect(byHand.said).toContainEqual(
      `problem what ${developer} gives is not known: see the finding \`policy\``,
    );
    const gone = await shown({ [developer]: undefined });
    expect(gone.rows.filter((row) => row.includes(developer))).toEqual([]);
    expect(gone.said[0]).toContain(`not there: ${developer}`);
  });
});

describe("the files", () => {
  const secret = 'S3cret-<of>-"the"-Account!';
  const evidence: Evidence = evidenceOf(
    { project: "apisec-credentials", stack: "prod", version: "0.1.0" },
    period,
    period.to,
    {
      sources: [about("evidence", "the stack now").ok("checked")],
      events: [
        {
          time: "2026-11-05T06:00:00Z",
          kind: "password read",
          account: "scanner",
          what: '=HYPERLINK("x")',
          by: "<b>anna</b>",
        },
      ],
      access: [
        {
          ...{ who: "the deployer", policy: "apisec-prod-deployer", secret: "password" },
          ...{ capabilities: ["read", "update"], accounts: ["admin", "scanner"], how: "tried" },
        },
      ],
    },
  );
  const files = evidenceFiles(evidence);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "apisec-evidence-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("show one hash, which standard tools compute", () => {
    const name = join(folder, "e.json");
    writeFileSync(name, files.json);
    const said = execFileSync("sh", ["-c", `sed -n 2p ${name} | sha256sum`]).toString();
    expect(said).toBe(`${files.sha256}  -\n`);
    for (const text of [files.json, files.csv, files.html]) expect(text).toContain(files.sha256);
  });

  test("hold the same, safe for a spreadsheet and a browser", () => {
    expect(JSON.parse(files.json)).toEqual({ sha256: files.sha256, evidence });
    const lines = files.csv.split("\r\n");
    expect(lines[0]).toBe("kind,time,until,account,what,by");
    expect(lines).toContain(
      `password read,2026-11-05T06:00:00Z,,scanner,"'=HYPERLINK(""x"")",<b>anna</b>`,
    );
    expect(lines).toContain(
      'access,2026-12-01T00:00:00Z,,admin scanner,"password: read, update (tried; policy apisec-prod-deployer)",the deployer',
    );
    const by = (text: string) => {
      const event = { time: "2026-11-05T06:00:00Z", kind: "password read", what: "x" } as const;
      const made = evidenceFiles({ ...evidence, events: [{ ...event, by: text }] });
      return /^password read,.*,x,(.*)\r$/m.exec(made.csv)?.[1];
    };
    // Also where the spreadsheet takes another sign for the end of a cell, or wide letters for a formula.
    expect(by("anna;=cmd|'/c calc'!A1")).toBe("anna;'=cmd|'/c calc'!A1");
    expect(by(" +1;\t@x")).toBe("' +1;'\t'@x");
    expect(by("＝1")).toBe("'＝1");
    expect(by("a-b; c=d")).toBe("a-b; c=d");
    expect(files.html).toContain("&lt;b&gt;anna&lt;/b&gt;");
    expect(files.html).not.toMatch(/<b>|<script|https?:\/\/(?!www\.w3)/);
    expect(files.html.match(/<tr>/g)?.length).toBe(4 + 1 + 1 + 1 + 4);
  });

  test("any change is found; another layout of the JSON is none", () => {
    const of = (json: string, csv = files.csv, html = files.html) =>
      evidenceProblems(
        [
          { name: "e.json", text: json },
          { name: "e.csv", text: csv },
          { name: "e.html", text: html },
        ],
        "0.1.0",
      ).problems;
    expect(of(files.json)).toEqual([]);
    expect(of(JSON.stringify(JSON.parse(files.json), undefined, 2))).toEqual([]);
    const { project, ...rest } = evidence;
    expect(of(JSON.stringify({ sha256: files.sha256, evidence: { ...rest, project } }))).toEqual(
      [],
    );
    expect(of(files.json.replace("anna", "nobody"))).toEqual([
      expect.stringMatching(/^e\.json was changed: its SHA-256 is [0-9a-f]{64}$/),
    ]);
    expect(of(files.json, files.csv.replace("anna", "nobody"))).toEqual([
      "e.csv is not what this version makes of e.json",
    ]);
    expect(of(files.json, files.csv, `${files.html} `)).toHaveLength(1);
    expect(() => evidenceProblems([], "0.1.0")).toThrow(/^no file: found something else/);
    expect(() => of(files.csv)).toThrow(/^e\.json: found something else/);
  });

  test("hold no secret that lies in what they are made of", () => {
    const hunt = secretHunt();
    hunt.add("password", secret);
    expect(hunt.in(`${files.json}${secret}`)).toEqual(["password"]);
    const updates = readHistory(
      JSON.stringify([
        {
          ...{ kind: "update", result: "succeeded", startTime: "2026-11-03T10:00:00Z" },
          ...{ message: secret, config: { "p:firstPasswords": { value: secret } } },
          environment: { "pulumi.env.VAULT_TOKEN": secret },
        },
      ]),
    );
    const made = evidenceFiles({ ...evidence, events: events({ updates: updates ?? [] }) });
    expect(made.csv).toContain("update succeeded");
    expect(hunt.in(made.json + made.csv + made.html)).toEqual([]);
  });
});
