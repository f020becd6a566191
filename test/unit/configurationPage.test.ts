import { readFileSync } from "node:fs";
import { join } from "node:path";
import { configurationMarkdown } from "../../build/configurationMarkdown";
import { secretNames, shape } from "../../config/schema";

const page = readFileSync(join(__dirname, "..", "..", "docs", "configuration.md"), "utf8");

/** The rows of a table, by their first cell. */
function rowsOf(table: string): Map<string, string[]> {
  const rows = table.split("\n").map((line) => line.split(/(?<!\\) ?\| ?/).slice(1, -1));
  return new Map(rows.slice(2).map(([name = "", ...rest]) => [name.replaceAll("`", ""), rest]));
}

test("docs/configuration.md holds every key of the schema, as the schema has it", () => {
  // `npm run doc-tables` writes it.
  expect(page).toContain(`\n${configurationMarkdown()}\n\n<!-- end of table of keys -->`);
  expect(page.match(/^\| key \|/gm)).toHaveLength(1);
});

test("a row says type, default, and whether it is secret", () => {
  const [keys = ""] = configurationMarkdown().split("\n\n");
  const rows = rowsOf(keys);
  expect([...rows.keys()]).toEqual(Object.keys(shape));
  expect(rows.get("accounts")?.slice(0, 2)).toEqual(["list", "required"]);
  expect(rows.get("createMount")?.slice(0, 2)).toEqual(["boolean", "`true`"]);
  expect(rows.get("cron")?.slice(0, 2)).toEqual(["string", "`17 */6 * * *`"]);
  expect(rows.get("tokenLifetime")?.slice(0, 2)).toEqual(["string", "`24h`"]);
  expect(rows.get("firstRun")?.slice(0, 2)).toEqual(["string", "`wait`"]);
  expect(rows.get("shareMount")?.slice(0, 2)).toEqual(["boolean", "`false`"]);
  expect(rows.get("passwordMaxAge")?.slice(0, 2)).toEqual(["string", "any age"]);
  expect(rows.get("adminGroups")?.slice(0, 2)).toEqual(["list", "none"]);
  expect(rows.get("webhookUrl")?.slice(0, 2)).toEqual(["string", "–"]);
  const secret = [...rows].filter(([, [, , meaning = ""]]) => meaning.startsWith("**secret**; "));
  expect(secret.map(([name]) => name)).toEqual(secretNames);
});
