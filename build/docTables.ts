// Writes the tables of docs/ that stand elsewhere as data, between the two comments that mark each:
//   npm run doc-tables              (with --check: says whether they are up to date)
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accessMarkdown } from "../lab/accessMatrix";
import { configurationMarkdown } from "./configurationMarkdown";

const tables = [
  { page: "security.md", name: "access table", content: accessMarkdown() },
  { page: "configuration.md", name: "table of keys", content: configurationMarkdown() },
];

for (const { page, name, content } of tables) {
  const file = join(__dirname, "..", "docs", page);
  const found = readFileSync(file, "utf8");
  const marked = new RegExp(`(<!-- ${name}: .* -->\\n)[\\s\\S]*?(\\n<!-- end of ${name} -->)`);
  if (!marked.test(found))
    throw new Error(`docs/${page} has lost the comments that mark its ${name}`);
  const wanted = found.replace(
    marked,
    (_, start: string, end: string) => `${start}\n${content}\n${end}`,
  );
  if (!process.argv.includes("--check")) {
    writeFileSync(file, wanted);
  } else if (found !== wanted) {
    console.error(`docs/${page}: its ${name} is out of date: npm run doc-tables`);
    process.exitCode = 1;
  }
}
