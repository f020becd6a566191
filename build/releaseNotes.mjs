// Prints the body of GitLab's "create a release" call for package.json's version: the tag at this commit, and the
// section of CHANGELOG.md. Ends with 1 where the changelog has none, or has not given it a date.
import { readFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const sections = readFileSync("CHANGELOG.md", "utf8").split(/^## /m).slice(1);
const section = sections.find((text) => text.startsWith(`${version} `));
const date = /^\S+ \((\d{4}-\d{2}-\d{2})\)\n/.exec(section ?? "")?.[1];
if (date === undefined) {
  console.error(
    `CHANGELOG.md: no section "## ${version} (YYYY-MM-DD)": write what is new, and give it a date`,
  );
  process.exit(1);
}
const description = section.slice(section.indexOf("\n")).trim();
const ref = process.env.CI_COMMIT_SHA ?? "main";
console.log(JSON.stringify({ name: version, tag_name: `v${version}`, ref, description }));
