import { changesIn } from "../support/stack";

/** As the CLI prints it: with the diff or the resources before it, the outputs among them, and its duration after. */
const printed = (...lines: string[]) =>
  [
    "Outputs:",
    "    scheduleId: 7 created",
    "",
    "Resources:",
    ...lines,
    "",
    "Duration: 3s",
    "",
  ].join("\n");

test.each([
  ["an up", ["    + 22 created"], { create: 22 }],
  [
    "an up of several kinds",
    [
      ...["    + 1 created", "    ~ 2 updated", "    - 3 deleted", "    +-4 replaced"],
      ...["    = 5 imported", "    15 changes. 16 unchanged"],
    ],
    { create: 1, update: 2, delete: 3, replace: 4, import: 5, same: 16 },
  ],
  ["a change and nothing beside it", ["    ~ 1 updated"], { update: 1 }],
  [
    "a preview",
    [
      ...["    + 1 to create", "    ~ 2 to update", "    - 3 to delete", "    +-4 to replace"],
      ...["    = 5 to import", "    15 changes. 16 unchanged"],
    ],
    { create: 1, update: 2, delete: 3, replace: 4, import: 5, same: 16 },
  ],
  ["a run that changes nothing", ["    19 unchanged"], { same: 19 }],
  ["a destroy of a stack that is empty", [], {}],
])("the changes of %s", (_, lines, changes) => {
  expect(changesIn(printed(...lines))).toEqual(changes);
});

test("what an output or a diff holds is none of them", () => {
  const before = "  ~ content: \nResources:\n    + 9 created\n\n";
  expect(changesIn(before + printed("    1 unchanged"))).toEqual({ same: 1 });
});

test("an output without a summary, or with an unknown word in it, is an error", () => {
  expect(() => changesIn("error: no stack\n")).toThrow("no sum of changes");
  expect(() => changesIn(printed("    ? 1 doubted"))).toThrow('"doubted" is no known change');
});
