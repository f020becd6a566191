import { RunError } from "@pulumi/pulumi";
import { asRunError, bothOf, runError } from "../../config/runError";
import { UserError } from "../../core/messageCode";

const fails = (error: Error) => Promise.reject<never>(error);
const later = <T>(value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), 5));

test("two answers", async () => {
  expect(await bothOf(later(1), Promise.resolve("a"))).toEqual([1, "a"]);
});

test("two problems are one message", async () => {
  const both = bothOf(fails(new UserError("Vault:\n  - a")), fails(runError("GitLab:\n  - b")));
  const error: unknown = await both.catch((thrown: unknown) => thrown);
  expect(RunError.isInstance(error)).toBe(true);
  expect((error as Error).message).toBe("Vault:\n  - a\nGitLab:\n  - b");
});

test("one problem is thrown alone, once the other side is through", async () => {
  const vault = runError("Vault");
  const order: string[] = [];
  const gitlab = later("found").then((found) => {
    order.push(found);
    return found;
  });
  await expect(bothOf(fails(vault), gitlab)).rejects.toThrow(/^Vault$/);
  expect(order).toEqual(["found"]);
});

test("a bug is no problem of the stack's: it is thrown as it is", async () => {
  const bug = new TypeError("x is not a function");
  await expect(bothOf(fails(bug), fails(runError("GitLab")))).rejects.toBe(bug);
});

test("a UserError is shown without its stack, as a RunError", () => {
  const thrown = (error: Error): unknown => {
    try {
      return asRunError(() => {
        throw error;
      });
    } catch (caught) {
      return caught;
    }
  };
  const shown = thrown(new UserError("a problem"));
  expect(RunError.isInstance(shown)).toBe(true);
  expect(shown).toMatchObject({ message: "a problem", stack: "" });
  const bug = new TypeError("x is not a function");
  expect(thrown(bug)).toBe(bug);
});
