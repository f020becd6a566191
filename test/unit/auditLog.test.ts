import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readAuditLogs } from "../../checks/auditLog";
import { checkPasswordReads, machineOf, readFinding } from "../../checks/passwordReads";
import { readMetadata } from "../../checks/keys";
import { worldOf } from "../../checks/world";
import { readConfig } from "../../config/readConfig";
import { printed } from "../../core/printed";
import { sourceOf } from "../support/configSource";
import { scripted } from "../support/scripted";

const password = "hmac-sha256:64556a478ab0282de1c29b15c75c6dec4c8dda1a631576f497cd05b664c1ee8a";
let number = 0;

interface Entry {
  time?: string;
  type?: "request" | "response";
  policies?: string[];
  auth?: object;
  path?: string;
  operation?: string;
  namespace?: object;
  response?: object;
  data?: object;
  error?: string;
  id?: string;
}

/** An entry as OpenBao 2.7 writes it: one that shows a password, unless it says otherwise. */
function entry(of: Entry = {}): string {
  number += 1;
  const { time = "2026-11-20T10:00:00.123456789Z", type = "response", policies = [] } = of;
  return JSON.stringify({
    ...{ time, type },
    auth: {
      client_token: "hmac-sha256:aa",
      accessor: "hmac-sha256:bb",
      display_name: "oidc-anna",
      policies: ["default", ...policies],
      token_policies: ["default", ...policies],
      metadata: { username: "anna" },
      entity_id: "46ddc119",
      token_issue_time: "2020-01-01T00:00:00Z",
      ...of.auth,
    },
    request: {
      id: of.id ?? `request-${number}`,
      operation: of.operation ?? "read",
      namespace: of.namespace ?? { id: "root" },
      path: of.path ?? "apisec/data/scanner/password",
      data: of.data,
    },
    ...(of.error === undefined ? {} : { error: of.error }),
    ...(type === "request"
      ? {}
      : { response: of.response ?? { mount_type: "kv", data: { data: { password } } } }),
  });
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "apisec-audit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function logOf(...files: string[][]) {
  const names = files.map((lines, index) => {
    const name = join(folder, `${index}.log`);
    writeFileSync(name, lines.map((line) => `${line}\n`).join(""));
    return name;
  });
  return readAuditLogs(names);
}

const isoOf = (time: number) => new Date(time).toISOString();

describe("the audit log", () => {
  test.each<[string, Entry]>([
    ["a request, whose answer comes on a line of its own", { type: "request" }],
    ["a denied one", { error: "1 error occurred:\n\t* permission denied\n\n", response: {} }],
    ["no such key", { response: { mount_type: "kv" } }],
    [
      "a version that was deleted",
      { response: { data: { http_raw_body: "hmac-sha256:cc", http_status_code: 404 } } },
    ],
    ["a write", { operation: "update" }],
    ["a token", { path: "apisec/data/scanner/token" }],
    ["dates and versions", { path: "apisec/metadata/scanner/password" }],
    ["names of a record's members", { path: "apisec/subkeys/scanner/password" }],
  ])("%s shows no password", async (_name, of) => {
    expect((await logOf([entry(of)])).reads).toEqual([]);
  });

  test("what shows one, itself or wrapped, is who, when, and of which account", async () => {
    const wrapped = { response: { wrap_info: { token: "hmac-sha256:dd" } } };
    const { reads, ...log } = await logOf([
      entry({ time: "2026-11-20T09:00:00Z", path: "sys/mounts" }),
      entry({ ...wrapped, time: "2026-11-20T12:00:00Z", namespace: { id: "x", path: "team/" } }),
      entry({ policies: ["apisec-prod-admin"] }),
      entry({ time: "2026-11-21T00:00:00Z", type: "request" }),
    ]);
    expect(reads).toEqual([
      {
        at: Date.parse("2026-11-20T10:00:00.123Z"),
        path: "apisec/data/scanner/password",
        who: "oidc-anna username=anna entity=46ddc119",
        policies: ["default", "apisec-prod-admin"],
      },
      expect.objectContaining({ path: "team/apisec/data/scanner/password" }),
    ]);
    expect([log.begins, log.ends].map(isoOf)).toEqual([
      "2026-11-20T09:00:00.000Z",
      "2026-11-21T00:00:00.000Z",
    ]);
    expect(log).toMatchObject({ unread: 0, inClear: 0 });
  });

  test("a token that is nobody's is named by its hashed accessor, never by one in clear", async () => {
    const auth = { display_name: "token", metadata: undefined, entity_id: "" };
    const { reads } = await logOf([
      entry({ auth }),
      entry({ auth: { ...auth, accessor: "raw-accessor" }, time: "2026-11-20T11:00:00Z" }),
    ]);
    expect(reads.map(({ who }) => who)).toEqual(["token accessor=hmac-sha256:bb", "token"]);
  });

  test("two devices, a prefix, a line that was cut off: each read once, and what is not known is counted", async () => {
    const twice = entry({ id: "same" });
    const log = await logOf(
      [twice, "", `${entry({ id: "cut" }).slice(0, -30)}`],
      [`@cee: ${twice}`, "not an entry"],
    );
    expect(log.reads).toHaveLength(1);
    expect(log.unread).toBe(2);
  });

  test("a device that hashes nothing shows the password: it is counted, and never kept", async () => {
    const clear = "Cl3ar-Text-Passw0rd-In-The-Log!";
    const log = await logOf([entry({ response: { data: { data: { password: clear } } } })]);
    expect(log.inClear).toBe(1);
    expect(JSON.stringify(log)).not.toContain(clear);
  });

  test("a write that shows the password, or the one to come, counts too", async () => {
    const clear = "Cl3ar-Text-Passw0rd-In-The-Log!";
    const log = await logOf([
      entry({ type: "request", operation: "update", data: { data: { password: clear } } }),
      entry({ response: { data: { data: { password, pending_password: clear } } } }),
      entry({ type: "request", operation: "update", data: { data: { password } } }),
    ]);
    expect(log.inClear).toBe(2);
    expect(JSON.stringify(log)).not.toContain(clear);
  });

  test("an entry's time is its own, wherever it stands and whatever else has that name", async () => {
    const { time, type, ...rest } = JSON.parse(
      entry({ auth: { metadata: { time: "2020-01-01T00:00:00Z" } } }),
    ) as Record<string, object>;
    const other = { request: { data: { time: password } }, time: "2026-11-20T09:00:00Z" };
    const log = await logOf([JSON.stringify({ ...rest, time, type }), JSON.stringify(other)]);
    expect(log.reads.map(({ at }) => isoOf(at))).toEqual(["2026-11-20T10:00:00.123Z"]);
    expect(log).toMatchObject({ unread: 0, begins: Date.parse("2026-11-20T09:00:00Z") });
  });

  test("reads of a log without request ids are not taken for one", async () => {
    const at = (time: string) =>
      JSON.stringify({ ...(JSON.parse(entry({ time })) as object), request: { ...request } });
    const request = { operation: "read", path: "apisec/data/scanner/password" };
    const log = await logOf([at("2026-11-20T10:00:00Z"), at("2026-11-20T11:00:00Z")]);
    expect(log.reads).toHaveLength(2);
  });

  test("a log that was just rotated is empty; what lies between two files is not known", async () => {
    const at = (time: string) => entry({ time, path: "sys/mounts" });
    const log = await logOf(
      [at("2026-11-23T00:30:00Z"), at("2026-11-23T12:59:00Z")],
      [at("2026-11-20T00:30:00Z"), at("2026-11-20T13:45:00Z")],
      [],
    );
    expect(log.gaps.map(({ from, to }) => [isoOf(from), isoOf(to)])).toEqual([
      ["2026-11-20T14:00:00.000Z", "2026-11-23T00:00:00.000Z"],
    ]);
  });

  test.each([[[]], [["{}", '{"schema":1}']]])("%j is none", async (lines) => {
    await expect(logOf(lines)).rejects.toThrow(
      `${folder}/0.log: found something else, expected Vault's audit log as JSON lines`,
    );
  });
});

describe("a password that a person has read", () => {
  const settings = readConfig(sourceOf());
  const [account] = settings.accounts;
  if (account === undefined) throw new Error("no account");
  const versions = { "3": { created_time: "2026-11-01T00:00:00Z", deletion_time: "" } };
  const keyOf = (changed_at: string | undefined, created_time: string) =>
    readMetadata({
      ...{ current_version: 3, versions: { "3": { created_time, deletion_time: "" } } },
      custom_metadata: changed_at === undefined ? null : { version: "3", changed_at },
    });
  const at = "2026-11-20T10:00:00Z";

  async function find(
    entries: Entry[],
    { changed, of = {} }: { changed?: string | undefined; of?: object } = {},
    written = "2026-11-01T00:00:00Z",
  ) {
    const audit = await logOf([
      entry({ time: "2026-11-10T00:00:00Z", path: "sys/mounts" }),
      ...entries.map(entry),
    ]);
    const world = { settings: { ...settings, ...of }, print: printed("prod", "npm") };
    return readFinding(world, { ...account!, ...of }, keyOf(changed, written), audit);
  }
  const before = "2026-10-31T00:00:00Z";

  test("is a problem until it is changed, with who and when", async () => {
    const admin = { policies: ["apisec-prod-admin"] };
    const later = { ...admin, time: "2026-11-20T12:30:00Z" };
    expect(await find([{ ...admin, time: at }, later], { changed: before })).toEqual({
      ...{ id: "password-read", subject: "reads of password scanner", account: "scanner" },
      state: "problem",
      found:
        "read at 2026-11-20T12:30:00Z by oidc-anna username=anna entity=46ddc119, the last of 2 reads, and not changed since",
      fix: "npm run renew -- --stack prod --account scanner && pulumi up --stack prod",
      values: { reads: 2, since: "2026-11-10T00:00:00Z", last_read: "2026-11-20T12:30:00Z" },
    });
  });

  test.each<[string, Entry[], { changed?: string; of?: object }, string]>([
    ["changed before it", [{ time: at }], { changed: "2026-11-01T00:00:00Z" }, "problem"],
    ["by the job", [{ policies: ["apisec-prod-rotator"] }], { changed: before }, "ok"],
    ["by verify", [{ policies: ["apisec-prod-verifier"] }], { changed: before }, "ok"],
    ["by up", [{ policies: ["apisec-prod-deployer"] }], { changed: before }, "ok"],
    ["by another stack's job", [{ policies: ["apisec-dev-rotator"] }], {}, "problem"],
    ["by root", [{ auth: { policies: ["root"] } }], { changed: before }, "problem"],
    ["of another account", [{ path: "apisec/data/other/password" }], {}, "ok"],
    ["in another mount", [{ path: "other/data/scanner/password" }], {}, "ok"],
    [
      "under its former name",
      [{ path: "apisec/data/old/password" }],
      { of: { renamedFrom: "old" } },
      "problem",
    ],
    [
      "in its namespace",
      [{ namespace: { path: "team/" } }],
      { of: { vaultNamespace: "team" } },
      "problem",
    ],
    ["in no namespace", [{}], { of: { vaultNamespace: "team" } }, "ok"],
    [
      "before all that Vault knows of its change",
      [{ time: "2026-10-01T00:00:00Z" }],
      {},
      "problem",
    ],
  ])("%s", async (_name, entries, options, state) => {
    expect((await find(entries, options)).state).toBe(state);
  });

  test("a change at the time of the read or later ends it", async () => {
    const read = [{ time: "2026-10-30T00:00:00Z" }];
    expect(await find(read, { changed: "2026-10-30T00:00:01Z" })).toMatchObject({
      state: "ok",
      found: "by no person from 2026-10-30T00:00:01Z to 2026-11-10T00:00:00Z",
    });
    expect((await find(read, { changed: "2026-10-29T23:59:59Z" })).state).toBe("problem");
  });

  test("of what came after the log nothing is known", async () => {
    expect(
      await find([], { changed: "2026-11-10T00:00:01Z" }, "2026-11-12T00:00:00Z"),
    ).toMatchObject({
      state: "skipped",
      found: "not known: the log ends at 2026-11-10T00:00:00Z, before its last change",
    });
  });

  test("whose reads are the program's is told by its policies", () => {
    const of = (...policies: string[]) => machineOf(settings, { policies });
    expect(of("default", "apisec-prod-rotator")).toBe("rotator");
    expect(of("apisec-prod-admin", "apisec-prod-monitor")).toBeUndefined();
  });

  test("check has it where a log is given, and says what the log covers", async () => {
    const vault = { ...scripted(), address: "https://vault.example.com:8200", token: "hvs.t" };
    const world = worldOf({ time: "after", settings, vault, gitlab: undefined });
    expect(await checkPasswordReads(world)).toEqual([]);
    const audit = await logOf([
      entry({ response: { data: { data: { password: "in-clear-in-the-log" } } } }),
    ]);
    const look = () => Promise.resolve({ current_version: 3, versions });
    const found = await checkPasswordReads({ ...world, look, audit });
    expect(found.map(({ id, state }) => [id, state])).toEqual([
      ["audit-log", "problem"],
      ["password-read", "problem"],
    ]);
    expect(found[0]?.found).toMatch(/shows passwords in clear, 1 times/);
  });

  test("what the log does not cover is a warning: an end long ago, a file that is missing", async () => {
    const vault = { ...scripted(), address: "https://vault.example.com:8200", token: "hvs.t" };
    const aboutLog = async (...times: string[]) => {
      const entries = times.map((time) => entry({ time, path: "sys/mounts" }));
      const now = Date.parse("2026-11-21T12:00:00Z");
      const options = { time: "after", settings, vault, gitlab: undefined, now } as const;
      const world = { ...worldOf(options), audit: await logOf(entries) };
      const look = () => Promise.resolve({ current_version: 3, versions });
      return (await checkPasswordReads({ ...world, look }))[0];
    };
    const first = "2026-11-20T01:00:00Z";
    expect(await aboutLog("2026-11-20T13:30:00Z")).toMatchObject({ state: "ok" });
    expect(await aboutLog(first)).toMatchObject({
      state: "warning",
      found: `from ${first} to ${first}; reads after that are not known`,
    });
    expect(await aboutLog(first, "2026-11-21T11:00:00Z")).toMatchObject({
      state: "warning",
      found: `from ${first} to 2026-11-21T11:00:00Z; no entry from 2026-11-20T02:00:00Z to 2026-11-21T11:00:00Z: a file may be missing`,
    });
  });
});
