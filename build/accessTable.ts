// Writes the table of lab/accessMatrix.ts into docs/security.md between its two marker comments:
//   npm run access-table              (with --check: says whether it is up to date)
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accessMarkdown } from "../lab/accessMatrix";

const file = join(__dirname, "..", "docs", "security.md");
const page = readFileSync(file, "utf8");
const marked = /(<!-- access table: .* -->\n)[\s\S]*?(\n<!-- end of access table -->)/;
if (!marked.test(page)) {
  console.error("docs/security.md has lost the comments that mark its access table");
  process.exit(1);
}
const wanted = page.replace(
  marked,
  (_, start: string, end: string) => `${start}\n${accessMarkdown()}\n${end}`,
);
if (process.argv.includes("--check")) {
  if (page !== wanted) {
    console.error("docs/security.md: the access table is out of date: npm run access-table");
    process.exit(1);
  }
} else {
  writeFileSync(file, wanted);
}
