import { readConfig } from "../../config/readConfig";
import { renderPolicy } from "../../desired/policies";
import { tooLargePolicy } from "../../desired/policySize";
import { policyValues } from "../../desired/policyValues";
import { sourceOf } from "../support/configSource";

const accounts = (count: number, length: number) =>
  Array.from({ length: count }, (_, index) => {
    const name = `${String(index).padStart(5, "0")}-${"a".repeat(length - 6)}`;
    return { name, username: `${index}@acme.example` };
  });
const shared = { createMount: false };

test("2,000 accounts fit where the mount is the stack's own", () => {
  const settings = readConfig(sourceOf({ accounts: accounts(2_000, 32) }));
  expect(tooLargePolicy(settings)).toBeUndefined();
});

test("in a mount that others use, too, 2,000 accounts of long names are too many, and it is said how many fit", () => {
  const many = { ...shared, accounts: accounts(2_000, 32) };
  let message = "";
  try {
    readConfig(sourceOf(many));
  } catch (error) {
    message = (error as Error).message;
  }
  const [, count = "", bytes = "", fit = ""] =
    /accounts: are (\d+): policy apisec-prod-deployer would have (\d+) bytes, and Vault keeps at most 1 MiB; expected at most (\d+) of these accounts in one stack; give the others a stack of their own with `pulumi stack init`/.exec(
      message,
    ) ?? [];
  expect(count).toBe("2000");
  expect(Number(bytes)).toBeGreaterThan(1024 * 1024);
  expect(Number(fit)).toBeGreaterThan(1_000);
  // So many do, and one more does not.
  const settings = readConfig(sourceOf({ ...shared, accounts: accounts(Number(fit), 32) }));
  const text = renderPolicy("deployer", policyValues(settings));
  expect(JSON.stringify(text).length).toBeLessThan(1024 * 1024);
  const oneMore = sourceOf({ ...shared, accounts: accounts(Number(fit) + 1, 32) });
  expect(() => readConfig(oneMore)).toThrow(`at most ${fit} of these accounts`);
});

test("where the stack owns the mount and shares it, the problem names that key, too", () => {
  const keys = { shareMount: true, accounts: accounts(2_000, 40) };
  expect(() => readConfig(sourceOf(keys))).toThrow(
    "stop sharing the mount with `pulumi config set shareMount false --stack prod` if no other stack uses it, or give the others",
  );
});
