import { readMetadata } from "../../checks/keys";
import { passwordFinding } from "../../checks/passwords";
import { readConfig } from "../../config/readConfig";
import { withGenerations } from "../../config/generations";
import { printed } from "../../core/printed";
import { project, sourceOf } from "../support/configSource";

const now = Date.UTC(2026, 10, 24, 12);
const hour = 3_600_000;
const day = 24 * hour;
const text = (ms: number) => new Date(ms).toISOString();

interface Key {
  /** When each version was written, in days before now. */
  days?: number[];
  /** Of the newest. */
  ends?: number;
  destroyed?: boolean;
  mark?: Record<string, unknown>;
}

/** A password's key, of three versions unless said otherwise. */
function key({ days = [200, 100, 1], ends, destroyed = false, mark }: Key = {}) {
  const versions = days.map((ago, index): [string, object] => {
    const isNewest = index === days.length - 1;
    return [
      String(index + 1),
      {
        created_time: text(now - ago * day),
        deletion_time: isNewest && ends !== undefined ? text(now + ends * hour) : "",
        destroyed: isNewest && destroyed,
      },
    ];
  });
  return readMetadata({
    current_version: days.length,
    versions: Object.fromEntries(versions),
    custom_metadata: mark ?? null,
  });
}

function finding(of: Key, { maxAge, ageDays = 0 }: { maxAge?: string; ageDays?: number } = {}) {
  const settings = readConfig(sourceOf({ passwordMaxAge: maxAge }));
  const [account] = settings.accounts;
  if (account === undefined) throw new Error("no account");
  const world = { settings, now, passwordAgeDays: ageDays, print: printed("prod", "npm") };
  return passwordFinding(world, account, key(of));
}

const settled = { version: "3", generation: "2", changed_at: text(now - 100 * day) };

test("its age is that of its last change, not of its newest version", () => {
  expect(finding({ mark: settled })).toEqual({
    ...{ id: "password", subject: "password scanner", account: "scanner", state: "ok" },
    found: "changed 100 days ago",
    values: {
      ...{ version: 3, generation: 2, written: "2026-11-23T12:00:00Z" },
      ...{
        changed: "2026-08-16T12:00:00Z",
        changed_before: undefined,
        change_open: 0,
        open_since: undefined,
      },
    },
  });
});

test.each<[string, Record<string, unknown> | undefined]>([
  ["no mark", undefined],
  ["a mark without a time", { version: "3" }],
  ["a time that is none", { ...settled, changed_at: "yesterday" }],
  ["a time after the newest version", { ...settled, changed_at: text(now + day) }],
  ["a mark of a key that was deleted since", { ...settled, version: "9" }],
  ["no version", { changed_at: text(now) }],
])("with %s it is at least as old as the oldest version that Vault keeps", (_, mark) => {
  const { found, values } = finding({ ...(mark === undefined ? {} : { mark }) });
  expect(found).toMatch(/^changed at least 200 days ago/);
  expect(values).toMatchObject({ changed: undefined, changed_before: "2026-05-08T12:00:00Z" });
});

test("past passwordMaxAge it is a problem, past what the caller calls old a warning", () => {
  const fix = "npm run renew -- --stack prod --account scanner && pulumi up --stack prod";
  expect(finding({ mark: settled }, { maxAge: "90d" })).toMatchObject({
    state: "problem",
    found: "changed 100 days ago, passwordMaxAge is 90 days",
    fix,
  });
  expect(finding({ mark: settled }, { ageDays: 90 })).toMatchObject({
    state: "warning",
    found: "changed 100 days ago, expected at most 90 days",
    fix,
  });
  expect(finding({ mark: settled }, { maxAge: "100d", ageDays: 100 }).state).toBe("ok");
  // The newest version is a day old: without a mark that proves nothing.
  expect(finding({}, { maxAge: "90d" }).state).toBe("problem");
});

test.each([
  [[200, 100, 0.03], "warning", "43m"],
  [[200, 100, 0.05], "problem", "1h12m"],
  [[200, 100, 0.05, 0.01], "problem", "1h12m"],
])("versions that the mark does not speak of are an open change: %j", (days, state, since) => {
  const { found, ...rest } = finding({ days, mark: { ...settled, version: "2" } });
  expect(rest).toMatchObject({ state, fix: "pulumi up --refresh --stack prod" });
  expect(found).toMatch(
    new RegExp(`^changed 100 days ago; a change is open since 2026-\\S+, for ${since}$`),
  );
  expect(rest.values["open_since"]).toBe(`${text(now - (days[2] ?? 0) * day).slice(0, 19)}Z`);
});

test("that is deleted, or will be, is brought back by Vault's own command", () => {
  const fix = "vault kv undelete -mount=apisec -versions=3 scanner/password";
  expect(finding({ ends: -1 })).toMatchObject({ state: "problem", fix });
  expect(finding({ ends: 5 })).toMatchObject({
    state: "problem",
    found: "version 3 will be deleted at 2026-11-24T17:00:00Z",
    fix,
  });
  expect(finding({ destroyed: true }).state).toBe("problem");
  expect(finding({ days: [] })).toMatchObject({ state: "problem", found: "there is no record" });
});

describe("a stack's file", () => {
  const file = `# what it is for
config:
  ${project}:mount: "apisec" # quoted
  ${project}:accounts:
    # the first
    - username: admin@acme.example
      name: admin # changes the others
      publishToken: false
    - { name: scanner, username: scanner@acme.example }
    - name: third
      passwordGeneration: 7   # since May
      username: third@acme.example
`;

  test("is given the generations, and keeps every other character", () => {
    const raised = new Map([
      ["third", 8],
      ["admin", 2],
      ["scanner", 3],
    ]);
    expect(withGenerations(file, project, raised)).toBe(
      file
        .replace("changes the others", "changes the others\n      passwordGeneration: 2")
        .replace("name: scanner,", "name: scanner, passwordGeneration: 3,")
        .replace("passwordGeneration: 7 ", "passwordGeneration: 8 "),
    );
    expect(withGenerations(file, project, new Map())).toBe(file);
    const windows = file.replaceAll("\n", "\r\n");
    expect(withGenerations(windows, project, new Map([["admin", 2]]))).toBe(
      windows.replace("changes the others", "changes the others\r\n      passwordGeneration: 2"),
    );
  });

  test("that does not name the account is not guessed at", () => {
    expect(() => withGenerations(file, project, new Map([["other", 2]]))).toThrow(
      "Account other does not stand in the stack's file: raise its passwordGeneration to 2 where it stands.",
    );
    expect(() => withGenerations("", project, new Map([["admin", 2]]))).toThrow("admin");
  });
});
