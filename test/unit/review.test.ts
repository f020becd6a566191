import fc from "../support/fastCheck";
import { readConfig } from "../../config/readConfig";
import { accessOf } from "../../desired/access";
import { reviewMarkdown } from "../../desired/review";
import type { Version } from "../../desired/review";
import { sourceOf } from "../support/configSource";

const admin = { name: "admin", username: "admin@acme.example", publishToken: false };
const scanner = { name: "scanner", username: "scanner@acme.example", changedBy: "admin" };

function version(keys: Record<string, unknown> = {}, secrets: Version["secrets"] = {}): Version {
  return { settings: readConfig(sourceOf({ accounts: [admin, scanner], ...keys })), secrets };
}

const review = (before: Version | undefined, after: Version | undefined) =>
  reviewMarkdown(before, after);

/** The lines below a heading. */
function linesOf(text: string, heading: string): string[] {
  const [, rest = ""] = text.split(`### ${heading}\n\n`);
  return (rest.split("\n\n### ")[0] ?? "").trim().split("\n");
}

test("the same on both sides: nothing changes", () => {
  expect(review(version(), version())).toBe(
    "## Stack prod\n\nNothing changes in Vault or GitLab.\n",
  );
});

test("an account is added: who gains, its password, resources, and nobody else is needed", () => {
  const text = review(
    version(),
    version({ accounts: [admin, scanner, { name: "web", username: "w" }] }),
  );
  expect(linesOf(text, "Who gains")).toEqual([
    "| who | may | what |",
    "|---|---|---|",
    "| whoever has policy apisec-prod-developer | read | the token of web |",
    "| the rotation job in platform/apisec-rotation | read | the password of web |",
    "| the rotation job in platform/apisec-rotation | read | the token of web |",
    "| the rotation job in platform/apisec-rotation | write | the token of web |",
  ]);
  expect(text).not.toContain("Who loses");
  expect(text).not.toContain("Vault's admin");
  expect(linesOf(text, "Passwords that will change")).toEqual([
    "- web: new; its first password is changed",
  ]);
  expect(linesOf(text, "Resources")).toEqual([
    "- create key web/password",
    "- create key web/token",
    "- update policy apisec-prod-developer",
    "- update policy apisec-prod-rotator",
    "- update CI variable APISEC&#95;ACCOUNTS",
  ]);
});

test("an account is taken out: readers lose it, the admin keeps it, and it says what stays", () => {
  const text = review(
    version({ accounts: [admin, scanner, { name: "web", username: "w" }] }),
    version(),
  );
  const lost = linesOf(text, "Who loses");
  expect(lost).toContain("| whoever has policy apisec-prod-developer | read | the token of web |");
  expect(lost.join("\n")).not.toContain("apisec-prod-admin");
  expect(linesOf(text, "What is kept")).toEqual([
    "- web: its password stays in Vault and at APIsec, its last token until it ends",
  ]);
  expect(linesOf(text, "Resources")).toContain("- leave key web/password");
});

test("consumers and groups are named", () => {
  const consumers = [
    { name: "pay", project: "payments/api", accounts: ["scanner"] },
    { name: "all", group: "web" },
  ];
  const accounts = [admin, scanner, { name: "web", username: "w" }];
  const more = { consumers, adminGroups: ["R D"], developerGroups: ["Developers"] };
  const text = review(version({ accounts }), version({ accounts, ...more }));
  expect(linesOf(text, "Who gains").slice(2)).toEqual([
    "| members of group R D | read | the password of admin, scanner, web |",
    "| members of group R D | read | the token of admin, scanner, web |",
    "| members of group Developers | read | the token of scanner, web |",
    "| pipelines of project payments/api (consumer pay) | read | the token of scanner |",
    "| pipelines of group web (consumer all) | read | the token of scanner, web |",
  ]);
  expect(text).toContain("write the deployer's policy (because of groups):");
  expect(text).toContain(
    "policy deployer --stack prod | vault policy write apisec-prod-deployer -",
  );
});

test("generations, the schedule and its spare runs", () => {
  const text = review(
    version(),
    version({ accounts: [admin, { ...scanner, passwordGeneration: 3 }], cron: "0 */12 * * *" }),
  );
  expect(linesOf(text, "Passwords that will change")).toEqual(["- scanner: generation 1 -> 3"]);
  expect(linesOf(text, "Schedule")).toEqual([
    "- before: `17 */6 * * *` UTC, at most 6 h apart; readers keep a token through 2 missed runs",
    "- after: `0 */12 * * *` UTC, at most 12 h apart; readers keep a token through 0 missed runs",
  ]);
});

test("a renamed account keeps its password", () => {
  const text = review(
    version(),
    version({ accounts: [admin, { ...scanner, name: "scan", renamedFrom: "scanner" }] }),
  );
  expect(text).not.toContain("Passwords that will change");
  expect(linesOf(text, "What is kept")[0]).toMatch(/^- scanner: its record is copied/);
});

test("secrets by their ciphertext, never by their value", () => {
  const text = review(
    version({}, { "firstPasswords.scanner": "v1:a", webhookUrl: "v1:b" }),
    version({}, { webhookUrl: "v1:c", heartbeatUrl: "v1:d" }),
  );
  expect(linesOf(text, "Secrets in the stack's file")).toEqual([
    "- firstPasswords.scanner: removed",
    "- heartbeatUrl: set",
    "- webhookUrl: changed",
  ]);
  expect(text).not.toContain("v1:");
});

test("a new stack, and one that goes", () => {
  expect(review(undefined, version())).toMatch(
    /^## Stack prod\n\nThis stack is new\.\n\n### Who gains/,
  );
  expect(review(version(), undefined)).toContain("`pulumi destroy` comes before that.");
});

test("others' names stay text, and call nobody", () => {
  const text = review(version(), version({ developerGroups: ["a@b"] }));
  expect(text).toContain("members of group a&#64;b");
});

test("what it says of rights is what Vault's own rules give: an exact path goes before +", () => {
  const accounts = fc.subarray(["a", "b", "c"], { minLength: 1 });
  fc.assert(
    fc.property(accounts, accounts, fc.boolean(), (names, published, owned) => {
      const list = names.map((name) => ({
        name,
        username: `${name}@acme.example`,
        publishToken: published.includes(name),
      }));
      const { settings } = version({ accounts: list, createMount: owned });
      const found = accessOf(settings, ["a", "b", "c"]);
      const may = (who: string, right: string, secret: string) =>
        found
          .filter((one) => one.who === who && one.right === right && one.secret === secret)
          .map(({ account }) => account);
      const open = names.filter((name) => published.includes(name));
      const all = owned ? ["a", "b", "c"] : [...names].sort();
      expect(may("whoever has policy apisec-prod-developer", "read", "token")).toEqual(open.sort());
      expect(may("whoever has policy apisec-prod-developer", "read", "password")).toEqual([]);
      expect(may("whoever has policy apisec-prod-admin", "read", "password")).toEqual(all);
      expect(may("whoever has policy apisec-prod-admin", "write", "password")).toEqual([]);
      expect(may("the rotation job in platform/apisec-rotation", "read", "password")).toEqual(open);
      expect(may("the deployer", "write", "password")).toEqual(all);
    }),
    { numRuns: 30 },
  );
});
