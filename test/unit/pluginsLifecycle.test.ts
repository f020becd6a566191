import { changes, checked, inputsRead } from "../../lab/plugins/lifecycle";
import { asSet, blankLike, stable, unknown, type ResourceType } from "../../lab/plugins/resource";

const unused = () => Promise.reject(new Error("not called here"));
const type: ResourceType = {
  inputs: {
    path: { required: true, replace: true },
    label: {},
    zone: { default: "UTC" },
    tags: { same: asSet },
    scope: { computed: true },
  },
  outputs: ["number"],
  create: unused,
  read: unused,
  update: unused,
  delete: unused,
};

test("check fills defaults and names what is unknown or missing", () => {
  expect(checked(type, { path: "a" })).toEqual({
    inputs: { path: "a", zone: "UTC" },
    failures: [],
  });
  const { failures } = checked(type, { pahth: "a", __internal: 1 });
  expect(failures.map(([property]) => property)).toEqual(["pahth", "path"]);
});

test("check asks the type about the inputs as a whole", () => {
  const picky = { ...type, check: () => "one of these is needed" };
  expect(checked(picky, { path: "a" }).failures).toEqual([["path", "one of these is needed"]]);
});

test.each([
  ["nothing", { path: "a" }, { path: "a" }, []],
  ["blank and absent are one", { path: "a", label: "" }, { path: "a" }, []],
  ["order of a set", { path: "a", tags: ["x", "y"] }, { path: "a", tags: ["y", "x"] }, []],
  ["a key that only the server knows", { path: "a", number: 7 }, { path: "a" }, []],
  ["drift", { path: "a", label: "theirs" }, { path: "a", label: "ours" }, ["label UPDATE"]],
  ["a new one", { path: "a" }, { path: "a", label: "x" }, ["label ADD"]],
  ["a replacing one", { path: "a" }, { path: "b" }, ["path UPDATE replaces"]],
  ["not known yet", { path: "a" }, { path: unknown }, ["path UPDATE replaces"]],
])("diff against the state: %s", (_, state, wanted, expected) => {
  const found = changes(type, state, wanted);
  expect(
    found.map(({ key, kind, replaces }) => `${key} ${kind}${replaces ? " replaces" : ""}`),
  ).toEqual(expected);
});

test("what the program does not say is a deletion, unless the server may say it", () => {
  const found = changes(type, { path: "a", label: "x", scope: "server's" }, { path: "a" });
  expect(found).toEqual([{ key: "label", kind: "DELETE", replaces: false }]);
});

test("a refresh gives the known inputs their real values", () => {
  const real = { path: "a", label: "theirs", zone: "UTC", number: 7 };
  expect(inputsRead(type, real, { path: "a", label: "ours" })).toEqual({
    path: "a",
    label: "theirs",
  });
});

test("an import gives every input that is neither blank nor a default", () => {
  expect(inputsRead(type, { path: "a", label: "", zone: "UTC", tags: ["x"] }, {})).toEqual({
    path: "a",
    tags: ["x"],
  });
});

test("values", () => {
  expect(stable({ b: 1, a: { d: 1, c: [2, 1] } })).toBe('{"a":{"c":[2,1],"d":1},"b":1}');
  expect([["x"], { a: 1 }, "x", 5, true].map(blankLike)).toEqual([[], {}, "", 0, false]);
});
