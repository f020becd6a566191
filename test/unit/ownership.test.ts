import fc from "../support/fastCheck";
import { authDescription, mountDescription, ownerMark, ownerText } from "../../desired/names";
import type { Owner } from "../../desired/names";
import {
  isBoundTo,
  ownerNamed,
  ownerOf,
  ownershipOf,
  useOfMount,
  useOfRecord,
} from "../../desired/ownership";

const project = { id: "42", uri: "gitlab.example.com/acme/rotation", pipelineFile: "" };
const settings = {
  project: "apisec-credentials",
  stack: "prod",
  gitlabUrl: "https://gitlab.example.com",
};
const ours = ownerOf(settings, { project });
const unknown = ownerOf(settings, { project: undefined });
const old: Owner = { project: "apisec-credentials", stack: "prod" };

test("a stack is one of a name, of a host of GitLab, and of a project there", () => {
  expect(ownerMark(ours)).toBe("# managed by apisec-credentials/prod for gitlab.example.com/42");
  const below = { ...settings, gitlabUrl: "https://acme.example:8443/gitlab" };
  expect(ownerText(ownerOf(below, { project }))).toBe(
    "apisec-credentials/prod for acme.example:8443/gitlab/42",
  );
  expect(ownerText(unknown)).toBe("apisec-credentials/prod");
});

const marks = [
  ownerMark,
  mountDescription,
  (owner: Owner) => mountDescription(owner, true),
  authDescription,
];

test("the owner that a mark names is the one that it was made for", () => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/);
  const instance = fc.option(fc.stringMatching(/^[a-z0-9.:/-]{1,30}$/), { nil: undefined });
  fc.assert(
    fc.property(name, name, instance, fc.constantFrom(...marks), (one, stack, where, mark) => {
      const owner = { project: one, stack, instance: where };
      expect(ownerNamed(mark(owner))).toBe(ownerText(owner));
    }),
  );
});

const other = { ...ours, instance: "gitlab.example.com/43" };
const host = { ...ours, instance: "gitlab.other.example/42" };
test.each<[string, Owner, Owner, string]>([
  ["with our mark", ours, ours, "ours"],
  ["with our names alone", ours, old, "old"],
  ["of another project of the same names", ours, other, "another"],
  ["of a GitLab elsewhere", ours, host, "another"],
  ["of another stack", ours, { ...ours, stack: "prod-eu" }, "another"],
  ["of another stack, before version 2", ours, { ...old, stack: "prod-eu" }, "another"],
  ["of another program", ours, { ...ours, project: "apisec" }, "another"],
  ["with our names, where our project is not known", unknown, ours, "ours"],
  ["with our names alone, where our project is not known", unknown, old, "ours"],
  ["of another stack, where our project is not known", unknown, { ...ours, stack: "p" }, "another"],
])("what is there %s", (_, owner, marked, whose) => {
  for (const mark of marks) expect(ownershipOf(owner, mark(marked))).toBe(whose);
});

test.each([
  "",
  "KV of the platform team",
  "managed by",
  "# managed by prod",
  "managed by Terraform",
])("%j marks nothing", (text) => expect(ownershipOf(ours, text)).toBe("unmarked"));

test("an old mark is ours where our role is bound to our project, and only there", () => {
  const bound = (project_id: unknown) => isBoundTo(project, { bound_claims: { project_id } });
  expect(["42", ["42"]].map(bound)).toEqual([true, true]);
  expect(["43", 42, ["42", "43"], [], undefined, null].map(bound)).not.toContain(true);
  expect(isBoundTo(project, { bound_claims: null })).toBe(false);
  expect(isBoundTo(project, undefined)).toBe(false);
  expect(isBoundTo(undefined, { bound_claims: { project_id: "42" } })).toBe(false);
});

test("a mount of another stack is used only where it says that it is shared", () => {
  expect(useOfMount(mountDescription(other))).toBe("not shared");
  expect(useOfMount(mountDescription({ ...old, stack: "dev" }))).toBe("not shared");
  expect(useOfMount(mountDescription(other, true))).toBeUndefined();
  expect(useOfMount("KV of the platform team")).toBeUndefined();
  expect(useOfMount("")).toBeUndefined();
});

test.each<[string | undefined, boolean, boolean, string | undefined]>([
  [ownerText(ours), false, false, undefined],
  [ownerText(other), true, true, "another's"],
  ["apisec-credentials/dev", true, true, "another's"],
  [ownerText(old), true, false, undefined],
  [ownerText(old), false, true, "another's"],
  [undefined, true, false, undefined],
  [undefined, false, true, undefined],
  [undefined, false, false, "nobody's"],
])("a record of %j, known: %j, first password in config: %j: %j", (owner, isKnown, has, whose) => {
  expect(useOfRecord(ours, { owner, isKnown, hasFirstPassword: has })).toBe(whose);
});

test("a record with the mark that this stack's state names is its own: it was renamed or moved", () => {
  const formers: Owner[] = [{ ...ours, stack: "dev" }, other, host, old];
  const record = { isKnown: true, hasFirstPassword: false };
  for (const formerOwner of formers) {
    const owner = ownerText(formerOwner);
    expect(useOfRecord(ours, { ...record, owner, formerOwner })).toBeUndefined();
    const elses = ownerText({ ...ours, stack: "else" });
    expect(useOfRecord(ours, { ...record, owner: elses, formerOwner })).toBe("another's");
  }
});
